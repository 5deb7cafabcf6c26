//! Max pooling.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, WithDType, backend::BackendStorage as _};
use rayon::prelude::*;

use crate::{
    Result,
    cpu::{Real, slice, slices, with_real},
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
    Ok(x.contiguous()?.apply_op1(MaxPool2d { rows, cols, arg_max: OnceLock::new() })?)
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

    fn forward_plane<T: Real>(&self, x: &[T], y: &mut [T], arg_max: &mut [u32]) {
        let width = self.cols.size;
        let mut outputs = y.iter_mut().zip(arg_max);
        for oy in 0..self.rows.out {
            let rows = self.rows.window(oy);
            for ox in 0..self.cols.out {
                let cols = self.cols.window(ox);
                let mut best = rows.start * width + cols.start;
                for row in rows.clone() {
                    for i in row * width + cols.start..row * width + cols.end {
                        if x[i] > x[best] || x[i].is_nan() {
                            best = i;
                        }
                    }
                }
                if let Some((y, arg)) = outputs.next() {
                    (*y, *arg) = (x[best], best as u32);
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
