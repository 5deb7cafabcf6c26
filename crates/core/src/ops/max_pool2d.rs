//! Max pooling.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, WithDType, backend::BackendStorage as _};
use rayon::prelude::*;

use crate::{
    Result,
    cpu::{Real, slice, slices, vectorised, with_real},
    node::{Keep, apply1},
};

use super::pooling::{Axis, dims4};

const NAME: &str = "max_pool2d";

/// The parameters of [`max_pool2d`] with PyTorch's names; pairs are (vertical, horizontal).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool2dParams {
    /// The window.
    pub kernel_size: (usize, usize),
    /// Input steps from one window to the next.
    pub stride: (usize, usize),
    /// −∞ on every side, at most half the window.
    pub padding: (usize, usize),
    /// Whether a last window may hang over the edge.
    pub ceil_mode: bool,
}

impl MaxPool2dParams {
    /// A square window of `kernel_size`, `stride` apart, after `padding`.
    pub fn square(kernel_size: usize, stride: usize, padding: usize) -> Self {
        let pair = |v| (v, v);
        Self { kernel_size: pair(kernel_size), stride: pair(stride), padding: pair(padding), ceil_mode: false }
    }
}

/// The largest element of each window. Among equals the first in reading order takes the gradient, as in PyTorch;
/// NaN counts as largest.
///
/// # Shapes
/// - `x`: `(N, C, H, W)`
/// - output: `(N, C, (H + 2·padding − kernel_size) / stride + 1, …)`, rounded down, or up in `ceil_mode`
///
/// # Errors
/// [`Error::Argument`](crate::Error::Argument) if the parameters do not fit the shape.
pub fn max_pool2d(x: &Tensor, params: &MaxPool2dParams) -> Result<Tensor> {
    let (_, _, h, w) = dims4(NAME, x)?;
    let MaxPool2dParams { kernel_size: k, stride: s, padding: p, ceil_mode } = *params;
    let rows = Axis::new(NAME, h, (k.0, s.0, p.0), ceil_mode)?;
    let cols = Axis::new(NAME, w, (k.1, s.1, p.1), ceil_mode)?;
    Ok(apply1(&x.contiguous()?, Keep::Nothing, MaxPool2d { rows, cols, arg_max: OnceLock::new() })?)
}

struct MaxPool2d {
    rows: Axis,
    cols: Axis,
    /// For each output the place of its maximum within the input's plane.
    arg_max: OnceLock<Vec<u32>>,
}

impl MaxPool2d {
    fn out_plane(&self) -> usize {
        self.rows.out * self.cols.out
    }

    fn in_plane(&self) -> usize {
        self.rows.size * self.cols.size
    }

    fn forward<T: Real>(&self, x: &[T]) -> (Vec<T>, Vec<u32>) {
        let n = x.len() / self.in_plane() * self.out_plane();
        let (mut y, mut arg_max) = (vec![T::zero(); n], vec![0; n]);
        let planes = y.par_chunks_mut(self.out_plane()).zip(arg_max.par_chunks_mut(self.out_plane()));
        planes.zip(x.par_chunks(self.in_plane())).for_each(|((y, arg_max), x)| self.forward_plane(x, y, arg_max));
        (y, arg_max)
    }

    /// Line by line: each element of the windows in reading order is compared for all of a line's outputs at once.
    fn forward_plane<T: Real>(&self, x: &[T], y: &mut [T], arg_max: &mut [u32]) {
        let (width, out) = (self.cols.size, self.cols.out);
        let lines = y.chunks_exact_mut(out).zip(arg_max.chunks_exact_mut(out));
        for (oy, (best, arg)) in lines.enumerate() {
            let rows = self.rows.window(oy);
            best.fill(T::neg_infinity());
            for (ox, arg) in arg.iter_mut().enumerate() {
                *arg = (rows.start * width + self.cols.window(ox).start) as u32;
            }
            for row in rows {
                for k in 0..self.cols.kernel() {
                    let (outputs, first) = self.cols.inside(k);
                    let x = &x[row * width..][..width];
                    let (best, arg) = (&mut best[outputs.clone()], &mut arg[outputs]);
                    compare(x, first, self.cols.stride(), (row * width) as u32, best, arg);
                }
            }
        }
    }

