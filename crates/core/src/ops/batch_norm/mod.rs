//! Batch normalisation (Ioffe & Szegedy, 2015), in training and in evaluation.

use std::sync::{Arc, OnceLock};

use crate::{
    Communicator, Error, Result,
    cpu::{
        Real,
        formula::{long_sums, lost_by_rounding, mean_and_variance},
        gradient_if_tracked,
        planes::Planes,
        slice, slices, with_real,
    },
    node::{Keep, apply3},
};
use candle_core::{CpuStorage, CustomOp3, Layout, Shape, Tensor, WithDType, backend::BackendStorage as _};

mod formulas;
mod parts;
mod ranks;
mod running;

use self::{parts::Parts, ranks::Sums, running::Blend};
pub(super) use formulas::Channel;
use formulas::{Gradient, GradientAdd, Means, Output, OutputAdd, Terms, TermsAdd, inv_std};

const NAME: &str = "batch_norm";

/// What follows the normalisation in the same pass over the data.
#[derive(Clone, Copy, Debug, Default)]
pub enum Activation<'a> {
    /// Nothing.
    #[default]
    None,
    /// A ReLU.
    Relu,
    /// The sum with a tensor of the same shape, then a ReLU: the end of a residual block (He et al., 2016).
    AddRelu(&'a Tensor),
}

/// The running statistics that [`batch_norm_train`] updates in place.
#[derive(Clone, Copy, Debug)]
pub struct RunningStats<'a> {
    /// `(C)`; becomes `(1 − momentum) · mean + momentum · batch mean`.
    pub mean: &'a Tensor,
    /// `(C)`; likewise, with the batch's unbiased variance.
    pub var: &'a Tensor,
    /// The share of the batch, 0.1 in PyTorch.
    pub momentum: f64,
}

/// Whose values [`batch_norm_train`] takes its statistics of.
#[derive(Clone, Debug, Default)]
pub enum Statistics {
    /// All samples of the batch.
    #[default]
    Batch,
    /// As many parts of the batch, each normalised by itself: sample n is in part n modulo their number. So one process
    /// computes what as many do without telling each other, which contrastive methods count on (He et al., 2020, §3.3).
    Splits(usize),
    /// All samples of the batches of all ranks. The gradients of weight and bias are of a rank's own samples, as PyTorch's
    /// are: who trains the ranks adds them up.
    Ranks(Arc<dyn Communicator>),
}

/// How [`batch_norm_train`] normalises.
#[derive(Clone, Debug)]
pub struct BatchNormParams {
    /// What is added to a variance.
    pub eps: f64,
    /// Whose mean and variance.
    pub statistics: Statistics,
}

/// PyTorch's: an eps of 1e-5 and the statistics of the batch.
impl Default for BatchNormParams {
    fn default() -> Self {
        Self { eps: 1e-5, statistics: Statistics::Batch }
    }
}

/// `y = (x − E[x]) / √(Var[x] + eps) · weight + bias` with the statistics of the batch, a channel each.
///
/// The variance that normalises is biased, the one that goes into the running statistics is not, as in PyTorch.
/// Of a batch in parts the running statistics take the mean over the parts.
///
/// # Shapes
/// - `x`: `(N, C)` or `(N, C, H, W)` (any number of trailing dimensions)
/// - `weight`, `bias`, running statistics: `(C)`
/// - output: as `x`
///
/// # Errors
/// [`Error::Argument`] if the shapes do not fit, the batch has no such parts, or a channel of one has fewer than two values,
/// which have no variance; with several ranks also [`Error::Rank`].
pub fn batch_norm_train(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    running: &RunningStats<'_>,
    params: &BatchNormParams,
    activation: Activation<'_>,
) -> Result<Tensor> {
    let planes = planes(x, &[weight, bias, running.mean, running.var])?;
    let parts = Parts::new(planes, &params.statistics)?;
    let x = x.contiguous()?;
    let (ranks, stats) = match &params.statistics {
        Statistics::Ranks(ranks) if !ranks.is_alone() => {
            (Some(ranks.clone()), OnceLock::from(ranks::stats(&**ranks, &x, planes)?))
        }
        _ => (None, OnceLock::new()),
    };
    let count = stats.get().map_or(parts.count(), |stats: &Stats| stats.count);
    if count < 2.0 {
        return Err(Error::argument(NAME, "x", x.dims(), "more than one value per channel when training"));
    }
    let stats = Arc::new(stats);
    let y = BatchNorm { parts, eps: params.eps, relu: false, batch_stats: true, ranks, stats: stats.clone() }
        .apply(&x, weight, bias, activation)?;
    if let Some(stats) = stats.get() {
        let n = stats.count;
        let update = |tensor: &Tensor, values: Vec<f64>| {
            tensor.inplace_op1(&Blend { momentum: running.momentum, values: parts.means(&values) })
        };
        update(running.mean, stats.mean.clone())?;
        update(running.var, stats.var.iter().map(|v| v * n / (n - 1.0)).collect())?;
    }
    Ok(y)
}

