//! Deformable convolution.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Shape, Tensor, backend::BackendStorage as _};
use rayon::prelude::*;

use crate::{
    Error, Result,
    cpu::{gradient_of, slice, slices, with_real},
    node::{Keep, apply2, apply3},
};

use super::{
    bilinear::{BLOCK, Coordinate, Corners, Map, blocks, channels_per_task, check_map},
    conv2d::{Conv2dParams, conv2d},
    pooling::dims4,
};

const NAME: &str = "deform_conv2d";

/// The parameters of [`deform_conv2d`] with torchvision's names; pairs are (vertical, horizontal).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeformConv2dParams {
    /// Input steps from one output to the next.
    pub stride: (usize, usize),
    /// Zeros on every side.
    pub padding: (usize, usize),
    /// Input steps from one kernel element to the next.
    pub dilation: (usize, usize),
}

impl Default for DeformConv2dParams {
    fn default() -> Self {
        Self { stride: (1, 1), padding: (0, 0), dilation: (1, 1) }
    }
}

/// A convolution whose kernel elements look where `offset` moves them, as `torchvision.ops.deform_conv2d`
/// (Dai et al., 2017, eq. 2; with a `mask` Zhu et al., 2019, eq. 1):
///
/// `y[n, o, i, j] = bias[o] + Σ_{c, k} weight[o, c, k] · mask[n, k, i, j] · x[n, c]` at row
/// `i·stride + k_h·dilation − padding + offset[n, 2k, i, j]`, and the column likewise by `offset[n, 2k + 1, i, j]`, interpolated
/// bilinearly with zeros outside. Offsets are in elements of `x`.
///
/// The channels of `x` are divided among offset groups, and, for `weight`, among groups; how many of each there are follows
/// from the shapes. An offset that is NaN gives NaN and has the gradient 0; an infinite one lies outside.
///
/// # Shapes
/// - `x`: `(N, C_in, H, W)`
/// - `offset`: `(N, offset_groups · K_h · K_w · 2, H_out, W_out)`, pairs of (vertical, horizontal)
/// - `weight`: `(C_out, C_in / groups, K_h, K_w)`
/// - `bias`: `(C_out)`
/// - `mask`: `(N, offset_groups · K_h · K_w, H_out, W_out)`
/// - output: `(N, C_out, ⌊(H + 2·padding − dilation·(K_h − 1) − 1) / stride⌋ + 1, …)`
///
/// # Errors
/// [`Error::Argument`] if the shapes do not fit, have a zero, or the kernel exceeds the padded input.
pub fn deform_conv2d(
    x: &Tensor,
    offset: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    mask: Option<&Tensor>,
    params: &DeformConv2dParams,
) -> Result<Tensor> {
    let op = Columns::new(x, offset, weight, mask, params)?;
    let (c_out, c_group) = (weight.dim(0)?, weight.dim(1)?);
    let groups = op.channels / c_group;
    if c_out % groups != 0 {
        return Err(Error::argument(NAME, "C_out", c_out, format!("a multiple of the {groups} groups")));
    }
    if let Some(dims) = bias.map(Tensor::dims).filter(|dims| *dims != [c_out]) {
        return Err(Error::argument(NAME, "bias", dims, format!("[{c_out}]")));
    }
    let depth = c_group * op.kernel();
    let (x, offset) = (x.contiguous()?, offset.contiguous()?);
    let columns = match mask {
        Some(mask) => apply3([&x, &offset, &mask.contiguous()?], Keep::Inputs, op)?,
        None => apply2([&x, &offset], Keep::Inputs, op)?,
    }; // (N, C_in · K_h · K_w, H_out, W_out)
    let weight = weight.contiguous()?.reshape((c_out, depth, 1, 1))?;
    conv2d(&columns, &weight, bias, &Conv2dParams { groups, ..Conv2dParams::default() })
}

/// The matrix of what each kernel element sees at each position.
struct Columns {
    n: usize,
    channels: usize,
    offset_groups: usize,
    size: (usize, usize),
    out: (usize, usize),
    kernel: (usize, usize),
    params: DeformConv2dParams,
}

