//! Gradient reversal (Ganin & Lempitsky, 2015).

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::{CpuStorage, CudaStorage, CustomOp1, Layout, Shape, Tensor};

use crate::{
    Result,
    node::{Keep, apply1},
};

/// The identity, whose gradient is multiplied by `-lambda` (Ganin & Lempitsky, 2015, eq. 10).
///
/// # Shapes
/// - `x`: any
/// - output: as `x`
pub fn gradient_reversal(x: &Tensor, lambda: f64) -> Result<Tensor> {
    Ok(apply1(x, Keep::Nothing, GradientReversal { lambda })?)
}

struct GradientReversal {
    lambda: f64,
}

impl CustomOp1 for GradientReversal {
    fn name(&self) -> &'static str {
        "gradient_reversal"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        copy(s, l)
    }

    fn cuda_fwd(&self, s: &CudaStorage, l: &Layout) -> candle_core::Result<(CudaStorage, Shape)> {
        copy(s, l)
    }

    fn bwd(&self, _x: &Tensor, _y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        (grad * -self.lambda).map(Some)
    }
}

/// The elements that `l` selects from `s`, in a storage of their own. (Candle's `try_clone` would copy the whole storage
/// and forget where the view starts.)
fn copy<S>(s: &S, l: &Layout) -> candle_core::Result<(S, Shape)>
where
    S: BackendStorage,
    S::Device: BackendDevice<Storage = S>,
{
    // SAFETY: the copy below writes every element.
    let mut out = unsafe { s.device().alloc_uninit(l.shape(), s.dtype())? };
    s.copy_strided_src(&mut out, 0, l)?;
    Ok((out, l.shape().clone()))
}
