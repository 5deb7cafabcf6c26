//! The linear maps of F(4×4, 3×3), on vectors of channels.
//!
//! Toom and Cook's construction (Lavin & Gray, 2016, give it for the points 0, ±1, ±2, ∞) at the points 0, ±5/8, ±3/2, ∞, which
//! lose less to rounding: the mean error of a sum over 64 channels is 1.8 times the direct one's, not 4.5 times
//! (`docs/benchmarks.md`). Both points, and their powers that stand here, are exact in f32.

use pulp::Simd;

use crate::cpu::Real;

/// Side of a tile of outputs.
pub(super) const OUT: usize = 4;
/// Side of a kernel.
pub(super) const KERNEL: usize = 3;
/// Side of a tile of inputs, and of its transform.
pub(super) const IN: usize = OUT + KERNEL - 1;
/// Elements of a transformed tile.
pub(super) const POINTS: usize = IN * IN;

const A: f64 = 5.0 / 8.0;
const B: f64 = 3.0 / 2.0;
const A2: f64 = A * A;
const B2: f64 = B * B;
/// `1 / Π (p − q)` over the other points `q`, for 0, ±A and ±B.
const N0: f64 = 1.0 / (A2 * B2);
const NA: f64 = 1.0 / (2.0 * A2 * (A2 - B2));
const NB: f64 = 1.0 / (2.0 * B2 * (B2 - A2));

/// A map from `I` to `O` values, applied along both axes of a tile.
pub(super) trait Transform<const I: usize, const O: usize> {
    fn apply<S: Simd, T: Real>(simd: S, x: [T::Vector<S>; I]) -> [T::Vector<S>; O];

    /// Along the columns, then along the rows.
    #[inline(always)]
    fn tile<S: Simd, T: Real>(simd: S, x: [[T::Vector<S>; I]; I]) -> [[T::Vector<S>; O]; O] {
        // Loops rather than `from_fn` and `map`, whose closures would not be compiled for `S`.
        let zero = T::splat(simd, T::zero());
        let mut half = [[zero; I]; O];
        for j in 0..I {
            let mut column = [zero; I];
            for i in 0..I {
                column[i] = x[i][j];
            }
            let column = Self::apply::<S, T>(simd, column);
            for i in 0..O {
                half[i][j] = column[i];
            }
        }
        let mut out = [[zero; O]; O];
        for i in 0..O {
            out[i] = Self::apply::<S, T>(simd, half[i]);
        }
        out
    }
}

#[inline(always)]
fn constant<S: Simd, T: Real>(simd: S, value: f64) -> T::Vector<S> {
    T::splat(simd, T::from_f64(value))
}

/// `f · a`.
#[inline(always)]
fn scaled<S: Simd, T: Real>(simd: S, f: f64, a: T::Vector<S>) -> T::Vector<S> {
    T::times(simd, constant::<S, T>(simd, f), a)
}

/// `a + f · b`.
#[inline(always)]
fn plus<S: Simd, T: Real>(simd: S, a: T::Vector<S>, f: f64, b: T::Vector<S>) -> T::Vector<S> {
    T::fused(simd, constant::<S, T>(simd, f), b, a)
}

/// `(a + f · b, a − f · b)`.
#[inline(always)]
fn both<S: Simd, T: Real>(simd: S, a: T::Vector<S>, f: f64, b: T::Vector<S>) -> [T::Vector<S>; 2] {
    [plus::<S, T>(simd, a, f, b), plus::<S, T>(simd, a, -f, b)]
}

/// `Bᵀ`: a tile of inputs.
pub(super) struct Input;

impl Transform<IN, IN> for Input {
    #[inline(always)]
    fn apply<S: Simd, T: Real>(s: S, [d0, d1, d2, d3, d4, d5]: [T::Vector<S>; IN]) -> [T::Vector<S>; IN] {
        let first = plus::<S, T>(s, plus::<S, T>(s, d4, -(A2 + B2), d2), A2 * B2, d0);
        let last = plus::<S, T>(s, plus::<S, T>(s, d5, -(A2 + B2), d3), A2 * B2, d1);
        let [a, minus_a] = both::<S, T>(s, plus::<S, T>(s, d4, -B2, d2), A, plus::<S, T>(s, d3, -B2, d1));
        let [b, minus_b] = both::<S, T>(s, plus::<S, T>(s, d4, -A2, d2), B, plus::<S, T>(s, d3, -A2, d1));
        [first, a, minus_a, b, minus_b, last]
    }
}

