//! The largest features of regions (Girshick, "Fast R-CNN", 2015, section 2.1).

use std::{ops::Range, sync::OnceLock};

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, WithDType, backend::BackendStorage as _};
use rayon::prelude::*;

use crate::{
    Result,
    cpu::{Real, slice, slices, with_real},
    node::{Keep, apply1},
};

use super::roi::{Regions, Roi};

const NAME: &str = "roi_pool";

/// The parameters of [`roi_pool`] with torchvision's names; pairs are (vertical, horizontal).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RoiPoolParams {
    /// Bins of each region.
    pub output_size: (usize, usize),
    /// Pixels of the features to a pixel of the boxes, 1/16 say.
    pub spatial_scale: f64,
}

/// The largest element in each bin of each region, whose corners are rounded to pixels (half away from 0) and of which both
/// belong to it; as `torchvision.ops.roi_pool`.
///
/// Bins may overlap by a row or a column. One that lies outside of the map gives 0. Among equals the first in reading order
/// takes the gradient. NaN counts as largest; torchvision passes over it.
///
/// # Shapes
/// - `x`: `(N, C, H, W)`, which has a gradient
/// - `boxes`: `(K, 5)` as batch index, `x1, y1, x2, y2`, without a gradient; K may be 0
/// - output: `(K, C, output_size.0, output_size.1)`
///
/// # Errors
/// [`Error::Argument`](crate::Error::Argument) if shapes, types or parameters do not fit, `x` has a zero in its shape, a batch
/// index is not one of `0..N`, or a box is not finite.
pub fn roi_pool(x: &Tensor, boxes: &Tensor, params: &RoiPoolParams) -> Result<Tensor> {
    let regions = Regions::new(NAME, x, boxes, params.output_size, params.spatial_scale)?;
    let op = RoiPool { regions, spatial_scale: params.spatial_scale, arg_max: OnceLock::new() };
    Ok(apply1(&x.contiguous()?, Keep::Nothing, op)?)
}

/// The place of an output that has no input.
const NOWHERE: u32 = u32::MAX;

struct RoiPool {
    regions: Regions,
    spatial_scale: f64,
    /// For each output the place of its maximum within the input's plane.
    arg_max: OnceLock<Vec<u32>>,
}

/// The pixels of each bin along one axis of `size` pixels.
fn windows<T: Real>((low, high): (f64, f64), scale: f64, bins: usize, size: usize) -> Vec<Range<usize>> {
    let pixel = |v: f64| (T::from_f64(v) * T::from_f64(scale)).round().to_f64();
    let (start, end) = (pixel(low), pixel(high));
    let bin = T::from_f64((end - start + 1.0).max(1.0)) / T::from_f64(bins as f64);
    // A conversion to usize ends at 0.
    let clip = |v: f64| ((start + v) as usize).min(size);
    let edge = |i: usize| T::from_f64(i as f64) * bin;
    (0..bins).map(|i| clip(edge(i).floor().to_f64())..clip(edge(i + 1).ceil().to_f64())).collect()
}

impl RoiPool {
    fn forward<T: Real>(&self, x: &[T]) -> (Vec<T>, Vec<u32>) {
        let (_, c, ..) = self.regions.features;
        let piece = c * self.regions.bins();
        let n = self.regions.rois.len() * piece;
        let (mut y, mut arg_max) = (vec![T::zero(); n], vec![NOWHERE; n]);
        let outputs = y.par_chunks_mut(piece).zip(arg_max.par_chunks_mut(piece));
        outputs.zip(&self.regions.rois).for_each(|((y, arg_max), roi)| self.pool(x, roi, y, arg_max));
        (y, arg_max)
    }

    fn pool<T: Real>(&self, x: &[T], roi: &Roi, y: &mut [T], arg_max: &mut [u32]) {
        let ((_, c, h, w), (rows, cols)) = (self.regions.features, self.regions.output_size);
        let [x1, y1, x2, y2] = roi.corners;
        let rows = windows::<T>((y1, y2), self.spatial_scale, rows, h);
        let cols = windows::<T>((x1, x2), self.spatial_scale, cols, w);
        let plane = self.regions.plane();
        let mut outputs = y.iter_mut().zip(arg_max);
        for x in x[roi.image * c * plane..][..c * plane].chunks_exact(plane) {
            let bins = rows.iter().flat_map(|rows| cols.iter().map(move |cols| (rows, cols)));
            for ((rows, cols), (y, arg_max)) in bins.zip(&mut outputs) {
                let places = rows.clone().flat_map(|row| cols.clone().map(move |col| row * w + col));
                let best = places.reduce(|best, i| if x[i] > x[best] || x[i].is_nan() { i } else { best });
                if let Some(best) = best {
                    (*y, *arg_max) = (x[best], best as u32);
                }
            }
        }
    }

    fn backward<T: Real>(&self, grad: &[T], arg_max: &[u32]) -> Vec<T> {
        let (n, c, ..) = self.regions.features;
        let (plane, bins) = (self.regions.plane(), self.regions.bins());
        let mut gx = vec![T::zero(); n * c * plane];
        // Each plane is one task's own, which adds region by region.
        gx.par_chunks_mut(plane).enumerate().for_each(|(i, gx)| {
            let (image, channel) = (i / c, i % c);
            for (k, _) in self.regions.of_image(image) {
                let outputs = (k * c + channel) * bins..(k * c + channel + 1) * bins;
                for (&g, &place) in grad[outputs.clone()].iter().zip(&arg_max[outputs]) {
                    if place != NOWHERE {
                        gx[place as usize] += g;
                    }
                }
            }
        });
        gx
    }
}

impl CustomOp1 for RoiPool {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(NAME, s.dtype(), T => {
            let (y, arg_max) = self.forward(slice::<T>(NAME, s, l)?);
            self.arg_max.get_or_init(|| arg_max);
            Ok((T::to_cpu_storage_owned(y), self.regions.shape().into()))
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
