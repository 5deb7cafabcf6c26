//! Group normalisation (Wu & He, 2018).

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, Layout, Shape, Tensor, WithDType, backend::BackendStorage as _};
use rayon::prelude::*;

use crate::{
    Error, Result,
    cpu::{
        self, Real,
        formula::{Moments, Pieces, long_sums, lost_by_rounding, mean_and_variance},
        gradient_if_tracked, slice, slices, with_real,
    },
    node::{Keep, apply3},
};

const NAME: &str = "group_norm";

/// `y = (x − E[x]) / √(Var[x] + eps) · weight + bias`, with the biased statistics of each image's groups of channels, as
/// `torch.nn.functional.group_norm`.
///
/// # Shapes
/// - `x`: `(N, C)` or `(N, C, H, W)` (any number of trailing dimensions)
/// - `weight`, `bias`: `(C)`
/// - output: as `x`
///
/// # Errors
/// [`Error::Argument`] if the shapes do not fit or have a zero, `num_groups` does not divide `C`, or `x` is a single group of
/// one value.
pub fn group_norm(x: &Tensor, num_groups: usize, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let &[n, channels, ref rest @ ..] = x.dims() else {
        return Err(Error::argument(NAME, "x", x.dims(), "a shape (N, C, …)"));
    };
    if x.elem_count() == 0 {
        return Err(Error::argument(NAME, "x", x.dims(), "no zero in its shape"));
    }
    if num_groups == 0 || channels % num_groups != 0 {
        return Err(Error::argument(NAME, "num_groups", num_groups, format!("a divisor of the {channels} channels")));
    }
    for (what, t) in [("weight", weight), ("bias", bias)] {
        if t.dims() != [channels] {
            return Err(Error::argument(NAME, what, t.dims(), format!("[{channels}]")));
        }
    }
    let (channels_each, plane) = (channels / num_groups, rest.iter().product());
    if n * channels_each * plane == 1 {
        // PyTorch refuses it too. With several images it does not, and the output is the bias.
        return Err(Error::argument(NAME, "x", x.dims(), "more than one value per channel"));
    }
    let op = GroupNorm { groups: num_groups, channels_each, plane, eps, stats: OnceLock::new() };
    Ok(apply3([&x.contiguous()?, &weight.contiguous()?, &bias.contiguous()?], Keep::Inputs, op)?)
}

struct GroupNorm {
    /// Of one image.
    groups: usize,
    /// Channels of a group.
    channels_each: usize,
    plane: usize,
    eps: f64,
    /// Of each group of each image.
    stats: OnceLock<Vec<Stats>>,
}

#[derive(Clone, Copy)]
struct Stats {
    mean: f64,
    inv_std: f64,
}

impl GroupNorm {
    /// Elements of a group.
    fn group(&self) -> usize {
        self.channels_each * self.plane
    }

    fn statistics<T: Real>(&self, x: &[T]) -> Vec<Stats> {
        x.par_chunks_exact(self.group())
            .map(|x| {
                let (mean, var) = mean_and_variance(Pieces::all(x.len()), x);
                Stats { mean, inv_std: 1.0 / (var + self.eps).sqrt() }
            })
            .collect()
    }

    /// Runs `f(index of the plane, its channel, its group of all images, output)` for each plane.
    fn by_planes<T: Real>(&self, n: usize, f: impl Fn(usize, usize, usize, &mut cpu::Piece<'_, T>) + Sync) -> Vec<T> {
        let planes = (cpu::CHUNK / self.plane).max(1);
        cpu::build(n, planes * self.plane, |piece, y| {
            for index in piece * planes..piece * planes + y.len() / self.plane {
                f(index, index % (self.groups * self.channels_each), index / self.channels_each, y);
            }
        })
    }

    fn forward<T: Real>(&self, x: &[T], weight: &[T], bias: &[T]) -> Vec<T> {
        let stats = self.stats.get_or_init(|| self.statistics(x));
        self.by_planes(x.len(), |index, c, group, y| {
            let Stats { mean, inv_std } = stats[group];
            let rest = lost_by_rounding::<T>(mean) * weight[c].to_f64() * inv_std;
            let (mean, scale, bias) =
                (T::from_f64(mean), weight[c] * T::from_f64(inv_std), bias[c] - T::from_f64(rest));
            let x = &x[index * self.plane..][..self.plane];
            y.extend(x.iter().map(|&x| (x - mean) * scale + bias));
        })
    }

    /// The gradients of x, weight and bias. With `g` the gradient of the output and `w` the weight:
    /// `bias' = Σ g`, `weight' = Σ g·x̂`, `x' = (w·g − mean(w·g) − x̂ · mean(w·g·x̂)) / σ`, the means over a group.
    fn backward<T: Real>(&self, x: &[T], weight: &[T], grad: &[T]) -> candle_core::Result<[Vec<T>; 3]> {
        let Some(stats) = self.stats.get() else {
            candle_core::bail!("{NAME}: backward before forward");
        };
        let (plane, channels) = (self.plane, self.groups * self.channels_each);
        // Σ g and Σ g·x̂ of each plane.
        let sums: Vec<(f64, f64)> = x
            .par_chunks_exact(plane)
            .zip(grad.par_chunks_exact(plane))
            .enumerate()
            .map(|(index, (x, g))| {
                let Stats { mean, inv_std } = stats[index / self.channels_each];
                let [sum, dot] = long_sums(Pieces::all(plane), [x, g], Moments(T::from_f64(mean)));
                (sum, (dot - lost_by_rounding::<T>(mean) * sum) * inv_std)
            })
            .collect();
        let per_channel = |f: fn(&(f64, f64)) -> f64| -> Vec<T> {
            (0..channels).map(|c| T::from_f64(sums[c..].iter().step_by(channels).map(f).sum())).collect()
        };
        let n = self.group() as f64;
        let means: Vec<(f64, f64)> = sums
            .chunks_exact(self.channels_each)
            .enumerate()
            .map(|(group, sums)| {
                let weights = &weight[group % self.groups * self.channels_each..];
                let weighted = |f: fn(&(f64, f64)) -> f64| -> f64 {
                    sums.iter().zip(weights).map(|(sums, &w)| f(sums) * w.to_f64()).sum::<f64>() / n
                };
                (weighted(|s| s.0), weighted(|s| s.1))
            })
            .collect();
        let gx = self.by_planes(x.len(), |index, c, group, gx| {
            let (Stats { mean, inv_std }, (grad_mean, slope)) = (stats[group], means[group]);
            let scale = weight[c] * T::from_f64(inv_std);
            let slope = inv_std * inv_std * slope;
            let shift = T::from_f64(inv_std * grad_mean - lost_by_rounding::<T>(mean) * slope);
            let (mean, slope) = (T::from_f64(mean), T::from_f64(slope));
            let inputs = x[index * plane..][..plane].iter().zip(&grad[index * plane..][..plane]);
            gx.extend(inputs.map(|(&x, &g)| g * scale - shift - (x - mean) * slope));
        });
        Ok([gx, per_channel(|s| s.1), per_channel(|s| s.0)])
    }
}

impl CustomOp3 for GroupNorm {
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
        _y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        with_real!(NAME, grad.dtype(), T => {
            slices!(NAME, T, xs = x, ws = w, gs = grad);
            let [gx, gw, gb] = self.backward::<T>(xs, ws, gs)?;
            Ok((gradient_if_tracked(x, gx)?, gradient_if_tracked(w, gw)?, gradient_if_tracked(b, gb)?))
        })
    }
}
