//! Non-maximum suppression.

use std::collections::HashMap;

use candle_core::{DType, Tensor};

use crate::{
    Error, Result,
    cpu::{Real, kernel, slices, with_real},
};

use super::{arguments::same_real, boxes::check_boxes};

/// The boxes that remain if, from the highest score down, each box removes those later ones that overlap it by more than
/// `iou_threshold`; as `torchvision.ops.nms`, decided by the same arithmetic.
///
/// Equal scores keep the order of the boxes, NaN counts as the highest score. Boxes without an area or with a NaN are neither
/// removed nor remove others, where torchvision's comparisons have it so.
///
/// # Shapes
/// - `boxes`: `(N, 4)` as `x1, y1, x2, y2`, N may be 0
/// - `scores`: `(N)`
/// - output: `(K)`, indices as i64 by descending score, without a gradient
///
/// # Errors
/// [`Error::Argument`] if the shapes or types do not fit, or `iou_threshold` is NaN.
pub fn nms(boxes: &Tensor, scores: &Tensor, iou_threshold: f64) -> Result<Tensor> {
    suppress("nms", boxes, scores, None, iou_threshold)
}

/// [`nms`] of each category apart, as `torchvision.ops.batched_nms`.
///
/// Boxes of different categories never meet here. torchvision moves up to 1000 boxes apart by adding to their coordinates, whose
/// rounding can decide differently on an overlap near the threshold; of more boxes it leaves equal scores in any order.
///
/// # Shapes
/// - `boxes`: `(N, 4)` as `x1, y1, x2, y2`, N may be 0
/// - `scores`: `(N)`
/// - `idxs`: `(N)`, the categories as integers
/// - output: `(K)`, indices as i64 by descending score, without a gradient
///
/// # Errors
/// [`Error::Argument`] if the shapes or types do not fit, or `iou_threshold` is NaN.
pub fn batched_nms(boxes: &Tensor, scores: &Tensor, idxs: &Tensor, iou_threshold: f64) -> Result<Tensor> {
    suppress("batched_nms", boxes, scores, Some(idxs), iou_threshold)
}

fn suppress(
    op: &'static str,
    boxes: &Tensor,
    scores: &Tensor,
    idxs: Option<&Tensor>,
    iou_threshold: f64,
) -> Result<Tensor> {
    let n = check_boxes(op, "boxes", boxes)?;
    if scores.dims() != [n] {
        return Err(Error::argument(op, "scores", scores.dims(), format!("[{n}]")));
    }
    same_real(op, "scores", scores, boxes)?;
    if iou_threshold.is_nan() {
        return Err(Error::argument(op, "iou_threshold", iou_threshold, "a number"));
    }
    let categories: Vec<i64> = match idxs {
        None => vec![0; n],
        Some(idxs) if idxs.dims() == [n] && idxs.dtype().is_int() => idxs.to_dtype(DType::I64)?.to_vec1()?,
        Some(other) => {
            let expected = format!("integers of the shape [{n}]");
            return Err(Error::argument(op, "idxs", (other.dtype(), other.dims()), expected));
        }
    };
    let device = boxes.device();
    let (boxes, scores) = (boxes.contiguous()?, scores.contiguous()?);
    let kept = with_real!(op, boxes.dtype(), T => {
        slices!(op, T, boxes = boxes, scores = scores);
        Ok::<_, candle_core::Error>(keep::<T>(boxes.as_chunks().0, scores, &categories, iou_threshold))
    })?;
    let n = kept.len();
    Ok(Tensor::from_vec(kept, n, device)?)
}

