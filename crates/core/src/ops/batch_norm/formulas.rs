//! What batch normalisation computes of the elements of a channel.

use pulp::Simd;

use crate::cpu::{
    Real,
    formula::{Formula, Moments, lost_by_rounding},
};

/// `y = (x − mean) · scale + shift` of one channel; a backward pass computes it again, to the bit, to see where a ReLU let
/// it pass.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Channel<T> {
    pub(in crate::ops) mean: T,
    pub(in crate::ops) scale: T,
    pub(in crate::ops) shift: T,
}

pub(super) fn inv_std(var: f64, eps: f64) -> f64 {
    1.0 / (var + eps).sqrt()
}

impl<T: Real> Channel<T> {
    pub(in crate::ops) fn new((mean, var): (f64, f64), eps: f64, (weight, bias): (T, T)) -> Self {
        let inv_std = inv_std(var, eps);
        let rest = lost_by_rounding::<T>(mean) * weight.to_f64() * inv_std;
        Self { mean: T::from_f64(mean), scale: weight * T::from_f64(inv_std), shift: bias - T::from_f64(rest) }
    }

    #[inline(always)]
    fn centred<S: Simd>(self, simd: S, x: T::Vector<S>) -> T::Vector<S> {
        T::minus(simd, x, T::splat(simd, self.mean))
    }

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, x: T::Vector<S>) -> T::Vector<S> {
        let scaled = T::times(simd, self.centred(simd, x), T::splat(simd, self.scale));
        T::plus(simd, scaled, T::splat(simd, self.shift))
    }
}

/// `g` where a ReLU's output is positive, else 0.
#[inline(always)]
fn passed<S: Simd, T: Real>(simd: S, output: T::Vector<S>, g: T::Vector<S>) -> T::Vector<S> {
    let zero = T::splat(simd, T::zero());
    T::if_less(simd, (zero, output), g, zero)
}

/// A ReLU; NaN passes through.
#[inline(always)]
fn relu<S: Simd, T: Real>(simd: S, x: T::Vector<S>) -> T::Vector<S> {
    let zero = T::splat(simd, T::zero());
    T::if_less(simd, (x, zero), zero, x)
}

/// The normalised output, and the ReLU of it.
#[derive(Clone, Copy)]
pub(super) struct Output<T, const RELU: bool>(pub(super) Channel<T>);

impl<T: Real, const RELU: bool> Formula<T, 1, 1> for Output<T, RELU> {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, [x]: [T::Vector<S>; 1]) -> [T::Vector<S>; 1] {
        let y = self.0.apply(simd, x);
        [if RELU { relu::<S, T>(simd, y) } else { y }]
    }
}

/// The ReLU of the sum of the normalised output and a residual.
#[derive(Clone, Copy)]
pub(super) struct OutputAdd<T>(pub(super) Channel<T>);

impl<T: Real> Formula<T, 2, 1> for OutputAdd<T> {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, [x, r]: [T::Vector<S>; 2]) -> [T::Vector<S>; 1] {
        [relu::<S, T>(simd, T::plus(simd, self.0.apply(simd, x), r))]
    }
}

/// `g` and `g · (x − mean)`, with `g` the gradient of the normalised output.
#[derive(Clone, Copy)]
pub(super) struct Terms<T, const RELU: bool>(pub(super) Channel<T>);

impl<T: Real, const RELU: bool> Formula<T, 2, 2> for Terms<T, RELU> {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, [x, g]: [T::Vector<S>; 2]) -> [T::Vector<S>; 2] {
        let g = if RELU { passed::<S, T>(simd, self.0.apply(simd, x), g) } else { g };
        Moments(self.0.mean).of(simd, [x, g])
    }
}

/// The same by the output of a ReLU behind a sum.
#[derive(Clone, Copy)]
pub(super) struct TermsAdd<T>(pub(super) Channel<T>);

impl<T: Real> Formula<T, 3, 2> for TermsAdd<T> {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, [x, y, g]: [T::Vector<S>; 3]) -> [T::Vector<S>; 2] {
        Terms::<T, false>(self.0).of(simd, [x, passed::<S, T>(simd, y, g)])
    }
}

/// What the gradient of x takes from that of the normalised output: `mean(g)`, and `mean(g · x̂) / σ`.
#[derive(Clone, Copy)]
pub(super) struct Means<T> {
    pub(super) grad: T,
    pub(super) slope: T,
}

/// The gradient of x.
#[derive(Clone, Copy)]
pub(super) struct Gradient<T, const RELU: bool>(pub(super) Channel<T>, pub(super) Means<T>);

impl<T: Real, const RELU: bool> Formula<T, 2, 1> for Gradient<T, RELU> {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, [x, g]: [T::Vector<S>; 2]) -> [T::Vector<S>; 1] {
        let Self(channel, means) = self;
        let g = if RELU { passed::<S, T>(simd, channel.apply(simd, x), g) } else { g };
        let of_x = T::times(simd, channel.centred(simd, x), T::splat(simd, means.slope));
        let rest = T::minus(simd, T::minus(simd, g, T::splat(simd, means.grad)), of_x);
        [T::times(simd, T::splat(simd, channel.scale), rest)]
    }
}

/// The gradients of x and of the residual.
#[derive(Clone, Copy)]
pub(super) struct GradientAdd<T>(pub(super) Channel<T>, pub(super) Means<T>);

impl<T: Real> Formula<T, 3, 2> for GradientAdd<T> {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, [x, y, g]: [T::Vector<S>; 3]) -> [T::Vector<S>; 2] {
        let g = passed::<S, T>(simd, y, g);
        let [gx] = Gradient::<T, false>(self.0, self.1).of(simd, [x, g]);
        [gx, g]
    }
}
