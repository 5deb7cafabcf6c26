//! Whether numbers are finite.

use candle_core::{CpuStorage, Storage};
use rayon::prelude::*;

use crate::{DType, Result, Tensor};

/// Elements that one task looks at.
const CHUNK: usize = 1 << 16;

/// The first of `tensors` that holds an infinity or NaN, and the first such value in it. Integers are finite.
///
/// # Errors
/// [`Error::Candle`](crate::Error::Candle) if a tensor cannot be read.
pub fn first_not_finite<'a>(
    tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
) -> Result<Option<(&'a str, f64)>> {
    for (name, tensor) in tensors {
        if tensor.dtype().is_float() && !is_finite(tensor)? {
            let values = tensor.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
            // What overflows only as a sum is finite.
            if let Some(value) = values.into_iter().find(|x| !x.is_finite()) {
                return Ok(Some((name, value)));
            }
        }
    }
    Ok(None)
}

fn is_finite(tensor: &Tensor) -> Result<bool> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    let range = layout.start_offset()..layout.start_offset() + tensor.elem_count();
    Ok(match &*storage {
        Storage::Cpu(CpuStorage::F32(x)) => x[range].par_chunks(CHUNK).all(|x| sum(x, 0f32, |x| x * 0.0) == 0.0),
        Storage::Cpu(CpuStorage::F64(x)) => x[range].par_chunks(CHUNK).all(|x| sum(x, 0f64, |x| x * 0.0) == 0.0),
        _ => {
            drop(storage);
            tensor.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()?.is_finite()
        }
    })
}

/// The sum of `f(x)`, in as many lanes as vectors have: nothing times what is not finite is not a number.
fn sum<T: Copy + std::ops::AddAssign>(x: &[T], zero: T, f: impl Fn(T) -> T) -> T {
    let mut lanes = [zero; 32];
    let mut parts = x.chunks_exact(lanes.len());
    for part in &mut parts {
        lanes.iter_mut().zip(part).for_each(|(lane, &x)| *lane += f(x));
    }
    lanes.iter_mut().zip(parts.remainder()).for_each(|(lane, &x)| *lane += f(x));
    let mut total = zero;
    lanes.into_iter().for_each(|lane| total += lane);
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Device;

    #[test]
    fn the_first_tensor_that_is_not_finite_is_named_with_its_value() {
        let n = 3 * CHUNK + 5;
        let fine = Tensor::from_vec(vec![f32::MAX; n], n, &Device::Cpu).unwrap();
        for (at, value) in [(0, f32::NAN), (CHUNK + 1, f32::INFINITY), (n - 1, f32::NEG_INFINITY)] {
            let mut values = vec![-1f32; n];
            values[at] = value;
            for dtype in [DType::F32, DType::F64] {
                let bad = Tensor::from_vec(values.clone(), n, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
                let (name, found) = first_not_finite([("fine", &fine), ("bad", &bad)]).unwrap().unwrap();
                assert_eq!((name, found.to_bits()), ("bad", f64::from(value).to_bits()));
            }
        }
        let counts = Tensor::new(&[i64::MAX], &Device::Cpu).unwrap();
        assert_eq!(first_not_finite([("fine", &fine), ("counts", &counts)]).unwrap(), None);
    }

    /// A transposed view, of which only a part belongs to the tensor.
    #[test]
    fn views_are_looked_at_as_they_are() {
        let whole = Tensor::new(&[[f32::NAN, 1.0, 2.0], [f32::NAN, 3.0, 4.0]], &Device::Cpu).unwrap();
        let view = whole.narrow(1, 1, 2).unwrap().t().unwrap();
        assert_eq!(first_not_finite([("view", &view)]).unwrap(), None);
        assert!(first_not_finite([("whole", &whole)]).unwrap().is_some());
    }
}