impl Columns {
    fn new(
        x: &Tensor,
        offset: &Tensor,
        weight: &Tensor,
        mask: Option<&Tensor>,
        params: &DeformConv2dParams,
    ) -> Result<Self> {
        let (n, channels, h, w) = dims4(NAME, x)?;
        let DeformConv2dParams { stride, padding, dilation } = *params;
        let (c_group, kernel) = match *weight.dims() {
            [_, c, kh, kw] if weight.elem_count() > 0 => (c, (kh, kw)),
            ref other => {
                let expected = "a shape (C_out, C_in / groups, K_h, K_w) without a zero";
                return Err(Error::argument(NAME, "weight", other, expected));
            }
        };
        if !channels.is_multiple_of(c_group) {
            return Err(Error::argument(NAME, "C_in", channels, format!("a multiple of weight's {c_group} channels")));
        }
        check_map(NAME, h, w)?;
        let out = (
            output_size(h, kernel.0, stride.0, padding.0, dilation.0)?,
            output_size(w, kernel.1, stride.1, padding.1, dilation.1)?,
        );
        let taps = kernel.0 * kernel.1;
        let offset_groups = match *offset.dims() {
            [m, c, oh, ow] if m == n && (oh, ow) == out && c > 0 && c % (2 * taps) == 0 => c / (2 * taps),
            ref other => {
                let expected = format!("a shape ({n}, a multiple of {}, {}, {})", 2 * taps, out.0, out.1);
                return Err(Error::argument(NAME, "offset", other, expected));
            }
        };
        if !channels.is_multiple_of(offset_groups) {
            let expected = format!("a divisor of the {channels} channels");
            return Err(Error::argument(NAME, "offset groups", offset_groups, expected));
        }
        let expected = [n, offset_groups * taps, out.0, out.1];
        if let Some(dims) = mask.map(Tensor::dims).filter(|dims| *dims != expected) {
            return Err(Error::argument(NAME, "mask", dims, format!("{expected:?}")));
        }
        Ok(Self { n, channels, offset_groups, size: (h, w), out, kernel, params: *params })
    }

    /// Kernel elements.
    fn kernel(&self) -> usize {
        self.kernel.0 * self.kernel.1
    }

    fn in_plane(&self) -> usize {
        self.size.0 * self.size.1
    }

    fn out_plane(&self) -> usize {
        self.out.0 * self.out.1
    }

    /// Channels that share their offsets.
    fn sharing(&self) -> usize {
        self.channels / self.offset_groups
    }

    fn out_shape(&self) -> Shape {
        (self.n, self.channels * self.kernel(), self.out.0, self.out.1).into()
    }

