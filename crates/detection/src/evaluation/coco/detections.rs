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
    id::{CocoId, RecordId},
    json::{Reader, Skipped, Unknown, begins_with, read},
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

/// A record as the file has it.
#[derive(Deserialize)]
struct Written {
    image_id: RecordId,
    category_id: RecordId,
    bbox: Corners,
    score: Finite,
}

/// A record in as few bytes as it needs: files have hundreds of thousands.
#[derive(Deserialize)]
#[serde(from = "Written")]
struct Record {
    ids: Ids,
    bbox: [f64; 4],
    score: f64,
}

/// The records of a file; values, where some are no records.
type Records = std::result::Result<Vec<Record>, Vec<Value>>;

/// The ids of image and category.
enum Ids {
    /// Small numbers, as nearly all are.
    Numbers(i64, i32),
    Others(Box<[RecordId; 2]>),
}

impl From<Written> for Record {
    fn from(Written { image_id, category_id, bbox: Corners(bbox), score: Finite(score) }: Written) -> Self {
        let numbers = match (&image_id, &category_id) {
            (&RecordId::Number(image), &RecordId::Number(category)) => i32::try_from(category).ok().map(|c| (image, c)),
            _ => None,
        };
        let ids = match numbers {
            Some((image, category)) => Ids::Numbers(image, category),
            None => Ids::Others(Box::new([image_id, category_id])),
        };
        Self { ids, bbox, score }
    }
}

impl Ids {
    fn split(self) -> [RecordId; 2] {
        match self {
            Self::Numbers(image, category) => [RecordId::Number(image), RecordId::Number(category.into())],
            Self::Others(ids) => *ids,
        }
    }
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
        let mut reader = Reader::new(path, unknown);
        // The file's bytes are gone before what is in them is sorted out.
        let document = Self::document(&reader, &read(path)?)?;
        Self::of(document, &mut reader, ground_truth)
    }

    /// [`CocoDetections::read`] from a file's bytes; `origin` names it in errors.
    ///
    /// # Errors
    /// As [`CocoDetections::read`].
    pub fn parse(bytes: &[u8], origin: &Path, ground_truth: &CocoGroundTruth, unknown: Unknown) -> Result<Self> {
        let mut reader = Reader::new(origin, unknown);
        let document = Self::document(&reader, bytes)?;
        Self::of(document, &mut reader, ground_truth)
    }

    fn document(reader: &Reader<'_>, bytes: &[u8]) -> Result<Records> {
        if begins_with(bytes, b'{') {
            const REASON: &str = "invalid type: map, expected a sequence of detections, each an object with image_id, \
                                  category_id, bbox and score";
            return Err(reader.fail(".".to_owned(), REASON.to_owned()));
        }
        reader.document(bytes)
    }

    fn of(document: Records, reader: &mut Reader<'_>, ground_truth: &CocoGroundTruth) -> Result<Self> {
        let (images, classes) = (ground_truth.image_places(), ground_truth.class_places());
        let n = document.as_ref().map_or_else(Vec::len, Vec::len);
        let mut found = Vec::with_capacity(n);
        let mut add = |reader: &mut Reader<'_>, index: usize, record: Record| -> Result<()> {
            let Record { ids, bbox, score } = record;
            let [image_id, category_id] = ids.split();
            let Some(image) = reader.find(&images, &image_id, ("image_id", "", index))? else { return Ok(()) };
            let class = reader.find(&classes, &category_id, ("category_id", "", index))?;
            found.extend(class.map(|class| Found { image, class, bbox, score }));
            Ok(())
        };
        match document {
            Ok(records) => {
                records.into_iter().enumerate().try_for_each(|(index, record)| add(reader, index, record))?;
            }
            Err(values) => {
                let records = reader.records("", values)?;
                records.into_iter().try_for_each(|(index, record)| add(reader, index, record))?;
            }
        }
        Ok(Self { found, skipped: std::mem::take(&mut reader.skipped) })
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