/// `y = (x − mean) / √(var + eps) · weight + bias` with given statistics, which receive no gradient.
///
/// # Shapes
/// - `x`: `(N, C)` or `(N, C, H, W)` (any number of trailing dimensions)
/// - `weight`, `bias`, `mean`, `var`: `(C)`
/// - output: as `x`
///
/// # Errors
/// [`Error::Argument`] if the shapes do not fit.
pub fn batch_norm_eval(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    (mean, var): (&Tensor, &Tensor),
    eps: f64,
    activation: Activation<'_>,
) -> Result<Tensor> {
    let planes = planes(x, &[weight, bias, mean, var])?;
    let host = |t: &Tensor| t.to_dtype(candle_core::DType::F64)?.to_vec1::<f64>();
    let parts = Parts { planes, channels: planes.channels };
    let stats = Arc::new(OnceLock::from(Stats { mean: host(mean)?, var: host(var)?, count: parts.count() }));
    BatchNorm { parts, eps, relu: false, batch_stats: false, ranks: None, stats }.apply(x, weight, bias, activation)
}

/// Mean and biased variance of each channel of each part.
#[derive(Clone, Debug)]
struct Stats {
    mean: Vec<f64>,
    var: Vec<f64>,
    /// The values of each channel that they are of.
    count: f64,
}

/// The sizes of `x`, whose `per_channel` tensors have its channels.
fn planes(x: &Tensor, per_channel: &[&Tensor]) -> Result<Planes> {
    let &[n, channels, ref rest @ ..] = x.dims() else {
        return Err(Error::argument(NAME, "x", x.dims(), "a shape (N, C, …)"));
    };
    if x.elem_count() == 0 {
        return Err(Error::argument(NAME, "x", x.dims(), "no zero in its shape"));
    }
    for t in per_channel {
        if t.dims() != [channels] {
            return Err(Error::argument(NAME, "a tensor per channel", t.dims(), format!("[{channels}]")));
        }
    }
    Ok(Planes { n, channels, plane: rest.iter().product() })
}

struct BatchNorm {
    parts: Parts,
    eps: f64,
    relu: bool,
    /// Whether the statistics are the batch's own, so that gradients pass through them.
    batch_stats: bool,
    /// The ranks whose batches they are of, if those are several.
    ranks: Option<Arc<dyn Communicator>>,
    stats: Arc<OnceLock<Stats>>,
}

impl BatchNorm {
    fn apply(self, x: &Tensor, weight: &Tensor, bias: &Tensor, activation: Activation<'_>) -> Result<Tensor> {
        let (x, relu) = (x.contiguous()?, matches!(activation, Activation::Relu));
        let Activation::AddRelu(residual) = activation else {
            let op = Self { relu, ..self };
            return Ok(apply3([&x, &weight.contiguous()?, &bias.contiguous()?], Keep::Inputs, op)?);
        };
        if residual.shape() != x.shape() {
            let expected = format!("the shape of x, {:?}", x.dims());
            return Err(Error::argument(NAME, "the tensor to add", residual.dims(), expected));
        }
        // Candle has room for three inputs.
        let affine = Tensor::stack(&[weight, bias], 0)?; // (2, C)
        Ok(apply3([&x, &affine, &residual.contiguous()?], Keep::FirstAndOutput, Residual(self))?)
    }

