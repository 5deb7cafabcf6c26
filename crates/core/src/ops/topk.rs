//! The largest elements.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, WithDType, backend::BackendStorage as _};
use rayon::prelude::*;

use crate::{
    Error, Result,
    cpu::{Real, slice, slices, with_real},
    node::{Keep, apply1},
};

use super::arguments::real_only;

const NAME: &str = "topk";

/// The `k` largest elements along `dim`, the largest first, and where they stand; as `torch.topk`.
///
/// NaN counts as largest. Of equal elements the first comes first, where PyTorch promises no order.
///
/// # Shapes
/// - `x`: any
/// - outputs: as `x` with `k` in place of dimension `dim`: the values, whose gradient goes to the elements chosen, and their
///   indices as i64
///
/// # Errors
/// [`Error::Argument`] if `x` has no dimension `dim` or a zero in its shape, or `k` is not in `1..=` the size of that
/// dimension.
pub fn topk(x: &Tensor, k: usize, dim: usize) -> Result<(Tensor, Tensor)> {
    if dim >= x.rank() || x.elem_count() == 0 {
        return Err(Error::argument(NAME, "dim", (dim, x.dims()), "a dimension of a tensor that is not empty"));
    }
    real_only(NAME, x)?;
    let (size, inner) = (x.dims()[dim], x.dims()[dim + 1..].iter().product());
    if !(1..=size).contains(&k) {
        return Err(Error::argument(NAME, "k", k, format!("1 to {size}, the size of dimension {dim}")));
    }
    let x = x.contiguous()?;
    let indices = with_real!(NAME, x.dtype(), T => {
        slices!(NAME, T, x = x);
        Ok::<_, candle_core::Error>(largest::<T>(x, (size, inner), k))
    })?;
    let mut shape = x.dims().to_vec();
    shape[dim] = k;
    let indices = Arc::new(indices);
    let places = Tensor::from_vec(indices.to_vec(), shape.as_slice(), x.device())?;
    let values = apply1(&x, Keep::Nothing, Select { size, inner, k, shape: shape.into(), indices })?;
    Ok((values, places))
}

/// For each row, laid out as the output, the indices of its `k` largest elements.
fn largest<T: Real>(x: &[T], (size, inner): (usize, usize), k: usize) -> Vec<i64> {
    let mut indices = vec![0; x.len() / size * k];
    indices.par_chunks_mut(k * inner).zip(x.par_chunks(size * inner)).for_each(|(indices, x)| {
        let mut order: Vec<usize> = Vec::with_capacity(size);
        for i in 0..inner {
            // Larger first, NaN as largest, then by index: a total order, so that the selection cannot vary.
            let by_rank = |&a: &usize, &b: &usize| {
                let (x, y) = (x[a * inner + i], x[b * inner + i]);
                y.partial_cmp(&x).unwrap_or_else(|| y.is_nan().cmp(&x.is_nan())).then(a.cmp(&b))
            };
            order.clear();
            order.extend(0..size);
            if k < size {
                order.select_nth_unstable_by(k - 1, by_rank);
            }
            order[..k].sort_unstable_by(by_rank);
            order[..k].iter().enumerate().for_each(|(rank, &place)| indices[rank * inner + i] = place as i64);
        }
    });
    indices
}

struct Select {
    /// Elements along the dimension, of which `k` are chosen, and steps from one to the next.
    size: usize,
    inner: usize,
    k: usize,
    shape: Shape,
    indices: Arc<Vec<i64>>,
}

impl Select {
    /// For each output in order the place of its input.
    fn sources(&self) -> impl Iterator<Item = usize> {
        let rows = self.k * self.inner;
        self.indices
            .iter()
            .enumerate()
            .map(move |(out, &index)| (out / rows * self.size + index as usize) * self.inner + out % self.inner)
    }

    fn backward<T: Real>(&self, grad: &[T], n: usize) -> Vec<T> {
        let mut gx = vec![T::zero(); n];
        // No element is chosen twice.
        self.sources().zip(grad).for_each(|(source, &g)| gx[source] = g);
        gx
    }
}

impl CustomOp1 for Select {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(NAME, s.dtype(), T => {
            let x = slice::<T>(NAME, s, l)?;
            let y: Vec<T> = self.sources().map(|source| x[source]).collect();
            Ok((T::to_cpu_storage_owned(y), self.shape.clone()))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        with_real!(NAME, grad.dtype(), T => {
            slices!(NAME, T, g = grad);
            Tensor::from_vec(self.backward::<T>(g, x.elem_count()), x.shape(), x.device()).map(Some)
        })
    }
}
