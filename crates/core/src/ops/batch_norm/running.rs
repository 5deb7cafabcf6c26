//! The running statistics.

use candle_core::{CpuStorage, InplaceOp1, Layout, backend::BackendStorage as _};

use crate::cpu::Real;

/// `t = (1 − momentum) · t + momentum · values`.
pub(super) struct Blend {
    pub(super) momentum: f64,
    pub(super) values: Vec<f64>,
}

impl InplaceOp1 for Blend {
    fn name(&self) -> &'static str {
        "running-statistics"
    }

    fn cpu_fwd(&self, s: &mut CpuStorage, l: &Layout) -> candle_core::Result<()> {
        fn blend<T: Real>(t: &mut [T], op: &Blend) {
            for (t, &v) in t.iter_mut().zip(&op.values) {
                *t = T::from_f64((1.0 - op.momentum) * t.to_f64() + op.momentum * v);
            }
        }
        let Some((start, end)) = l.contiguous_offsets() else {
            candle_core::bail!("{}: the running statistics are not contiguous", self.name());
        };
        match s {
            CpuStorage::F32(t) => blend(&mut t[start..end], self),
            CpuStorage::F64(t) => blend(&mut t[start..end], self),
            other => {
                return Err(crate::cpu::unsupported(self.name(), other.dtype()));
            }
        }
        Ok(())
    }
}
