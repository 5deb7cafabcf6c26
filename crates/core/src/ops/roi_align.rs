//! Features of regions, sampled between pixels (He et al., "Mask R-CNN", 2017, section 3).

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, WithDType, backend::BackendStorage as _};
use rayon::prelude::*;

use crate::{
    Result,
    cpu::{self, Piece, Real, kernel, slice, slices, with_real},
    node::{Keep, apply1},
};

use super::roi::{Regions, Roi};

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
    Ok(apply1(&x.contiguous()?, Keep::Nothing, RoiAlign { regions, params: *params })?)
}

/// Channels that are computed side by side. The features are kept in blocks of so many channels, in which those of one pixel
/// are neighbours.
const LANES: usize = 16;

/// The channels of a block at one pixel, or in one bin.
type Lanes<T> = [T; LANES];

/// A pixel along one axis and its share in a bin.
type Tap<T> = (usize, T);

/// The pixels along one axis that each bin sees. A bilinear sample is a product of shares in rows and in columns, and
/// whether it lies outside is decided for each axis, so that the sum over a grid of samples is a product of two sums.
struct Axis<T> {
    taps: Vec<Tap<T>>,
    /// Where the taps of each bin end.
    ends: Vec<usize>,
    /// Samples of each bin.
    samples: usize,
}

impl<T: Real> Axis<T> {
    fn new(params: &RoiAlignParams, (low, high): (f64, f64), bins: usize, size: usize) -> Self {
        let (scale, offset) = (T::from_f64(params.spatial_scale), T::from_f64(if params.aligned { 0.5 } else { 0.0 }));
        let start = T::from_f64(low) * scale - offset;
        let mut extent = T::from_f64(high) * scale - offset - start;
        if !params.aligned && extent < T::one() {
            extent = T::one();
        }
        let bin = extent / T::from_f64(bins as f64);
        // A negative number of samples becomes 0 of them.
        let samples = if params.sampling_ratio > 0 { params.sampling_ratio } else { bin.ceil().to_f64() as usize };
        let mut axis = Self { taps: Vec::new(), ends: Vec::with_capacity(bins), samples };
        let mut shares = vec![T::zero(); size];
        for i in 0..bins {
            let first = start + T::from_f64(i as f64) * bin;
            axis.push_bin(first, bin, &mut shares);
        }
        axis
    }

    /// Adds the bin that starts at `first`. `shares` is all 0, before and after.
    fn push_bin(&mut self, first: T, bin: T, shares: &mut [T]) {
        let (size, samples) = (shares.len(), T::from_f64(self.samples as f64));
        let mut touched = size..0;
        for i in inside(first.to_f64(), bin.to_f64() / self.samples as f64, self.samples, size) {
            let place = first + T::from_f64(i as f64 + 0.5) * bin / samples;
            if place < -T::one() || place > T::from_f64(size as f64) {
                continue;
            }
            let place = if place > T::zero() { place } else { T::zero() };
            let low = (place.to_f64() as usize).min(size - 1);
            let beyond = if low == size - 1 { T::zero() } else { place - T::from_f64(low as f64) };
            shares[low] += T::one() - beyond;
            let high = (low + 1).min(size - 1);
            shares[high] += beyond;
            touched = touched.start.min(low)..touched.end.max(high + 1);
        }
        for i in touched {
            let share = std::mem::replace(&mut shares[i], T::zero());
            if share != T::zero() {
                self.taps.push((i, share));
            }
        }
        self.ends.push(self.taps.len());
    }

    /// The taps of each bin in order.
    fn bins(&self) -> impl Iterator<Item = &[Tap<T>]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.taps[start..end])
    }
}

/// Those of `samples` points, `step` apart from half a step after `first` on, that may lie less than a pixel outside of
/// `0..size`. Of a region far larger than the map these are few.
fn inside(first: f64, step: f64, samples: usize, size: usize) -> std::ops::Range<usize> {
    if step <= 0.0 {
        return 0..samples;
    }
    // A conversion to usize ends at 0 and at the largest number. Two samples more, as these numbers are rounded.
    let start = ((-1.0 - first) / step - 2.5) as usize;
    let end = ((size as f64 - first) / step + 3.5) as usize;
    start.min(samples)..end.min(samples)
}

/// What a region looks at: rows, whose shares are divided by the number of samples, and columns.
struct Window<T> {
    rows: Axis<T>,
    cols: Axis<T>,
}

impl<T: Real> Window<T> {
    fn new(regions: &Regions, params: &RoiAlignParams, roi: &Roi) -> Self {
        let [x1, y1, x2, y2] = roi.corners;
        let (.., h, w) = regions.features;
        let mut rows = Axis::new(params, (y1, y2), params.output_size.0, h);
        let cols = Axis::new(params, (x1, x2), params.output_size.1, w);
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

struct RoiAlign {
    regions: Regions,
    params: RoiAlignParams,
}

impl RoiAlign {
    fn windows<T: Real>(&self) -> Vec<Window<T>> {
        self.regions.rois.par_iter().map(|roi| Window::new(&self.regions, &self.params, roi)).collect()
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
