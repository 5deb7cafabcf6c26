//! From what became of detections to precision and recall.

use rayon::prelude::*;

use super::{
    boxes::falling,
    matching::{ClassMatches, Ranked},
    params::CocoParams,
};

/// A class's precision and recall, by range of sizes; `None` where no object counts.
pub(super) struct ClassCurves {
    pub(super) areas: [Option<[Curves; 3]>; 4],
}

/// Precision and recall at every overlap, with one number of detections an image.
pub(super) struct Curves {
    /// At each overlap, at each recall.
    pub(super) precision: Vec<f64>,
    /// The largest recall, at each overlap.
    pub(super) recall: Vec<f64>,
}

pub(super) fn accumulate(matches: ClassMatches, params: &CocoParams) -> ClassCurves {
    let ClassMatches { mut detections, n_objects } = matches;
    // Stable: of equal scores the earlier image's ranks first.
    detections.par_sort_by(|a, b| falling(a.score, b.score));
    let areas = [0, 1, 2, 3].map(|a| {
        (n_objects[a] > 0).then(|| params.max_dets.map(|most| curves(&detections, a, n_objects[a], most, params)))
    });
    ClassCurves { areas }
}

fn curves(detections: &[Ranked], area: usize, n_objects: usize, most: usize, params: &CocoParams) -> Curves {
    let n_thresholds = params.iou_thresholds.len();
    // At each overlap, the precision where another object is found: recall changes nowhere else, and precision falls between.
    let mut precisions: Vec<Vec<f64>> = vec![Vec::new(); n_thresholds];
    let mut n_ignored = vec![0usize; n_thresholds];
    for (before, detection) in detections.iter().filter(|d| (d.rank as usize) < most).enumerate() {
        let outcomes = detection.outcomes[area];
        for t in bits(outcomes.ignored) {
            n_ignored[t] += 1;
        }
        for t in bits(outcomes.right) {
            let right = (precisions[t].len() + 1) as f64;
            let wrong = (before + 1 - n_ignored[t]) as f64 - right;
            // pycocotools' guard against 0 / 0 also makes a first precision of 1 a little less.
            precisions[t].push(right / (wrong + right + f64::EPSILON));
        }
    }
    let recall = precisions.iter().map(|found| found.len() as f64 / n_objects as f64).collect();
    let precision = precisions.into_iter().flat_map(|found| at_recalls(found, n_objects, params)).collect();
    Curves { precision, recall }
}

/// The precision at each recall, given those at which the first object is found, the second, and so on.
fn at_recalls(mut found: Vec<f64>, n_objects: usize, params: &CocoParams) -> Vec<f64> {
    for i in (1..found.len()).rev() {
        found[i - 1] = found[i - 1].max(found[i]);
    }
    let mut k = 0;
    let recalls = params.recall_thresholds.iter();
    recalls
        .map(|&recall| {
            while k < found.len() && ((k + 1) as f64 / n_objects as f64) < recall {
                k += 1;
            }
            found.get(k).copied().unwrap_or(0.0)
        })
        .collect()
}

/// The places of the bits that are set.
fn bits(mut mask: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = (mask != 0).then(|| mask.trailing_zeros() as usize);
        mask &= mask.wrapping_sub(1);
        place
    })
}
