//! How much boxes overlap, all of one list with all of another.

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor, WithDType, backend::BackendStorage as _};
use rayon::prelude::*;

use crate::{
    Error, Result,
    cpu::{self, Real, gradient_of, kernel, slice, slices, with_real},
    node::{Keep, apply2},
};

use super::arguments::same_real;

/// The intersection over union (Jaccard index) of each box of one list with each of another: `|A ∩ B| / |A ∪ B|`,
/// as `torchvision.ops.box_iou`.
///
/// A box has the area `(x2 − x1) · (y2 − y1)`, negative if only one pair is swapped; two boxes without an area have NaN,
/// as 0 / 0. Where sides coincide, each of both boxes takes half the gradient, as in PyTorch.
///
/// # Shapes
/// - `boxes1`: `(N, 4)`, `boxes2`: `(M, 4)`, as `x1, y1, x2, y2` in any unit of length; both have a gradient
/// - output: `(N, M)`; either may be 0
///
/// # Errors
/// [`Error::Argument`] if the shapes or types do not fit.
pub fn box_iou(boxes1: &Tensor, boxes2: &Tensor) -> Result<Tensor> {
    apply(boxes1, boxes2, Overlap { name: "box_iou", generalized: false })
}

/// The generalised intersection over union (Rezatofighi et al., 2019, algorithm 1): `IoU − |C ∖ (A ∪ B)| / |C|` with the
/// smallest box `C` around both, −1 to 1, as `torchvision.ops.generalized_box_iou`.
///
/// Boxes without an area and ties are as in [`box_iou`].
///
/// # Shapes
/// - `boxes1`: `(N, 4)`, `boxes2`: `(M, 4)`, as `x1, y1, x2, y2` in any unit of length; both have a gradient
/// - output: `(N, M)`; either may be 0
///
/// # Errors
/// [`Error::Argument`] if the shapes or types do not fit.
pub fn generalized_box_iou(boxes1: &Tensor, boxes2: &Tensor) -> Result<Tensor> {
    apply(boxes1, boxes2, Overlap { name: "generalized_box_iou", generalized: true })
}

fn apply(boxes1: &Tensor, boxes2: &Tensor, op: Overlap) -> Result<Tensor> {
    check_boxes(op.name, "boxes1", boxes1)?;
    check_boxes(op.name, "boxes2", boxes2)?;
    same_real(op.name, "boxes2", boxes2, boxes1)?;
    Ok(apply2([&boxes1.contiguous()?, &boxes2.contiguous()?], Keep::Inputs, op)?)
}

/// Refuses anything but a list of boxes, and gives its length.
pub(super) fn check_boxes(op: &'static str, what: &'static str, boxes: &Tensor) -> Result<usize> {
    match *boxes.dims() {
        [n, 4] => Ok(n),
        ref other => Err(Error::argument(op, what, other, "a shape (N, 4)")),
    }
}

/// `x1, y1, x2, y2`.
type Corners<T> = [T; 4];

fn corners<T: Real>(boxes: &[T]) -> &[Corners<T>] {
    boxes.as_chunks().0
}

/// The larger one, NaN if either is.
#[inline(always)]
fn max<T: Real>(a: T, b: T) -> T {
    if a > b || a.is_nan() { a } else { b }
}

/// The smaller one, NaN if either is.
#[inline(always)]
fn min<T: Real>(a: T, b: T) -> T {
    if a < b || a.is_nan() { a } else { b }
}

/// `max(x, 0)`, but NaN for NaN.
#[inline(always)]
fn at_least_0<T: Real>(x: T) -> T {
    if x < T::zero() { T::zero() } else { x }
}

#[inline(always)]
fn area<T: Real>([x1, y1, x2, y2]: Corners<T>) -> T {
    (x2 - x1) * (y2 - y1)
}

/// Two boxes, their intersection and the box around both; of these the width and the height before negative ones become 0.
struct Pair<T> {
    areas: (T, T),
    inner: (T, T),
    outer: (T, T),
}

impl<T: Real> Pair<T> {
    #[inline(always)]
    fn new(a: Corners<T>, b: Corners<T>) -> Self {
        Self {
            areas: (area(a), area(b)),
            inner: (min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])),
            outer: (max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])),
        }
    }

    #[inline(always)]
    fn intersection(&self) -> T {
        at_least_0(self.inner.0) * at_least_0(self.inner.1)
    }

    #[inline(always)]
    fn union(&self) -> T {
        self.areas.0 + self.areas.1 - self.intersection()
    }

    #[inline(always)]
    fn hull(&self) -> T {
        at_least_0(self.outer.0) * at_least_0(self.outer.1)
    }
}

