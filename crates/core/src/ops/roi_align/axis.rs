//! The pixels of one axis that the bins of a region see.

use crate::cpu::Real;

use super::{RoiAlignAvgParams, RoiAlignParams};

/// A pixel along one axis and its share in a bin.
pub(super) type Tap<T> = (usize, T);

/// The pixels along one axis that each bin sees. A bilinear sample is a product of shares in rows and in columns, and
/// whether it lies outside is decided for each axis, so that the sum over a grid of samples is a product of two sums.
pub(super) struct Axis<T> {
    pub(super) taps: Vec<Tap<T>>,
    /// Where the taps of each bin end.
    ends: Vec<usize>,
    /// Samples of each bin, by whose number its sum is to be divided.
    pub(super) samples: usize,
}

impl<T: Real> Axis<T> {
    /// The samples that torchvision takes.
    pub(super) fn new(params: &RoiAlignParams, (low, high): (f64, f64), bins: usize, size: usize) -> Self {
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

    /// The points of Detectron's first port to PyTorch: one a corner of each bin, of which the bin takes half along this axis.
    pub(super) fn between_corners(
        params: &RoiAlignAvgParams,
        (low, high): (f64, f64),
        bins: usize,
        size: usize,
    ) -> Self {
        let scale = T::from_f64(params.spatial_scale);
        let start = T::from_f64(low) * scale;
        let extent = T::from_f64(high) * scale - start + T::one();
        let extent = if extent > T::zero() { extent } else { T::zero() };
        let step = extent / T::from_f64(bins as f64);
        let mut axis = Self { taps: Vec::new(), ends: Vec::with_capacity(bins), samples: 1 };
        let mut shares = vec![T::zero(); size];
        for bin in 0..bins {
            let mut touched = size..0;
            for corner in [bin, bin + 1] {
                let place = T::from_f64(corner as f64) * step + start;
                if !(place >= T::zero() && place < T::from_f64(size as f64)) {
                    continue;
                }
                // Beyond the last pixel the line through the last two goes on.
                let low = (place.to_f64() as usize).min(size.saturating_sub(2));
                let beyond = if size == 1 { T::zero() } else { place - T::from_f64(low as f64) };
                let (high, half) = ((low + 1).min(size - 1), T::from_f64(0.5));
                shares[low] += half * (T::one() - beyond);
                shares[high] += half * beyond;
                touched = touched.start.min(low)..touched.end.max(high + 1);
            }
            axis.close_bin(touched, &mut shares);
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
        self.close_bin(touched, shares);
    }

    /// Makes taps of the pixels that were `touched`, whose shares become 0 again.
    fn close_bin(&mut self, touched: std::ops::Range<usize>, shares: &mut [T]) {
        for i in touched {
            let share = std::mem::replace(&mut shares[i], T::zero());
            if share != T::zero() {
                self.taps.push((i, share));
            }
        }
        self.ends.push(self.taps.len());
    }

    /// The taps of each bin in order.
    pub(super) fn bins(&self) -> impl Iterator<Item = &[Tap<T>]> {
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
