//! The exponential moving average of a model.

use std::collections::BTreeMap;

use candle_core::{CpuStorage, InplaceOp2, Layout};
use rayon::prelude::*;
use sconce_core::{DType, Init, Params, Tensor, Var};

use crate::{EngineError, Result};

/// Elements that one task updates.
const CHUNK: usize = 1 << 16;

/// A copy of a model that follows it slowly: `ema ← decay · ema + (1 − decay) · parameter` after every step. Buffers, such as
/// the statistics of a batch norm, are copied.
#[derive(Clone, Debug)]
pub struct Ema {
    params: Params,
    /// Averaged value and its source, by name.
    averaged: Vec<(Var, Var)>,
    decay: f64,
}

impl Ema {
    /// A copy of `source` as it is now. `decay` lies in `[0, 1)`.
    ///
    /// # Errors
    /// [`EngineError::Core`] if the copy cannot be made.
    pub fn new(source: &Params, decay: f64) -> Result<Self> {
        let params = Params::new(0, source.dtype(), source.device());
        let sources: BTreeMap<String, Var> = source.trainable().into_iter().collect();
        for (name, tensor) in source.tensors() {
            if sources.contains_key(&name) {
                params.scope().param(&name, tensor.shape().clone(), Init::Constant(0.0))?;
            } else {
                params.scope().buffer(&name, tensor.shape().clone(), 0.0, tensor.dtype())?;
            }
        }
        params.load("the model", &source.tensors(), sconce_core::Tolerance::Exact)?;
        let averaged = params
            .trainable()
            .into_iter()
            .filter_map(|(name, var)| sources.get(&name).map(|source| (var, source.clone())))
            .collect();
        Ok(Self { params, averaged, decay })
    }

    /// The averaged model's parameters and buffers, for a model of their own to be built from.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Follows `source`, the model that this is a copy of, by one step.
    ///
    /// # Errors
    /// [`EngineError::Core`] or [`EngineError::Candle`] if `source` has changed its shape.
    pub fn update(&mut self, source: &Params) -> Result<()> {
        for (average, value) in &self.averaged {
            blend(average, value, self.decay)?;
        }
        let averaged =
            self.params.trainable().into_iter().map(|(name, _)| name).collect::<std::collections::BTreeSet<_>>();
        let buffers: BTreeMap<String, Tensor> =
            source.tensors().into_iter().filter(|(name, _)| !averaged.contains(name)).collect();
        self.params.load("the model", &buffers, sconce_core::Tolerance::Missing).map_err(EngineError::from)?;
        Ok(())
    }
}

/// `average ← keep · average + (1 − keep) · value`, on the CPU in place: a step of an exponential moving average.
///
/// # Errors
/// [`EngineError::Candle`] if the shapes or types differ.
pub fn blend(average: &Var, value: &Var, keep: f64) -> Result<()> {
    let on_cpu = average.device().is_cpu() && matches!(average.dtype(), DType::F32 | DType::F64);
    if on_cpu {
        average.as_tensor().inplace_op2(value.as_tensor(), &Average { keep })?;
    } else {
        let value = value.as_detached_tensor();
        average.set(&((average.as_detached_tensor() * keep)? + (value * (1.0 - keep))?)?)?;
    }
    Ok(())
}

struct Average {
    keep: f64,
}

impl InplaceOp2 for Average {
    fn name(&self) -> &'static str {
        "ema"
    }

    fn cpu_fwd(&self, dst: &mut CpuStorage, dl: &Layout, src: &CpuStorage, sl: &Layout) -> candle_core::Result<()> {
        let (Some((d0, d1)), Some((s0, s1))) = (dl.contiguous_offsets(), sl.contiguous_offsets()) else {
            candle_core::bail!("ema: parameters must be contiguous");
        };
        if d1 - d0 != s1 - s0 {
            candle_core::bail!("ema: {} values, expected {}", s1 - s0, d1 - d0);
        }
        match (dst, src) {
            (CpuStorage::F32(d), CpuStorage::F32(s)) => {
                let (keep, take) = (self.keep as f32, (1.0 - self.keep) as f32);
                average(&mut d[d0..d1], &s[s0..s1], |d, s| keep * d + take * s);
            }
            (CpuStorage::F64(d), CpuStorage::F64(s)) => {
                let (keep, take) = (self.keep, 1.0 - self.keep);
                average(&mut d[d0..d1], &s[s0..s1], |d, s| keep * d + take * s);
            }
            _ => candle_core::bail!("ema: parameters must be f32 or f64"),
        }
        Ok(())
    }
}

fn average<T: Copy + Send + Sync>(dst: &mut [T], src: &[T], f: impl Fn(T, T) -> T + Sync) {
    dst.par_chunks_mut(CHUNK).zip(src.par_chunks(CHUNK)).for_each(|(dst, src)| {
        dst.iter_mut().zip(src).for_each(|(d, &s)| *d = f(*d, s));
    });
}

#[cfg(test)]
mod tests {
    use sconce_core::Device;

    use super::*;

    #[test]
    fn parameters_are_averaged_and_buffers_copied() {
        let params = Params::new(0, DType::F32, &Device::Cpu);
        params.scope().param("w", 2, Init::Constant(1.0)).unwrap();
        params.scope().buffer("n", (), 0.0, DType::I64).unwrap();
        let mut ema = Ema::new(&params, 0.75).unwrap();

        let source = BTreeMap::from([
            ("w".to_owned(), Tensor::new(&[5f32, -3.0], &Device::Cpu).unwrap()),
            ("n".to_owned(), Tensor::new(7i64, &Device::Cpu).unwrap()),
        ]);
        params.load("test", &source, sconce_core::Tolerance::Exact).unwrap();
        assert_eq!(ema.params().tensors()["w"].to_vec1::<f32>().unwrap(), [1.0, 1.0], "a copy, not an alias");

        ema.update(&params).unwrap();
        assert_eq!(ema.params().tensors()["w"].to_vec1::<f32>().unwrap(), [2.0, 0.0]);
        assert_eq!(ema.params().tensors()["n"].to_scalar::<i64>().unwrap(), 7);
        assert_eq!(ema.params().names(), params.names());
    }
}
