//! Features of regions, sampled between pixels (He et al., "Mask R-CNN", 2017, section 3).

mod axis;

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, WithDType, backend::BackendStorage as _};
use rayon::prelude::*;

use crate::{
    Result,
    cpu::{self, Piece, Real, kernel, slice, slices, with_real},
    node::{Keep, apply1},
};

use super::roi::{Regions, Roi};
use axis::Axis;

const NAME: &str = "roi_align";

/// The parameters of [`roi_align`] with torchvision's names; pairs are (vertical, horizontal).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RoiAlignParams {
    /// Bins of each region.
    pub output_size: (usize, usize),
    /// Pixels of the features to a pixel of the boxes, 1/16 say.
    pub spatial_scale: f64,
    /// Sampling points of a bin along each axis; 0 takes as many as the bin has pixels, rounded up.
    pub sampling_ratio: usize,
    /// Whether a box's coordinates count from the pixels' corners, half a pixel before their centres. Without it, as Faster
    /// R-CNN had it, regions are also at least one pixel wide and high.
    pub aligned: bool,
}

/// The mean of bilinear samples in each bin of each region, as `torchvision.ops.roi_align`.
///
/// A sample more than a pixel outside of the map counts as 0, one nearer than that takes the map's edge. A region without an
/// extent gives 0 if `aligned` and `sampling_ratio` is 0.
///
/// # Shapes
/// - `x`: `(N, C, H, W)`, which has a gradient
/// - `boxes`: `(K, 5)` as batch index, `x1, y1, x2, y2`, without a gradient; K may be 0
/// - output: `(K, C, output_size.0, output_size.1)`
///
/// # Errors
/// [`Error::Argument`](crate::Error::Argument) if shapes, types or parameters do not fit, `x` has a zero in its shape, a batch
/// index is not one of `0..N`, or a box is not finite.
pub fn roi_align(x: &Tensor, boxes: &Tensor, params: &RoiAlignParams) -> Result<Tensor> {
    let regions = Regions::new(NAME, x, boxes, params.output_size, params.spatial_scale)?;
    Ok(apply1(&x.contiguous()?, Keep::Nothing, RoiAlign { regions, samples: Samples::InBins(*params) })?)
}

/// The parameters of [`roi_align_avg`]; pairs are (vertical, horizontal).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RoiAlignAvgParams {
    /// Bins of each region.
    pub output_size: (usize, usize),
    /// Pixels of the features to a pixel of the boxes, 1/16 say.
    pub spatial_scale: f64,
}

/// The mean of four bilinear samples at the corners of each bin: `RoIAlignAvg` of the detectors that descend from
/// faster-rcnn.pytorch (Yang et al., 2017), whose results differ from [`roi_align`]'s.
///
/// A region is `x2 − x1 + 1` pixels *of the features* wide after scaling. A sample left of the first pixel's place or a pixel
/// beyond the last one's counts as 0; in that last pixel the line through the last two goes on.
///
/// # Shapes
/// - `x`: `(N, C, H, W)`, which has a gradient
/// - `boxes`: `(K, 5)` as batch index, `x1, y1, x2, y2` with `x2, y2` the last pixel, without a gradient; K may be 0
/// - output: `(K, C, output_size.0, output_size.1)`
///
/// # Errors
/// As [`roi_align`].
pub fn roi_align_avg(x: &Tensor, boxes: &Tensor, params: &RoiAlignAvgParams) -> Result<Tensor> {
    let regions = Regions::new("roi_align_avg", x, boxes, params.output_size, params.spatial_scale)?;
    Ok(apply1(&x.contiguous()?, Keep::Nothing, RoiAlign { regions, samples: Samples::AtCorners(*params) })?)
}

/// Channels that are computed side by side. The features are kept in blocks of so many channels, in which those of one pixel
/// are neighbours.
const LANES: usize = 16;

/// The channels of a block at one pixel, or in one bin.
type Lanes<T> = [T; LANES];

/// What a region looks at: rows, whose shares are divided by the number of samples, and columns.
struct Window<T> {
    rows: Axis<T>,
    cols: Axis<T>,
}

impl<T: Real> Window<T> {
    fn new(regions: &Regions, samples: &Samples, roi: &Roi) -> Self {
        let [x1, y1, x2, y2] = roi.corners;
        let ((.., h, w), (down, across)) = (regions.features, regions.output_size);
        let axis = |ends, bins, size| match samples {
            Samples::InBins(params) => Axis::new(params, ends, bins, size),
            Samples::AtCorners(params) => Axis::between_corners(params, ends, bins, size),
        };
        let (mut rows, cols) = (axis((y1, y2), down, h), axis((x1, x2), across, w));
        let samples = T::from_f64((rows.samples as f64 * cols.samples as f64).max(1.0));
        rows.taps.iter_mut().for_each(|(_, share)| *share /= samples);
        Self { rows, cols }
    }

    /// The mean of each bin of a block of channels whose rows have `width` pixels.
    #[inline(always)]
    fn sample(&self, block: &[Lanes<T>], width: usize, bins: &mut [Lanes<T>]) {
        let mut bins = bins.iter_mut();
        for rows in self.rows.bins() {
            for (cols, bin) in self.cols.bins().zip(&mut bins) {
                let mut sum = [T::zero(); LANES];
                for &(row, row_share) in rows {
                    let pixels = &block[row * width..][..width];
                    let mut line = [T::zero(); LANES];
                    for &(col, share) in cols {
                        line.iter_mut().zip(&pixels[col]).for_each(|(line, &x)| *line += share * x);
                    }
                    sum.iter_mut().zip(&line).for_each(|(sum, &line)| *sum += row_share * line);
                }
                *bin = sum;
            }
        }
    }

