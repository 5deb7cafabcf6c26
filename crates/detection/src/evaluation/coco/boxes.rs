//! Boxes by class and image.

use std::cmp::Ordering;

use rayon::prelude::*;

use super::{
    super::ImageResult,
    accumulation::{ClassCurves, accumulate},
    matching::match_cells,
    params::CocoParams,
    summary::CocoEvaluation,
};

/// `x`, `y`, width and height. Other forms of a box would round differently.
pub(super) type Xywh = [f64; 4];

/// An object that annotators have seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Truth {
    /// Where images stand in the order of their ids.
    pub(super) image: u32,
    /// Where classes stand in the order of their ids.
    pub(super) class: u32,
    pub(super) bbox: Xywh,
    pub(super) area: f64,
    pub(super) is_crowd: bool,
    /// Whether a detection that takes it is right. It is not for the id 0, see the module.
    pub(super) confirms: bool,
}

/// A detection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) image: u32,
    pub(super) class: u32,
    pub(super) bbox: Xywh,
    /// Not NaN.
    pub(super) score: f64,
}

/// What is compared: the objects of a class in an image, and its best detections there, by falling score.
#[derive(Clone, Copy)]
pub(super) struct Cell<'a> {
    pub(super) truths: &'a [Truth],
    pub(super) found: &'a [Found],
}

/// All boxes of an evaluation, those of a class side by side, and in there those of an image.
pub(super) struct Boxes {
    truths: Vec<Truth>,
    found: Vec<Found>,
}

impl Boxes {
    pub(super) fn new(mut truths: Vec<Truth>, mut found: Vec<Found>) -> Self {
        // Both sorts are stable: what is equal stays in the order of its file.
        truths.par_sort_by_key(|t| (t.class, t.image));
        found.par_sort_by(|a, b| (a.class, a.image).cmp(&(b.class, b.image)).then(falling(a.score, b.score)));
        Self { truths, found }
    }

    pub(super) fn of_images(images: &[ImageResult]) -> Self {
        let (mut truths, mut found) = (Vec::new(), Vec::new());
        for (image, result) in (0u32..).zip(images) {
            truths.extend(result.objects.iter().map(|object| {
                let bbox = object.bbox.xywh();
                let area = object.area.unwrap_or(bbox[2] * bbox[3]);
                Truth { image, class: object.label, bbox, area, is_crowd: object.is_crowd, confirms: true }
            }));
            found.extend(result.detections.iter().map(|detection| Found {
                image,
                class: detection.label,
                bbox: detection.bbox.xywh(),
                score: detection.score,
            }));
        }
        Self::new(truths, found)
    }

    pub(super) fn evaluate(&self, n_classes: usize, params: &CocoParams) -> CocoEvaluation {
        let classes: Vec<ClassCurves> = (0..n_classes)
            .into_par_iter()
            .map(|class| {
                let cells = self.cells(class as u32, params.max_dets[2]);
                accumulate(match_cells(&cells, params), params)
            })
            .collect();
        CocoEvaluation::new(params.clone(), classes)
    }

    /// The images that have something of a class, in their order.
    fn cells(&self, class: u32, most: usize) -> Vec<Cell<'_>> {
        let mut truths = of_class(&self.truths, class, |t| t.class);
        let mut found = of_class(&self.found, class, |f| f.class);
        let mut cells = Vec::new();
        while let Some(image) = truths.first().map(|t| t.image).into_iter().chain(found.first().map(|f| f.image)).min()
        {
            let (here, rest) = truths.split_at(truths.iter().take_while(|t| t.image == image).count());
            let (seen, others) = found.split_at(found.iter().take_while(|f| f.image == image).count());
            cells.push(Cell { truths: here, found: &seen[..seen.len().min(most)] });
            (truths, found) = (rest, others);
        }
        cells
    }
}

/// The part of a list, sorted by class, that is of one.
fn of_class<T>(sorted: &[T], class: u32, class_of: impl Fn(&T) -> u32) -> &[T] {
    let start = sorted.partition_point(|t| class_of(t) < class);
    let end = sorted.partition_point(|t| class_of(t) <= class);
    &sorted[start..end]
}

/// Larger scores first; −0 and 0 are equal.
pub(super) fn falling(a: f64, b: f64) -> Ordering {
    b.partial_cmp(&a).unwrap_or(Ordering::Equal)
}
