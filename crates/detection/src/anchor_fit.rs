//! Whether anchors fit the boxes of a dataset, and which would.

use std::fmt;

use rayon::prelude::*;
use sconce_core::{Error, Result, geometry::BBox};

use crate::{
    anchors::{AnchorConfig, AnchorRule},
    faster_rcnn::FasterRcnnConfig,
    rpn::Straddling,
};

/// Below this mean overlap anchors do not fit. The nine of Faster R-CNN, picked by hand, come to 0.61 on Pascal VOC, nine that
/// were clustered to 0.67 (Redmon & Farhadi, "YOLO9000", 2017, table 1).
const POOR: f64 = 0.5;

/// Iterations of the clustering; it is done after a dozen.
const MOST_ITERATIONS: usize = 100;

/// How well the anchors of a detector fit boxes: what the best possible proposals could start from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnchorFit {
    /// Boxes that were looked at.
    pub boxes: usize,
    /// Those that an anchor overlaps by `threshold` or more, so that it stands for them.
    pub covered: usize,
    /// From which intersection over union on an anchor stands for an object.
    pub threshold: f64,
    /// The mean over the boxes of the intersection over union with the best anchor.
    pub mean_best_iou: f64,
}

/// How many sizes and aspect ratios anchors may have; each of both is an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnchorCounts {
    /// Sizes, at most.
    pub sizes: usize,
    /// Aspect ratios, at most.
    pub aspect_ratios: usize,
}

impl Default for AnchorCounts {
    /// Three of each, as in the paper.
    fn default() -> Self {
        Self { sizes: 3, aspect_ratios: 3 }
    }
}

impl AnchorFit {
    /// The share of the boxes that are covered: the best possible recall of anchors that stand for objects. 1 of no boxes.
    pub fn recall(&self) -> f64 {
        if self.boxes == 0 { 1.0 } else { self.covered as f64 / self.boxes as f64 }
    }

    /// Whether a user should be warned: boxes and their best anchors overlap by less than a half in the mean.
    pub fn is_poor(&self) -> bool {
        self.boxes > 0 && self.mean_best_iou < POOR
    }
}

impl fmt::Display for AnchorFit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (recall, Self { boxes, threshold, mean_best_iou, .. }) = (100.0 * self.recall(), self);
        write!(f, "{recall:.0} % of {boxes} boxes have an anchor that overlaps them by {threshold} or more; ")?;
        write!(f, "the mean overlap with the best anchor is {mean_best_iou:.2}")
    }
}

impl FasterRcnnConfig {
    /// How well the anchors fit boxes, each given with height and width of its image; both as the network sees them, after
    /// resizing. Anchors that are not trained on, by [`Straddling`], do not count.
    ///
    /// # Errors
    /// [`Error::Argument`] for a configuration without sense, or a box without an extent.
    pub fn anchor_fit(&self, boxes: &[(BBox, (usize, usize))]) -> Result<AnchorFit> {
        self.validate()?;
        check(boxes)?;
        let cell = self.rpn.anchors.cell(0);
        let best = |&(bbox, image): &(BBox, (usize, usize))| self.best_iou(&cell, bbox, image);
        let best: Vec<f64> = boxes.par_iter().map(best).collect::<Result<_>>()?;
        let threshold = self.rpn.matcher.foreground_iou;
        Ok(AnchorFit {
            boxes: boxes.len(),
            covered: best.iter().filter(|&&iou| iou >= threshold).count(),
            threshold,
            mean_best_iou: if best.is_empty() { 0.0 } else { best.iter().sum::<f64>() / best.len() as f64 },
        })
    }

    /// The detector with anchors that fit boxes, given as for [`Self::anchor_fit`]: those of [`AnchorConfig::fitting`], or its
    /// own if these fit better.
    ///
    /// # Errors
    /// As [`Self::anchor_fit`] and [`AnchorConfig::fitting`].
    pub fn with_fitting_anchors(self, boxes: &[(BBox, (usize, usize))], counts: AnchorCounts) -> Result<Self> {
        check(boxes)?;
        let sizes: Vec<(f64, f64)> = boxes.iter().map(|(bbox, _)| (bbox.width(), bbox.height())).collect();
        let mut other = self.clone();
        other.rpn.anchors = AnchorConfig::fitting(&sizes, counts, self.rpn.anchors.rule)?;
        let is_better = other.anchor_fit(boxes)?.mean_best_iou > self.anchor_fit(boxes)?.mean_best_iou;
        Ok(if is_better { other } else { self })
    }

    /// The largest overlap of a box with an anchor of its image.
    fn best_iou(&self, cell: &[BBox], bbox: BBox, image: (usize, usize)) -> Result<f64> {
        let map = self.backbone.map_size(image);
        let (down, across) = self.rpn.anchors.steps(image, map)?;
        let overlap = |anchor: &BBox| {
            let x = self.nearest((anchor.x1, anchor.x2), (bbox.x1, bbox.x2), (map.1, across, image.1))?;
            let y = self.nearest((anchor.y1, anchor.y2), (bbox.y1, bbox.y2), (map.0, down, image.0))?;
            Some(anchor.translated(x, y).iou(bbox))
        };
        Ok(cell.iter().filter_map(overlap).fold(0.0, f64::max))
    }

