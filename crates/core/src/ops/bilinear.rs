//! Reading a map between its elements: what sampling by a grid and deformable convolution share.
//!
//! Which four elements a position lies between, and how much it takes of each, is worked out once for a block of positions and
//! then used for all channels. Outside the map everything is zero.

use crate::{
    Error, Result,
    cpu::{Real, dispatch, vectorised},
};

/// Positions that are worked on together: their corners stay in a core's first cache.
pub(super) const BLOCK: usize = 512;

/// A map's height and width are at most this, so that an `f32` holds every coordinate with a fraction.
const MAX_SIDE: usize = 1 << 22;

/// Floats that become indices, by arithmetic that turns into vectors: the standard library's `floor` is a call where it is
/// compiled for any x86-64, and its casts keep within the range of integers.
pub(super) trait Coordinate: Real {
    /// The largest integer that is not above a number of at most [`MAX_SIDE`] and one.
    fn whole(self) -> Self;

    /// An integer of that size.
    fn index(self) -> i32;
}

macro_rules! coordinate {
    ($T:ty, $shift:expr) => {
        impl Coordinate for $T {
            #[inline(always)]
            fn whole(self) -> Self {
                // There is no room for a fraction beside so large a number.
                let nearest = (self + $shift) - $shift;
                if nearest > self { nearest - 1.0 } else { nearest }
            }

            #[inline(always)]
            fn index(self) -> i32 {
                // The lowest bits of the sum are the integer.
                (self + $shift).to_bits().wrapping_sub(<$T>::to_bits($shift)) as i32
            }
        }
    };
}

coordinate!(f32, 12_582_912.0); // 1.5 · 2²³
coordinate!(f64, 6_755_399_441_055_744.0); // 1.5 · 2⁵²

/// An axis of the map.
#[derive(Clone, Copy, Debug)]
struct Axis<T> {
    /// One past the last element, where nothing is left of the map.
    end: T,
    /// The last element that another follows; 0 where there is only one element.
    last_base: T,
    /// 1, or 0 where there is only one element.
    two: T,
}

/// What a coordinate takes of the neighbours `base` and `base + 1`.
struct Split<T> {
    base: T,
    weights: [T; 2],
    /// The derivatives of the weights by the coordinate.
    slopes: [T; 2],
}

impl<T: Coordinate> Axis<T> {
    fn new(size: usize) -> Self {
        Self {
            end: T::from_f64(size as f64),
            last_base: T::from_f64(size.saturating_sub(2) as f64),
            two: if size > 1 { T::one() } else { T::zero() },
        }
    }

    /// The neighbours are moved into the axis where they stand out, and the weights with them. NaN is outside.
    #[inline(always)]
    fn split(&self, c: T) -> Split<T> {
        let (zero, one) = (T::zero(), T::one());
        let before = -(one + one);
        let c = if c > before { c } else { before };
        let c = if c < self.end { c } else { self.end };
        let floor = c.whole();
        let t = c - floor;
        let base = if floor > zero { floor } else { zero };
        let base = if base < self.last_base { base } else { self.last_base };
        let at = [floor == base, floor + one == base, floor == base + one];
        Split { base, weights: self.choose(at, one - t, t), slopes: self.choose(at, -one, one) }
    }

    /// The parts of `base` and of what follows it, for a coordinate that is between the two, before both, or after both.
    #[inline(always)]
    fn choose(&self, [between, before, after]: [bool; 3], first: T, second: T) -> [T; 2] {
        let zero = T::zero();
        let base = if before { second } else { zero };
        let next = if after { first } else { zero };
        [if between { first } else { base }, (if between { second } else { next }) * self.two]
    }
}

/// The map that is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Map<T> {
    width: i32,
    /// Elements of the map.
    len: usize,
    rows: Axis<T>,
    cols: Axis<T>,
    /// Where the second, third and fourth corner stand from the first.
    steps: [usize; 3],
}

