//! The focal loss (Lin et al., "Focal Loss for Dense Object Detection", 2017), of independent labels and of classes.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor, WithDType, backend::BackendStorage as _};
use rayon::prelude::*;

use crate::{
    Error, Result,
    cpu::{slice, slices, with_real},
    exp::Exp,
    node::{Keep, apply1},
};

use super::{
    arguments::real_only,
    pair_loss::{Constants, PairLoss, pair_loss},
    reduction::Reduction,
};

/// The parameters of [`sigmoid_focal_loss`] with torchvision's names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SigmoidFocalLossParams {
    /// The weight of positives, in `[0, 1]`; negatives have `1 − alpha`. `None` (torchvision's −1) weighs both by 1.
    pub alpha: Option<f64>,
    /// How strongly easy examples are played down; 0 gives the cross-entropy.
    pub gamma: f64,
    /// How the losses of single elements become one number.
    pub reduction: Reduction,
}

impl Default for SigmoidFocalLossParams {
    /// The paper's values, with torchvision's reduction.
    fn default() -> Self {
        Self { alpha: Some(0.25), gamma: 2.0, reduction: Reduction::None }
    }
}

/// `−α_t · (1 − p_t)^gamma · log p_t` (eq. 5) with `p_t = σ(x)` for a positive and `1 − σ(x)` for a negative; targets between
/// 0 and 1 are mixed as in `torchvision.ops.sigmoid_focal_loss`.
///
/// Value and gradient are finite for every finite `x`, where PyTorch's gradient is NaN for `gamma < 1` once `1 − p_t`
/// has become 0.
///
/// # Shapes
/// - `x`: any, logits; `target`: as `x`, 0 to 1; both have a gradient
/// - output: `()`, or as `x` for [`Reduction::None`]
///
/// # Errors
/// [`Error::Argument`] if the shapes or types differ, the shape has a zero, `alpha` leaves `[0, 1]`, or `gamma` is negative
/// or not finite.
pub fn sigmoid_focal_loss(x: &Tensor, target: &Tensor, params: &SigmoidFocalLossParams) -> Result<Tensor> {
    const NAME: &str = SigmoidFocal::NAME;
    let SigmoidFocalLossParams { alpha, gamma, reduction } = *params;
    check_gamma(NAME, gamma)?;
    if alpha.is_some_and(|alpha| !(0.0..=1.0).contains(&alpha)) {
        return Err(Error::argument(NAME, "alpha", alpha, "0 to 1, or none"));
    }
    let (positive, negative) = alpha.map_or((1.0, 1.0), |alpha| (alpha, 1.0 - alpha));
    let loss = SigmoidFocal { negative, positive, gamma };
    pair_loss(loss, (x, target), Constants::default(), reduction)
}

fn check_gamma(op: &'static str, gamma: f64) -> Result<()> {
    if gamma >= 0.0 && gamma.is_finite() {
        Ok(())
    } else {
        Err(Error::argument(op, "gamma", gamma, "at least 0 and finite"))
    }
}

/// `base^gamma` for a base of at least 0, and fast for the usual exponent.
#[inline(always)]
fn power<T: Exp>(base: T, gamma: f64) -> T {
    if gamma == 2.0 { base * base } else { base.powf(T::from_f64(gamma)) }
}

/// `a / b`, and `limit` where `b` is 0.
#[inline(always)]
fn ratio<T: Exp>(a: T, b: T, limit: T) -> T {
    if b == T::zero() { limit } else { a / b }
}

struct SigmoidFocal {
    /// `α_t` of a negative and of a positive.
    negative: f64,
    positive: f64,
    gamma: f64,
}

impl SigmoidFocal {
    /// `α_t`, the cross-entropy, and `1 − p_t`, of whose terms none cancels another.
    #[inline(always)]
    fn parts<T: Exp>(&self, x: T, target: T) -> (T, T, T) {
        let (p, complement) = x.sigmoids();
        let (above, below) = x.softpluses();
        let mix = |negative: T, positive: T| (T::one() - target) * negative + target * positive;
        let alpha = mix(T::from_f64(self.negative), T::from_f64(self.positive));
        (alpha, mix(above, below), mix(p, complement))
    }
}

impl PairLoss for SigmoidFocal {
    const NAME: &'static str = "sigmoid_focal_loss";

