//! Average pooling, over a fixed window or to a fixed output size.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, WithDType, backend::BackendStorage as _};
use rayon::prelude::*;

use crate::{
    Error, Result,
    cpu::{Real, formula::sum, slice, slices, with_real},
    node::{Keep, apply1},
};

use super::pooling::{Axis, dims4};

/// The parameters of [`avg_pool2d`] with PyTorch's names; pairs are (vertical, horizontal).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvgPool2dParams {
    /// The window.
    pub kernel_size: (usize, usize),
    /// Input steps from one window to the next.
    pub stride: (usize, usize),
    /// Zeros on every side, at most half the window.
    pub padding: (usize, usize),
    /// Whether a last window may hang over the edge.
    pub ceil_mode: bool,
    /// Whether the zeros of the padding count in the mean.
    pub count_include_pad: bool,
}

impl AvgPool2dParams {
    /// A square window of `kernel_size`, `stride` apart, after `padding`, which counts.
    pub fn square(kernel_size: usize, stride: usize, padding: usize) -> Self {
        let pair = |v| (v, v);
        Self {
            kernel_size: pair(kernel_size),
            stride: pair(stride),
            padding: pair(padding),
            ceil_mode: false,
            count_include_pad: true,
        }
    }
}

/// The mean of each window.
///
/// # Shapes
/// - `x`: `(N, C, H, W)`
/// - output: `(N, C, (H + 2·padding − kernel_size) / stride + 1, …)`, rounded down, or up in `ceil_mode`
///
/// # Errors
/// [`Error::Argument`] if the parameters do not fit the shape.
pub fn avg_pool2d(x: &Tensor, params: &AvgPool2dParams) -> Result<Tensor> {
    const NAME: &str = "avg_pool2d";
    let (_, _, h, w) = dims4(NAME, x)?;
    let AvgPool2dParams { kernel_size: k, stride: s, padding: p, ceil_mode, count_include_pad } = *params;
    let rows = Axis::new(NAME, h, (k.0, s.0, p.0), ceil_mode)?;
    let cols = Axis::new(NAME, w, (k.1, s.1, p.1), ceil_mode)?;
    let windows = |axis: Axis| -> Vec<Window> {
        (0..axis.out)
            .map(|o| {
                let range = axis.window(o);
                let extent = if count_include_pad { axis.padded_extent(o) } else { range.len() };
                Window { range, extent }
            })
            .collect()
    };
    apply(x, MeanPool { name: NAME, size: (h, w), rows: windows(rows), cols: windows(cols) })
}

/// The mean of windows that divide the input into `size` parts as evenly as can be:
/// output `i` sees `⌊i·H / H_out⌋ … ⌈(i + 1)·H / H_out⌉`.
///
/// # Shapes
/// - `x`: `(N, C, H, W)`
/// - output: `(N, C, size.0, size.1)`
///
/// # Errors
/// [`Error::Argument`] if `x` has another rank, or a zero in its shape or in `size`.
pub fn adaptive_avg_pool2d(x: &Tensor, size: (usize, usize)) -> Result<Tensor> {
    const NAME: &str = "adaptive_avg_pool2d";
    let (_, _, h, w) = dims4(NAME, x)?;
    if size.0 == 0 || size.1 == 0 {
        return Err(Error::argument(NAME, "size", size, "at least (1, 1)"));
    }
    let windows = |n: usize, out: usize| -> Vec<Window> {
        (0..out)
            .map(|o| {
                let range = o * n / out..((o + 1) * n).div_ceil(out);
                Window { extent: range.len(), range }
            })
            .collect()
    };
    apply(x, MeanPool { name: NAME, size: (h, w), rows: windows(h, size.0), cols: windows(w, size.1) })
}

fn apply(x: &Tensor, op: MeanPool) -> Result<Tensor> {
    Ok(apply1(&x.contiguous()?, Keep::Nothing, op)?)
}

/// What one output sees along one axis, and by how much its sum is divided there.
struct Window {
    range: std::ops::Range<usize>,
    extent: usize,
}

struct MeanPool {
    name: &'static str,
    size: (usize, usize),
    rows: Vec<Window>,
    cols: Vec<Window>,
}

impl MeanPool {
    fn in_plane(&self) -> usize {
        self.size.0 * self.size.1
    }

    fn out_plane(&self) -> usize {
        self.rows.len() * self.cols.len()
    }

    /// Every output of a plane, in order: its rows, its columns, and one over the number that it is the mean of.
    fn outputs<T: Real>(&self) -> impl Iterator<Item = (&Window, &Window, T)> {
        self.rows
            .iter()
            .flat_map(|r| self.cols.iter().map(move |c| (r, c, T::one() / T::from_f64((r.extent * c.extent) as f64))))
    }

    fn forward<T: Real>(&self, x: &[T]) -> Vec<T> {
        let mut y = vec![T::zero(); x.len() / self.in_plane() * self.out_plane()];
        y.par_chunks_mut(self.out_plane()).zip(x.par_chunks(self.in_plane())).for_each(|(y, x)| {
            for (y, (rows, cols, share)) in y.iter_mut().zip(self.outputs::<T>()) {
                let total: T = rows
                    .range
                    .clone()
                    .map(|r| {
                        let line = &x[r * self.size.1..][cols.range.clone()];
                        sum(line)
                    })
                    .sum();
                *y = total * share;
            }
        });
        y
    }

    fn backward<T: Real>(&self, grad: &[T]) -> Vec<T> {
        let mut gx = vec![T::zero(); grad.len() / self.out_plane() * self.in_plane()];
        gx.par_chunks_mut(self.in_plane()).zip(grad.par_chunks(self.out_plane())).for_each(|(gx, grad)| {
            for (&g, (rows, cols, share)) in grad.iter().zip(self.outputs::<T>()) {
                for r in rows.range.clone() {
                    gx[r * self.size.1..][cols.range.clone()].iter_mut().for_each(|x| *x += g * share);
                }
            }
        });
        gx
    }
}

impl CustomOp1 for MeanPool {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (n, c, ..) = l.shape().dims4()?;
        with_real!(self.name, s.dtype(), T => {
            let y = self.forward(slice::<T>(self.name, s, l)?);
            Ok((T::to_cpu_storage_owned(y), (n, c, self.rows.len(), self.cols.len()).into()))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        with_real!(self.name, grad.dtype(), T => {
            slices!(self.name, T, g = grad);
            Tensor::from_vec(self.backward(g), x.shape(), x.device()).map(Some)
        })
    }
}
