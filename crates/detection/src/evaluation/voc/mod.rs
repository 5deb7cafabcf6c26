//! Pascal VOC's average precision.
//!
//! A detection, in the order of their scores, takes the object of its class that it overlaps most in its image, if that is by
//! more than a half; an object that has been taken before makes it wrong. Difficult objects, and crowds, of which VOC does
//! not know, do not count, and neither does what takes them. Of equal scores that of the earlier image ranks first, in an
//! image the earlier detection; the devkit leaves that open.
//!
//! Average precision is read from precision and recall in one of two ways, [`VocMetric`]; what becomes of classes without an
//! object is [`AbsentClasses`].
//!
//! The overlap is computed as the devkit does, on inclusive pixels that count from 1, whose lengths are a difference plus 1.
//! It is that of the continuous boxes, up to the last digit.

mod average_precision;
mod boxes;
mod params;
mod results;

pub use average_precision::average_precision;
pub use params::{AbsentClasses, VocMetric, VocParams, VocRounding};
pub use results::{read_results, result_line, results_file};

use rayon::prelude::*;

use super::{ImageResult, Result};

/// Precision and recall of every class.
#[derive(Clone, Debug, PartialEq)]
pub struct VocEvaluation {
    /// By class.
    pub classes: Vec<VocClass>,
    /// The mean of the classes' average precisions, without those that have none; `None` if none has one.
    pub mean_ap: Option<f64>,
}

/// Precision and recall of a class.
#[derive(Clone, Debug, PartialEq)]
pub struct VocClass {
    /// Average precision; `None` for a class without objects that count, unless [`AbsentClasses::Zero`] makes it 0.
    pub ap: Option<f64>,
    /// Objects that count.
    pub n_objects: usize,
    /// The recall after each detection, by falling scores; empty for a class without objects.
    pub recall: Vec<f64>,
    /// The precision after each detection.
    pub precision: Vec<f64>,
}

/// Evaluates what a detector has found in `images`; classes are `0..n_classes`.
///
/// # Errors
/// [`EvaluationError::Record`](super::EvaluationError::Record) for a label that is no class and a number that is not finite,
/// [`EvaluationError::Argument`](super::EvaluationError::Argument) if a setting makes no sense.
pub fn evaluate(images: &[ImageResult], n_classes: usize, params: &VocParams) -> Result<VocEvaluation> {
    params.check()?;
    for (index, image) in images.iter().enumerate() {
        image.check(index, n_classes)?;
    }
    let classes: Vec<VocClass> =
        (0..n_classes).into_par_iter().map(|class| evaluate_class(images, class as u32, params)).collect();
    let aps: Vec<f64> = classes.iter().filter_map(|class| class.ap).collect();
    let mean_ap = (!aps.is_empty()).then(|| aps.iter().sum::<f64>() / aps.len() as f64);
    Ok(VocEvaluation { classes, mean_ap })
}

fn evaluate_class(images: &[ImageResult], class: u32, params: &VocParams) -> VocClass {
    let (hits, n_objects) = boxes::hits(images, class, params);
    if n_objects == 0 {
        let ap = match params.absent {
            AbsentClasses::LeaveOut => None,
            AbsentClasses::Zero => Some(0.0),
        };
        return VocClass { ap, n_objects, recall: Vec::new(), precision: Vec::new() };
    }
    let (mut right, mut wrong) = (0usize, 0usize);
    let (mut recall, mut precision) = (Vec::with_capacity(hits.len()), Vec::with_capacity(hits.len()));
    for hit in hits {
        match hit {
            boxes::Hit::Right => right += 1,
            boxes::Hit::Wrong => wrong += 1,
            boxes::Hit::Ignored => {}
        }
        recall.push(right as f64 / n_objects as f64);
        precision.push(right as f64 / ((right + wrong) as f64).max(f64::EPSILON));
    }
    let ap = Some(average_precision(&recall, &precision, params.metric));
    VocClass { ap, n_objects, recall, precision }
}
