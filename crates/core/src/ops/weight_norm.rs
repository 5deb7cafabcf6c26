//! Weight normalisation (Salimans & Kingma, 2016).

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor, WithDType, backend::BackendStorage as _};
use rayon::prelude::*;

use crate::{
    Error, Result,
    cpu::{
        self, Real,
        formula::{Pieces, Times, long_sums},
        gradient_if_tracked, slice, slices, with_real,
    },
    node::{Keep, apply2},
};

const NAME: &str = "weight_norm";

/// `g · v / ‖v‖` with the norm over all dimensions but `dim` (eq. 2), as `torch._weight_norm`.
///
/// A `v` of zeros has no direction: its weight and gradients are NaN, as in PyTorch.
///
/// # Shapes
/// - `v`: any
/// - `g`: 1 in every dimension but `dim`, where it is as `v`
/// - output: as `v`
///
/// # Errors
/// [`Error::Argument`] if `v` has no dimension `dim` or a zero in its shape, or `g` does not fit.
pub fn weight_norm(v: &Tensor, g: &Tensor, dim: usize) -> Result<Tensor> {
    if dim >= v.rank() || v.elem_count() == 0 {
        return Err(Error::argument(NAME, "dim", (dim, v.dims()), "a dimension of a tensor that is not empty"));
    }
    let size = v.dims()[dim];
    let mut expected = vec![1; v.rank()];
    expected[dim] = size;
    if g.dims() != expected {
        return Err(Error::argument(NAME, "g", g.dims(), format!("{expected:?}")));
    }
    let op = WeightNorm { size, inner: v.dims()[dim + 1..].iter().product(), norms: OnceLock::new() };
    Ok(apply2([&v.contiguous()?, &g.contiguous()?], Keep::Inputs, op)?)
}

struct WeightNorm {
    /// Of the dimension that keeps its own norms.
    size: usize,
    /// Elements that stand together for each of its entries.
    inner: usize,
    norms: OnceLock<Vec<f64>>,
}

impl WeightNorm {
    /// `Σ a · b` over the elements of each entry.
    fn dots<T: Real>(&self, a: &[T], b: &[T]) -> Vec<f64> {
        let Self { size, inner, .. } = *self;
        let dot = |entry: usize| {
            let pieces = Pieces { first: entry * inner, stride: size * inner, len: inner, n: a.len() / (size * inner) };
            let [dot] = long_sums(pieces, [a, b], Times);
            dot
        };
        (0..size).into_par_iter().map(dot).collect()
    }

    /// `f(entry, a, b)` for every pair of elements.
    fn map<T: Real>(&self, a: &[T], b: &[T], f: impl Fn(usize, T, T) -> T + Sync) -> Vec<T> {
        let parts = (cpu::CHUNK / self.inner).max(1);
        cpu::build(a.len(), parts * self.inner, |piece, out| {
            for part in piece * parts..piece * parts + out.len() / self.inner {
                let range = part * self.inner..(part + 1) * self.inner;
                let (entry, pairs) = (part % self.size, a[range.clone()].iter().zip(&b[range]));
                out.extend(pairs.map(|(&a, &b)| f(entry, a, b)));
            }
        })
    }

    fn forward<T: Real>(&self, v: &[T], g: &[T]) -> Vec<T> {
        let norms = self.norms.get_or_init(|| {
            let squares = self.dots(v, v);
            squares.into_iter().map(f64::sqrt).collect()
        });
        let scale: Vec<T> = norms.iter().zip(g).map(|(n, &g)| T::from_f64(g.to_f64() / n)).collect();
        self.map(v, v, |entry, v, _| v * scale[entry])
    }

    /// With `G` the gradient of the output: `g' = Σ G·v / ‖v‖`, `v' = g / ‖v‖ · (G − v · Σ G·v / ‖v‖²)` (eq. 3).
    fn backward<T: Real>(&self, v: &[T], g: &[T], grad: &[T]) -> candle_core::Result<[Vec<T>; 2]> {
        let Some(norms) = self.norms.get() else {
            candle_core::bail!("{NAME}: backward before forward");
        };
        let dots = self.dots(v, grad);
        let along: Vec<f64> = dots.iter().zip(norms).map(|(d, n)| d / n).collect();
        let scale: Vec<T> = norms.iter().zip(g).map(|(n, &g)| T::from_f64(g.to_f64() / n)).collect();
        let share: Vec<T> = along.iter().zip(norms).map(|(a, n)| T::from_f64(a / n)).collect();
        let gv = self.map(v, grad, |entry, v, grad| scale[entry] * (grad - v * share[entry]));
        Ok([gv, along.into_iter().map(T::from_f64).collect()])
    }
}

impl CustomOp2 for WeightNorm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        v: &CpuStorage,
        vl: &Layout,
        g: &CpuStorage,
        gl: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(NAME, v.dtype(), T => {
            let y = self.forward::<T>(slice(NAME, v, vl)?, slice(NAME, g, gl)?);
            Ok((T::to_cpu_storage_owned(y), vl.shape().clone()))
        })
    }

    fn bwd(
        &self,
        v: &Tensor,
        g: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        with_real!(NAME, grad.dtype(), T => {
            slices!(NAME, T, vs = v, gs = g, grads = grad);
            let [gv, gg] = self.backward::<T>(vs, gs, grads)?;
            Ok((gradient_if_tracked(v, gv)?, gradient_if_tracked(g, gg)?))
        })
    }
}
