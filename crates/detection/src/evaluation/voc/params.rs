//! What is evaluated, and how.

use super::super::{EvaluationError, Result};

/// The settings of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct VocParams {
    /// A detection takes an object if they overlap by more than this; VOC's is a half.
    pub iou_threshold: f64,
    /// How average precision is read from precision and recall.
    pub metric: VocMetric,
    /// What becomes of classes without an object that counts.
    pub absent: AbsentClasses,
    /// Whether scores and boxes are rounded first.
    pub rounding: VocRounding,
}

/// How average precision is read from precision and recall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VocMetric {
    /// The mean of the best precisions at recalls of at least 0, 0.1, … 1: until VOC 2009, and for its test set of 2007.
    ElevenPoint,
    /// The area below the precision that has been made monotonous: from VOC 2010 on.
    AllPoint,
}

/// What becomes of classes without an object that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbsentClasses {
    /// They have no average precision, and the mean is that of the others. The devkit's is not a number then.
    LeaveOut,
    /// Their average precision is 0, which lowers the mean: what py-faster-rcnn's 11 points come to.
    Zero,
}

/// Whether scores and boxes are rounded before they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VocRounding {
    /// They are taken as they are.
    None,
    /// As py-faster-rcnn writes them to its result files, which it then evaluates: scores to three decimals, which makes
    /// ties, and the edges of boxes, counted from 1, to one decimal.
    AsWritten,
}

impl VocParams {
    /// The evaluation of VOC 2007.
    pub fn voc2007() -> Self {
        Self {
            iou_threshold: 0.5,
            metric: VocMetric::ElevenPoint,
            absent: AbsentClasses::LeaveOut,
            rounding: VocRounding::None,
        }
    }

    /// The evaluation of VOC 2010 and later.
    pub fn voc2010() -> Self {
        Self { metric: VocMetric::AllPoint, ..Self::voc2007() }
    }

    /// The evaluation of VOC 2007 by py-faster-rcnn's code and what descends from it, with its result files and all.
    pub fn as_code() -> Self {
        Self { absent: AbsentClasses::Zero, rounding: VocRounding::AsWritten, ..Self::voc2007() }
    }

    pub(super) fn check(&self) -> Result<()> {
        if (0.0..=1.0).contains(&self.iou_threshold) {
            Ok(())
        } else {
            Err(EvaluationError::argument("iou_threshold", self.iou_threshold, "a number from 0 to 1"))
        }
    }
}
