//! Sampling an image at the positions of a grid.

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor, backend::BackendStorage as _};
use rayon::prelude::*;

use crate::{
    Error, Result,
    cpu::{Real, gradient_if_tracked, slice, slices, with_real},
    node::{Keep, apply2},
};

use super::{
    bilinear::{
        BLOCK, Coordinate, Corners, Map, Quadruples, TOGETHER, blocks, channels_per_task, check_map, planes,
        planes_mut, with_planes,
    },
    pooling::dims4,
};

const NAME: &str = "grid_sample";

/// What [`grid_sample`] finds beyond the edges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GridPadding {
    /// Zeros.
    #[default]
    Zeros,
    /// The nearest element of the edge.
    Border,
}

/// The parameters of [`grid_sample`] with PyTorch's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GridSampleParams {
    /// What lies beyond the edges.
    pub padding_mode: GridPadding,
    /// Whether −1 and 1 are the centres of the first and last element, or else their outer edges.
    pub align_corners: bool,
}

/// `y[n, c, i, j] = x[n, c]` at the position `grid[n, i, j] = (horizontal, vertical)`, interpolated bilinearly
/// (Jaderberg et al., 2015, eq. 5), as `torch.nn.functional.grid_sample`. The image spans −1 to 1 in both directions.
///
/// Where an element of the image stands exactly at the position, the derivative by the position is that to the right or
/// below. With [`GridPadding::Border`] it is zero on and beyond the edges.
///
/// A coordinate that is NaN gives NaN with [`GridPadding::Zeros`], and the first element with [`GridPadding::Border`]; an
/// infinite one lies outside (PyTorch makes it NaN on the CPU and 0 on a GPU). Both have the gradient 0.
///
/// # Shapes
/// - `x`: `(N, C, H, W)`
/// - `grid`: `(N, H_out, W_out, 2)`
/// - output: `(N, C, H_out, W_out)`
///
/// # Errors
/// [`Error::Argument`] if the shapes do not fit or have a zero, or a map is too large for its indices (2³¹ elements).
pub fn grid_sample(x: &Tensor, grid: &Tensor, params: &GridSampleParams) -> Result<Tensor> {
    let (n, channels, h, w) = dims4(NAME, x)?;
    let out = match *grid.dims() {
        [m, oh, ow, 2] if m == n && oh * ow > 0 => (oh, ow),
        ref other => return Err(Error::argument(NAME, "grid", other, format!("a shape ({n}, H_out, W_out, 2)"))),
    };
    check_map(NAME, h, w)?;
    let op = GridSample { n, channels, size: (h, w), out, params: *params };
    Ok(apply2([&x.contiguous()?, &grid.contiguous()?], Keep::Inputs, op)?)
}

/// Positions of one task, for which the corners are worked out in blocks.
const TASK: usize = 8 * BLOCK;

struct GridSample {
    n: usize,
    channels: usize,
    size: (usize, usize),
    out: (usize, usize),
    params: GridSampleParams,
}

/// From the grid's coordinates to those of elements, `(g + 1) · scale + shift`.
#[derive(Clone, Copy)]
struct Axis<T> {
    scale: T,
    shift: T,
    last: T,
}

impl<T: Real> Axis<T> {
    fn new(size: usize, align_corners: bool) -> Self {
        let (size, half) = (size as f64, T::from_f64(0.5));
        if align_corners {
            Self { scale: T::from_f64((size - 1.0) / 2.0), shift: T::zero(), last: T::from_f64(size - 1.0) }
        } else {
            Self { scale: T::from_f64(size / 2.0), shift: -half, last: T::from_f64(size - 1.0) }
        }
    }

    #[inline(always)]
    fn coordinate(&self, g: T) -> T {
        (g + T::one()) * self.scale + self.shift
    }

    /// The coordinate moved to the edge where it is beyond; NaN to the first.
    #[inline(always)]
    fn clipped(&self, g: T) -> T {
        let c = self.coordinate(g);
        let c = if c > T::zero() { c } else { T::zero() };
        if c < self.last { c } else { self.last }
    }

    /// The derivative of the clipped coordinate.
    #[inline(always)]
    fn clipped_slope(&self, g: T) -> T {
        let c = self.coordinate(g);
        if c > T::zero() && c < self.last { self.scale } else { T::zero() }
    }
}