/// `G`: a kernel.
pub(super) struct Kernel;

impl Transform<KERNEL, IN> for Kernel {
    #[inline(always)]
    fn apply<S: Simd, T: Real>(s: S, [g0, g1, g2]: [T::Vector<S>; KERNEL]) -> [T::Vector<S>; IN] {
        let [a, minus_a] = both::<S, T>(s, plus::<S, T>(s, scaled::<S, T>(s, NA, g0), NA * A2, g2), NA * A, g1);
        let [b, minus_b] = both::<S, T>(s, plus::<S, T>(s, scaled::<S, T>(s, NB, g0), NB * B2, g2), NB * B, g1);
        [scaled::<S, T>(s, N0, g0), a, minus_a, b, minus_b, g2]
    }
}

/// `Gᵀ`: the gradient of a kernel from that of its transform.
pub(super) struct KernelGradient;

impl Transform<IN, KERNEL> for KernelGradient {
    #[inline(always)]
    fn apply<S: Simd, T: Real>(s: S, [u0, a, minus_a, b, minus_b, last]: [T::Vector<S>; IN]) -> [T::Vector<S>; KERNEL] {
        let (even_a, odd_a) = (T::plus(s, a, minus_a), T::minus(s, a, minus_a));
        let (even_b, odd_b) = (T::plus(s, b, minus_b), T::minus(s, b, minus_b));
        [
            plus::<S, T>(s, plus::<S, T>(s, scaled::<S, T>(s, N0, u0), NA, even_a), NB, even_b),
            plus::<S, T>(s, scaled::<S, T>(s, NA * A, odd_a), NB * B, odd_b),
            plus::<S, T>(s, plus::<S, T>(s, last, NA * A2, even_a), NB * B2, even_b),
        ]
    }
}

/// `Aᵀ`: a tile of outputs from its transform.
pub(super) struct Output;

impl Transform<IN, OUT> for Output {
    #[inline(always)]
    fn apply<S: Simd, T: Real>(s: S, [m0, a, minus_a, b, minus_b, last]: [T::Vector<S>; IN]) -> [T::Vector<S>; OUT] {
        let (even_a, odd_a) = (T::plus(s, a, minus_a), T::minus(s, a, minus_a));
        let (even_b, odd_b) = (T::plus(s, b, minus_b), T::minus(s, b, minus_b));
        [
            T::plus(s, m0, T::plus(s, even_a, even_b)),
            plus::<S, T>(s, scaled::<S, T>(s, A, odd_a), B, odd_b),
            plus::<S, T>(s, scaled::<S, T>(s, A2, even_a), B2, even_b),
            plus::<S, T>(s, plus::<S, T>(s, last, A2 * A, odd_a), B2 * B, odd_b),
        ]
    }
}

/// `A`: the gradient of a transform from that of its tile of outputs.
pub(super) struct OutputGradient;

impl Transform<OUT, IN> for OutputGradient {
    #[inline(always)]
    fn apply<S: Simd, T: Real>(s: S, [y0, y1, y2, y3]: [T::Vector<S>; OUT]) -> [T::Vector<S>; IN] {
        let (even_a, odd_a) = (plus::<S, T>(s, y0, A2, y2), plus::<S, T>(s, scaled::<S, T>(s, A, y1), A * A2, y3));
        let (even_b, odd_b) = (plus::<S, T>(s, y0, B2, y2), plus::<S, T>(s, scaled::<S, T>(s, B, y1), B * B2, y3));
        let (a, minus_a) = (T::plus(s, even_a, odd_a), T::minus(s, even_a, odd_a));
        let (b, minus_b) = (T::plus(s, even_b, odd_b), T::minus(s, even_b, odd_b));
        [y0, a, minus_a, b, minus_b, y3]
    }
}