    #[inline(always)]
    fn value<T: Exp>(&self, x: T, target: T, _factor: T) -> T {
        let (alpha, cross_entropy, miss) = self.parts(x, target);
        alpha * power(miss, self.gamma) * cross_entropy
    }

    /// With `m = 1 − p_t` and the cross-entropy `c`, the loss is `α_t · m^γ · c`, where `c' = p − t` and
    /// `m' = p · (1 − p) · (1 − 2t)` by x. As `m` becomes 0 so does `c`, at the same rate, and `m' / m` stays within 1:
    /// with these ratios no power of `m` below `γ` is needed, which would be infinite for `γ < 1`.
    #[inline(always)]
    fn slopes<T: Exp>(&self, x: T, target: T, _factor: T) -> (T, T) {
        let (one, two) = (T::one(), T::one() + T::one());
        let gamma = T::from_f64(self.gamma);
        let (alpha, cross_entropy, miss) = self.parts(x, target);
        let (p, complement) = x.sigmoids();
        let focus = power(miss, self.gamma);
        let by_logit = (one - target) * p - target * complement;
        let miss_by_logit = ratio(p * complement, miss, one) * (one - two * target);
        let by_x = alpha * focus * (by_logit + gamma * cross_entropy * miss_by_logit);
        let alpha_by_target = T::from_f64(self.positive - self.negative);
        let miss_by_target = ratio(cross_entropy, miss, one) * (complement - p);
        let by_target = focus * (alpha_by_target * cross_entropy + alpha * (gamma * miss_by_target - x));
        (by_x, by_target)
    }
}

/// The parameters of [`softmax_focal_loss`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SoftmaxFocalLossParams {
    /// How strongly easy examples are played down; 0 gives the cross-entropy.
    pub gamma: f64,
    /// How the losses of single samples become one number.
    pub reduction: Reduction,
}

impl Default for SoftmaxFocalLossParams {
    fn default() -> Self {
        Self { gamma: 2.0, reduction: Reduction::Mean }
    }
}

/// `−(1 − p_t)^gamma · log p_t` (eq. 4) with `p_t = softmax(x)[t]` for a target class `t`.
///
/// Value and gradient are finite for every finite `x`.
///
/// # Shapes
/// - `x`: `(N, C)` or `(N, C, …)`, logits
/// - `target`: `(N)` or `(N, …)`, integers
/// - output: `()`, or as `target` for [`Reduction::None`]
///
/// # Errors
/// [`Error::Argument`] if the shapes do not fit, a target is not a class, or `gamma` is negative or not finite.
pub fn softmax_focal_loss(x: &Tensor, target: &Tensor, params: &SoftmaxFocalLossParams) -> Result<Tensor> {
    const NAME: &str = SoftmaxFocal::NAME;
    let &[n, classes, ref rest @ ..] = x.dims() else {
        return Err(Error::argument(NAME, "x", x.dims(), "a shape (N, C, …)"));
    };
    if x.elem_count() == 0 {
        return Err(Error::argument(NAME, "x", x.dims(), "no zero in its shape"));
    }
    let expected: Vec<usize> = std::iter::once(n).chain(rest.iter().copied()).collect();
    if target.dims() != expected || !target.dtype().is_int() {
        return Err(Error::argument(NAME, "target", (target.dtype(), target.dims()), format!("integers {expected:?}")));
    }
    check_gamma(NAME, params.gamma)?;
    real_only(NAME, x)?;
    let targets: Vec<i64> = target.to_dtype(DType::I64)?.flatten_all()?.to_vec1()?;
    if let Some(&bad) = targets.iter().find(|t| !(0..classes as i64).contains(t)) {
        return Err(Error::argument(NAME, "a target", bad, format!("a class in 0..{classes}")));
    }
    let op = SoftmaxFocal {
        classes,
        inner: rest.iter().product(),
        targets: targets.iter().map(|&t| t as usize).collect(),
        target_shape: target.shape().clone(),
        gamma: params.gamma,
        reduction: params.reduction,
    };
    Ok(apply1(&x.contiguous()?, Keep::Inputs, op)?)
}

struct SoftmaxFocal {
    classes: usize,
    /// Positions of one sample.
    inner: usize,
    targets: Vec<usize>,
    target_shape: Shape,
    gamma: f64,
    reduction: Reduction,
}