kernel! {
    fn overlaps<'a, T: Real>(
        generalized: bool,
        a: &'a Corners<T>,
        sides: [&'a [T]; 4],
        out: &'a mut [T],
    ) -> () {
        let [x1, y1, x2, y2] = sides.map(|side| &side[..out.len()]);
        if generalized {
            for j in 0..out.len() {
                let pair = Pair::new(*a, [x1[j], y1[j], x2[j], y2[j]]);
                let (union, hull) = (pair.union(), pair.hull());
                out[j] = pair.intersection() / union - (hull - union) / hull;
            }
        } else {
            for j in 0..out.len() {
                let pair = Pair::new(*a, [x1[j], y1[j], x2[j], y2[j]]);
                out[j] = pair.intersection() / pair.union();
            }
        }
    }
}

struct Overlap {
    name: &'static str,
    generalized: bool,
}

impl Overlap {
    fn forward<T: Real>(&self, boxes1: &[T], boxes2: &[T]) -> Vec<T> {
        let (boxes1, boxes2) = (corners(boxes1), corners(boxes2));
        let sides: [Vec<T>; 4] = std::array::from_fn(|side| boxes2.iter().map(|b| b[side]).collect());
        let rows = (cpu::CHUNK / boxes2.len().max(1)).max(1);
        cpu::build(boxes1.len() * boxes2.len(), (rows * boxes2.len()).max(1), |piece, out| {
            let mut row = vec![T::zero(); boxes2.len()];
            for a in &boxes1[piece * rows..boxes1.len().min((piece + 1) * rows)] {
                overlaps(self.generalized, a, sides.each_ref().map(Vec::as_slice), &mut row);
                out.extend(row.iter().copied());
            }
        })
    }

    /// The gradient of each of `boxes` from the pairs with all `others`, of which `grad(i, j)` is the output's gradient.
    fn backward<T: Real>(&self, boxes: &[T], others: &[T], grad: impl Fn(usize, usize) -> T + Sync) -> Vec<T> {
        let (boxes, others) = (corners(boxes), corners(others));
        let gradient = |(i, &a): (usize, &Corners<T>)| {
            let mut sum = [T::zero(); 4];
            for (j, &b) in others.iter().enumerate() {
                self.slopes(a, b).into_iter().zip(&mut sum).for_each(|(slope, sum)| *sum += slope * grad(i, j));
            }
            sum
        };
        boxes.par_iter().enumerate().map(gradient).collect::<Vec<_>>().into_flattened()
    }

    /// The derivatives of the overlap by the corners of `a`.
    fn slopes<T: Real>(&self, a: Corners<T>, b: Corners<T>) -> Corners<T> {
        let (zero, one, half) = (T::zero(), T::one(), T::from_f64(0.5));
        let pair = Pair::new(a, b);
        let (intersection, union, hull) = (pair.intersection(), pair.union(), pair.hull());
        // The overlap is I / U, and − 1 + U / C if generalised, where U = A + B − I.
        let by_union = -intersection / (union * union) + if self.generalized { one / hull } else { zero };
        let by_intersection = one / union - by_union;
        let by_hull = if self.generalized { -union / (hull * hull) } else { zero };
        // Whether a side of `a` is the one that counts: 1, half of it for a tie, 0.
        let wins = |mine: T, other: T| {
            if mine == other {
                half
            } else if mine > other {
                one
            } else {
                zero
            }
        };
        let passes = |extent: T| if extent >= zero { one } else { zero };
        let along = |low: usize, (inner, inner_across): (T, T), (outer, outer_across): (T, T)| {
            let across = (low + 1) % 2;
            let by_area = by_union * (a[across + 2] - a[across]);
            let by_inner = by_intersection * passes(inner) * at_least_0(inner_across);
            let by_outer = by_hull * passes(outer) * at_least_0(outer_across);
            let (lower, upper) = (wins(a[low], b[low]), wins(a[low + 2], b[low + 2]));
            [
                -by_area - by_inner * lower - by_outer * (one - lower),
                by_area + by_inner * (one - upper) + by_outer * upper,
            ]
        };
        let swap = |(x, y): (T, T)| (y, x);
        let [x1, x2] = along(0, pair.inner, pair.outer);
        let [y1, y2] = along(1, swap(pair.inner), swap(pair.outer));
        [x1, y1, x2, y2]
    }
}

impl CustomOp2 for Overlap {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        al: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(self.name, a.dtype(), T => {
            let y = self.forward::<T>(slice(self.name, a, al)?, slice(self.name, b, bl)?);
            Ok((T::to_cpu_storage_owned(y), (al.dims()[0], bl.dims()[0]).into()))
        })
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let (m, grad) = (b.dim(0)?, grad.contiguous()?);
        with_real!(self.name, grad.dtype(), T => {
            slices!(self.name, T, boxes1 = a, boxes2 = b, g = grad);
            let ga = a.track_op().then(|| self.backward(boxes1, boxes2, |i, j| g[i * m + j]));
            let gb = b.track_op().then(|| self.backward(boxes2, boxes1, |j, i| g[i * m + j]));
            Ok((gradient_of(a, ga)?, gradient_of(b, gb)?))
        })
    }
}