impl<T: Coordinate> Map<T> {
    /// A map that has passed [`check_map`].
    pub(super) fn new(h: usize, w: usize) -> Self {
        let (right, down) = (usize::from(w > 1), if h > 1 { w } else { 0 });
        Self { width: w as i32, len: h * w, rows: Axis::new(h), cols: Axis::new(w), steps: [right, down, down + right] }
    }
}

impl<T> Map<T> {
    /// Where the four corners stand whose first is given.
    #[inline(always)]
    fn corners(&self, first: i32) -> [usize; 4] {
        let [right, down, across] = self.steps;
        // A sum that wrapped around would fail the bounds of a slice.
        let first = first as usize;
        [first, first.wrapping_add(right), first.wrapping_add(down), first.wrapping_add(across)]
    }
}

/// An error unless coordinates and indices fit the numbers that are used for them.
pub(super) fn check_map(op: &'static str, h: usize, w: usize) -> Result<()> {
    if h.max(w) > MAX_SIDE || h * w > i32::MAX as usize {
        let expected = format!("sides of at most {MAX_SIDE} and {} elements", i32::MAX);
        return Err(Error::argument(op, "the size of a map", (h, w), expected));
    }
    Ok(())
}

/// The corners of up to [`BLOCK`] positions.
pub(super) struct Corners<T> {
    len: usize,
    /// Whether a coordinate is NaN.
    nan: bool,
    y: [T; BLOCK],
    x: [T; BLOCK],
    /// The first corner of four.
    index: [i32; BLOCK],
    weights: Quadruples<T>,
}

/// Something of each of the four corners, for the positions of a block.
pub(super) type Quadruples<T> = [[T; BLOCK]; 4];

impl<T: Coordinate> Corners<T> {
    pub(super) fn new() -> Self {
        let zeros = [T::zero(); BLOCK];
        Self { len: 0, nan: false, y: zeros, x: zeros, index: [0; BLOCK], weights: [zeros; 4] }
    }

    /// Takes up to [`BLOCK`] positions `(y, x)`.
    pub(super) fn place(&mut self, map: &Map<T>, positions: impl ExactSizeIterator<Item = (T, T)>) {
        dispatch(
            #[inline(always)]
            || {
                self.take(positions);
                self.find_corners(map);
            },
        );
    }

    #[inline(always)]
    fn take(&mut self, positions: impl ExactSizeIterator<Item = (T, T)>) {
        self.len = positions.len().min(BLOCK);
        for ((y, x), position) in self.y.iter_mut().zip(&mut self.x).zip(positions) {
            (*y, *x) = position;
        }
        let nan = self.y[..self.len].iter().zip(&self.x).fold(0, |n, (y, x)| n | i32::from(y.is_nan() | x.is_nan()));
        self.nan = nan != 0;
    }

    #[inline(always)]
    fn find_corners(&mut self, map: &Map<T>) {
        let positions = self.y[..self.len].iter().zip(&self.x);
        let [w0, w1, w2, w3] = self.weights.each_mut().map(|w| w.iter_mut());
        let corners = self.index.iter_mut().zip(w0).zip(w1).zip(w2).zip(w3);
        for (((((index, w0), w1), w2), w3), (&y, &x)) in corners.zip(positions) {
            let (row, col) = (map.rows.split(y), map.cols.split(x));
            *index = row.base.index().wrapping_mul(map.width).wrapping_add(col.base.index());
            let ([top, bottom], [left, right]) = (row.weights, col.weights);
            (*w0, *w1, *w2, *w3) = (top * left, top * right, bottom * left, bottom * right);
        }
    }

    /// Multiplies what each position takes of its corners.
    pub(super) fn scale(&mut self, factors: &[T]) {
        vectorised(
            #[inline(always)]
            || self.weights.iter_mut().for_each(|w| w.iter_mut().zip(factors).for_each(|(w, &f)| *w *= f)),
        );
    }

    /// What [`Self::read`] and [`Self::pull_back`] look at, all of one length so that nothing is checked in their loops but
    /// the corners.
    #[inline(always)]
    fn parts(&self) -> (&[i32], [&[T]; 4]) {
        (&self.index[..self.len], self.weights.each_ref().map(|w| &w[..self.len]))
    }