    fn placing<'a, T: Coordinate>(&self, offset: &'a [T]) -> Placing<'a, T> {
        let line = |out: usize, stride: usize, padding: usize| {
            (0..out).map(move |o| T::from_f64((o * stride) as f64 - padding as f64))
        };
        let DeformConv2dParams { stride, padding, dilation } = self.params;
        let cols: Vec<T> = line(self.out.1, stride.1, padding.1).collect();
        let rows = line(self.out.0, stride.0, padding.0);
        let tap = |k: usize| ((k / self.kernel.1 * dilation.0) as f64, (k % self.kernel.1 * dilation.1) as f64);
        Placing {
            offset,
            map: Map::new(self.size.0, self.size.1),
            rows: rows.flat_map(|y| std::iter::repeat_n(y, self.out.1)).collect(),
            cols: (0..self.out.0).flat_map(|_| cols.iter().copied()).collect(),
            taps: (0..self.kernel()).map(tap).map(|(y, x)| (T::from_f64(y), T::from_f64(x))).collect(),
        }
    }

    fn forward<T: Coordinate>(&self, x: &[T], offset: &[T], mask: Option<&[T]>) -> Vec<T> {
        let (placing, plane, input, taps) = (self.placing(offset), self.out_plane(), self.in_plane(), self.kernel());
        let channels = self.sharing();
        let mut columns = vec![T::zero(); self.n * self.channels * taps * plane];
        // A task has the rows of one offset group; each block of positions is placed for one kernel element after the other.
        let mut tasks = blocks(&mut columns, channels * taps, plane, BLOCK);
        tasks.par_iter_mut().for_each_init(Corners::new, |corners, task| {
            let n = task.rows[0].len();
            for tap in 0..taps {
                let plane_index = task.task * taps + tap;
                let (dy, dx) = placing.offsets(plane_index, task.start, n);
                corners.place(&placing.map, placing.positions(tap, task.start, dy, dx));
                if let Some(mask) = mask {
                    corners.scale(&mask[plane_index * plane + task.start..][..n]);
                }
                let planes = x[task.task * channels * input..].chunks_exact(input);
                for (row, image) in task.rows.iter_mut().skip(tap).step_by(taps).zip(planes) {
                    corners.read(&placing.map, [image], [row]);
                }
            }
        });
        columns
    }

    /// The gradients of `offset` and `mask`: the derivatives by position and factor, added up over the channels that share them.
    fn backward_offset<T: Coordinate>(
        &self,
        x: &[T],
        offset: &[T],
        mask: Option<&[T]>,
        grad: &[T],
    ) -> (Vec<T>, Vec<T>) {
        let (placing, plane, input, taps) = (self.placing(offset), self.out_plane(), self.in_plane(), self.kernel());
        let channels = self.sharing();
        let mut offset_gradient = vec![T::zero(); offset.len()];
        let mut mask_gradient = vec![T::zero(); mask.map_or(0, <[T]>::len)];
        let tasks = blocks(&mut offset_gradient, 2, plane, BLOCK).into_iter();
        let masks = blocks(&mut mask_gradient, 1, plane, BLOCK).into_iter().map(Some);
        let tasks: Vec<_> = tasks.zip(masks.chain(std::iter::repeat_with(|| None))).collect();
        tasks.into_par_iter().for_each_init(Corners::new, |corners, (mut task, mask_part)| {
            let [gy, gx] = &mut task.rows[..] else { return };
            let (start, n, tap) = (task.start, gy.len(), task.task % taps);
            let (dy, dx) = placing.offsets(task.task, start, n);
            let mut sums = [[T::zero(); BLOCK]; 4];
            corners.place(&placing.map, placing.positions(tap, start, dy, dx));
            let first = task.task / taps * channels;
            for c in first..first + channels {
                let grad = &grad[(c * taps + tap) * plane + start..][..n];
                corners.pull_back::<1, false, true>(&placing.map, [grad], [&mut []], [&x[c * input..]], &mut sums);
            }
            mask_part.into_iter().flat_map(|part| part.rows).for_each(|row| corners.weigh(&sums, row));
            corners.slopes(&placing.map, &mut sums);
            for (out, slopes) in [gy, gx].into_iter().zip(&sums) {
                out.copy_from_slice(&slopes[..n]);
                if let Some(mask) = mask {
                    out.iter_mut().zip(&mask[task.task * plane + start..]).for_each(|(g, &m)| *g *= m);
                }
            }
        });
        (offset_gradient, mask_gradient)
    }

    /// The gradient of `x`: each task owns whole planes, and adds to them in the order of kernel elements and positions.
    fn backward_x<T: Coordinate>(&self, offset: &[T], mask: Option<&[T]>, grad: &[T]) -> Vec<T> {
        let (placing, plane, input, taps) = (self.placing(offset), self.out_plane(), self.in_plane(), self.kernel());
        let channels = channels_per_task(self.n * self.offset_groups, self.sharing());
        let mut gx = vec![T::zero(); self.n * self.channels * input];
        let groups = gx.par_chunks_mut(self.sharing() * input).enumerate();
        let tasks = groups.flat_map(|(group, planes)| {
            let parts = planes.par_chunks_mut(channels * input).enumerate();
            parts.map(move |(i, planes)| (group, i * channels, planes))
        });
        tasks.for_each_init(Corners::new, |corners, (group, first, planes)| {
            let mut unused = [[T::zero(); BLOCK]; 4];
            for (tap, start) in (0..taps).flat_map(|tap| (0..plane).step_by(BLOCK).map(move |start| (tap, start))) {
                let n = BLOCK.min(plane - start);
                let (dy, dx) = placing.offsets(group * taps + tap, start, n);
                corners.place(&placing.map, placing.positions(tap, start, dy, dx));
                if let Some(mask) = mask {
                    corners.scale(&mask[(group * taps + tap) * plane + start..][..n]);
                }
                for (c, gx) in planes.chunks_exact_mut(input).enumerate() {
                    let channel = group * self.sharing() + first + c;
                    let grad = &grad[(channel * taps + tap) * plane + start..][..n];
                    corners.pull_back::<1, true, false>(&placing.map, [grad], [gx], [&[]], &mut unused);
                }
            }
        });
        gx
    }

    fn gradients(
        &self,
        x: &Tensor,
        offset: &Tensor,
        mask: Option<&Tensor>,
        grad: &Tensor,
    ) -> candle_core::Result<[Option<Tensor>; 3]> {
        let grad = grad.contiguous()?;
        with_real!(NAME, grad.dtype(), T => {
            slices!(NAME, T, xs = x, offsets = offset, masks = mask.unwrap_or(offset), gs = grad);
            let masks = mask.map(|_| masks);
            let gx = x.track_op().then(|| self.backward_x(offsets, masks, gs));
            let moved = offset.track_op() || mask.is_some_and(Tensor::track_op);
            let (goffset, gmask) = moved.then(|| self.backward_offset(xs, offsets, masks, gs)).unzip();
            let gmask = match mask {
                Some(mask) => gradient_of(mask, gmask.filter(|_| mask.track_op()))?,
                None => None,
            };
            Ok([gradient_of(x, gx)?, gradient_of(offset, goffset.filter(|_| offset.track_op()))?, gmask])
        })
    }
}