    fn backward<T: Real>(&self, grad: &[T], arg_max: &[u32]) -> Vec<T> {
        let mut gx = vec![T::zero(); grad.len() / self.out_plane() * self.in_plane()];
        let planes = grad.par_chunks(self.out_plane()).zip(arg_max.par_chunks(self.out_plane()));
        gx.par_chunks_mut(self.in_plane()).zip(planes).for_each(|(gx, (grad, arg_max))| {
            grad.iter().zip(arg_max).for_each(|(&g, &i)| gx[i as usize] += g);
        });
        gx
    }
}

/// Takes over those of `line[first]`, `line[first + stride]`, … that are larger than the best so far, with their places, which
/// count from `start`.
fn compare<T: Real>(line: &[T], first: usize, stride: usize, start: u32, best: &mut [T], arg: &mut [u32]) {
    match stride {
        1 => compare_lane(&line[first.min(line.len())..], [0; 1], start + first as u32, best, arg),
        2 => compare_lane(&line[first.min(line.len())..], [0; 2], start + first as u32, best, arg),
        _ => {
            for (i, (best, arg)) in best.iter_mut().zip(arg).enumerate() {
                let at = first + i * stride;
                take_over(line[at], start + at as u32, best, arg);
            }
        }
    }
}

/// [`compare`] for the first of every `N` elements of `line`.
fn compare_lane<T: Real, const N: usize>(line: &[T], _: [u8; N], start: u32, best: &mut [T], arg: &mut [u32]) {
    let (groups, rest) = line.as_chunks::<N>();
    let whole = groups.len().min(best.len());
    compare_groups(&groups[..whole], start, &mut best[..whole], &mut arg[..whole]);
    if let (Some(&x), Some(best), Some(arg)) = (rest.first(), best.get_mut(whole), arg.get_mut(whole)) {
        take_over(x, start + (whole * N) as u32, best, arg);
    }
}

fn compare_groups<T: Real, const N: usize>(groups: &[[T; N]], start: u32, best: &mut [T], arg: &mut [u32]) {
    vectorised(
        #[inline(always)]
        || {
            let mut place = start;
            for ((group, best), arg) in groups.iter().zip(&mut *best).zip(&mut *arg) {
                take_over(group[0], place, best, arg);
                // A checked sum could stop the loop anywhere, and would not vectorise.
                place = place.wrapping_add(N as u32);
            }
        },
    );
}

/// Among equals the first one stays; NaN counts as largest.
#[inline(always)]
fn take_over<T: Real>(x: T, place: u32, best: &mut T, arg: &mut u32) {
    let larger = x > *best || x.is_nan();
    *best = if larger { x } else { *best };
    *arg = if larger { place } else { *arg };
}

impl CustomOp1 for MaxPool2d {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (n, c, ..) = l.shape().dims4()?;
        with_real!(NAME, s.dtype(), T => {
            let (y, arg_max) = self.forward(slice::<T>(NAME, s, l)?);
            self.arg_max.get_or_init(|| arg_max);
            Ok((T::to_cpu_storage_owned(y), (n, c, self.rows.out, self.cols.out).into()))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let Some(arg_max) = self.arg_max.get() else {
            candle_core::bail!("{NAME}: backward before forward");
        };
        let grad = grad.contiguous()?;
        with_real!(NAME, grad.dtype(), T => {
            slices!(NAME, T, g = grad);
            Tensor::from_vec(self.backward(g, arg_max), x.shape(), x.device()).map(Some)
        })
    }
}