    /// Writes the value of `K` planes at each position, NaN where a coordinate is.
    ///
    /// It and the way back are bound by the number of instructions, and so fuse products and sums (which gives the same bits on
    /// processors that have no such instruction, slowly).
    pub(super) fn read<const K: usize>(&self, map: &Map<T>, planes: [&[T]; K], mut values: [&mut [T]; K]) {
        vectorised(
            #[inline(always)]
            || {
                let (index, w) = self.parts();
                let planes = planes.map(|plane| &plane[..map.len]);
                let values = values.each_mut().map(|values| &mut values[..index.len()]);
                for (at, &index) in index.iter().enumerate() {
                    let ([i, j, k, l], w) = (map.corners(index), w.map(|w| w[at]));
                    for p in 0..K {
                        let v = planes[p];
                        let (top, bottom) = (v[j].mul_add(w[1], v[i] * w[0]), v[l].mul_add(w[3], v[k] * w[2]));
                        values[p][at] = top + bottom;
                    }
                }
            },
        );
        if self.nan {
            for values in values {
                let nan = self.y.iter().zip(&self.x).map(|(y, x)| y.is_nan() || x.is_nan());
                values.iter_mut().zip(nan).filter(|(_, nan)| *nan).for_each(|(value, _)| *value = T::nan());
            }
        }
    }

    /// The way back of [`Self::read`]. With the gradient of `K` planes' values it adds
    /// - if `TO_MAP`, to `to`, the gradients of those planes, at the corners that each value was read from;
    /// - if `TO_POSITION`, the corners' values times the gradient to `sums`, for [`Self::slopes`] and [`Self::weigh`].
    ///
    /// What is not asked for may be empty.
    pub(super) fn pull_back<const K: usize, const TO_MAP: bool, const TO_POSITION: bool>(
        &self,
        map: &Map<T>,
        grad: [&[T]; K],
        mut to: [&mut [T]; K],
        planes: [&[T]; K],
        sums: &mut Quadruples<T>,
    ) {
        vectorised(
            #[inline(always)]
            || {
                let (index, w) = self.parts();
                let grad = grad.map(|grad| &grad[..index.len()]);
                let planes = planes.map(|plane| &plane[..if TO_POSITION { map.len } else { 0 }]);
                let to = to.each_mut().map(|to| &mut to[..if TO_MAP { map.len } else { 0 }]);
                let sums = sums.each_mut().map(|sums| &mut sums[..index.len()]);
                for (at, &index) in index.iter().enumerate() {
                    // Everything is read before something is written, so that the compiler keeps it.
                    let (corners, w, g) = (map.corners(index), w.map(|w| w[at]), grad.map(|grad| grad[at]));
                    if TO_POSITION {
                        for c in 0..4 {
                            let mut sum = g[0] * planes[0][corners[c]];
                            for p in 1..K {
                                sum = g[p].mul_add(planes[p][corners[c]], sum);
                            }
                            sums[c][at] += sum;
                        }
                    }
                    if TO_MAP {
                        for p in 0..K {
                            for c in 0..4 {
                                to[p][corners[c]] = g[p].mul_add(w[c], to[p][corners[c]]);
                            }
                        }
                    }
                }
            },
        );
    }

    /// Writes the weighted sum of the four of each position.
    pub(super) fn weigh(&self, sums: &Quadruples<T>, out: &mut [T]) {
        vectorised(
            #[inline(always)]
            || {
                let [a, b, c, d] = sums;
                let [wa, wb, wc, wd] = &self.weights;
                let sums = a.iter().zip(b).zip(c).zip(d);
                let weights = wa.iter().zip(wb).zip(wc).zip(wd);
                for ((out, (((&a, &b), &c), &d)), (((&wa, &wb), &wc), &wd)) in out.iter_mut().zip(sums).zip(weights) {
                    *out = (wa * a + wb * b) + (wc * c + wd * d);
                }
            },
        );
    }

