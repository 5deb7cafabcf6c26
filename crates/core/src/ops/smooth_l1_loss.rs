//! The smooth L1 loss (Girshick, "Fast R-CNN", 2015, eq. 3).

use candle_core::Tensor;

use crate::{Error, Result, exp::Exp};

use super::{
    pair_loss::{Constants, PairLoss, pair_loss},
    reduction::Reduction,
};

const NAME: &str = "smooth_l1_loss";

/// The parameters of [`smooth_l1_loss`] with PyTorch's names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmoothL1LossParams {
    /// The distance at which the parabola becomes a line, in the unit of `x`; 0 leaves the line alone, which is the L1 loss.
    pub beta: f64,
    /// How the losses of single elements become one number.
    pub reduction: Reduction,
}

impl Default for SmoothL1LossParams {
    fn default() -> Self {
        Self { beta: 1.0, reduction: Reduction::Mean }
    }
}

/// With `d = x − target`: `d² / (2·beta)` where `|d| < beta`, else `|d| − beta / 2`;
/// as `torch.nn.functional.smooth_l1_loss`. The gradient at `d = 0` is 0, for the L1 loss too.
///
/// # Shapes
/// - `x`, `target`: any, equal; both have a gradient
/// - output: `()`, or as `x` for [`Reduction::None`]
///
/// # Errors
/// [`Error::Argument`] if the shapes or types differ, the shape has a zero, or `beta` is negative or not finite.
pub fn smooth_l1_loss(x: &Tensor, target: &Tensor, params: &SmoothL1LossParams) -> Result<Tensor> {
    if !(params.beta >= 0.0 && params.beta.is_finite()) {
        return Err(Error::argument(NAME, "beta", params.beta, "at least 0 and finite"));
    }
    pair_loss(SmoothL1 { beta: params.beta }, (x, target), Constants::default(), params.reduction)
}

struct SmoothL1 {
    beta: f64,
}

impl PairLoss for SmoothL1 {
    const NAME: &'static str = NAME;

    #[inline(always)]
    fn value<T: Exp>(&self, x: T, target: T, _factor: T) -> T {
        let (beta, half) = (T::from_f64(self.beta), T::from_f64(0.5));
        let distance = (x - target).abs();
        // Both before the choice, which then is no branch.
        let (parabola, line) = (half * distance * distance / beta, distance - half * beta);
        if distance < beta { parabola } else { line }
    }

    #[inline(always)]
    fn slopes<T: Exp>(&self, x: T, target: T, _factor: T) -> (T, T) {
        let (beta, one) = (T::from_f64(self.beta), T::one());
        let d = x - target;
        let sign = if d > T::zero() { one } else { -one };
        // 0 at 0 also where beta is 0, and NaN for NaN.
        let line = if d.abs() > T::zero() { sign } else { d };
        let parabola = d / beta;
        let slope = if d.abs() < beta { parabola } else { line };
        (slope, -slope)
    }
}
