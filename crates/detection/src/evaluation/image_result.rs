//! What an evaluation is told of an image.

use sconce_core::geometry::{BBox, Object};

use super::{Result, error::RecordAt};
use crate::Detection;

/// What is in an image, and what a detector has found there, both in the same pixels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageResult {
    /// What annotators have seen.
    pub objects: Vec<Object>,
    /// What the detector says, in any order. Of equal scores the first ranks first.
    pub detections: Vec<Detection>,
}

impl ImageResult {
    /// Checks that every label is a class and every number finite.
    pub(super) fn check(&self, image: usize, n_classes: usize) -> Result<()> {
        let origin = format_args!("image {image}");
        for (index, object) in self.objects.iter().enumerate() {
            let at = RecordAt { origin: &origin, list: "objects", index };
            check_box(at, object.bbox)?;
            check_label(at, object.label, n_classes)?;
            if let Some(area) = object.area.filter(|area| !area.is_finite()) {
                return Err(at.fail("area", area, "a finite number"));
            }
        }
        for (index, detection) in self.detections.iter().enumerate() {
            let at = RecordAt { origin: &origin, list: "detections", index };
            check_box(at, detection.bbox)?;
            check_label(at, detection.label, n_classes)?;
            if !detection.score.is_finite() {
                return Err(at.fail("score", detection.score, "a finite number"));
            }
        }
        Ok(())
    }
}

fn check_box(at: RecordAt<'_>, bbox: BBox) -> Result<()> {
    let edges = bbox.xyxy();
    if edges.iter().all(|edge| edge.is_finite()) {
        Ok(())
    } else {
        Err(at.fail("bbox", format_args!("{edges:?}"), "finite numbers"))
    }
}

fn check_label(at: RecordAt<'_>, label: u32, n_classes: usize) -> Result<()> {
    if (label as usize) < n_classes {
        Ok(())
    } else {
        Err(at.fail("label", label, format_args!("a class below {n_classes}")))
    }
}
