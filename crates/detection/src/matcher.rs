//! Which boxes stand for which objects.

use rayon::prelude::*;
use sconce_core::{Error, Result, geometry::BBox};
use serde::{Deserialize, Serialize};

/// From which overlap on a box stands for an object, and up to which one for the background.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MatcherConfig {
    /// A box that overlaps an object by this intersection over union or more stands for it.
    pub foreground_iou: f64,
    /// A box that overlaps every object by less than this is background; what lies between is not trained on.
    pub background_iou: f64,
    /// Whether an object also gets the box, or all of the boxes, that overlap it most, however little (Ren et al., 2015,
    /// section 3.1.2 (i)).
    pub best_for_each_object: bool,
}

/// What a box stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// No object.
    Background,
    /// Neither an object nor the background.
    Ignored,
    /// The object at this place in the list.
    Object(usize),
}

impl MatcherConfig {
    /// Checks that the thresholds have an order.
    ///
    /// # Errors
    /// [`Error::Argument`] if not `0 ≤ background_iou ≤ foreground_iou ≤ 1`.
    pub fn validate(&self) -> Result<()> {
        let (low, high) = (self.background_iou, self.foreground_iou);
        if (0.0..=1.0).contains(&low) && (low..=1.0).contains(&high) {
            return Ok(());
        }
        Err(Error::argument(
            "MatcherConfig",
            "background_iou and foreground_iou",
            (low, high),
            "0 ≤ first ≤ second ≤ 1",
        ))
    }

    /// What each of `boxes` stands for, as torchvision's `Matcher`: the object that it overlaps most, the first one of equals.
    ///
    /// An object that no box overlaps at all gets none; torchvision would give it every box that overlaps nothing.
    pub fn match_boxes(&self, boxes: &[BBox], objects: &[BBox]) -> Vec<Match> {
        let overlaps = |bbox: &BBox| objects.iter().map(|object| bbox.iou(*object)).collect::<Vec<f64>>();
        let table: Vec<Vec<f64>> = boxes.par_iter().map(overlaps).collect();
        let best_of_objects: Vec<f64> =
            (0..objects.len()).map(|j| table.iter().map(|row| row[j]).fold(0.0, f64::max)).collect();
        let decide = |row: &Vec<f64>| {
            // The first of the largest.
            let best = row.iter().enumerate().fold(None, |best: Option<(usize, f64)>, (j, &iou)| match best {
                Some((_, most)) if iou <= most => best,
                _ => Some((j, iou)),
            });
            let Some((object, iou)) = best else { return Match::Background };
            let is_best = |(&iou, &best): (&f64, &f64)| iou == best && best > 0.0;
            if iou >= self.foreground_iou || self.best_for_each_object && row.iter().zip(&best_of_objects).any(is_best)
            {
                Match::Object(object)
            } else if iou < self.background_iou {
                Match::Background
            } else {
                Match::Ignored
            }
        };
        table.par_iter().map(decide).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RPN: MatcherConfig = MatcherConfig { foreground_iou: 0.7, background_iou: 0.3, best_for_each_object: true };

    fn bbox(x: f64, width: f64) -> BBox {
        BBox::from_xywh(x, 0.0, width, 10.0)
    }

    #[test]
    fn thresholds_and_the_best_box_decide() {
        // Overlaps with the one object: 1, 0.8, 0.5, 0.2, 0.
        let object = [bbox(0.0, 10.0)];
        let boxes = [bbox(0.0, 10.0), bbox(0.0, 8.0), bbox(0.0, 5.0), bbox(0.0, 2.0), bbox(50.0, 10.0)];
        let expected = [Match::Object(0), Match::Object(0), Match::Ignored, Match::Background, Match::Background];
        assert_eq!(RPN.match_boxes(&boxes, &object), expected);
        // Without the exact one and the good one, the best box is the object's, though it overlaps only by half.
        assert_eq!(RPN.match_boxes(&boxes[2..], &object)[0], Match::Object(0));
        let strict = MatcherConfig { best_for_each_object: false, ..RPN };
        assert_eq!(strict.match_boxes(&boxes[2..], &object)[0], Match::Ignored);
    }

    #[test]
    fn a_best_box_keeps_the_object_that_it_overlaps_most() {
        // The box is the best one for both objects, and overlaps the second one more.
        let objects = [bbox(0.0, 10.0), bbox(6.0, 10.0)];
        assert_eq!(RPN.match_boxes(&[bbox(5.0, 10.0)], &objects), [Match::Object(1)]);
        // Equal overlaps: the first object.
        assert_eq!(RPN.match_boxes(&[bbox(3.0, 10.0)], &objects), [Match::Object(0)]);
    }

    #[test]
    fn nothing_stands_for_what_is_not_there() {
        assert_eq!(RPN.match_boxes(&[bbox(0.0, 4.0)], &[]), [Match::Background]);
        assert_eq!(RPN.match_boxes(&[], &[bbox(0.0, 4.0)]), []);
        // An object that nothing overlaps makes no box its own.
        assert_eq!(RPN.match_boxes(&[bbox(0.0, 4.0)], &[bbox(90.0, 4.0)]), [Match::Background]);
    }
}
