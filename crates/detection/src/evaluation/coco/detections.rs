//! COCO's files of results: `[{"image_id": 42, "category_id": 18, "bbox": [258.15, 41.29, 348.26, 243.78], "score": 0.236}, …]`.

use std::path::Path;

use sconce_core::geometry::BBox;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    super::Result,
    boxes::Found,
    fields::{Corners, Finite},
    ground_truth::CocoGroundTruth,
    id::CocoId,
    json::{Reader, Skipped, Unknown, begins_with, numbered, read},
};
use crate::Detection;

/// The detections of a file, in its order.
#[derive(Clone, Debug)]
pub struct CocoDetections {
    found: Vec<Found>,
    skipped: Skipped,
}

/// A record of a file of results, for who writes one: a list of these as JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CocoResult {
    /// What the ground truth calls the image.
    pub image_id: CocoId,
    /// What the ground truth calls the category.
    pub category_id: CocoId,
    /// `x`, `y`, width and height in pixels.
    pub bbox: [f64; 4],
    /// How sure the detector is.
    pub score: f64,
}

impl CocoResult {
    /// A detection in an image; its label is the place of `category_id` among the classes.
    pub fn new(image_id: CocoId, category_id: CocoId, detection: &Detection) -> Self {
        Self { image_id, category_id, bbox: detection.bbox.xywh(), score: detection.score }
    }
}

#[derive(Deserialize)]
struct Record {
    image_id: CocoId,
    category_id: CocoId,
    bbox: Corners,
    score: Finite,
}

impl CocoDetections {
    /// Reads what a detector has found in the images of `ground_truth`. `NaN` and `Infinity` are read as Python does, where
    /// they are not needed.
    ///
    /// # Errors
    /// [`EvaluationError::Io`](super::super::EvaluationError::Io),
    /// [`Json`](super::super::EvaluationError::Json) for a file that is not JSON or no list, and with [`Unknown::Refuse`]
    /// for a record that is not as the format has it, or [`Record`](super::super::EvaluationError::Record) for one of an
    /// image or a category that the ground truth does not have.
    pub fn read(path: &Path, ground_truth: &CocoGroundTruth, unknown: Unknown) -> Result<Self> {
        Self::parse(&read(path)?, path, ground_truth, unknown)
    }

    /// [`CocoDetections::read`] from a file's bytes; `origin` names it in errors.
    ///
    /// # Errors
    /// As [`CocoDetections::read`].
    pub fn parse(bytes: &[u8], origin: &Path, ground_truth: &CocoGroundTruth, unknown: Unknown) -> Result<Self> {
        let mut reader = Reader::new(origin, unknown);
        if begins_with(bytes, b'{') {
            const REASON: &str = "invalid type: map, expected a sequence of detections, each an object with image_id, \
                                  category_id, bbox and score";
            return Err(reader.fail(".".to_owned(), REASON.to_owned()));
        }
        let records = match reader.document::<Vec<Record>, Vec<Value>>(bytes)? {
            Ok(records) => numbered(records),
            Err(values) => reader.records("", values)?,
        };
        let (images, classes) = (ground_truth.image_places(), ground_truth.class_places());
        let mut found = Vec::with_capacity(records.len());
        for (index, record) in records {
            let Some(image) = reader.find(&images, &record.image_id, ("image_id", "", index))? else { continue };
            let Some(class) = reader.find(&classes, &record.category_id, ("category_id", "", index))? else { continue };
            found.push(Found { image, class, bbox: record.bbox.0, score: record.score.0 });
        }
        Ok(Self { found, skipped: reader.skipped })
    }

    /// The number of detections.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The number of records that were skipped.
    pub fn n_skipped(&self) -> usize {
        self.skipped.n
    }

    /// The records that were skipped.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
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
