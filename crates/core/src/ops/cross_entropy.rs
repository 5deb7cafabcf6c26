//! Cross-entropy of logits, with hard or soft targets.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor, WithDType, backend::BackendStorage as _};
use rayon::prelude::*;

use crate::{
    Error, Result,
    cpu::{Real, slice, slices, with_real},
    node::{Keep, apply1},
};

use super::{
    log_softmax::{log_softmax, log_sum_exp},
    reduction::Reduction,
};

const NAME: &str = "cross_entropy";

/// The parameters of [`cross_entropy`] with PyTorch's names.
#[derive(Clone, Debug, Default)]
pub struct CrossEntropyParams {
    /// A weight for each class, `(C)`; the mean then divides by the sum of the targets' weights.
    pub weight: Option<Tensor>,
    /// A target that does not count.
    pub ignore_index: Option<i64>,
    /// The share of the target that is spread evenly over all classes, in `[0, 1]`.
    pub label_smoothing: f64,
    /// How the losses of single samples become one number.
    pub reduction: Reduction,
}

/// `−w[t] · log softmax(logits)[t]` for a target class `t`, as `torch.nn.functional.cross_entropy`.
///
/// The mean over nothing (every target ignored) is NaN, as PyTorch's.
///
/// # Shapes
/// - `logits`: `(N, C)` or `(N, C, …)`
/// - `target`: `(N)` or `(N, …)`, integers
/// - output: `()`, or as `target` for [`Reduction::None`]
///
/// # Errors
/// [`Error::Argument`] if the shapes do not fit, a target is neither a class nor `ignore_index`, or `label_smoothing`
/// leaves `[0, 1]`.
pub fn cross_entropy(logits: &Tensor, target: &Tensor, params: &CrossEntropyParams) -> Result<Tensor> {
    let &[n, classes, ref rest @ ..] = logits.dims() else {
        return Err(Error::argument(NAME, "logits", logits.dims(), "a shape (N, C, …)"));
    };
    if logits.elem_count() == 0 {
        return Err(Error::argument(NAME, "logits", logits.dims(), "no zero in their shape"));
    }
    let expected: Vec<usize> = std::iter::once(n).chain(rest.iter().copied()).collect();
    if target.dims() != expected {
        return Err(Error::argument(NAME, "target", target.dims(), format!("{expected:?}")));
    }
    if !(0.0..=1.0).contains(&params.label_smoothing) {
        return Err(Error::argument(NAME, "label_smoothing", params.label_smoothing, "0 to 1"));
    }
    let targets: Vec<i64> = target.to_dtype(DType::I64)?.flatten_all()?.to_vec1()?;
    let ignored = |t: i64| params.ignore_index == Some(t);
    if let Some(&bad) = targets.iter().find(|&&t| !ignored(t) && !(0..classes as i64).contains(&t)) {
        return Err(Error::argument(NAME, "a target", bad, format!("a class in 0..{classes} or ignore_index")));
    }
    let weights = match &params.weight {
        None => vec![1.0; classes],
        Some(w) if w.dims() == [classes] => w.to_dtype(DType::F64)?.to_vec1()?,
        Some(w) => return Err(Error::argument(NAME, "weight", w.dims(), format!("[{classes}]"))),
    };
    let denominator: f64 = targets.iter().filter(|&&t| !ignored(t)).map(|&t| weights[t as usize]).sum();
    let op = CrossEntropy {
        classes,
        inner: rest.iter().product(),
        targets: targets.iter().map(|&t| (!ignored(t)).then_some(t as usize)).collect(),
        target_shape: target.shape().clone(),
        weights,
        smoothing: params.label_smoothing,
        reduction: params.reduction,
        denominator,
    };
    Ok(apply1(&logits.contiguous()?, Keep::Inputs, op)?)
}