    fn forward<T: Real>(&self, x: &[T], weight: &[T], bias: &[T], residual: Option<&[T]>) -> Vec<T> {
        let given = self.stats.get();
        let Parts { planes, channels } = self.parts;
        let ([y], stats) = planes.build(|c, y| {
            let stats = given.map_or_else(|| mean_and_variance(planes.of(c), x), |stats| (stats.mean[c], stats.var[c]));
            let channel = Channel::new(stats, self.eps, (weight[c % channels], bias[c % channels]));
            let written = match residual {
                Some(residual) => y.write([x, residual], OutputAdd(channel)),
                None if self.relu => y.write([x], Output::<T, true>(channel)),
                None => y.write([x], Output::<T, false>(channel)),
            };
            (written, stats)
        });
        self.stats.get_or_init(|| {
            let (mean, var) = stats.into_iter().unzip();
            Stats { mean, var, count: self.parts.count() }
        });
        y
    }

    /// The gradients of x, weight and bias. With `g` the gradient of the normalised output:
    /// `bias' = Σ g`, `weight' = Σ g·x̂`, `x' = weight / σ · (g − mean(g) − x̂ · mean(g·x̂))`,
    /// without the means where the statistics are given.
    ///
    /// `RELU` says whether a ReLU follows: a constant, so that loops without one do not look.
    fn backward<const RELU: bool, T: Real>(
        &self,
        x: &[T],
        (weight, bias): (&[T], &[T]),
        grad: &[T],
    ) -> candle_core::Result<[Vec<T>; 3]> {
        let stats = self.known_stats()?;
        let planes = self.parts.planes;
        let sums = |c, channel| long_sums(planes.of(c), [x, grad], Terms::<T, RELU>(channel));
        let shared = self.shared_sums(|c| sums(c, self.channel(stats, c, (weight, bias))))?;
        let ([gx], sums) = planes.build(|c, gx| {
            let channel = self.channel(stats, c, (weight, bias));
            let sums = shared.as_ref().map_or_else(|| Sums::own(sums(c, channel)), |shared| shared[c]);
            let (of_affine, means) = self.means(stats, c, sums);
            (gx.write([x, grad], Gradient::<T, RELU>(channel, means)), of_affine)
        });
        let (gw, gb) = self.affine_gradients(sums);
        Ok([gx, gw, gb])
    }

    /// The gradients of x, of weight and bias one after the other, and of the residual, by the result.
    fn backward_residual<T: Real>(
        &self,
        x: &[T],
        affine: &[T],
        y: &[T],
        grad: &[T],
    ) -> candle_core::Result<[Vec<T>; 3]> {
        let stats = self.known_stats()?;
        let (affine, planes) = (affine.split_at(self.parts.channels), self.parts.planes);
        let sums = |c, channel| long_sums(planes.of(c), [x, y, grad], TermsAdd(channel));
        let shared = self.shared_sums(|c| sums(c, self.channel(stats, c, affine)))?;
        let ([gx, gr], sums) = planes.build(|c, outputs| {
            let channel = self.channel(stats, c, affine);
            let sums = shared.as_ref().map_or_else(|| Sums::own(sums(c, channel)), |shared| shared[c]);
            let (of_affine, means) = self.means(stats, c, sums);
            (outputs.write([x, y, grad], GradientAdd(channel, means)), of_affine)
        });
        let (mut affine, gb) = self.affine_gradients(sums);
        affine.extend(gb);
        Ok([gx, affine, gr])
    }

    fn known_stats(&self) -> candle_core::Result<&Stats> {
        match self.stats.get() {
            Some(stats) => Ok(stats),
            None => candle_core::bail!("{NAME}: backward before forward"),
        }
    }

