//! Vectors of length 1.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, WithDType, backend::BackendStorage as _};
use rayon::prelude::*;

use crate::{
    Error, Result,
    cpu::{CHUNK, Real, formula::dot, kernel, slice, slices, with_real},
    node::{Keep, apply1},
};

use super::arguments::real_only;

const NAME: &str = "normalize";

/// `x / max(‖x‖₂, eps)` along `dim`, as `torch.nn.functional.normalize` (whose `eps` is 1e-12 by default).
///
/// A vector of zeros stays one; its gradient is that of a division by `eps`, as in PyTorch.
///
/// # Shapes
/// - `x`: any
/// - output: as `x`
///
/// # Errors
/// [`Error::Argument`] if `x` has no dimension `dim` or a zero in its shape, or `eps` is not above 0 and finite.
pub fn normalize(x: &Tensor, dim: usize, eps: f64) -> Result<Tensor> {
    if dim >= x.rank() || x.elem_count() == 0 {
        return Err(Error::argument(NAME, "dim", (dim, x.dims()), "a dimension of a tensor that is not empty"));
    }
    if !(eps > 0.0 && eps.is_finite()) {
        return Err(Error::argument(NAME, "eps", eps, "above 0 and finite"));
    }
    real_only(NAME, x)?;
    let inner = x.dims()[dim + 1..].iter().product();
    Ok(apply1(&x.contiguous()?, Keep::All, Normalize { size: x.dims()[dim], inner, eps })?)
}

struct Normalize {
    size: usize,
    /// Steps from one element of a vector to the next.
    inner: usize,
    eps: f64,
}

impl Normalize {
    /// Elements of the vectors that lie side by side.
    fn part(&self) -> usize {
        self.size * self.inner
    }

    /// Elements of one task: whole parts.
    fn task(&self) -> usize {
        self.part() * (CHUNK / self.part()).max(1)
    }

    /// The inner products of the vectors of one part.
    #[inline(always)]
    fn products<T: Real>(&self, a: &[T], b: &[T], products: &mut [T]) {
        if self.inner == 1 {
            products[0] = dot(a, b);
            return;
        }
        products.fill(T::zero());
        for (a, b) in a.chunks_exact(self.inner).zip(b.chunks_exact(self.inner)) {
            products.iter_mut().zip(a).zip(b).for_each(|((sum, &a), &b)| *sum += a * b);
        }
    }

    /// What each vector of one part is divided by; NaN passes through.
    #[inline(always)]
    fn divisors<T: Real>(&self, x: &[T], divisors: &mut [T]) {
        let eps = T::from_f64(self.eps);
        self.products(x, x, divisors);
        for divisor in divisors {
            let norm = divisor.sqrt();
            *divisor = if norm < eps { eps } else { norm };
        }
    }

    fn forward<T: Real>(&self, x: &[T]) -> Vec<T> {
        let mut y = vec![T::zero(); x.len()];
        y.par_chunks_mut(self.task()).zip(x.par_chunks(self.task())).for_each(|(y, x)| forward(self, x, y));
        y
    }

    fn backward<T: Real>(&self, x: &[T], y: &[T], grad: &[T]) -> Vec<T> {
        let mut gx = vec![T::zero(); x.len()];
        let inputs = x.par_chunks(self.task()).zip(y.par_chunks(self.task())).zip(grad.par_chunks(self.task()));
        let tasks = gx.par_chunks_mut(self.task()).zip(inputs);
        tasks.for_each(|(gx, ((x, y), grad))| backward(self, x, y, grad, gx));
        gx
    }
}

kernel! {
    fn forward<'a, T: Real>(op: &'a Normalize, x: &'a [T], y: &'a mut [T]) -> () {
        let mut divisors = vec![T::zero(); op.inner];
        for (y, x) in y.chunks_exact_mut(op.part()).zip(x.chunks_exact(op.part())) {
            op.divisors(x, &mut divisors);
            if let [divisor] = divisors[..] {
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = x / divisor);
                continue;
            }
            for (y, x) in y.chunks_exact_mut(op.inner).zip(x.chunks_exact(op.inner)) {
                y.iter_mut().zip(x).zip(&divisors).for_each(|((y, &x), &divisor)| *y = x / divisor);
            }
        }
    }
}

kernel! {
    // `(g − y · ⟨g, y⟩) / ‖x‖`, without the second term where `eps` divides.
    fn backward<'a, T: Real>(
        op: &'a Normalize,
        x: &'a [T],
        y: &'a [T],
        grad: &'a [T],
        gx: &'a mut [T],
    ) -> () {
        let eps = T::from_f64(op.eps);
        let (mut divisors, mut along) = (vec![T::zero(); op.inner], vec![T::zero(); op.inner]);
        let parts = x.chunks_exact(op.part()).zip(y.chunks_exact(op.part())).zip(grad.chunks_exact(op.part()));
        for (gx, ((x, y), grad)) in gx.chunks_exact_mut(op.part()).zip(parts) {
            op.divisors(x, &mut divisors);
            op.products(grad, y, &mut along);
            for (along, &divisor) in along.iter_mut().zip(&divisors) {
                if divisor == eps {
                    *along = T::zero();
                }
            }
            if let ([along], [divisor]) = (&along[..], &divisors[..]) {
                let terms = y.iter().zip(grad);
                gx.iter_mut().zip(terms).for_each(|(gx, (&y, &g))| *gx = (g - y * *along) / *divisor);
                continue;
            }
            let rows = y.chunks_exact(op.inner).zip(grad.chunks_exact(op.inner));
            for (gx, (y, g)) in gx.chunks_exact_mut(op.inner).zip(rows) {
                let terms = y.iter().zip(g).zip(along.iter().zip(&divisors));
                for (gx, ((&y, &g), (&along, &divisor))) in gx.iter_mut().zip(terms) {
                    *gx = (g - y * along) / divisor;
                }
            }
        }
    }
}

impl CustomOp1 for Normalize {
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
            slices!(NAME, T, xs = x, ys = y, gs = grad);
            Tensor::from_vec(self.backward::<T>(xs, ys, gs), x.shape(), x.device()).map(Some)
        })
    }
}
