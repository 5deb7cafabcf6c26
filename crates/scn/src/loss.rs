//! The losses of §3.2 and §3.3.

use sconce_core::{DType, Result, Tensor, ops, ops::CrossEntropyParams};

use crate::config::Combine;

/// `L_WCE`, eq. (2): cross-entropy of the logits that the importance weight has scaled.
///
/// (That the official code calls the plain cross-entropy is no contradiction: its network returns `α·z`.)
///
/// # Shapes
/// - `logits`: `(B, C)`, already `αᵢ·zᵢ`
/// - `targets`: `(B)`, integers
/// - output: `()`
///
/// # Errors
/// As [`ops::cross_entropy`].
pub fn weighted_cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    ops::cross_entropy(logits, targets, &CrossEntropyParams::default())
}

/// The split of a batch by importance.
#[derive(Clone, Debug, PartialEq)]
pub struct Groups {
    /// Members of the high group, most important first.
    pub high: Vec<usize>,
    /// The rest, most important first.
    pub low: Vec<usize>,
    /// `mean α_H − mean α_L`.
    pub difference: f64,
}

impl Groups {
    /// Splits by α: the `⌊B·high_ratio⌋` highest, and the rest. Among equals the earlier sample ranks higher.
    ///
    /// # Shapes
    /// - `alpha`: `(B)`
    ///
    /// # Errors
    /// If `alpha` has another rank.
    pub fn split(alpha: &Tensor, high_ratio: f64) -> Result<Self> {
        let alpha: Vec<f64> = alpha.to_dtype(DType::F64)?.to_vec1()?;
        let mut order: Vec<usize> = (0..alpha.len()).collect();
        order.sort_by(|&a, &b| alpha[b].total_cmp(&alpha[a]));
        // Truncated as a double, as the official code's `int(batch * beta)`.
        let n_high = ((alpha.len() as f64 * high_ratio) as usize).min(alpha.len());
        let low = order.split_off(n_high);
        let mean = |group: &[usize]| group.iter().map(|&i| alpha[i]).sum::<f64>() / group.len() as f64;
        let difference = mean(&order) - mean(&low);
        Ok(Self { high: order, low, difference })
    }
}

/// `L_RR = max(0, δ₁ − (mean α_H − mean α_L))`, eq. (3) and (4). The gradient reaches both means, not the choice of groups.
///
/// A batch whose high or low group is empty has no such difference: 0.
///
/// # Shapes
/// - `alpha`: `(B)`
/// - `margin`: `()`, δ₁
/// - output: `()`
///
/// # Errors
/// If the shapes do not fit.
pub fn rank_regularization(alpha: &Tensor, groups: &Groups, margin: &Tensor) -> Result<Tensor> {
    if groups.high.is_empty() || groups.low.is_empty() {
        return Ok(Tensor::zeros((), alpha.dtype(), alpha.device())?);
    }
    let mut share = vec![0.0; groups.high.len() + groups.low.len()];
    groups.high.iter().for_each(|&i| share[i] = 1.0 / groups.high.len() as f64);
    groups.low.iter().for_each(|&i| share[i] = -1.0 / groups.low.len() as f64);
    let n = share.len();
    let share = Tensor::from_vec(share, n, alpha.device())?.to_dtype(alpha.dtype())?;
    let difference = (alpha * share)?.sum_all()?;
    ops::relu(&(margin - difference)?)
}

/// The loss of a step from its two parts, `()` each.
///
/// # Errors
/// If the types differ.
pub fn combine(wce: &Tensor, rank: &Tensor, how: Combine) -> Result<Tensor> {
    Ok(match how {
        Combine::Sum => (wce + rank)?,
        Combine::Mix { gamma } => ((rank * gamma)? + (wce * (1.0 - gamma))?)?,
    })
}
