//! Checks of arguments that operations share.

use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// Refuses anything but f32 and f64.
pub(super) fn real_only(op: &'static str, x: &Tensor) -> Result<()> {
    match x.dtype() {
        DType::F32 | DType::F64 => Ok(()),
        other => Err(Error::argument(op, "the type", other, "F32 or F64")),
    }
}

/// Refuses `x` unless its type is that of `like`, which is f32 or f64.
pub(super) fn same_real(op: &'static str, what: &'static str, x: &Tensor, like: &Tensor) -> Result<()> {
    real_only(op, like)?;
    if x.dtype() == like.dtype() {
        return Ok(());
    }
    Err(Error::argument(op, what, x.dtype(), format!("of the type of the other tensor, {:?}", like.dtype())))
}
