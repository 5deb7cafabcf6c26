//! Binary cross-entropy of logits.

use candle_core::Tensor;

use crate::{Error, Result, exp::Exp};

use super::{
    pair_loss::{Constants, PairLoss, pair_loss},
    reduction::Reduction,
};

const NAME: &str = "binary_cross_entropy_with_logits";

/// The parameters of [`binary_cross_entropy_with_logits`] with PyTorch's names. The tensors are constants, without a gradient.
#[derive(Clone, Debug, Default)]
pub struct BinaryCrossEntropyParams {
    /// A factor of each element's loss, of a shape that can be broadcast to that of `x`.
    pub weight: Option<Tensor>,
    /// A factor of the positive part of the loss, of a shape that can be broadcast to that of `x`: `(C)`, say, for one a class.
    pub pos_weight: Option<Tensor>,
    /// How the losses of single elements become one number. The mean divides by their number, whatever the weights.
    pub reduction: Reduction,
}

/// `−weight · (pos_weight · target · log σ(x) + (1 − target) · log(1 − σ(x)))`, stable for any finite `x`;
/// as `torch.nn.functional.binary_cross_entropy_with_logits`.
///
/// # Shapes
/// - `x`: any, logits; `target`: as `x`, probabilities (not checked, as in PyTorch); both have a gradient
/// - output: `()`, or as `x` for [`Reduction::None`]
///
/// # Errors
/// [`Error::Argument`] if the shapes or types do not fit, or the shape of `x` has a zero.
pub fn binary_cross_entropy_with_logits(
    x: &Tensor,
    target: &Tensor,
    params: &BinaryCrossEntropyParams,
) -> Result<Tensor> {
    let constant = |what: &'static str, t: &Option<Tensor>| -> Result<Option<Tensor>> {
        let Some(t) = t else { return Ok(None) };
        let spread = t.to_dtype(x.dtype()).and_then(|t| t.broadcast_as(x.shape())?.contiguous());
        let expected = || format!("a shape that can be broadcast to {:?}", x.dims());
        spread.map(Some).map_err(|_| Error::argument(NAME, what, t.dims(), expected()))
    };
    let weight = constant("weight", &params.weight)?;
    let factor = constant("pos_weight", &params.pos_weight)?;
    pair_loss(BinaryCrossEntropy, (x, target), Constants { weight, factor }, params.reduction)
}

struct BinaryCrossEntropy;

impl PairLoss for BinaryCrossEntropy {
    const NAME: &'static str = NAME;

    #[inline(always)]
    fn value<T: Exp>(&self, x: T, target: T, pos_weight: T) -> T {
        let (above, below) = x.softpluses(); // −log(1 − σ(x)), −log σ(x)
        (T::one() - target) * above + pos_weight * target * below
    }

    #[inline(always)]
    fn slopes<T: Exp>(&self, x: T, target: T, pos_weight: T) -> (T, T) {
        let (p, complement) = x.sigmoids();
        let by_x = (T::one() - target) * p - pos_weight * target * complement;
        let (above, below) = x.softpluses();
        (by_x, pos_weight * below - above)
    }
}