    /// Puts the derivatives by `y` and `x` of the weighted sum of the four of each position in place of the first two.
    pub(super) fn slopes(&self, map: &Map<T>, [a, b, c, d]: &mut Quadruples<T>) {
        vectorised(
            #[inline(always)]
            || {
                let positions = self.y[..self.len].iter().zip(&self.x);
                for ((((a, b), &c), &d), (&y, &x)) in a.iter_mut().zip(&mut *b).zip(&*c).zip(&*d).zip(positions) {
                    let (row, col) = (map.rows.split(y), map.cols.split(x));
                    let ([left, right], [to_left, to_right]) = (col.weights, col.slopes);
                    let (top, bottom) = (left * *a + right * *b, left * c + right * d);
                    let (along_top, along_bottom) = (to_left * *a + to_right * *b, to_left * c + to_right * d);
                    *a = row.slopes[0] * top + row.slopes[1] * bottom;
                    *b = row.weights[0] * along_top + row.weights[1] * along_bottom;
                }
            },
        );
    }
}

/// Planes that are read or added to together, as far as there are so many.
pub(super) const TOGETHER: usize = 4;

/// Evaluates `$body` with the constant `$K` for `$n` planes, at most [`TOGETHER`].
macro_rules! with_planes {
    ($n:expr, $K:ident => $body:expr) => {
        match $n {
            1 => {
                const $K: usize = 1;
                $body
            }
            2 => {
                const $K: usize = 2;
                $body
            }
            3 => {
                const $K: usize = 3;
                $body
            }
            _ => {
                const $K: usize = $crate::ops::bilinear::TOGETHER;
                $body
            }
        }
    };
}
pub(super) use with_planes;

/// `K` planes of `len` elements.
pub(super) fn planes<const K: usize, T>(values: &[T], len: usize) -> [&[T]; K] {
    let mut planes = values.chunks_exact(len);
    std::array::from_fn(|_| planes.next().unwrap_or_default())
}

/// `K` planes of `len` elements.
pub(super) fn planes_mut<const K: usize, T>(values: &mut [T], len: usize) -> [&mut [T]; K] {
    let mut planes = values.chunks_exact_mut(len);
    std::array::from_fn(|_| planes.next().unwrap_or_default())
}

/// Channels that one task of a backward pass works on, of `n` images (or parts of images) of `channels` that share their
/// positions: several, as the corners are then worked out less often, unless so few tasks would be left that threads had none.
/// By shape alone.
pub(super) fn channels_per_task(n: usize, channels: usize) -> usize {
    const FEW: usize = 4;
    const MANY: usize = 64;
    if n * channels.div_ceil(TOGETHER) < FEW {
        1
    } else {
        (n * channels).div_ceil(MANY).clamp(TOGETHER, channels.max(TOGETHER))
    }
}

/// Cuts the planes of `values`, `(tasks, rows, plane)`, into blocks of positions: for each task and block the first position
/// and the rows' pieces. So tasks can write pieces of many rows.
pub(super) fn blocks<T>(values: &mut [T], rows: usize, plane: usize, block: usize) -> Vec<PlaneBlock<'_, T>> {
    let mut blocks = Vec::new();
    for (task, values) in values.chunks_exact_mut(rows * plane).enumerate() {
        let first = blocks.len();
        let starts = (0..plane).step_by(block);
        blocks.extend(starts.map(|start| PlaneBlock { task, start, rows: Vec::with_capacity(rows) }));
        for row in values.chunks_exact_mut(plane) {
            row.chunks_mut(block).zip(&mut blocks[first..]).for_each(|(part, block)| block.rows.push(part));
        }
    }
    blocks
}

/// A block of [`blocks`].
pub(super) struct PlaneBlock<'a, T> {
    pub(super) task: usize,
    /// The first position of the block in its plane.
    pub(super) start: usize,
    /// Its part of each row.
    pub(super) rows: Vec<&'a mut [T]>,
}
