//! The logarithm of the softmax.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, WithDType, backend::BackendStorage as _};
use rayon::prelude::*;

use crate::{
    Error, Result,
    cpu::{Real, slice, slices, with_real},
    node::{Keep, apply1},
};

const NAME: &str = "log_softmax";

/// `x − log Σ exp x` along `dim`, stable for any finite input.
///
/// # Shapes
/// - `x`: any
/// - output: as `x`
///
/// # Errors
/// [`Error::Argument`] if `x` has no dimension `dim` or is empty.
pub fn log_softmax(x: &Tensor, dim: usize) -> Result<Tensor> {
    if dim >= x.rank() || x.elem_count() == 0 {
        return Err(Error::argument(NAME, "dim", (dim, x.dims()), "a dimension of a tensor that is not empty"));
    }
    let inner = x.dims()[dim + 1..].iter().product();
    Ok(apply1(&x.contiguous()?, Keep::Output, LogSoftmax { classes: x.dims()[dim], inner })?)
}

struct LogSoftmax {
    classes: usize,
    /// Steps from one class to the next.
    inner: usize,
}

impl LogSoftmax {
    /// Runs `f(input, other, output)` for each part that holds all classes of `inner` positions.
    fn for_each<T: Real>(&self, a: &[T], b: &[T], f: impl Fn(&[T], &[T], &mut [T]) + Sync) -> Vec<T> {
        let part = self.classes * self.inner;
        let mut out = vec![T::zero(); a.len()];
        out.par_chunks_mut(part).zip(a.par_chunks(part).zip(b.par_chunks(part))).for_each(|(o, (a, b))| f(a, b, o));
        out
    }

    fn forward<T: Real>(&self, x: &[T]) -> Vec<T> {
        self.for_each(x, x, |x, _, y| {
            for i in 0..self.inner {
                let class = |c: usize| c * self.inner + i;
                let log_sum = log_sum_exp((0..self.classes).map(|c| x[class(c)]));
                (0..self.classes).for_each(|c| y[class(c)] = x[class(c)] - log_sum);
            }
        })
    }

    /// `g − softmax · Σ g`.
    fn backward<T: Real>(&self, y: &[T], grad: &[T]) -> Vec<T> {
        self.for_each(y, grad, |y, g, gx| {
            for i in 0..self.inner {
                let class = |c: usize| c * self.inner + i;
                let sum: T = (0..self.classes).map(|c| g[class(c)]).sum();
                (0..self.classes).for_each(|c| gx[class(c)] = g[class(c)] - y[class(c)].exp() * sum);
            }
        })
    }
}

/// `log Σ exp x`, shifted by the maximum so that no term overflows.
pub(super) fn log_sum_exp<T: Real>(x: impl Iterator<Item = T> + Clone) -> T {
    let max = x.clone().fold(T::neg_infinity(), num_traits::Float::max);
    if !max.is_finite() {
        return x.fold(max, |a, b| if b.is_nan() { b } else { a });
    }
    max + x.map(|x| (x - max).exp()).sum::<T>().ln()
}

impl CustomOp1 for LogSoftmax {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(NAME, s.dtype(), T => {
            let y = self.forward(slice::<T>(NAME, s, l)?);
            Ok((T::to_cpu_storage_owned(y), l.shape().clone()))
        })
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        with_real!(NAME, grad.dtype(), T => {
            slices!(NAME, T, y = y, g = grad);
            Tensor::from_vec(self.backward(y, g), x.shape(), x.device()).map(Some)
        })
    }
}
