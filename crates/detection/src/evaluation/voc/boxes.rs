//! Which detections of a class take which objects.

use std::cmp::Ordering;

use sconce_core::geometry::BBox;

use super::{
    super::ImageResult,
    params::{VocParams, VocRounding},
};

/// What became of a detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hit {
    /// It has taken an object that counts.
    Right,
    /// It has taken none, or one that was taken before.
    Wrong,
    /// It is on an object that does not count.
    Ignored,
}

/// The first and the last column and row of a box, counted from 1, as in VOC's files.
type Inclusive = [f64; 4];

struct Truth {
    bounds: Inclusive,
    counts: bool,
    is_taken: bool,
}

/// What became of a class's detections, by falling scores, and the number of objects that count.
pub(super) fn hits(images: &[ImageResult], class: u32, params: &VocParams) -> (Vec<Hit>, usize) {
    let mut truths: Vec<Vec<Truth>> = images.iter().map(|image| truths(image, class)).collect();
    let n_objects = truths.iter().flatten().filter(|truth| truth.counts).count();
    let mut ranked: Vec<(f64, usize, Inclusive)> = Vec::new();
    for (index, image) in images.iter().enumerate() {
        let of_class = image.detections.iter().filter(|d| d.label == class);
        ranked.extend(of_class.map(|d| {
            let (score, bounds) = as_compared(d.score, d.bbox, params.rounding);
            (score, index, bounds)
        }));
    }
    // Stable: of equal scores the earlier ranks first.
    ranked.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap_or(Ordering::Equal));
    let hits =
        ranked.into_iter().map(|(_, image, bounds)| take(bounds, &mut truths[image], params.iou_threshold)).collect();
    (hits, n_objects)
}

fn truths(image: &ImageResult, class: u32) -> Vec<Truth> {
    let of_class = image.objects.iter().filter(|object| object.label == class);
    of_class
        .map(|object| Truth {
            bounds: inclusive(object.bbox),
            counts: !object.is_difficult && !object.is_crowd,
            is_taken: false,
        })
        .collect()
}

fn take(bounds: Inclusive, truths: &mut [Truth], threshold: f64) -> Hit {
    let mut best: Option<(f64, usize)> = None;
    for (index, truth) in truths.iter().enumerate() {
        let overlap = overlap(bounds, truth.bounds);
        if best.is_none_or(|(most, _)| overlap > most) {
            best = Some((overlap, index));
        }
    }
    match best {
        Some((overlap, index)) if overlap > threshold => {
            let truth = &mut truths[index];
            if !truth.counts {
                Hit::Ignored
            } else if std::mem::replace(&mut truth.is_taken, true) {
                Hit::Wrong
            } else {
                Hit::Right
            }
        }
        _ => Hit::Wrong,
    }
}

fn inclusive(bbox: BBox) -> Inclusive {
    [bbox.x1 + 1.0, bbox.y1 + 1.0, bbox.x2, bbox.y2]
}

fn as_compared(score: f64, bbox: BBox, rounding: VocRounding) -> (f64, Inclusive) {
    let bounds = inclusive(bbox);
    match rounding {
        VocRounding::None => (score, bounds),
        VocRounding::AsWritten => (written(score, 3), bounds.map(|edge| written(edge, 1))),
    }
}

/// A number as it is read back after it was written with so many decimals.
fn written(value: f64, decimals: usize) -> f64 {
    format!("{value:.decimals$}").parse().unwrap_or(value)
}

/// The intersection over union, in the order of the devkit's operations.
fn overlap(found: Inclusive, truth: Inclusive) -> f64 {
    let [x1, y1, x2, y2] = truth;
    let width = (x2.min(found[2]) - x1.max(found[0]) + 1.0).max(0.0);
    let height = (y2.min(found[3]) - y1.max(found[1]) + 1.0).max(0.0);
    let inner = width * height;
    let area = (found[2] - found[0] + 1.0) * (found[3] - found[1] + 1.0);
    inner / (area + (x2 - x1 + 1.0) * (y2 - y1 + 1.0) - inner)
}