fn keep<T: Real>(boxes: &[[T; 4]], scores: &[T], categories: &[i64], iou_threshold: f64) -> Vec<i64> {
    let threshold = round_down::<T>(iou_threshold);
    // Looked up by key alone, so that its order does not matter.
    let mut kept_of: HashMap<i64, Kept<T>> = HashMap::new();
    let mut keep = Vec::new();
    for i in by_descending_score(scores) {
        let kept = kept_of.entry(categories[i]).or_default();
        let candidate = Candidate::new(boxes[i]);
        if !removes(&kept.blocks, &candidate, threshold) {
            kept.push(&candidate);
            keep.push(i as i64);
        }
    }
    keep
}

/// The largest number of type `T` that is at most `x`: for any `y` of that type, `y > x` exactly if `y > round_down(x)`.
fn round_down<T: Real>(x: f64) -> T {
    let nearest = T::from_f64(x);
    if nearest.to_f64() <= x || T::DTYPE != DType::F32 { nearest } else { T::from_f64((x as f32).next_down().into()) }
}

/// Indices by descending score, equal scores in their order, NaN first.
fn by_descending_score<T: Real>(scores: &[T]) -> Vec<usize> {
    // A sum with 0 makes 0 of −0.
    let key = |score: T| if score.is_nan() { f64::NAN } else { score.to_f64() + 0.0 };
    let mut order: Vec<(f64, usize)> = scores.iter().enumerate().map(|(i, &score)| (key(score), i)).collect();
    order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    order.into_iter().map(|(_, i)| i).collect()
}

/// Boxes that are compared at a time.
const LANES: usize = 32;

/// Some kept boxes side by side.
struct Block<T> {
    x1: [T; LANES],
    y1: [T; LANES],
    x2: [T; LANES],
    y2: [T; LANES],
    area: [T; LANES],
}

struct Candidate<T> {
    corners: [T; 4],
    area: T,
}

impl<T: Real> Candidate<T> {
    fn new(corners: [T; 4]) -> Self {
        let [x1, y1, x2, y2] = corners;
        Self { corners, area: (x2 - x1) * (y2 - y1) }
    }
}

/// The boxes of one category that were kept so far.
struct Kept<T> {
    blocks: Vec<Block<T>>,
    len: usize,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { blocks: Vec::new(), len: 0 }
    }
}

impl<T: Real> Kept<T> {
    fn push(&mut self, candidate: &Candidate<T>) {
        let lane = self.len % LANES;
        if lane == 0 {
            // NaN overlaps nothing.
            let [x1, y1, x2, y2, area] = [[T::nan(); LANES]; 5];
            self.blocks.push(Block { x1, y1, x2, y2, area });
        }
        if let Some(block) = self.blocks.last_mut() {
            [block.x1[lane], block.y1[lane], block.x2[lane], block.y2[lane]] = candidate.corners;
            block.area[lane] = candidate.area;
        }
        self.len += 1;
    }
}

kernel! {
    fn removes<'a, T: Real>(kept: &'a [Block<T>], candidate: &'a Candidate<T>, threshold: T) -> bool {
        for block in kept {
            if block.removes(candidate, threshold) {
                return true;
            }
        }
        false
    }
}

/// `std::max` of C++ in its order of arguments, which decides what becomes of NaN.
#[inline(always)]
fn max<T: Real>(a: T, b: T) -> T {
    if a < b { b } else { a }
}

/// `std::min` likewise.
#[inline(always)]
fn min<T: Real>(a: T, b: T) -> T {
    if b < a { b } else { a }
}

impl<T: Real> Block<T> {
    /// Whether one of the boxes overlaps the candidate by more than the threshold.
    #[inline(always)]
    fn removes(&self, candidate: &Candidate<T>, threshold: T) -> bool {
        let [x1, y1, x2, y2] = candidate.corners;
        let mut removes = false;
        for i in 0..LANES {
            let width = max(T::zero(), min(self.x2[i], x2) - max(self.x1[i], x1));
            let height = max(T::zero(), min(self.y2[i], y2) - max(self.y1[i], y1));
            let intersection = width * height;
            removes |= intersection / (self.area[i] + candidate.area - intersection) > threshold;
        }
        removes
    }
}
