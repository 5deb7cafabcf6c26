//! Features of regions, as each of the references pools them.

use sconce_core::{
    DType, Result, Tensor,
    geometry::BBox,
    ops::{self, RoiAlignAvgParams, RoiAlignParams, RoiPoolParams},
};
use serde::{Deserialize, Serialize};

use crate::coder::BoxConvention;

/// How regions of any size become maps of one size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RoiPoolConfig {
    /// Bins along both axes.
    pub size: usize,
    /// What a bin gets.
    pub operation: RoiOperation,
}

/// What a bin of a region gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RoiOperation {
    /// The mean of bilinear samples in it: [`ops::roi_align`], torchvision's.
    Align {
        /// Samples along each axis; 0 for one a pixel.
        sampling_ratio: usize,
        /// Whether coordinates count from the pixels' corners (Detectron2's correction).
        aligned: bool,
    },
    /// The mean of the samples at its corners: [`ops::roi_align_avg`], that of faster-rcnn.pytorch and its descendants.
    AlignAvg,
    /// The largest value: [`ops::roi_pool`] (Girshick, 2015).
    Pool,
}

impl RoiPoolConfig {
    /// The features of `boxes` in each image, images one after the other.
    ///
    /// # Shapes
    /// - `features`: `(N, C, H, W)`, a position of which is `stride` pixels
    /// - output: `(K, C, size, size)`, where K is the number of all boxes
    ///
    /// # Errors
    /// If shapes do not fit, or a box is not finite.
    pub fn pool(
        &self,
        features: &Tensor,
        boxes: &[Vec<BBox>],
        (stride, convention): (usize, BoxConvention),
    ) -> Result<Tensor> {
        let row = |(image, bbox): (usize, &BBox)| {
            let [x1, y1, x2, y2] = convention.corners(*bbox);
            [image as f64, x1, y1, x2, y2]
        };
        let rows: Vec<[f64; 5]> =
            boxes.iter().enumerate().flat_map(|(i, boxes)| boxes.iter().map(move |bbox| row((i, bbox)))).collect();
        let n = rows.len();
        let rois = Tensor::from_vec(rows.into_flattened(), (n, 5), features.device())?.to_dtype(features.dtype())?;
        let (output_size, spatial_scale) = ((self.size, self.size), 1.0 / stride as f64);
        match self.operation {
            RoiOperation::Align { sampling_ratio, aligned } => {
                let params = RoiAlignParams { output_size, spatial_scale, sampling_ratio, aligned };
                ops::roi_align(features, &rois, &params)
            }
            RoiOperation::AlignAvg => {
                ops::roi_align_avg(features, &rois, &RoiAlignAvgParams { output_size, spatial_scale })
            }
            RoiOperation::Pool => ops::roi_pool(features, &rois, &RoiPoolParams { output_size, spatial_scale }),
        }
    }
}

/// The values of a tensor as rows of four.
pub(crate) fn rows_of_four(t: &Tensor) -> Result<Vec<[f64; 4]>> {
    let values: Vec<f64> = t.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
    Ok(values.as_chunks().0.to_vec())
}
