//! COCO's files of results: `[{"image_id": 42, "category_id": 18, "bbox": [258.15, 41.29, 348.26, 243.78], "score": 0.236}, …]`.

use std::path::Path;

use sconce_core::geometry::BBox;
use serde::Deserialize;

use super::{
    super::{Result, error::RecordAt},
    boxes::{Found, Xywh},
    ground_truth::CocoGroundTruth,
    json::{Unknown, parse, read},
};
use crate::Detection;

/// The detections of a file, in its order.
#[derive(Clone, Debug)]
pub struct CocoDetections {
    found: Vec<Found>,
    n_skipped: usize,
}

#[derive(Deserialize)]
struct Record {
    image_id: i64,
    category_id: i64,
    bbox: Xywh,
    score: f64,
}

impl CocoDetections {
    /// Reads what a detector has found in the images of `ground_truth`.
    ///
    /// # Errors
    /// [`EvaluationError::Io`](super::super::EvaluationError::Io),
    /// [`Json`](super::super::EvaluationError::Json) for what is not as the format has it, and with [`Unknown::Refuse`]
    /// [`Record`](super::super::EvaluationError::Record) for an image or a category that the ground truth does not have.
    pub fn read(path: &Path, ground_truth: &CocoGroundTruth, unknown: Unknown) -> Result<Self> {
        Self::parse(&read(path)?, path, ground_truth, unknown)
    }

    /// [`CocoDetections::read`] from a file's bytes; `origin` names it in errors.
    ///
    /// # Errors
    /// As [`CocoDetections::read`].
    pub fn parse(bytes: &[u8], origin: &Path, ground_truth: &CocoGroundTruth, unknown: Unknown) -> Result<Self> {
        let records: Vec<Record> = parse(bytes, origin)?;
        let (images, classes) = (ground_truth.image_places(), ground_truth.class_places());
        let n = records.len();
        let mut found = Vec::with_capacity(n);
        for (index, record) in records.into_iter().enumerate() {
            let at = RecordAt { origin: &origin.display(), list: "", index };
            let image = images.find(record.image_id, "image_id", unknown, at)?;
            let class = classes.find(record.category_id, "category_id", unknown, at)?;
            if let Some((image, class)) = image.zip(class) {
                found.push(Found { image, class, bbox: record.bbox, score: record.score });
            }
        }
        let n_skipped = n - found.len();
        Ok(Self { found, n_skipped })
    }

    /// The number of detections.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The number of detections in other images or of other categories, which were skipped.
    pub fn n_skipped(&self) -> usize {
        self.n_skipped
    }

    /// The detections in every image of `ground_truth`, of which they were read, in the order of its images.
    pub fn by_image(&self, ground_truth: &CocoGroundTruth) -> Vec<Vec<Detection>> {
        let mut detections = vec![Vec::new(); ground_truth.images().len()];
        for found in &self.found {
            let [x, y, width, height] = found.bbox;
            let bbox = BBox::from_xywh(x, y, width, height);
            // Another ground truth may have fewer images.
            if let Some(here) = detections.get_mut(found.image as usize) {
                here.push(Detection { bbox, label: found.class, score: found.score });
            }
        }
        detections
    }

    pub(super) fn found(&self) -> &[Found] {
        &self.found
    }
}
