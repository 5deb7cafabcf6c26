//! Exponential functions that the compiler can turn into vectors, which std's are not.

use crate::cpu::Real;

/// [`Real`] numbers with an exponential function fit for inner loops.
pub(crate) trait Exp: Real {
    /// `exp(self)`, to about one unit in the last place, gradual underflow and overflow to infinity included.
    fn fast_exp(self) -> Self;

    /// `exp(self) − 1`, to two units in the last place also where `self` is small.
    fn expm1(self) -> Self;

    /// `ln(1 + self)` for `self` from 0 to 1, to about two units in the last place.
    fn ln_1p_of_unit(self) -> Self;

    /// The logistic function, and its complement `1 − sigmoid(self)` without cancellation.
    #[inline(always)]
    fn sigmoids(self) -> (Self, Self) {
        let e = (-self.abs()).fast_exp();
        let larger = Self::one() / (Self::one() + e);
        let smaller = e * larger;
        if self < Self::zero() { (smaller, larger) } else { (larger, smaller) }
    }

    /// `ln(1 + exp(self))` and `ln(1 + exp(−self))`, neither of which overflows or cancels.
    #[inline(always)]
    fn softpluses(self) -> (Self, Self) {
        let rest = (-self.abs()).fast_exp().ln_1p_of_unit();
        // So written, NaN passes through.
        let (above, below) = if self < Self::zero() { (Self::zero(), -self) } else { (self, Self::zero()) };
        (above + rest, below + rest)
    }
}

impl Exp for f32 {
    #[inline(always)]
    #[expect(clippy::excessive_precision, reason = "the polynomial's coefficients as published")]
    fn fast_exp(self) -> f32 {
        // Adding 1.5 · 2²³ rounds to a whole number, which then stands in the lowest bits.
        const MAGIC: f32 = 12_582_912.0;
        // ln 2 in two parts, the first of which has few bits, so that its product with a whole number is exact.
        const LN_2: [f32; 2] = [0.693_359_375, -2.121_944_40e-4];
        // From Cephes' expf: exp(r) = 1 + r + r² · P(r) for |r| ≤ ln(2) / 2.
        const P: [f32; 6] = [
            1.987_569_150_0e-4,
            1.398_199_950_7e-3,
            8.333_451_907_3e-3,
            4.166_579_589_4e-2,
            1.666_666_545_9e-1,
            5.000_000_120_1e-1,
        ];
        // Beyond these the result is infinity or 0. NaN stays NaN.
        let x = if self > 89.0 { 89.0 } else { self };
        let x = if x < -104.0 { -104.0 } else { x };
        let shifted = x * std::f32::consts::LOG2_E + MAGIC;
        let n = shifted - MAGIC;
        let r = x - n * LN_2[0] - n * LN_2[1];
        let mut p = P[0];
        for c in &P[1..] {
            p = p * r + c;
        }
        let value = p * (r * r) + r + 1.0;
        // 2ⁿ in two factors, as n may lie beyond the exponents of normal numbers.
        let n = (shifted.to_bits() as i32).wrapping_sub(MAGIC.to_bits() as i32);
        let power = |n: i32| f32::from_bits((n.wrapping_add(127) as u32) << 23);
        let half = n >> 1;
        value * power(half) * power(n.wrapping_sub(half))
    }

    /// With `x = n·ln 2 + r`, `|r| ≤ ½ ln 2`: `2ⁿ·(eʳ − 1) + (2ⁿ − 1)`, the bracket by its Taylor polynomial.
    #[inline(always)]
    fn expm1(self) -> Self {
        // ln 2 in two parts, of which the first has so few bits that n times it is exact.
        const LN_2_HIGH: f32 = 0.693_359_4;
        const LN_2_LOW: f32 = -2.121_944_4e-4;
        // Adding 1.5 · 2²³ leaves no room for a fraction: the sum's lowest bits are the rounded integer.
        const SHIFT: f32 = 12_582_912.0;
        // Below, the result is −1; above, ∞. Written so that NaN stays.
        let x = if self < -30.0 { -30.0 } else { self };
        let x = if x > 89.0 { 89.0 } else { x };
        let shifted = x * std::f32::consts::LOG2_E + SHIFT;
        let n = shifted - SHIFT;
        let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
        let tail = 1.0 / 720.0 + r * (1.0 / 5040.0);
        let tail = 1.0 / 24.0 + r * (1.0 / 120.0 + r * tail);
        let p = r + (r * r) * (0.5 + r * (1.0 / 6.0 + r * tail));
        // 2ⁿ⁻¹, since 2ⁿ itself may be too large although the result is not.
        let exponent = shifted.to_bits().wrapping_sub(SHIFT.to_bits()).wrapping_add(126);
        let half = f32::from_bits(exponent << 23);
        2.0 * (half * p + (half - 0.5))
    }

