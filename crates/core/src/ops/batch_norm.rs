//! Batch normalisation (Ioffe & Szegedy, 2015), in training and in evaluation.

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp3, InplaceOp1, Layout, Shape, Tensor, WithDType, backend::BackendStorage as _};
use rayon::prelude::*;

use crate::{
    Error, Result,
    cpu::{self, Real, gradient_of, slice, slices, with_real},
};

use super::activation::positive_part;

const NAME: &str = "batch_norm";

/// What follows the normalisation in the same pass over the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// A ReLU.
    Relu,
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

/// `y = (x − E[x]) / √(Var[x] + eps) · weight + bias` with the statistics of the batch, a channel each.
///
/// The variance that normalises is biased, the one that goes into the running statistics is not, as in PyTorch.
///
/// # Shapes
/// - `x`: `(N, C)` or `(N, C, H, W)` (any number of trailing dimensions)
/// - `weight`, `bias`, running statistics: `(C)`
/// - output: as `x`
///
/// # Errors
/// [`Error::Argument`] if the shapes do not fit, or a channel has fewer than two values, which have no variance.
pub fn batch_norm_train(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    running: &RunningStats<'_>,
    eps: f64,
    activation: Activation,
) -> Result<Tensor> {
    let dims = Dims::new(x, &[weight, bias, running.mean, running.var])?;
    if dims.per_channel() < 2 {
        return Err(Error::argument(NAME, "x", x.dims(), "more than one value per channel when training"));
    }
    let stats = Arc::new(OnceLock::new());
    let op = BatchNorm { dims, eps, activation, batch_stats: true, stats: stats.clone() };
    let y = x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, op)?;
    if let Some(stats) = stats.get() {
        let n = dims.per_channel() as f64;
        let update =
            |tensor: &Tensor, values: Vec<f64>| tensor.inplace_op1(&Blend { momentum: running.momentum, values });
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
    activation: Activation,
) -> Result<Tensor> {
    let dims = Dims::new(x, &[weight, bias, mean, var])?;
    let host = |t: &Tensor| t.to_dtype(candle_core::DType::F64)?.to_vec1::<f64>();
    let stats = Arc::new(OnceLock::from(Stats { mean: host(mean)?, var: host(var)? }));
    let op = BatchNorm { dims, eps, activation, batch_stats: false, stats };
    Ok(x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, op)?)
}

/// Mean and biased variance of each channel.
#[derive(Clone, Debug)]
struct Stats {
    mean: Vec<f64>,
    var: Vec<f64>,
}

/// `(N, C, plane)`.
#[derive(Clone, Copy, Debug)]
struct Dims {
    n: usize,
    c: usize,
    plane: usize,
}

impl Dims {
    fn new(x: &Tensor, per_channel: &[&Tensor]) -> Result<Self> {
        let &[n, c, ref rest @ ..] = x.dims() else {
            return Err(Error::argument(NAME, "x", x.dims(), "a shape (N, C, …)"));
        };
        if x.elem_count() == 0 {
            return Err(Error::argument(NAME, "x", x.dims(), "no zero in its shape"));
        }
        for t in per_channel {
            if t.dims() != [c] {
                return Err(Error::argument(NAME, "a tensor per channel", t.dims(), format!("[{c}]")));
            }
        }
        Ok(Self { n, c, plane: rest.iter().product() })
    }

    fn per_channel(&self) -> usize {
        self.n * self.plane
    }

    /// The planes of channel `c`, image by image.
    fn planes<'a, T>(&self, x: &'a [T], c: usize) -> impl Iterator<Item = &'a [T]> + use<'a, T> {
        let Self { n, c: channels, plane } = *self;
        (0..n).map(move |i| &x[(i * channels + c) * plane..][..plane])
    }
}

struct BatchNorm {
    dims: Dims,
    eps: f64,
    activation: Activation,
    /// Whether the statistics are the batch's own, so that gradients pass through them.
    batch_stats: bool,
    stats: Arc<OnceLock<Stats>>,
}

impl BatchNorm {
    fn batch_statistics<T: Real>(&self, x: &[T]) -> Stats {
        let dims = &self.dims;
        let n = dims.per_channel() as f64;
        let (mean, var) = (0..dims.c)
            .into_par_iter()
            .map(|c| {
                let sum: f64 = dims.planes(x, c).map(|p| cpu::sum(p, |x| x).to_f64()).sum();
                let mean = sum / n;
                let m = T::from_f64(mean);
                let squares = |p: &[T]| cpu::sum(p, |x| (x - m) * (x - m)).to_f64();
                (mean, dims.planes(x, c).map(squares).sum::<f64>() / n)
            })
            .unzip();
        Stats { mean, var }
    }

