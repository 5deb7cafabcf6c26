//! COCO's average precision and recall of boxes, in the twelve numbers of pycocotools.
//!
//! Every class is evaluated by itself, at ten overlaps from 0.5 to 0.95, for objects of all sizes, small (below 32² pixels),
//! medium and large ones (above 96²), and with at most 1, 10 and 100 detections an image and class.
//! The numbers are those of pycocotools 2.0.11, of which every comparison is done in the same order:
//!
//! - detections take the objects that they overlap most, in the order of their scores; equal scores rank by image and place;
//! - a crowd may be taken many times, its overlap is the part of the detection inside of it, and what takes it does not
//!   count; nor do objects outside of the range of sizes, or what takes them, or detections outside of it that take nothing;
//! - precision is read at 101 recalls, from the right made monotonous; it is 0 at recalls that are not reached;
//! - a class without an object that counts is left out of every mean, and a mean of nothing is −1.
//!
//! One oddity comes with that: pycocotools marks a detection as matched by the object's id, so that a detection which takes
//! the annotation of the id 0 counts as wrong. COCO's own ids begin at 1; [`CocoGroundTruth::zero_id`] says if others do not.
//!
//! | pycocotools | here |
//! |---|---|
//! | `COCO`, `loadRes` | [`CocoGroundTruth`], [`CocoDetections`] |
//! | `Params` | [`CocoParams`] |
//! | `computeIoU`, `evaluateImg` | `matching` |
//! | `accumulate` | `accumulation` |
//! | `summarize`, `stats` | [`CocoEvaluation::summary`], [`CocoSummary::stats`] |
//!
//! The crate `hotcoco` (1.3.1) gives the same numbers, but for the id 0. It is not used because it is a toolkit of 30,000 lines
//! that cannot be had in parts and takes a minute of processor time to build, for what are 600 lines here.

mod accumulation;
mod boxes;
mod detections;
mod fields;
mod ground_truth;
mod id;
mod json;
mod matching;
mod params;
mod summary;

pub use detections::{CocoDetections, CocoResult};
pub use ground_truth::{CocoCategory, CocoGroundTruth, CocoImage};
pub use id::CocoId;
pub use json::{Skipped, Unknown};
pub use params::{Area, AreaRange, CocoParams};
pub use summary::{CocoEvaluation, CocoSummary};

use boxes::Boxes;

use super::{ImageResult, Result};

/// Evaluates the results of a file.
///
/// # Errors
/// [`EvaluationError::Argument`](super::EvaluationError::Argument) if a setting makes no sense.
pub fn evaluate(
    ground_truth: &CocoGroundTruth,
    detections: &CocoDetections,
    params: &CocoParams,
) -> Result<CocoEvaluation> {
    params.check()?;
    let boxes = Boxes::new(ground_truth.truths().to_vec(), detections.found().to_vec());
    Ok(boxes.evaluate(ground_truth.categories().len(), params))
}

/// Evaluates what a detector has found in `images`, of which each is one that annotators have seen; classes are `0..n_classes`.
///
/// An object without an [`area`](sconce_core::geometry::Object::area) is as large as its box. Whether an object is difficult
/// does not matter, as COCO does not know of it.
///
/// # Errors
/// [`EvaluationError::Record`](super::EvaluationError::Record) for a label that is no class and a number that is not finite,
/// [`EvaluationError::Argument`](super::EvaluationError::Argument) if a setting makes no sense.
pub fn evaluate_images(images: &[ImageResult], n_classes: usize, params: &CocoParams) -> Result<CocoEvaluation> {
    params.check()?;
    for (index, image) in images.iter().enumerate() {
        image.check(index, n_classes)?;
    }
    Ok(Boxes::of_images(images).evaluate(n_classes, params))
}