/// What a task needs to know to place positions.
struct Placing<'a, T> {
    offset: &'a [T],
    map: Map<T>,
    /// The row, and column, of the first kernel element at each position without an offset.
    rows: Vec<T>,
    cols: Vec<T>,
    /// Each kernel element's distance from the first.
    taps: Vec<(T, T)>,
}

impl<T: Coordinate> Placing<'_, T> {
    /// The vertical and horizontal offsets of the kernel element with the number `index` of all images and offset groups.
    fn offsets(&self, index: usize, start: usize, n: usize) -> (&[T], &[T]) {
        let plane = self.rows.len();
        (&self.offset[2 * index * plane + start..][..n], &self.offset[(2 * index + 1) * plane + start..][..n])
    }

    #[inline(always)]
    fn positions(&self, tap: usize, start: usize, dy: &[T], dx: &[T]) -> impl ExactSizeIterator<Item = (T, T)> {
        let (ky, kx) = self.taps[tap];
        let bases = self.rows[start..].iter().zip(&self.cols[start..]);
        bases.zip(dy.iter().zip(dx)).map(
            #[inline(always)]
            move |((&y, &x), (&dy, &dx))| (y + ky + dy, x + kx + dx),
        )
    }
}

/// `⌊(size + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1`.
fn output_size(size: usize, kernel: usize, stride: usize, padding: usize, dilation: usize) -> Result<usize> {
    if stride == 0 || dilation == 0 {
        return Err(Error::argument(NAME, "stride and dilation", (stride, dilation), "at least 1"));
    }
    let room = padding.checked_mul(2).and_then(|p| p.checked_add(size));
    let field = dilation.checked_mul(kernel - 1).and_then(|f| f.checked_add(1));
    match (room, field) {
        (Some(room), Some(field)) if room >= field => Ok((room - field) / stride + 1),
        _ => {
            let found = (size, padding, kernel, dilation);
            Err(Error::argument(NAME, "(size, padding, kernel, dilation)", found, "a kernel within the padded input"))
        }
    }
}

impl CustomOp2 for Columns {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        offset: &CpuStorage,
        ol: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(NAME, x.dtype(), T => {
            let columns = self.forward(slice::<T>(NAME, x, xl)?, slice(NAME, offset, ol)?, None);
            Ok((candle_core::WithDType::to_cpu_storage_owned(columns), self.out_shape()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        offset: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let [gx, goffset, _] = self.gradients(x, offset, None, grad)?;
        Ok((gx, goffset))
    }
}

impl CustomOp3 for Columns {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        offset: &CpuStorage,
        ol: &Layout,
        mask: &CpuStorage,
        ml: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(NAME, x.dtype(), T => {
            let mask = slice(NAME, mask, ml)?;
            let columns = self.forward(slice::<T>(NAME, x, xl)?, slice(NAME, offset, ol)?, Some(mask));
            Ok((candle_core::WithDType::to_cpu_storage_owned(columns), self.out_shape()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        offset: &Tensor,
        mask: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [gx, goffset, gmask] = self.gradients(x, offset, Some(mask), grad)?;
        Ok((gx, goffset, gmask))
    }
}
