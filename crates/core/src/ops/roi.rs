//! Regions of interest, as the operations on them share them.

use candle_core::{DType, Tensor};

use crate::{Error, Result};

use super::{arguments::same_real, pooling::dims4};

/// A box in one image of the batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Roi {
    pub(super) image: usize,
    /// `x1, y1, x2, y2` as given: numbers of the features' own type.
    pub(super) corners: [f64; 4],
}

/// A feature map and the regions of it that an operation looks at.
pub(super) struct Regions {
    pub(super) rois: Vec<Roi>,
    /// `(N, C, H, W)` of the features.
    pub(super) features: (usize, usize, usize, usize),
    /// Bins of each region, vertically and horizontally.
    pub(super) output_size: (usize, usize),
}

impl Regions {
    /// Checks the arguments that all operations on regions have in common.
    pub(super) fn new(
        op: &'static str,
        x: &Tensor,
        boxes: &Tensor,
        output_size: (usize, usize),
        spatial_scale: f64,
    ) -> Result<Self> {
        let features = dims4(op, x)?;
        if boxes.rank() != 2 || boxes.dims()[1] != 5 {
            return Err(Error::argument(op, "boxes", boxes.dims(), "a shape (K, 5)"));
        }
        same_real(op, "boxes", boxes, x)?;
        if output_size.0 == 0 || output_size.1 == 0 {
            return Err(Error::argument(op, "output_size", output_size, "at least (1, 1)"));
        }
        if !(spatial_scale > 0.0 && spatial_scale.is_finite()) {
            return Err(Error::argument(op, "spatial_scale", spatial_scale, "above 0 and finite"));
        }
        let numbers: Vec<f64> = boxes.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
        let (rows, _) = numbers.as_chunks::<5>();
        let roi = |&[image, ref corners @ ..]: &[f64; 5]| {
            if !(image >= 0.0 && image < features.0 as f64 && image.fract() == 0.0) {
                let expected = format!("a whole number below the batch size, {}", features.0);
                return Err(Error::argument(op, "the batch index of a box", image, expected));
            }
            // Far outside of any image, and far from where the arithmetic overflows.
            if !corners.iter().all(|c| (c * spatial_scale).abs() <= 1e9) {
                return Err(Error::argument(op, "a box", corners, "finite, and within 1e9 pixels of the features"));
            }
            Ok(Roi { image: image as usize, corners: *corners })
        };
        Ok(Self { rois: rows.iter().map(roi).collect::<Result<_>>()?, features, output_size })
    }

    /// Bins of a region.
    pub(super) fn bins(&self) -> usize {
        self.output_size.0 * self.output_size.1
    }

    /// Positions of a plane of the features.
    pub(super) fn plane(&self) -> usize {
        self.features.2 * self.features.3
    }

    /// The output's shape.
    pub(super) fn shape(&self) -> (usize, usize, usize, usize) {
        (self.rois.len(), self.features.1, self.output_size.0, self.output_size.1)
    }

    /// Those regions that lie in `image`, with their numbers.
    pub(super) fn of_image(&self, image: usize) -> impl Iterator<Item = (usize, &Roi)> {
        self.rois.iter().enumerate().filter(move |(_, roi)| roi.image == image)
    }
}