/// What a task needs to know to place positions.
#[derive(Clone, Copy)]
struct Placing<T> {
    map: Map<T>,
    rows: Axis<T>,
    cols: Axis<T>,
    border: bool,
}

impl<T: Coordinate> Placing<T> {
    /// The positions `(y, x)` of a part of the grid. `BORDER` is a constant so that the loop has no branch.
    #[inline(always)]
    fn positions<const BORDER: bool>(&self, grid: &[T]) -> impl ExactSizeIterator<Item = (T, T)> {
        grid.as_chunks::<2>().0.iter().map(
            #[inline(always)]
            |&[x, y]| {
                if BORDER {
                    (self.rows.clipped(y), self.cols.clipped(x))
                } else {
                    (self.rows.coordinate(y), self.cols.coordinate(x))
                }
            },
        )
    }

    #[inline(always)]
    fn place(&self, corners: &mut Corners<T>, grid: &[T]) {
        if self.border {
            corners.place(&self.map, self.positions::<true>(grid));
        } else {
            corners.place(&self.map, self.positions::<false>(grid));
        }
    }

    /// The gradient of a part of the grid, whose corners are placed, by what [`Corners::pull_back`] added up over the channels.
    #[inline(always)]
    fn grid_gradient(&self, corners: &Corners<T>, grid: &[T], sums: &mut Quadruples<T>, out: &mut [T]) {
        corners.slopes(&self.map, sums);
        let [by_y, by_x, ..] = sums;
        let slopes = out.as_chunks_mut::<2>().0.iter_mut().zip(by_y.iter().zip(by_x));
        if self.border {
            for ((out, (&by_y, &mut by_x)), &[x, y]) in slopes.zip(grid.as_chunks::<2>().0) {
                *out = [by_x * self.cols.clipped_slope(x), by_y * self.rows.clipped_slope(y)];
            }
        } else {
            slopes.for_each(|(out, (&by_y, &mut by_x))| *out = [by_x * self.cols.scale, by_y * self.rows.scale]);
        }
    }
}

impl GridSample {
    fn placing<T: Coordinate>(&self) -> Placing<T> {
        let ((h, w), align) = (self.size, self.params.align_corners);
        Placing {
            map: Map::new(h, w),
            rows: Axis::new(h, align),
            cols: Axis::new(w, align),
            border: self.params.padding_mode == GridPadding::Border,
        }
    }

    fn in_plane(&self) -> usize {
        self.size.0 * self.size.1
    }

    fn out_plane(&self) -> usize {
        self.out.0 * self.out.1
    }

    fn forward<T: Coordinate>(&self, x: &[T], grid: &[T]) -> Vec<T> {
        let (placing, plane, input) = (self.placing::<T>(), self.out_plane(), self.in_plane());
        let mut y = vec![T::zero(); self.n * self.channels * plane];
        blocks(&mut y, self.channels, plane, TASK).par_iter_mut().for_each(|task| {
            let image = &x[task.task * self.channels * input..];
            let mut corners = Corners::new();
            let mut start = 2 * (task.task * plane + task.start);
            for at in (0..task.rows[0].len()).step_by(BLOCK) {
                let n = BLOCK.min(task.rows[0].len() - at);
                let part = &grid[start..start + 2 * n];
                start += 2 * n;
                placing.place(&mut corners, part);
                for (c, rows) in task.rows.chunks_mut(TOGETHER).enumerate() {
                    let image = &image[c * TOGETHER * input..];
                    with_planes!(rows.len(), K => {
                        let mut rows = rows.iter_mut().map(|row| &mut row[at..at + n]);
                        let rows = std::array::from_fn(|_| rows.next().unwrap_or_default());
                        corners.read::<K>(&placing.map, planes(image, input), rows);
                    });
                }
            }
        });
        y
    }

