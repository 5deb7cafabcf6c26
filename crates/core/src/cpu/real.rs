//! The types that kernels compute in, and vectors of them.

use candle_core::WithDType;
use num_traits::Float;
use pulp::Simd;

/// The types that kernels compute in: f32 to train, f64 to check gradients by finite differences.
///
/// `Vector<S>` holds as many of them as a register of the instruction set `S`.
pub(crate) trait Real: WithDType + Float + std::iter::Sum {
    /// A register of the instruction set `S`.
    type Vector<S: Simd>: Copy;

    /// `x` in every lane.
    fn splat<S: Simd>(simd: S, x: Self) -> Self::Vector<S>;

    /// `a · b + c`, fused where the processor can.
    fn fused<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>) -> Self::Vector<S>;

    /// `a + b`.
    fn plus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// `a − b`.
    fn minus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// `a · b`.
    fn times<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// `a < b ? then : otherwise` of a pair (a, b), lane by lane; the latter where one is NaN.
    fn if_less<S: Simd>(
        simd: S,
        pair: (Self::Vector<S>, Self::Vector<S>),
        then: Self::Vector<S>,
        otherwise: Self::Vector<S>,
    ) -> Self::Vector<S>;
}

macro_rules! real {
    ($type:ty, $vector:ident, $splat:ident, $fused:ident, $plus:ident, $minus:ident, $times:ident, $less:ident, $select:ident) => {
        impl Real for $type {
            type Vector<S: Simd> = S::$vector;

            #[inline(always)]
            fn splat<S: Simd>(simd: S, x: Self) -> Self::Vector<S> {
                simd.$splat(x)
            }

            #[inline(always)]
            fn fused<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>) -> Self::Vector<S> {
                simd.$fused(a, b, c)
            }

            #[inline(always)]
            fn plus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S> {
                simd.$plus(a, b)
            }

            #[inline(always)]
            fn minus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S> {
                simd.$minus(a, b)
            }

            #[inline(always)]
            fn times<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S> {
                simd.$times(a, b)
            }

            #[inline(always)]
            fn if_less<S: Simd>(
                simd: S,
                (a, b): (Self::Vector<S>, Self::Vector<S>),
                then: Self::Vector<S>,
                otherwise: Self::Vector<S>,
            ) -> Self::Vector<S> {
                simd.$select(simd.$less(a, b), then, otherwise)
            }
        }
    };
}

real!(f32, f32s, splat_f32s, mul_add_e_f32s, add_f32s, sub_f32s, mul_f32s, less_than_f32s, select_f32s);
real!(f64, f64s, splat_f64s, mul_add_e_f64s, add_f64s, sub_f64s, mul_f64s, less_than_f64s, select_f64s);

/// Elements of `T` in a register of the instruction set `S`.
pub(crate) const fn lanes<S: Simd, T: Real>() -> usize {
    size_of::<T::Vector<S>>() / size_of::<T>()
}
