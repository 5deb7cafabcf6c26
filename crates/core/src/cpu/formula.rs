//! Sums over elements, and outputs element by element, by formulas on explicit vectors.

use pulp::{Scalar, Simd, WithSimd};

use super::{Real, Target, lanes};

/// What is computed of the corresponding elements of `I` inputs: `O` results.
pub(crate) trait Formula<T: Real, const I: usize, const O: usize>: Copy {
    /// Of a vector of each input. It should be `#[inline(always)]`, so as to be compiled for the processor's vectors.
    fn of<S: Simd>(self, simd: S, inputs: [T::Vector<S>; I]) -> [T::Vector<S>; O];
}

/// `a`.
#[derive(Clone, Copy)]
pub(crate) struct Itself;

impl<T: Real> Formula<T, 1, 1> for Itself {
    #[inline(always)]
    fn of<S: Simd>(self, _: S, a: [T::Vector<S>; 1]) -> [T::Vector<S>; 1] {
        a
    }
}

/// `a · b`.
#[derive(Clone, Copy)]
pub(crate) struct Times;

impl<T: Real> Formula<T, 2, 1> for Times {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, [a, b]: [T::Vector<S>; 2]) -> [T::Vector<S>; 1] {
        [T::times(simd, a, b)]
    }
}

/// `a − m` and `(a − m)²`.
#[derive(Clone, Copy)]
struct Deviation<T>(T);

impl<T: Real> Formula<T, 1, 2> for Deviation<T> {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, [a]: [T::Vector<S>; 1]) -> [T::Vector<S>; 2] {
        let a = T::minus(simd, a, T::splat(simd, self.0));
        [a, T::times(simd, a, a)]
    }
}

/// `b` and `b · (a − m)`: what the gradients of a normalisation are made of.
#[derive(Clone, Copy)]
pub(crate) struct Moments<T>(pub(crate) T);

impl<T: Real> Formula<T, 2, 2> for Moments<T> {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, [a, b]: [T::Vector<S>; 2]) -> [T::Vector<S>; 2] {
        [b, T::times(simd, b, T::minus(simd, a, T::splat(simd, self.0)))]
    }
}

/// `n` pieces of `len` elements, the first at `first` and each `stride` behind the one before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pieces {
    pub(crate) first: usize,
    pub(crate) stride: usize,
    pub(crate) len: usize,
    pub(crate) n: usize,
}

/// Elements that are summed up together: few enough for f32, and they are read twice, the second time from the first cache.
const PART: usize = 1 << 12;

impl Pieces {
    /// All of a slice.
    pub(crate) fn all(len: usize) -> Self {
        Self { first: 0, stride: len, len, n: 1 }
    }

    /// The same elements in parts of about [`PART`]: some of one piece, or all of several.
    pub(crate) fn parts(self) -> impl Iterator<Item = Self> {
        let Self { first, stride, len, n } = self;
        let together = (PART / len.max(1)).max(1);
        (0..n).step_by(together).flat_map(move |piece| {
            (0..len).step_by(PART).map(move |start| Self {
                first: first + piece * stride + start,
                stride,
                len: PART.min(len - start),
                n: together.min(n - piece),
            })
        })
    }

    /// Elements in all.
    fn total(self) -> usize {
        self.n * self.len
    }

    /// One past the last element.
    fn end(self) -> usize {
        if self.total() == 0 { 0 } else { self.first + (self.n - 1) * self.stride + self.len }
    }
}

/// The sum of each of the formula's results over all elements of `pieces` of the inputs.
pub(crate) fn sums<T: Real, const I: usize, const O: usize>(
    pieces: Pieces,
    inputs: [&[T]; I],
    formula: impl Formula<T, I, O>,
) -> [T; O] {
    assert!(inputs.iter().all(|input| pieces.end() <= input.len()));
    pulp::Arch::new().dispatch(Sums { pieces, inputs, formula })
}

/// The sum of the elements of `x`.
pub(crate) fn sum<T: Real>(x: &[T]) -> T {
    let [sum] = sums(Pieces::all(x.len()), [x], Itself);
    sum
}

