//! The twelve numbers.

use std::fmt;

use serde::Serialize;

use super::{
    accumulation::{ClassCurves, Curves},
    params::{Area, CocoParams},
};

/// Precision and recall of every class.
pub struct CocoEvaluation {
    params: CocoParams,
    classes: Vec<ClassCurves>,
}

/// COCO's twelve numbers, for all classes or one; −1 where there is no object that would count.
///
/// The names are those of the default settings: `ar1`, `ar10` and `ar100` are the average recalls with the three
/// [`max_dets`](CocoParams::max_dets), whatever these are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CocoSummary {
    /// Average precision: the mean over overlaps, recalls and classes.
    pub ap: f64,
    /// At an overlap of 0.5.
    pub ap50: f64,
    /// At an overlap of 0.75.
    pub ap75: f64,
    /// Of small objects.
    pub ap_small: f64,
    /// Of medium objects.
    pub ap_medium: f64,
    /// Of large objects.
    pub ap_large: f64,
    /// Average recall, the mean over overlaps and classes, with one detection an image.
    pub ar1: f64,
    /// With 10 detections an image.
    pub ar10: f64,
    /// With 100 detections an image.
    pub ar100: f64,
    /// Of small objects.
    pub ar_small: f64,
    /// Of medium objects.
    pub ar_medium: f64,
    /// Of large objects.
    pub ar_large: f64,
}

impl CocoSummary {
    /// The numbers in the order of pycocotools' `stats`.
    pub fn stats(&self) -> [f64; 12] {
        [
            self.ap,
            self.ap50,
            self.ap75,
            self.ap_small,
            self.ap_medium,
            self.ap_large,
            self.ar1,
            self.ar10,
            self.ar100,
            self.ar_small,
            self.ar_medium,
            self.ar_large,
        ]
    }
}

impl CocoEvaluation {
    pub(super) fn new(params: CocoParams, classes: Vec<ClassCurves>) -> Self {
        Self { params, classes }
    }

    /// The number of classes.
    pub fn n_classes(&self) -> usize {
        self.classes.len()
    }

    /// The twelve numbers over all classes.
    pub fn summary(&self) -> CocoSummary {
        self.summarize(&self.classes)
    }

    /// The twelve numbers of one class; `None` if there are not so many.
    pub fn class_summary(&self, class: usize) -> Option<CocoSummary> {
        self.classes.get(class).map(|class| self.summarize(std::slice::from_ref(class)))
    }

    /// The precision of a class at each of the [`recall_thresholds`](CocoParams::recall_thresholds), at the
    /// `iou_idx`-th overlap and with the most detections an image; `None` where no object counts.
    pub fn precision(&self, class: usize, area: Area, iou_idx: usize) -> Option<&[f64]> {
        let n = self.params.recall_thresholds.len();
        let curves = &self.classes.get(class)?.areas[area as usize].as_ref()?[2];
        curves.precision.chunks_exact(n).nth(iou_idx)
    }

    fn summarize(&self, classes: &[ClassCurves]) -> CocoSummary {
        let ap = |iou, area| self.average_precision(classes, iou, area);
        let ar = |most, area| average_recall(classes, most, area);
        CocoSummary {
            ap: ap(None, Area::All),
            ap50: ap(Some(0.5), Area::All),
            ap75: ap(Some(0.75), Area::All),
            ap_small: ap(None, Area::Small),
            ap_medium: ap(None, Area::Medium),
            ap_large: ap(None, Area::Large),
            ar1: ar(0, Area::All),
            ar10: ar(1, Area::All),
            ar100: ar(2, Area::All),
            ar_small: ar(2, Area::Small),
            ar_medium: ar(2, Area::Medium),
            ar_large: ar(2, Area::Large),
        }
    }

    /// The mean precision at one overlap, or at all.
    fn average_precision(&self, classes: &[ClassCurves], iou: Option<f64>, area: Area) -> f64 {
        let n = self.params.recall_thresholds.len();
        let is_asked = |threshold: f64| iou.is_none_or(|iou| iou == threshold);
        let thresholds = &self.params.iou_thresholds;
        mean(curves(classes, 2, area).flat_map(|curves| {
            let rows = thresholds.iter().zip(curves.precision.chunks_exact(n));
            rows.filter(|(threshold, _)| is_asked(**threshold)).flat_map(|(_, row)| row.iter().copied())
        }))
    }
}

fn average_recall(classes: &[ClassCurves], most: usize, area: Area) -> f64 {
    mean(curves(classes, most, area).flat_map(|curves| curves.recall.iter().copied()))
}

fn curves(classes: &[ClassCurves], most: usize, area: Area) -> impl Iterator<Item = &Curves> {
    classes.iter().filter_map(move |class| class.areas[area as usize].as_ref()).map(move |curves| &curves[most])
}

/// The mean, and −1 of nothing.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0usize), |(sum, n), value| (sum + value, n + 1));
    if n == 0 { -1.0 } else { sum / n as f64 }
}

/// The table that pycocotools prints.
impl fmt::Display for CocoEvaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let thresholds = &self.params.iou_thresholds;
        let ends = thresholds.first().zip(thresholds.last());
        let range = ends.map(|(first, last)| format!("{first:.2}:{last:.2}")).unwrap_or_default();
        let [one, ten, most] = self.params.max_dets;
        let rows = [
            (range.as_str(), Area::All, most),
            ("0.50", Area::All, most),
            ("0.75", Area::All, most),
            (&range, Area::Small, most),
            (&range, Area::Medium, most),
            (&range, Area::Large, most),
            (&range, Area::All, one),
            (&range, Area::All, ten),
            (&range, Area::All, most),
            (&range, Area::Small, most),
            (&range, Area::Medium, most),
            (&range, Area::Large, most),
        ];
        for (i, ((iou, area, most), value)) in rows.into_iter().zip(self.summary().stats()).enumerate() {
            let (title, kind) = if i < 6 { ("Average Precision", "AP") } else { ("Average Recall", "AR") };
            let area = area.name();
            writeln!(f, " {title:<18} ({kind}) @[ IoU={iou:<9} | area={area:>6} | maxDets={most:>3} ] = {value:.3}")?;
        }
        Ok(())
    }
}
