//! From views of storages to tensors.

use std::collections::BTreeMap;

use sconce_core::Tensor;

use super::{
    super::element::Element,
    error::{PthError, Result},
    pickle::View,
};

/// The bytes of every storage, by key.
pub(super) type Storages<'a> = BTreeMap<&'a str, &'a [u8]>;

/// Bytes that tensors may take whatever the size of the file: one of few numbers may expand them.
const ALWAYS: usize = 64 << 20;

/// Makes the tensors that `views` describe; equal views give one tensor. In the place of one that is no tensor of numbers stands
/// what it is.
///
/// `n_file` bounds what a file can ask for: tensors may share numbers, but together take at most four times the file, or
/// [`ALWAYS`].
pub(super) fn materialise(
    views: &BTreeMap<String, &View<'_>>,
    storages: &Storages<'_>,
    n_file: usize,
) -> Result<BTreeMap<String, Made>> {
    let mut room = n_file.saturating_mul(4).max(ALWAYS);
    let mut made: BTreeMap<ViewKey<'_>, Made> = BTreeMap::new();
    let mut tensors = BTreeMap::new();
    for (name, view) in views {
        let fail = |what: String| PthError::Tensor { name: name.clone(), what };
        let storage = &view.storage;
        let key = (storage.key, storage.part, view.element.words(), view.offset, &view.size[..], &view.stride[..]);
        let tensor = match made.get(&key) {
            Some(tensor) => tensor.clone(),
            None => {
                let Some(&bytes) = storages.get(storage.key) else {
                    let what = "is not in the file".to_owned();
                    return Err(PthError::Storage { key: storage.key.to_owned(), what });
                };
                let geometry = Geometry::new(view).map_err(fail)?;
                let width = view.element.dtype().map_or(0, |dtype| dtype.size_in_bytes());
                let n_bytes = geometry.n_elements.saturating_mul(width);
                room = room.checked_sub(n_bytes).ok_or_else(|| {
                    fail(format!(
                        "with it all tensors together take more than 64 MiB and four times the file's {n_file} bytes"
                    ))
                })?;
                let tensor = geometry.tensor(bytes, view.element).map_err(fail)?;
                made.insert(key, tensor.clone());
                tensor
            }
        };
        tensors.insert(name.clone(), tensor);
    }
    Ok(tensors)
}

/// A tensor, or what stands in its place.
pub(super) type Made = std::result::Result<Tensor, String>;

/// What tells views apart.
type ViewKey<'a> = (&'a str, Option<(i64, i64)>, String, i64, &'a [i64], &'a [i64]);

/// A view whose numbers make sense.
struct Geometry {
    /// Elements before the first one.
    offset: usize,
    size: Vec<usize>,
    stride: Vec<usize>,
    n_elements: usize,
    /// One behind the last element that is looked at.
    end: usize,
}

impl Geometry {
    fn new(view: &View<'_>) -> std::result::Result<Self, String> {
        let whole = |what: &str, values: &[i64]| -> std::result::Result<Vec<usize>, String> {
            let positive = values.iter().map(|&v| usize::try_from(v)).collect::<std::result::Result<_, _>>();
            positive.map_err(|_| format!("{what} is {values:?}, expected nothing negative"))
        };
        let (size, stride) = (whole("size", &view.size)?, whole("stride", &view.stride)?);
        if size.len() != stride.len() {
            return Err(format!("it has {} axes but {} strides", size.len(), stride.len()));
        }
        let limits = [view.storage.n_elements, view.offset];
        let [mut n_storage, offset] = whole("its storage's length and its offset", &limits)?[..] else {
            return Err("it has no offset".to_owned());
        };
        if view.storage.element == Element::Untyped {
            if view.storage.part.is_some() {
                return Err("it looks into a part of a storage of bytes".to_owned());
            }
            n_storage /= view.element.size();
        }
        // Where an axis has one element, its stride says nothing.
        let stride = size.iter().zip(stride).map(|(&n, step)| if n > 1 { step } else { 0 }).collect::<Vec<_>>();
        let (base, room) = match view.storage.part {
            None => (0, n_storage),
            Some((base, n)) => {
                let part = whole("the part of its storage", &[base, n])?;
                if part[0].checked_add(part[1]).is_none_or(|end| end > n_storage) {
                    return Err(format!("its part of the storage reaches beyond the {n_storage} elements there are"));
                }
                (part[0], part[1])
            }
        };
        // With every zero counted as one: Candle multiplies sizes in whichever order.
        let product = size.iter().try_fold(1_usize, |product, &n| product.checked_mul(n.max(1)));
        let too_large = || format!("size {size:?} with stride {stride:?} is beyond all memory");
        let n_elements = if size.contains(&0) { 0 } else { product.ok_or_else(too_large)? };
        product.filter(|&n| isize::try_from(n).is_ok()).ok_or_else(too_large)?;
        if n_elements == 0 {
            return Ok(Self { offset: 0, size, stride, n_elements, end: 0 });
        }
        let reach = size
            .iter()
            .zip(&stride)
            .try_fold(0_usize, |reach, (&n, &step)| reach.checked_add(n.saturating_sub(1).checked_mul(step)?));
        let end = reach.and_then(|r| r.checked_add(1)?.checked_add(offset)).ok_or_else(too_large)?;
        if end > room {
            return Err(format!("it reaches to element {end} of its storage, which has {room}"));
        }
        Ok(Self { offset: base + offset, size, stride, n_elements, end: base + end })
    }

    /// One copy for elements side by side, two for others.
    fn tensor(&self, storage: &[u8], element: Element) -> std::result::Result<Made, String> {
        let width = element.size();
        let end = self.end.checked_mul(width).filter(|&end| end <= storage.len());
        let Some(end) = end else {
            let n = storage.len() / width;
            return Err(format!("it reaches to element {} of its storage, which has {n}", self.end));
        };
        if element.dtype().is_none() {
            return Ok(element.tensor(&[], &self.size));
        }
        let gathered;
        let start = self.offset * width;
        let bytes = if self.is_contiguous() {
            &storage[start..end]
        } else {
            gathered = self.gather(storage, width);
            &gathered
        };
        Ok(element.tensor(bytes, &self.size))
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.n_elements == 0
            || self.size.iter().zip(&self.stride).rev().all(|(&n, &step)| {
                let fits = n == 1 || step == expected;
                expected *= n;
                fits
            })
    }

    fn gather(&self, storage: &[u8], width: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.n_elements * width);
        let mut index = vec![0; self.size.len()];
        let mut at = self.offset;
        for _ in 0..self.n_elements {
            bytes.extend_from_slice(&storage[at * width..][..width]);
            // The last axis runs fastest; an axis at its end goes back to its beginning.
            for (axis, i) in index.iter_mut().enumerate().rev() {
                *i += 1;
                at += self.stride[axis];
                if *i < self.size[axis] {
                    break;
                }
                at -= *i * self.stride[axis];
                *i = 0;
            }
        }
        bytes
    }
}