    #[inline(always)]
    fn ln_1p_of_unit(self) -> f32 {
        // ln(1 + e) = 2 artanh(s) with s = e / (2 + e) ≤ 1/3: the series converges fast.
        let s = self / (2.0 + self);
        let z = s * s;
        let mut series = 1.0 / 15.0;
        for odd in [13.0, 11.0, 9.0, 7.0, 5.0, 3.0] {
            series = series * z + 1.0 / odd;
        }
        2.0 * (s + s * (z * series))
    }
}

impl Exp for f64 {
    #[inline(always)]
    fn fast_exp(self) -> f64 {
        self.exp()
    }

    #[inline(always)]
    fn expm1(self) -> Self {
        self.exp_m1()
    }

    #[inline(always)]
    fn ln_1p_of_unit(self) -> f64 {
        self.ln_1p()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest error in units in the last place of the true value, over `n` numbers from `low` to `high`.
    fn worst(n: usize, (low, high): (f64, f64), ours: fn(f32) -> f32, truth: fn(f64) -> f64) -> f64 {
        (0..=n)
            .map(|i| {
                let x = (low + (high - low) * i as f64 / n as f64) as f32;
                let truth = truth(f64::from(x));
                let ulp = f64::from((truth as f32).next_up()) - f64::from(truth as f32);
                (f64::from(ours(x)) - truth).abs() / ulp
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn exp_is_exact_to_about_one_unit_in_the_last_place() {
        for range in [(-87.0, 88.7), (-1.0, 1.0), (-1e-3, 1e-3), (-103.9, -87.0)] {
            let error = worst(1_000_000, range, Exp::fast_exp, f64::exp);
            assert!(error < 1.5, "{range:?}: {error}");
        }
    }

    #[test]
    fn ln_1p_is_exact_to_about_two_units_in_the_last_place() {
        for range in [(0.0, 1.0), (0.0, 1e-4), (0.0, 1e-30)] {
            let error = worst(1_000_000, range, Exp::ln_1p_of_unit, f64::ln_1p);
            assert!(error < 2.5, "{range:?}: {error}");
        }
    }

    #[test]
    fn the_ends_are_0_and_infinity_and_nan_stays() {
        assert_eq!(0f32.fast_exp(), 1.0);
        for x in [-104f32, -1e10, f32::MIN, f32::NEG_INFINITY] {
            assert_eq!(x.fast_exp(), 0.0, "{x}");
        }
        for x in [88.8f32, 1e10, f32::MAX, f32::INFINITY] {
            assert_eq!(x.fast_exp(), f32::INFINITY, "{x}");
        }
        assert!(f32::NAN.fast_exp().is_nan() && f32::NAN.softpluses().1.is_nan() && f32::NAN.sigmoids().0.is_nan());
        assert_eq!(1e4f32.softpluses(), (1e4, 0.0));
        assert_eq!((f32::INFINITY.sigmoids(), f32::NEG_INFINITY.sigmoids()), ((1.0, 0.0), (0.0, 1.0)));
    }

    #[test]
    fn expm1_is_right_to_two_units_in_the_last_place() {
        let mut worst: f64 = 0.0;
        for i in -2_000_000..=2_000_000 {
            let x = if i % 2 == 0 { i as f32 * 44e-6 } else { i as f32 * 1e-8 };
            let (ours, exact) = (f64::from(x.expm1()), f64::from(x).exp_m1());
            let unit = f64::from((exact as f32).abs().next_up() - (exact as f32).abs());
            worst = worst.max((ours - exact).abs() / unit);
        }
        assert!(worst <= 2.0, "{worst}");
    }

    #[test]
    fn expm1_keeps_the_ends() {
        assert_eq!(0f32.expm1(), 0.0);
        assert_eq!(f32::NEG_INFINITY.expm1(), -1.0);
        assert_eq!(f32::MIN.expm1(), -1.0);
        assert_eq!(f32::INFINITY.expm1(), f32::INFINITY);
        assert!((88.7f32.expm1() / f64::from(88.7f32).exp() as f32 - 1.0).abs() < 1e-6);
        assert!(f32::NAN.expm1().is_nan());
        assert_eq!((-1e-30f32).expm1(), -1e-30);
    }
}