    /// The sums of each channel over all ranks, where the statistics are theirs: no rank's gradients can be written before it
    /// knows those of the others. Else they are best taken while a channel is at hand.
    fn shared_sums(&self, own: impl Fn(usize) -> [f64; 2] + Sync) -> candle_core::Result<Option<Vec<Sums>>> {
        let Some(ranks) = &self.ranks else { return Ok(None) };
        Ok(Some(ranks::sums(&**ranks, self.parts.planes.map(own))?))
    }

    fn channel<T: Real>(&self, stats: &Stats, c: usize, (weight, bias): (&[T], &[T])) -> Channel<T> {
        let affine = c % self.parts.channels;
        Channel::new((stats.mean[c], stats.var[c]), self.eps, (weight[affine], bias[affine]))
    }

    /// The gradients of weight and bias, by what each part's channels have for them.
    fn affine_gradients<T: Real>(&self, of_parts: Vec<[f64; 2]>) -> (Vec<T>, Vec<T>) {
        self.parts.sums(of_parts).into_iter().map(|[gw, gb]| (T::from_f64(gw), T::from_f64(gb))).unzip()
    }

    /// Of channel `c` with these sums: the gradients of weight and bias, and the means.
    fn means<T: Real>(&self, stats: &Stats, c: usize, sums: Sums) -> ([f64; 2], Means<T>) {
        let (n, inv_std) = (stats.count, inv_std(stats.var[c], self.eps));
        let rest = lost_by_rounding::<T>(stats.mean[c]);
        let of_normalised = |[sum, dot]: [f64; 2]| (dot - rest * sum) * inv_std;
        let slope = of_normalised(sums.shared) * inv_std / n;
        let (grad, slope) = if self.batch_stats { (sums.shared[0] / n - rest * slope, slope) } else { (0.0, 0.0) };
        let means = Means { grad: T::from_f64(grad), slope: T::from_f64(slope) };
        ([of_normalised(sums.own), sums.own[0]], means)
    }
}

impl CustomOp3 for BatchNorm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(NAME, x.dtype(), T => {
            let y = self.forward::<T>(slice(NAME, x, xl)?, slice(NAME, w, wl)?, slice(NAME, b, bl)?, None);
            Ok((T::to_cpu_storage_owned(y), xl.shape().clone()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        with_real!(NAME, grad.dtype(), T => {
            slices!(NAME, T, xs = x, ws = w, bs = b, gs = grad);
            let [gx, gw, gb] = match self.relu {
                false => self.backward::<false, T>(xs, (ws, bs), gs)?,
                true => self.backward::<true, T>(xs, (ws, bs), gs)?,
            };
            Ok((gradient_if_tracked(x, gx)?, gradient_if_tracked(w, gw)?, gradient_if_tracked(b, gb)?))
        })
    }
}

/// Batch normalisation, the sum with a residual, and a ReLU: of x, weight and bias one after the other, and the residual.
struct Residual(BatchNorm);

impl CustomOp3 for Residual {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        a: &CpuStorage,
        al: &Layout,
        r: &CpuStorage,
        rl: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(NAME, x.dtype(), T => {
            let (weight, bias) = slice::<T>(NAME, a, al)?.split_at(self.0.parts.channels);
            let y = self.0.forward::<T>(slice(NAME, x, xl)?, weight, bias, Some(slice(NAME, r, rl)?));
            Ok((T::to_cpu_storage_owned(y), xl.shape().clone()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        affine: &Tensor,
        residual: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        with_real!(NAME, grad.dtype(), T => {
            slices!(NAME, T, xs = x, affines = affine, ys = y, gs = grad);
            let [gx, ga, gr] = self.0.backward_residual::<T>(xs, affines, ys, gs)?;
            Ok((gradient_if_tracked(x, gx)?, gradient_if_tracked(affine, ga)?, gradient_if_tracked(residual, gr)?))
        })
    }
}