/// The inner product of two slices of one length.
pub(crate) fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let [dot] = sums(Pieces::all(a.len()), [a, b], Times);
    dot
}

/// [`sums`] part by part, the parts' sums in f64.
pub(crate) fn long_sums<T: Real, const I: usize, const O: usize>(
    pieces: Pieces,
    inputs: [&[T]; I],
    formula: impl Formula<T, I, O>,
) -> [f64; O] {
    let mut total = [0.0; O];
    for part in pieces.parts() {
        for (total, sum) in total.iter_mut().zip(sums(part, inputs, formula)) {
            *total += sum.to_f64();
        }
    }
    total
}

/// Mean and biased variance of all elements, from those of their parts (Chan et al., 1979).
pub(crate) fn mean_and_variance<T: Real>(pieces: Pieces, x: &[T]) -> (f64, f64) {
    let (mut n, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for part in pieces.parts() {
        let m = part.total() as f64;
        let [part_sum] = sums(part, [x], Itself);
        let centre = T::from_f64(part_sum.to_f64() / m);
        let [rest, part_squares] = sums(part, [x], Deviation(centre));
        // What the centre's rounding left.
        let rest = rest.to_f64() / m;
        let (delta, sum) = (centre.to_f64() + rest - mean, n + m);
        squares += part_squares.to_f64() - m * rest * rest + delta * delta * n * m / sum;
        mean += delta * m / sum;
        n = sum;
    }
    (mean, squares / n)
}

/// What a mean loses when it is rounded to `T`: where it is far from zero, more than the differences from it do.
pub(crate) fn lost_by_rounding<T: Real>(mean: f64) -> f64 {
    mean - T::from_f64(mean).to_f64()
}

/// Writes the formula's results for all elements of `pieces` to where these stand in the outputs.
///
/// # Safety
/// The slices that the outputs were made of are alive, and nobody else reads or writes these elements meanwhile.
pub(crate) unsafe fn write<T: Real, const I: usize, const O: usize>(
    pieces: Pieces,
    inputs: [&[T]; I],
    outputs: [Target<T>; O],
    formula: impl Formula<T, I, O>,
) {
    assert!(inputs.iter().all(|input| pieces.end() <= input.len()));
    assert!(outputs.iter().all(|output| pieces.end() <= output.len));
    let outputs = outputs.map(|output| output.ptr);
    pulp::Arch::new().dispatch(Write { pieces, inputs, outputs, formula });
}

/// Elements that are added to as many sums side by side, whatever the processor's vectors hold: so the bits of a sum are the
/// same on all processors that have a fused multiplication and addition.
const BLOCK: usize = 16;

struct Sums<'a, T, F, const I: usize, const O: usize> {
    pieces: Pieces,
    inputs: [&'a [T]; I],
    formula: F,
}

impl<T: Real, F: Formula<T, I, O>, const I: usize, const O: usize> WithSimd for Sums<'_, T, F, I, O> {
    type Output = [T; O];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [T; O] {
        match BLOCK / lanes::<S, T>() {
            1 => self.run::<S, 1>(simd),
            2 => self.run::<S, 2>(simd),
            4 => self.run::<S, 4>(simd),
            8 => self.run::<S, 8>(simd),
            _ => self.run::<S, BLOCK>(simd),
        }
    }
}