    /// The gradients of `x`, if `TO_MAP`, and of `grid`, if `TO_POSITION`.
    ///
    /// Each task owns whole planes of the former, and adds to them in the order of the positions. Several tasks of one image
    /// have a share each of the latter, which are then added up in order.
    fn backward<T: Coordinate, const TO_MAP: bool, const TO_POSITION: bool>(
        &self,
        x: &[T],
        grid: &[T],
        grad: &[T],
    ) -> (Vec<T>, Vec<T>) {
        let (plane, input) = (self.out_plane(), self.in_plane());
        let channels = channels_per_task(self.n, self.channels).min(self.channels);
        let shares = self.channels.div_ceil(channels);
        let mut gx = vec![T::zero(); if TO_MAP { x.len() } else { 0 }];
        let mut ggrid = vec![T::zero(); if TO_POSITION { shares * grid.len() } else { 0 }];
        fn parts<T>(values: &mut [T], n: usize) -> impl Iterator<Item = &mut [T]> {
            values.chunks_mut(n.max(1)).chain(std::iter::repeat_with(Default::default))
        }
        let images = parts(&mut gx, self.channels * input).zip(parts(&mut ggrid, shares * 2 * plane));
        let tasks: Vec<_> = (0..self.n)
            .zip(images)
            .flat_map(|(n, (gx, ggrid))| {
                let shares = parts(gx, channels * input).zip(parts(ggrid, 2 * plane));
                (0..self.channels).step_by(channels).zip(shares).map(move |(c, (gx, ggrid))| (n, c, gx, ggrid))
            })
            .collect();
        tasks.into_par_iter().for_each_init(Corners::new, |corners, (n, first, gx, ggrid)| {
            let of = Planes { n, channels: first..(first + channels).min(self.channels) };
            self.pull_back::<T, TO_MAP, TO_POSITION>(&of, corners, [x, grid, grad], gx, ggrid);
        });
        if shares > 1 && TO_POSITION {
            let mut total = vec![T::zero(); grid.len()];
            total.par_chunks_mut(2 * plane).zip(ggrid.par_chunks(shares * 2 * plane)).for_each(|(total, shares)| {
                shares.chunks(2 * plane).for_each(|share| total.iter_mut().zip(share).for_each(|(t, &s)| *t += s));
            });
            ggrid = total;
        }
        (gx, ggrid)
    }

    /// One task of [`Self::backward`].
    fn pull_back<T: Coordinate, const TO_MAP: bool, const TO_POSITION: bool>(
        &self,
        of: &Planes,
        corners: &mut Corners<T>,
        [x, grid, grad]: [&[T]; 3],
        gx: &mut [T],
        ggrid: &mut [T],
    ) {
        let (placing, plane, input) = (self.placing::<T>(), self.out_plane(), self.in_plane());
        for start in (0..plane).step_by(BLOCK) {
            let len = BLOCK.min(plane - start);
            let grid = &grid[2 * (of.n * plane + start)..][..2 * len];
            placing.place(corners, grid);
            let mut sums = [[T::zero(); BLOCK]; 4];
            for c in of.channels.clone().step_by(TOGETHER) {
                let index = of.n * self.channels + c;
                let (x, grad) = (&x[index * input..], &grad[index * plane..]);
                let gx = if TO_MAP { &mut gx[(c - of.channels.start) * input..] } else { &mut *gx };
                with_planes!(of.channels.end - c, K => {
                    let grad = planes::<K, T>(grad, plane).map(|grad| &grad[start..]);
                    let (to, from) = (planes_mut(gx, input), planes(x, input));
                    corners.pull_back::<K, TO_MAP, TO_POSITION>(&placing.map, grad, to, from, &mut sums);
                });
            }
            if TO_POSITION {
                placing.grid_gradient(corners, grid, &mut sums, &mut ggrid[2 * start..][..2 * len]);
            }
        }
    }
}

/// Some channels of an image.
struct Planes {
    n: usize,
    channels: std::ops::Range<usize>,
}

impl CustomOp2 for GridSample {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        grid: &CpuStorage,
        gl: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(NAME, x.dtype(), T => {
            let y = self.forward(slice::<T>(NAME, x, xl)?, slice(NAME, grid, gl)?);
            let shape = (self.n, self.channels, self.out.0, self.out.1).into();
            Ok((candle_core::WithDType::to_cpu_storage_owned(y), shape))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        grid: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        with_real!(NAME, grad.dtype(), T => {
            slices!(NAME, T, xs = x, grids = grid, gs = grad);
            let (gx, ggrid) = match (x.track_op(), grid.track_op()) {
                (true, true) => self.backward::<T, true, true>(xs, grids, gs),
                (true, false) => self.backward::<T, true, false>(xs, grids, gs),
                (false, _) => self.backward::<T, false, true>(xs, grids, gs),
            };
            Ok((gradient_if_tracked(x, gx)?, gradient_if_tracked(grid, ggrid)?))
        })
    }
}