    /// Adds the gradients of the bins to that of the block which they were sampled from.
    #[inline(always)]
    fn spread(&self, bins: &[Lanes<T>], width: usize, block: &mut [Lanes<T>]) {
        let mut bins = bins.iter();
        for rows in self.rows.bins() {
            for (cols, bin) in self.cols.bins().zip(&mut bins) {
                for &(row, row_share) in rows {
                    let pixels = &mut block[row * width..][..width];
                    let line = bin.map(|g| row_share * g);
                    for &(col, share) in cols {
                        pixels[col].iter_mut().zip(&line).for_each(|(x, &g)| *x += share * g);
                    }
                }
            }
        }
    }
}

kernel! {
    fn sample<'a, T: Real>(
        window: &'a Window<T>,
        block: &'a [Lanes<T>],
        width: usize,
        bins: &'a mut [Lanes<T>],
    ) -> () {
        window.sample(block, width, bins);
    }
}

kernel! {
    fn spread<'a, T: Real>(
        window: &'a Window<T>,
        bins: &'a [Lanes<T>],
        width: usize,
        block: &'a mut [Lanes<T>],
    ) -> () {
        window.spread(bins, width, block);
    }
}

/// Copies some channels of `positions` each, one after the other, to a block, whose other lanes become 0.
fn interleave<T: Real>(channels: &[T], positions: usize, block: &mut [Lanes<T>]) {
    let mut planes = channels.chunks_exact(positions);
    let planes: [&[T]; LANES] = std::array::from_fn(|_| planes.next().unwrap_or(&[]));
    if planes.iter().all(|plane| plane.len() == block.len()) {
        for (position, pixel) in block.iter_mut().enumerate() {
            *pixel = planes.map(|plane| plane[position]);
        }
        return;
    }
    for (position, pixel) in block.iter_mut().enumerate() {
        *pixel = planes.map(|plane| plane.get(position).copied().unwrap_or_else(T::zero));
    }
}

/// Where samples are taken.
enum Samples {
    /// In a grid in each bin.
    InBins(RoiAlignParams),
    /// At each bin's corners.
    AtCorners(RoiAlignAvgParams),
}

struct RoiAlign {
    regions: Regions,
    samples: Samples,
}

impl RoiAlign {
    fn windows<T: Real>(&self) -> Vec<Window<T>> {
        self.regions.rois.par_iter().map(|roi| Window::new(&self.regions, &self.samples, roi)).collect()
    }

    fn forward<T: Real>(&self, x: &[T]) -> Vec<T> {
        let (_, c, _, w) = self.regions.features;
        let (plane, bins, blocks) = (self.regions.plane(), self.regions.bins(), c.div_ceil(LANES));
        let mut features = vec![[T::zero(); LANES]; x.len() / c * blocks];
        features.par_chunks_mut(plane).enumerate().for_each(|(i, block)| {
            let (image, first) = (i / blocks, i % blocks * LANES);
            let channels = &x[(image * c + first) * plane..][..LANES.min(c - first) * plane];
            interleave(channels, plane, block);
        });
        let windows = self.windows::<T>();
        cpu::build(windows.len() * c * bins, c * bins, |k, y: &mut Piece<'_, T>| {
            let image = &features[self.regions.rois[k].image * blocks * plane..][..blocks * plane];
            let mut means = vec![[T::zero(); LANES]; bins];
            for (i, block) in image.chunks_exact(plane).enumerate() {
                sample(&windows[k], block, w, &mut means);
                for lane in 0..LANES.min(c - i * LANES) {
                    y.extend(means.iter().map(|mean| mean[lane]));
                }
            }
        })
    }

    fn backward<T: Real>(&self, grad: &[T]) -> Vec<T> {
        let (n, c, _, w) = self.regions.features;
        let (plane, bins) = (self.regions.plane(), self.regions.bins());
        let windows = self.windows::<T>();
        let mut gx = vec![T::zero(); n * c * plane];
        // Each block of channels of an image is one task's own, which adds region by region.
        gx.par_chunks_mut(c * plane).enumerate().for_each(|(image, gx)| {
            gx.par_chunks_mut(LANES * plane).enumerate().for_each(|(i, gx)| {
                let (first, channels) = (i * LANES, gx.len() / plane);
                let mut block = vec![[T::zero(); LANES]; plane];
                let mut means = vec![[T::zero(); LANES]; bins];
                for (k, _) in self.regions.of_image(image) {
                    let grad = &grad[(k * c + first) * bins..][..channels * bins];
                    interleave(grad, bins, &mut means);
                    spread(&windows[k], &means, w, &mut block);
                }
                for (lane, gx) in gx.chunks_exact_mut(plane).enumerate() {
                    gx.iter_mut().zip(&block).for_each(|(gx, pixel)| *gx = pixel[lane]);
                }
            });
        });
        gx
    }
}

impl CustomOp1 for RoiAlign {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(NAME, s.dtype(), T => {
            let y = self.forward(slice::<T>(NAME, s, l)?);
            Ok((T::to_cpu_storage_owned(y), self.regions.shape().into()))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        with_real!(NAME, grad.dtype(), T => {
            slices!(NAME, T, g = grad);
            Tensor::from_vec(self.backward(g), x.shape(), x.device()).map(Some)
        })
    }
}
