//! Element-wise activations.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Shape, Tensor, WithDType, backend::BackendStorage as _};

use crate::{
    Error, Result,
    cpu::{Real, map, slice, slices, with_real, zip},
};

/// `max(x, 0)`, whose gradient at 0 is 0 as PyTorch's (Candle's is 1). NaN stays NaN.
///
/// # Shapes
/// - `x`: any
/// - output: as `x`
pub fn relu(x: &Tensor) -> Result<Tensor> {
    Ok(x.contiguous()?.apply_op1(Relu)?)
}

/// `max(a + b, 0)` in one pass: the end of a residual block.
///
/// # Shapes
/// - `a`, `b`: any, equal
/// - output: as `a`
///
/// # Errors
/// [`Error::Argument`] if the shapes differ.
pub fn add_relu(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.shape() != b.shape() {
        return Err(Error::argument("add_relu", "b", b.dims(), format!("the shape of a, {:?}", a.dims())));
    }
    Ok(a.contiguous()?.apply_op2(&b.contiguous()?, AddRelu)?)
}

/// `x` where it is not below zero; so written, NaN passes through.
#[inline]
pub(super) fn positive_part<T: Real>(x: T) -> T {
    if x < T::zero() { T::zero() } else { x }
}

fn where_positive<T: Real>(y: &[T], grad: &[T]) -> Vec<T> {
    zip(y, grad, |y, g| if y > T::zero() { g } else { T::zero() })
}

/// The gradient through a ReLU, by its output.
fn masked(name: &'static str, y: &Tensor, grad: &Tensor) -> candle_core::Result<Tensor> {
    let grad = grad.contiguous()?;
    with_real!(name, grad.dtype(), T => {
        slices!(name, T, y = y, g = grad);
        Tensor::from_vec(where_positive::<T>(y, g), grad.shape(), grad.device())
    })
}

struct Relu;

impl CustomOp1 for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(self.name(), s.dtype(), T => {
            let y = map(slice::<T>("relu", s, l)?, positive_part);
            Ok((T::to_cpu_storage_owned(y), l.shape().clone()))
        })
    }

    fn bwd(&self, _x: &Tensor, y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        masked("relu", y, grad).map(Some)
    }
}

struct AddRelu;

impl CustomOp2 for AddRelu {
    fn name(&self) -> &'static str {
        "add_relu"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        al: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(self.name(), a.dtype(), T => {
            let (a, b) = (slice::<T>("add_relu", a, al)?, slice::<T>("add_relu", b, bl)?);
            let y = zip(a, b, |a, b| positive_part(a + b));
            Ok((T::to_cpu_storage_owned(y), al.shape().clone()))
        })
    }

    fn bwd(
        &self,
        _a: &Tensor,
        _b: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = masked("add_relu", y, grad)?;
        Ok((Some(grad.clone()), Some(grad)))
    }
}