/// What the loss at one position follows from.
struct Softmax<T> {
    max: T,
    /// `Σ exp(x − max)`.
    sum: T,
    /// The target's probability, one less it without cancellation, and the logarithm of the probability.
    p: T,
    miss: T,
    log_p: T,
}

impl SoftmaxFocal {
    const NAME: &'static str = "softmax_focal_loss";

    /// The logits of position `i` of all positions, class by class.
    fn logits<'a, T: Exp>(&self, x: &'a [T], i: usize) -> impl Iterator<Item = T> + Clone + use<'a, T> {
        let (n, inner, classes, step) = (i / self.inner, i % self.inner, self.classes, self.inner);
        (0..classes).map(move |c| x[(n * classes + c) * step + inner])
    }

    fn softmax<T: Exp>(&self, x: &[T], i: usize) -> Softmax<T> {
        let logits = self.logits(x, i);
        let max = logits.clone().fold(T::neg_infinity(), |a, b| if b > a || b.is_nan() { b } else { a });
        let (mut hit, mut others, mut shifted) = (T::zero(), T::zero(), T::zero());
        for (c, x) in logits.enumerate() {
            let e = (x - max).fast_exp();
            if c == self.targets[i] {
                (hit, shifted) = (e, x - max);
            } else {
                others += e;
            }
        }
        let sum = hit + others;
        // Near 1 the logarithm of the probability would be a difference of nearly equal numbers.
        let log_p = if others < hit { -(others / hit).ln_1p() } else { shifted - sum.ln() };
        Softmax { max, sum, p: hit / sum, miss: others / sum, log_p }
    }

    fn forward<T: Exp>(&self, x: &[T]) -> Vec<T> {
        let loss = |i| {
            let Softmax { miss, log_p, .. } = self.softmax(x, i);
            -power(miss, self.gamma) * log_p
        };
        let losses: Vec<T> = (0..self.targets.len()).into_par_iter().map(loss).collect();
        let sum = || losses.iter().map(|&l| WithDType::to_f64(l)).sum::<f64>();
        match self.reduction {
            Reduction::None => losses,
            Reduction::Mean => vec![T::from_f64(sum() / losses.len() as f64)],
            Reduction::Sum => vec![T::from_f64(sum())],
        }
    }

    /// With `m = 1 − p_t`: by `log p_t` the loss has the derivative `−m^γ + γ · m^(γ−1) · p_t · log p_t`, and `log p_t` has
    /// `[c = t] − p_c` by the logit of class `c`. As `m` becomes 0, `log p_t / m` becomes −1.
    fn backward<T: Exp>(&self, x: &[T], grad: &[T]) -> Vec<T> {
        let mut gx = vec![T::zero(); x.len()];
        let share = |i: usize| match self.reduction {
            Reduction::None => grad[i],
            Reduction::Mean => grad[0] / T::from_f64(self.targets.len() as f64),
            Reduction::Sum => grad[0],
        };
        gx.par_chunks_mut(self.classes * self.inner).enumerate().for_each(|(n, gx)| {
            for position in 0..self.inner {
                let i = n * self.inner + position;
                let Softmax { max, sum, p, miss, log_p } = self.softmax(x, i);
                let slope = T::from_f64(self.gamma) * p * ratio(log_p, miss, -T::one()) - T::one();
                let scale = share(i) * power(miss, self.gamma) * slope;
                for (c, x) in self.logits(x, i).enumerate() {
                    let by_logit = if c == self.targets[i] { miss } else { -(x - max).fast_exp() / sum };
                    gx[c * self.inner + position] = scale * by_logit;
                }
            }
        });
        gx
    }
}

impl CustomOp1 for SoftmaxFocal {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(Self::NAME, s.dtype(), T => {
            let y = self.forward(slice::<T>(Self::NAME, s, l)?);
            let shape = match self.reduction {
                Reduction::None => self.target_shape.clone(),
                Reduction::Mean | Reduction::Sum => ().into(),
            };
            Ok((T::to_cpu_storage_owned(y), shape))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        with_real!(Self::NAME, grad.dtype(), T => {
            slices!(Self::NAME, T, xs = x, g = grad);
            Tensor::from_vec(self.backward(xs, g), x.shape(), x.device()).map(Some)
        })
    }
}