impl<T: Real, F: Formula<T, I, O>, const I: usize, const O: usize> Sums<'_, T, F, I, O> {
    /// With blocks of `VECTORS`.
    #[inline(always)]
    fn run<S: Simd, const VECTORS: usize>(self, simd: S) -> [T; O] {
        let zero = T::splat(simd, T::zero());
        // Two blocks in turn: an addition does not wait for the one before.
        let (mut even, mut odd) = ([[zero; VECTORS]; O], [[zero; VECTORS]; O]);
        let mut tail = [T::zero(); O];
        for piece in 0..self.pieces.n {
            let start = self.pieces.first + piece * self.pieces.stride;
            let inputs = self.inputs.map(|input| &input[start..start + self.pieces.len]);
            let mut at = 0;
            while at + 2 * BLOCK <= self.pieces.len {
                self.add(simd, inputs, at, &mut even);
                self.add(simd, inputs, at + BLOCK, &mut odd);
                at += 2 * BLOCK;
            }
            if at + BLOCK <= self.pieces.len {
                self.add(simd, inputs, at, &mut even);
                at += BLOCK;
            }
            for i in at..self.pieces.len {
                let terms = self.formula.of(Scalar, inputs.map(|input| T::splat(Scalar, input[i])));
                for (tail, term) in tail.iter_mut().zip(terms) {
                    *tail += first_lane::<Scalar, T>(term);
                }
            }
        }
        let mut sums = tail;
        for (sum, (even, odd)) in sums.iter_mut().zip(even.into_iter().zip(odd)) {
            let mut both = [zero; VECTORS];
            for (both, (even, odd)) in both.iter_mut().zip(even.into_iter().zip(odd)) {
                *both = T::plus(simd, even, odd);
            }
            for i in 0..BLOCK {
                // SAFETY: the vectors hold `BLOCK` elements.
                *sum += unsafe { *both.as_ptr().cast::<T>().add(i) };
            }
        }
        sums
    }

    /// Adds the block of elements from `at` on.
    #[inline(always)]
    fn add<S: Simd, const VECTORS: usize>(
        &self,
        simd: S,
        inputs: [&[T]; I],
        at: usize,
        sums: &mut [[T::Vector<S>; VECTORS]; O],
    ) {
        for v in 0..VECTORS {
            // SAFETY: the caller sees to it that a block from `at` on is there.
            let vectors = inputs.map(|input| unsafe { load::<S, T>(input, at + v * lanes::<S, T>()) });
            let terms = self.formula.of(simd, vectors);
            for (sums, term) in sums.iter_mut().zip(terms) {
                sums[v] = T::plus(simd, sums[v], term);
            }
        }
    }
}

struct Write<'a, T, F, const I: usize, const O: usize> {
    pieces: Pieces,
    inputs: [&'a [T]; I],
    outputs: [*mut T; O],
    formula: F,
}

impl<T: Real, F: Formula<T, I, O>, const I: usize, const O: usize> WithSimd for Write<'_, T, F, I, O> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let lanes = lanes::<S, T>();
        for piece in 0..self.pieces.n {
            let start = self.pieces.first + piece * self.pieces.stride;
            let inputs = self.inputs.map(|input| &input[start..start + self.pieces.len]);
            // SAFETY: `write` has checked that all pieces are within the outputs, which are ours as its caller promises.
            let outputs = self.outputs.map(|output| unsafe { output.add(start) });
            let mut at = 0;
            while at + lanes <= self.pieces.len {
                // SAFETY: a vector from `at` on is there.
                let vectors = inputs.map(|input| unsafe { load::<S, T>(input, at) });
                for (output, result) in outputs.into_iter().zip(self.formula.of(simd, vectors)) {
                    // SAFETY: as above.
                    unsafe { output.add(at).cast::<T::Vector<S>>().write_unaligned(result) };
                }
                at += lanes;
            }
            for i in at..self.pieces.len {
                let results = self.formula.of(Scalar, inputs.map(|input| T::splat(Scalar, input[i])));
                for (output, result) in outputs.into_iter().zip(results) {
                    // SAFETY: as above.
                    unsafe { output.add(i).write(first_lane::<Scalar, T>(result)) };
                }
            }
        }
    }
}

/// The vector of `x` from `at` on.
///
/// # Safety
/// It is there.
#[inline(always)]
unsafe fn load<S: Simd, T: Real>(x: &[T], at: usize) -> T::Vector<S> {
    debug_assert!(at + lanes::<S, T>() <= x.len());
    // SAFETY: as the caller promises.
    unsafe { x.as_ptr().add(at).cast::<T::Vector<S>>().read_unaligned() }
}

#[inline(always)]
fn first_lane<S: Simd, T: Real>(vector: T::Vector<S>) -> T {
    // SAFETY: a vector holds at least one element.
    unsafe { *(&raw const vector).cast::<T>() }
}