    /// How far along one axis an anchor at the origin goes to be as near to a box as it can: the overlap falls with the distance
    /// of both centres. None if no position has it.
    fn nearest(
        &self,
        anchor: (f64, f64),
        bbox: (f64, f64),
        (positions, step, pixels): (usize, usize, usize),
    ) -> Option<f64> {
        if step == 0 {
            return None;
        }
        let (step, pixels) = (step as f64, pixels as f64);
        // Positions that begin in the image.
        let (mut first, mut last) = (0.0f64, (positions as f64 - 1.0).min((pixels / step).ceil() - 1.0));
        if self.rpn.straddling == Straddling::Ignore {
            first = first.max((-anchor.0 / step).ceil());
            last = last.min(((pixels - anchor.1) / step).floor());
        }
        let wanted = ((bbox.0 + bbox.1 - anchor.0 - anchor.1) / 2.0 / step).round();
        (first <= last).then(|| wanted.clamp(first, last) * step)
    }
}

impl AnchorConfig {
    /// Anchors that fit boxes of these widths and heights in pixels, on one map: the logarithms of sizes, and those of aspect
    /// ratios, are clustered, each by itself. There are fewer than asked for where boxes are alike. The same boxes in any order
    /// give the same anchors.
    ///
    /// # Errors
    /// [`Error::Argument`] for no boxes, one that has no extent, or no anchors.
    pub fn fitting(boxes: &[(f64, f64)], counts: AnchorCounts, rule: AnchorRule) -> Result<Self> {
        const OP: &str = "AnchorConfig::fitting";
        if boxes.is_empty() {
            return Err(Error::argument(OP, "the number of boxes", 0, "at least 1"));
        }
        if counts.sizes == 0 || counts.aspect_ratios == 0 {
            return Err(Error::argument(OP, "counts", counts, "at least 1 of each"));
        }
        let is_length = |length: f64| length > 0.0 && length.is_finite();
        if let Some(&bad) = boxes.iter().find(|(width, height)| !is_length(*width) || !is_length(*height)) {
            return Err(Error::argument(OP, "width and height of a box", bad, "positive and finite"));
        }
        let clustered = |values: Vec<f64>, n: usize, rounded: fn(f64) -> f64| {
            let mut centres: Vec<f64> = clusters(values, n).into_iter().map(|log| rounded(log.exp())).collect();
            centres.dedup();
            centres
        };
        let sizes = boxes.iter().map(|(width, height)| (width * height).sqrt().ln()).collect();
        let ratios = boxes.iter().map(|(width, height)| (height / width).ln()).collect();
        let config = Self {
            // An anchor of less than two pixels may have no extent when it is rounded.
            sizes: vec![clustered(sizes, counts.sizes, |size| ((size * 10.0).round() / 10.0).max(4.0))],
            aspect_ratios: clustered(ratios, counts.aspect_ratios, |ratio| {
                ((ratio * 100.0).round() / 100.0).clamp(0.1, 10.0)
            }),
            rule,
        };
        config.validate()?;
        Ok(config)
    }
}

/// Refuses boxes that cannot be learned.
fn check(boxes: &[(BBox, (usize, usize))]) -> Result<()> {
    match boxes.iter().find(|(bbox, _)| !bbox.has_extent()) {
        Some((bbox, _)) => Err(Error::argument("anchors", "a box", bbox, "finite, with x2 > x1 and y2 > y1")),
        None => Ok(()),
    }
}

/// The means of at most `n` clusters of values, ascending: k-means on a line, which begins at quantiles.
fn clusters(mut values: Vec<f64>, n: usize) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    let quantile = |i: usize| values[((2 * i + 1) * values.len() / (2 * n)).min(values.len() - 1)];
    let mut centres: Vec<f64> = (0..n).map(quantile).collect();
    for _ in 0..MOST_ITERATIONS {
        centres.dedup();
        // A cluster is what lies between the middles of neighbouring centres.
        let mut rest = &values[..];
        let mut means = Vec::new();
        for (i, &centre) in centres.iter().enumerate() {
            let border = centres.get(i + 1).map_or(f64::INFINITY, |next| (centre + next) / 2.0);
            let (here, others) = rest.split_at(rest.partition_point(|&value| value < border));
            rest = others;
            if !here.is_empty() {
                means.push(here.iter().sum::<f64>() / here.len() as f64);
            }
        }
        if means == centres {
            break;
        }
        centres = means;
    }
    centres
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_those_that_there_are() {
        assert_eq!(clusters(vec![5.0, 1.0, 9.0, 1.0, 5.0], 3), [1.0, 5.0, 9.0]);
        assert_eq!(clusters(vec![2.0; 4], 3), [2.0]);
        assert_eq!(clusters(vec![3.0], 3), [3.0]);
        assert_eq!(clusters(vec![0.0, 2.0, 100.0, 104.0], 2), [1.0, 102.0]);
    }

    #[test]
    fn what_was_covered_is_said() {
        let fit = AnchorFit { boxes: 8, covered: 2, threshold: 0.7, mean_best_iou: 0.444 };
        assert!(fit.is_poor() && fit.recall() == 0.25);
        let expected = "25 % of 8 boxes have an anchor that overlaps them by 0.7 or more; the mean overlap with the best anchor \
                        is 0.44";
        assert_eq!(fit.to_string(), expected);
        let none = AnchorFit { boxes: 0, covered: 0, threshold: 0.7, mean_best_iou: 0.0 };
        assert!(!none.is_poor() && none.recall() == 1.0);
    }
}
