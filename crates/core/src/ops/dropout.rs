//! Dropout from a seeded stream.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, WithDType, backend::BackendStorage as _};
use rayon::prelude::*;

use crate::{
    Error, Result, Rng,
    cpu::{self, CHUNK, Real, slice, slices, with_real},
    node::{Keep, apply1},
};

const NAME: &str = "dropout";

/// Each element is zero with probability `p`, else divided by `1 − p` (Srivastava et al., 2014).
///
/// The mask depends on where `rng` stands, not on the number of threads.
///
/// # Shapes
/// - `x`: any
/// - output: as `x`
///
/// # Errors
/// [`Error::Argument`] if `p` is not in `0 ≤ p < 1`.
pub fn dropout(x: &Tensor, p: f64, rng: &mut Rng) -> Result<Tensor> {
    if !(0.0..1.0).contains(&p) {
        return Err(Error::argument(NAME, "p", p, "0 ≤ p < 1"));
    }
    if p == 0.0 {
        return Ok(x.clone());
    }
    let key = rng.below(usize::MAX) as u64;
    let mut keep = vec![0u8; x.elem_count()];
    keep.par_chunks_mut(CHUNK).enumerate().for_each(|(i, keep)| {
        let mut rng = Rng::keyed(key, NAME, [i as u64, 0]);
        keep.iter_mut().for_each(|k| *k = u8::from(!rng.bernoulli(p)));
    });
    Ok(apply1(&x.contiguous()?, Keep::Nothing, Dropout { keep, scale: 1.0 / (1.0 - p) })?)
}

struct Dropout {
    keep: Vec<u8>,
    scale: f64,
}

impl Dropout {
    fn apply<T: Real>(&self, x: &[T]) -> Vec<T> {
        let scale = T::from_f64(self.scale);
        cpu::build(x.len(), CHUNK, |i, y| {
            let (x, keep) = (&x[i * CHUNK..][..y.len()], &self.keep[i * CHUNK..][..y.len()]);
            y.extend(x.iter().zip(keep).map(|(&x, &keep)| if keep == 1 { x * scale } else { T::zero() }));
        })
    }
}

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(NAME, s.dtype(), T => {
            Ok((T::to_cpu_storage_owned(self.apply(slice::<T>(NAME, s, l)?)), l.shape().clone()))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        with_real!(NAME, grad.dtype(), T => {
            slices!(NAME, T, g = grad);
            Tensor::from_vec(self.apply(g), x.shape(), x.device()).map(Some)
        })
    }
}