    fn inv_std(&self, stats: &Stats, c: usize) -> f64 {
        1.0 / (stats.var[c] + self.eps).sqrt()
    }

    fn forward<T: Real>(&self, x: &[T], weight: &[T], bias: &[T]) -> Vec<T> {
        let stats = self.stats.get_or_init(|| self.batch_statistics(x));
        let plane = self.dims.plane;
        // Maps are cut by whole planes; where they are tiny, a piece takes many.
        let planes = (cpu::CHUNK / plane).max(1);
        cpu::build(x.len(), planes * plane, |piece, y| {
            for index in piece * planes..piece * planes + y.len() / plane {
                let c = index % self.dims.c;
                let scale = weight[c] * T::from_f64(self.inv_std(stats, c));
                let (mean, bias) = (T::from_f64(stats.mean[c]), bias[c]);
                let normalised = x[index * plane..][..plane].iter().map(|&x| (x - mean) * scale + bias);
                match self.activation {
                    Activation::None => y.extend(normalised),
                    Activation::Relu => y.extend(normalised.map(positive_part)),
                }
            }
        })
    }

    /// The gradients of x, weight and bias. With `g` the gradient of the normalised output:
    /// `bias' = Σ g`, `weight' = Σ g·x̂`, `x' = weight / σ · (g − mean(g) − x̂ · mean(g·x̂))`,
    /// without the means where the statistics are given.
    ///
    /// `RELU` says whether a ReLU follows: a constant, so that the loops without one do not read `y`.
    fn backward<const RELU: bool, T: Real>(
        &self,
        x: &[T],
        weight: &[T],
        y: &[T],
        grad: &[T],
    ) -> candle_core::Result<[Vec<T>; 3]> {
        let Some(stats) = self.stats.get() else {
            candle_core::bail!("{NAME}: backward before forward");
        };
        let dims = &self.dims;
        // A positive output is where a ReLU lets the gradient pass.
        let passed = |g: T, y: T| if !RELU || y > T::zero() { g } else { T::zero() };
        let (sums, centred): (Vec<T>, Vec<T>) = (0..dims.c)
            .into_par_iter()
            .map(|c| {
                let mean = T::from_f64(stats.mean[c]);
                let (mut sum, mut dot) = (0.0, 0.0);
                for ((x, y), g) in dims.planes(x, c).zip(dims.planes(y, c)).zip(dims.planes(grad, c)) {
                    sum += cpu::sum3(x, y, g, |_, y, g| passed(g, y)).to_f64();
                    dot += cpu::sum3(x, y, g, |x, y, g| passed(g, y) * (x - mean)).to_f64();
                }
                (T::from_f64(sum), T::from_f64(dot * self.inv_std(stats, c)))
            })
            .unzip();
        let plane = dims.plane;
        let planes = (cpu::CHUNK / plane).max(1);
        let n = T::from_f64(dims.per_channel() as f64);
        let gx = cpu::build(x.len(), planes * plane, |piece, gx| {
            for index in piece * planes..piece * planes + gx.len() / plane {
                let c = index % dims.c;
                let inv_std = T::from_f64(self.inv_std(stats, c));
                let scale = weight[c] * inv_std;
                let (mean, grad_mean, slope) = if self.batch_stats {
                    (T::from_f64(stats.mean[c]), sums[c] / n, centred[c] * inv_std / n)
                } else {
                    (T::zero(), T::zero(), T::zero())
                };
                let range = index * plane..(index + 1) * plane;
                let inputs = x[range.clone()].iter().zip(&y[range.clone()]).zip(&grad[range]);
                gx.extend(inputs.map(|((&x, &y), &g)| scale * (passed(g, y) - grad_mean - (x - mean) * slope)));
            }
        });
        Ok([gx, centred, sums])
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
            let y = self.forward::<T>(slice(NAME, x, xl)?, slice(NAME, w, wl)?, slice(NAME, b, bl)?);
            Ok((T::to_cpu_storage_owned(y), xl.shape().clone()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        with_real!(NAME, grad.dtype(), T => {
            slices!(NAME, T, xs = x, ws = w, ys = y, gs = grad);
            let [gx, gw, gb] = match self.activation {
                Activation::None => self.backward::<false, T>(xs, ws, ys, gs)?,
                Activation::Relu => self.backward::<true, T>(xs, ws, ys, gs)?,
            };
            let wanted = |values: Vec<T>, of: &Tensor| gradient_of(of, of.track_op().then_some(values));
            Ok((wanted(gx, x)?, wanted(gw, w)?, wanted(gb, b)?))
        })
    }
}

/// `t = (1 − momentum) · t + momentum · values`.
struct Blend {
    momentum: f64,
    values: Vec<f64>,
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
