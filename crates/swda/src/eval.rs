//! How good a model is on labelled images (feature `cli`).

use sconce_core::{Batches, Device, geometry::Object};
use sconce_data::{
    DataError, DetectionBatch, DetectionDataset, DetectionPipeline, DetectionSource, Loader, LoaderConfig,
};
use sconce_detection::{
    Detection,
    evaluation::{ImageResult, coco, voc},
};
use sconce_engine::Metrics;
use serde::{Deserialize, Serialize};

use crate::{
    error::{Result, SwdaError},
    model::{Images, Swda},
};

/// Which measure is the headline's, `ap50` among the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// COCO's average precision at an overlap of 0.5, by 101 points.
    #[default]
    Coco,
    /// Pascal VOC's of 2007, by 11 points: the paper's for all targets.
    Voc2007,
    /// The same, with results rounded as the official code writes them.
    Voc2007AsCode,
    /// Pascal VOC's of 2010 and later, by all points.
    Voc2010,
}

/// What was found in each image of a dataset, in the images' own pixels, beside what is there.
#[derive(Clone, Debug)]
pub struct Results {
    /// By sample.
    pub images: Vec<ImageResult>,
}

/// Average precisions, 0 to 1.
#[derive(Clone, Debug)]
pub struct Precision {
    /// The mean over classes at an overlap of 0.5, by the measure that was asked for.
    pub ap50: f64,
    /// Of each class; `None` for a class without objects.
    pub per_class: Vec<Option<f64>>,
    /// COCO's mean over overlaps.
    pub ap: f64,
    /// COCO's twelve numbers.
    pub coco: [f64; 12],
}

/// Runs `model` on all of `dataset`, in batches where all images have one size, else one by one: what is found in an image does not
/// depend on others, beside which it would be padded.
///
/// # Errors
/// If an image cannot be read.
pub fn detect(
    model: &Swda,
    dataset: &DetectionDataset,
    pipeline: &DetectionPipeline,
    batch_size: usize,
    device: &Device,
) -> Result<Results> {
    let source = DetectionSource::new(dataset.clone(), pipeline.clone()).map_err(other)?.with_key("data.eval");
    let is_alike = dataset.samples().windows(2).all(|pair| pair[0].size == pair[1].size);
    let batch_size = if is_alike { batch_size } else { 1 };
    let config = LoaderConfig { batch_size, shuffle: false, drop_last: false, ..LoaderConfig::default() };
    let mut batches = Loader::new(source, config).map_err(other)?;
    let mut images = vec![ImageResult::default(); dataset.len()];
    for _ in 0..batches.batches_per_epoch() {
        let batch = batches.next_batch().map_err(other)?;
        let found = model.detect(&on_device(&batch, device)?)?;
        for ((found, &index), &scale) in found.into_iter().zip(&batch.indices).zip(&batch.scales) {
            let objects: Vec<Object> = dataset.sample(index).objects.clone();
            images[index] = ImageResult { objects, detections: unscaled(found, scale) };
        }
    }
    Ok(Results { images })
}

/// The images of a batch, for a model on `device`.
///
/// # Errors
/// If the device fails.
pub(crate) fn on_device(batch: &DetectionBatch, device: &Device) -> Result<Images> {
    let images = batch.images.to_device(device).map_err(sconce_core::Error::from)?;
    Ok(Images { images, sizes: batch.sizes.clone() })
}

/// Detections in pixels of the image before it was resized by the factors `x` and `y`.
pub(crate) fn unscaled(detections: Vec<Detection>, (x, y): (f64, f64)) -> Vec<Detection> {
    detections.into_iter().map(|d| Detection { bbox: d.bbox.scaled(1.0 / x, 1.0 / y), ..d }).collect()
}

pub(crate) fn other(error: DataError) -> SwdaError {
    SwdaError::Other(Box::new(error))
}

impl Results {
    /// How good they are.
    ///
    /// # Errors
    /// If a label is no class or a number is not finite.
    pub fn precision(&self, n_classes: usize, measure: Measure) -> Result<Precision> {
        let failed = |e: sconce_detection::evaluation::EvaluationError| SwdaError::Other(Box::new(e));
        let coco = coco::evaluate_images(&self.images, n_classes, &coco::CocoParams::default()).map_err(failed)?;
        let summary = coco.summary();
        let params = match measure {
            Measure::Coco => None,
            Measure::Voc2007 => Some(voc::VocParams::voc2007()),
            Measure::Voc2007AsCode => Some(voc::VocParams::as_code()),
            Measure::Voc2010 => Some(voc::VocParams::voc2010()),
        };
        let (ap50, per_class) = match params {
            None => {
                let class = |class| coco.class_summary(class).map(|s| s.ap50).filter(|ap| *ap >= 0.0);
                (summary.ap50.max(0.0), (0..n_classes).map(class).collect())
            }
            Some(params) => {
                let voc = voc::evaluate(&self.images, n_classes, &params).map_err(failed)?;
                (voc.mean_ap.unwrap_or(0.0), voc.classes.iter().map(|class| class.ap).collect())
            }
        };
        Ok(Precision { ap50, per_class, ap: summary.ap.max(0.0), coco: summary.stats() })
    }
}

impl Precision {
    /// As a run logs them.
    pub fn metrics(&self) -> Metrics {
        [("ap50", self.ap50), ("ap", self.ap)].map(|(name, value)| (name.to_owned(), value)).into()
    }
}

#[cfg(test)]
mod tests {
    use sconce_core::geometry::BBox;

    use super::*;

    #[test]
    fn what_was_found_is_scaled_back_along_each_axis() {
        let found = |bbox| vec![Detection { bbox, label: 1, score: 0.5 }];
        // An image of 100×40 pixels that the network saw as 200×120.
        let back = unscaled(found(BBox::new(20.0, 30.0, 60.0, 120.0)), (2.0, 3.0));
        assert_eq!(back, found(BBox::new(10.0, 10.0, 30.0, 40.0)));
    }
}