/// `−Σ_c target[c] · log softmax(logits)[c]` for targets that are probabilities; the mean divides by the number of samples.
///
/// # Shapes
/// - `logits`, `target`: `(N, C)` or `(N, C, …)`
/// - output: `()`, or `(N)`, `(N, …)` for [`Reduction::None`]
///
/// # Errors
/// [`Error::Argument`] if the shapes differ or have no class dimension.
pub fn soft_cross_entropy(logits: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
    if logits.rank() < 2 || logits.shape() != target.shape() {
        let expected = format!("the shape of logits, {:?}, which is (N, C, …)", logits.dims());
        return Err(Error::argument("soft_cross_entropy", "target", target.dims(), expected));
    }
    let losses = (log_softmax(logits, 1)? * target)?.sum(1)?.neg()?;
    Ok(match reduction {
        Reduction::None => losses,
        Reduction::Mean => losses.mean_all()?,
        Reduction::Sum => losses.sum_all()?,
    })
}

struct CrossEntropy {
    classes: usize,
    /// Positions of one sample.
    inner: usize,
    /// `None` where the target is ignored.
    targets: Vec<Option<usize>>,
    target_shape: Shape,
    weights: Vec<f64>,
    smoothing: f64,
    reduction: Reduction,
    denominator: f64,
}

impl CrossEntropy {
    /// The logit of class `c` at position `i` of all positions.
    fn at(&self, i: usize, c: usize) -> usize {
        let (n, inner) = (i / self.inner, i % self.inner);
        (n * self.classes + c) * self.inner + inner
    }

    fn sample<T: Real>(&self, x: &[T], i: usize) -> T {
        let Some(target) = self.targets[i] else { return T::zero() };
        let log_sum = log_sum_exp((0..self.classes).map(|c| x[self.at(i, c)]));
        let nll = |c: usize| T::from_f64(self.weights[c]) * (log_sum - x[self.at(i, c)]);
        if self.smoothing == 0.0 {
            return nll(target);
        }
        let even = T::from_f64(self.smoothing / self.classes as f64);
        T::from_f64(1.0 - self.smoothing) * nll(target) + even * (0..self.classes).map(nll).sum::<T>()
    }

    fn forward<T: Real>(&self, x: &[T]) -> Vec<T> {
        let losses: Vec<T> = (0..self.targets.len()).into_par_iter().map(|i| self.sample(x, i)).collect();
        let sum = || losses.iter().map(|&l| WithDType::to_f64(l)).sum::<f64>();
        match self.reduction {
            Reduction::None => losses,
            Reduction::Mean => vec![T::from_f64(sum() / self.denominator)],
            Reduction::Sum => vec![T::from_f64(sum())],
        }
    }

    /// With target distribution `t` and class weights `w`: `p · Σ w·t − w·t`, for each sample.
    fn backward<T: Real>(&self, x: &[T], grad: &[T]) -> Vec<T> {
        let mut gx = vec![T::zero(); x.len()];
        let sample = self.classes * self.inner;
        let share = |i: usize| match self.reduction {
            Reduction::None => grad[i],
            Reduction::Mean => grad[0] / T::from_f64(self.denominator),
            Reduction::Sum => grad[0],
        };
        let even = self.smoothing / self.classes as f64;
        let all_weights: f64 = self.weights.iter().sum();
        gx.par_chunks_mut(sample).enumerate().for_each(|(n, gx)| {
            for position in 0..self.inner {
                let i = n * self.inner + position;
                let Some(target) = self.targets[i] else { continue };
                let mass = (1.0 - self.smoothing) * self.weights[target] + even * all_weights;
                let (mass, share) = (T::from_f64(mass), share(i));
                let log_sum = log_sum_exp((0..self.classes).map(|c| x[self.at(i, c)]));
                for c in 0..self.classes {
                    let hard = if c == target { 1.0 - self.smoothing } else { 0.0 };
                    let p = (x[self.at(i, c)] - log_sum).exp();
                    let weighted_target = T::from_f64(self.weights[c] * (hard + even));
                    gx[c * self.inner + position] = share * (p * mass - weighted_target);
                }
            }
        });
        gx
    }
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(NAME, s.dtype(), T => {
            let y = self.forward(slice::<T>(NAME, s, l)?);
            let shape = match self.reduction {
                Reduction::None => self.target_shape.clone(),
                _ => ().into(),
            };
            Ok((T::to_cpu_storage_owned(y), shape))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        with_real!(NAME, grad.dtype(), T => {
            slices!(NAME, T, xs = x, g = grad);
            Tensor::from_vec(self.backward(xs, g), x.shape(), x.device()).map(Some)
        })
    }
}
