//! Which detections take which objects, image by image.

use rayon::prelude::*;

use super::{
    boxes::{Cell, Found, Truth, Xywh},
    params::CocoParams,
};

/// Images that a thread works on at a time. It changes no result.
const CELLS_AT_A_TIME: usize = 256;

/// What became of a class's detections in all images.
pub(super) struct ClassMatches {
    /// In the order of images, and in each by falling score.
    pub(super) detections: Vec<Ranked>,
    /// Objects that count, by range of sizes.
    pub(super) n_objects: [usize; 4],
}

/// What became of a detection.
#[derive(Clone, Copy)]
pub(super) struct Ranked {
    pub(super) score: f64,
    /// Its place among the class's detections in its image.
    pub(super) rank: u32,
    /// By range of sizes.
    pub(super) outcomes: [Outcomes; 4],
}

/// What a detection is at every overlap; a bit each. One that is neither is wrong.
#[derive(Clone, Copy, Default)]
pub(super) struct Outcomes {
    /// It has taken an object that counts.
    pub(super) right: u32,
    /// It does not count.
    pub(super) ignored: u32,
}

pub(super) fn match_cells(cells: &[Cell<'_>], params: &CocoParams) -> ClassMatches {
    let chunks = cells.par_chunks(CELLS_AT_A_TIME).map(|cells| {
        let mut matches = ClassMatches { detections: Vec::new(), n_objects: [0; 4] };
        for cell in cells {
            match_cell(*cell, params, &mut matches);
        }
        matches
    });
    // In the order of the chunks, whoever has worked on them.
    chunks.collect::<Vec<_>>().into_iter().fold(
        ClassMatches { detections: Vec::new(), n_objects: [0; 4] },
        |mut all, chunk| {
            all.detections.extend(chunk.detections);
            all.n_objects.iter_mut().zip(chunk.n_objects).for_each(|(sum, n)| *sum += n);
            all
        },
    )
}

fn match_cell(cell: Cell<'_>, params: &CocoParams, matches: &mut ClassMatches) {
    let start = matches.detections.len();
    matches.detections.extend((0u32..).zip(cell.found).map(|(rank, found)| Ranked {
        score: found.score,
        rank,
        outcomes: [Outcomes::default(); 4],
    }));
    // Of every detection with every object.
    let overlaps: Vec<f64> =
        cell.found.iter().flat_map(|f| cell.truths.iter().map(|t| overlap(f.bbox, t.bbox, t.is_crowd))).collect();
    for (a, range) in params.area_ranges.iter().enumerate() {
        let is_ignored = |t: &Truth| t.is_crowd || !range.contains(t.area);
        // Those that count first; either kind in its order.
        let (ignored, counting): (Vec<_>, Vec<_>) = cell.truths.iter().enumerate().partition(|(_, t)| is_ignored(t));
        let n_counting = counting.len();
        matches.n_objects[a] += n_counting;
        let mut candidates: Vec<Candidate> = counting
            .into_iter()
            .chain(ignored)
            .map(|(column, &truth)| Candidate { column, is_crowd: truth.is_crowd, confirms: truth.confirms, taken: 0 })
            .collect();
        for (d, found) in cell.found.iter().enumerate() {
            let row = &overlaps[d * cell.truths.len()..][..cell.truths.len()];
            let is_outside = !range.contains(area(found));
            matches.detections[start + d].outcomes[a] = take(row, &mut candidates, n_counting, is_outside, params);
        }
    }
}

/// An object that a detection may take.
struct Candidate {
    /// Its place in a row of overlaps.
    column: usize,
    is_crowd: bool,
    confirms: bool,
    /// At which overlaps it is taken.
    taken: u32,
}

/// Lets a detection take objects, of which the first `n_counting` count.
fn take(
    overlaps: &[f64],
    candidates: &mut [Candidate],
    n_counting: usize,
    is_outside: bool,
    params: &CocoParams,
) -> Outcomes {
    if candidates.is_empty() {
        return Outcomes { right: 0, ignored: if is_outside { params.all_thresholds() } else { 0 } };
    }
    let mut outcomes = Outcomes::default();
    for (t, &threshold) in params.iou_thresholds.iter().enumerate() {
        let bit = 1 << t;
        let best = best(overlaps, candidates, n_counting, threshold, bit);
        let mut is_confirmed = false;
        if let Some(best) = best {
            candidates[best].taken |= bit;
            is_confirmed = candidates[best].confirms;
        }
        if best.is_some_and(|best| best >= n_counting) || (!is_confirmed && is_outside) {
            outcomes.ignored |= bit;
        } else if is_confirmed {
            outcomes.right |= bit;
        }
    }
    outcomes
}

/// The free object with the largest overlap, of equal ones the last; one that does not count only if there is no other.
fn best(overlaps: &[f64], candidates: &[Candidate], n_counting: usize, threshold: f64, bit: u32) -> Option<usize> {
    let mut least = threshold.min(1.0 - 1e-10);
    let mut best = None;
    for (place, candidate) in candidates.iter().enumerate() {
        if candidate.taken & bit != 0 && !candidate.is_crowd {
            continue;
        }
        if place >= n_counting && best.is_some_and(|best| best < n_counting) {
            break;
        }
        let overlap = overlaps[candidate.column];
        // An overlap that is not a number, of boxes as large as numbers go, passes here in pycocotools as well.
        if overlap < least {
            continue;
        }
        least = overlap;
        best = Some(place);
    }
    best
}

fn area(found: &Found) -> f64 {
    found.bbox[2] * found.bbox[3]
}

/// The intersection over union, or of a crowd over the detection alone.
fn overlap(found: Xywh, truth: Xywh, is_crowd: bool) -> f64 {
    let [x, y, w, h] = found;
    let [tx, ty, tw, th] = truth;
    let width = (w + x).min(tw + tx) - x.max(tx);
    if width <= 0.0 {
        return 0.0;
    }
    let height = (h + y).min(th + ty) - y.max(ty);
    if height <= 0.0 {
        return 0.0;
    }
    let inner = width * height;
    let whole = if is_crowd { w * h } else { w * h + tw * th - inner };
    inner / whole
}
