//! What is evaluated.

use super::super::{EvaluationError, Result};

/// More thresholds than a mask has bits are not needed.
const MOST_THRESHOLDS: usize = 32;

/// The settings of an evaluation; [`Default`] gives those of pycocotools.
#[derive(Clone, Debug, PartialEq)]
pub struct CocoParams {
    /// Overlaps from which on a detection may take an object: 0.5, 0.55, … 0.95. At most 32, each from 0 to 1.
    pub iou_thresholds: Vec<f64>,
    /// Recalls at which precision is read, ascending: 0, 0.01, … 1.
    pub recall_thresholds: Vec<f64>,
    /// Sizes that count, by [`Area`].
    pub area_ranges: [AreaRange; 4],
    /// Detections that an image may have of a class, ascending: 1, 10, 100. Precision is that of the last.
    pub max_dets: [usize; 3],
}

/// A range of sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Area {
    /// All objects.
    All,
    /// Below 32² pixels.
    Small,
    /// From 32² to 96² pixels.
    Medium,
    /// Above 96² pixels.
    Large,
}

impl Area {
    /// All ranges, in the order of [`CocoParams::area_ranges`].
    pub const ALL: [Self; 4] = [Self::All, Self::Small, Self::Medium, Self::Large];

    /// COCO's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }
}

/// Areas in square pixels, both ends included: an object of 32² pixels is small and medium.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AreaRange {
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl AreaRange {
    /// Whether an area lies in the range.
    pub fn contains(self, area: f64) -> bool {
        // As pycocotools asks, so that an area that is not a number is in every range.
        !(area < self.min || area > self.max)
    }
}

impl Default for CocoParams {
    fn default() -> Self {
        let (small, medium, huge) = (32.0 * 32.0, 96.0 * 96.0, 1e5 * 1e5);
        let range = |min, max| AreaRange { min, max };
        Self {
            iou_thresholds: linspace(0.5, 0.95, 10),
            recall_thresholds: linspace(0.0, 1.0, 101),
            area_ranges: [range(0.0, huge), range(0.0, small), range(small, medium), range(medium, huge)],
            max_dets: [1, 10, 100],
        }
    }
}

/// The `n` numbers from `start` to `end` that NumPy gives: their last digits decide about ties.
fn linspace(start: f64, end: f64, n: usize) -> Vec<f64> {
    let step = (end - start) / (n - 1) as f64;
    (0..n).map(|i| if i + 1 == n { end } else { i as f64 * step + start }).collect()
}

impl CocoParams {
    pub(super) fn check(&self) -> Result<()> {
        let is_share = |x: &f64| (0.0..=1.0).contains(x);
        let n = self.iou_thresholds.len();
        if n == 0 || n > MOST_THRESHOLDS || !self.iou_thresholds.iter().all(is_share) {
            let expected = "1 to 32 numbers from 0 to 1";
            return Err(EvaluationError::argument("iou_thresholds", &self.iou_thresholds, expected));
        }
        let recalls = &self.recall_thresholds;
        if recalls.is_empty() || !recalls.iter().all(is_share) || !recalls.is_sorted() {
            return Err(EvaluationError::argument("recall_thresholds", recalls, "ascending numbers from 0 to 1"));
        }
        if !self.max_dets.is_sorted() || self.max_dets[0] == 0 {
            return Err(EvaluationError::argument("max_dets", self.max_dets, "ascending numbers from 1 on"));
        }
        Ok(())
    }

    /// The mask that has a bit for every overlap.
    pub(super) fn all_thresholds(&self) -> u32 {
        u32::MAX >> (MOST_THRESHOLDS - self.iou_thresholds.len())
    }
}
