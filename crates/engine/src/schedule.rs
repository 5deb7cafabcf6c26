//! Learning rates over time, with PyTorch's numbers.

use serde::{Deserialize, Serialize};

use crate::{EngineError, Result};

/// The learning rate as a function of time: `base · decay(t) · warm-up(t)`.
///
/// The two factors multiply as PyTorch's chained schedulers do, so that a decay counts from the first step, not from the end
/// of the warm-up.
///
/// ```
/// use sconce_engine::{Clock, Decay, ScheduleConfig, Unit, Warmup};
///
/// let schedule = ScheduleConfig { decay: Decay::Exponential { gamma: 0.9 }, unit: Unit::Epoch, warmup: Warmup::None };
/// let clock = Clock { step: 9 * 100, steps_per_epoch: 100, epochs: 70 }; // the tenth epoch begins
/// assert!((schedule.lr(1e-3, clock) - 3.874e-4).abs() < 1e-7);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ScheduleConfig {
    /// How the rate falls.
    pub decay: Decay,
    /// What the decay counts.
    pub unit: Unit,
    /// How the rate begins.
    pub warmup: Warmup,
}

/// The fall of a learning rate, as a factor of the base rate; `t` counts from 0 in the schedule's unit, up to `T`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum Decay {
    /// `1`.
    Constant,
    /// `gamma^⌊t / every⌋`, as `StepLR`.
    Step {
        /// The distance of two falls.
        every: usize,
        /// The factor of each.
        gamma: f64,
    },
    /// `gamma^(number of milestones ≤ t)`, as `MultiStepLR`.
    MultiStep {
        /// Where the rate falls, in ascending order.
        milestones: Vec<usize>,
        /// The factor of each fall.
        gamma: f64,
    },
    /// `gamma^t`, as `ExponentialLR`.
    Exponential {
        /// The factor from one unit to the next.
        gamma: f64,
    },
    /// `r + (1 − r) · (1 + cos(π (t + offset) / T)) / 2`, as `CosineAnnealingLR` with `eta_min = r · base`.
    Cosine {
        /// `r`: the final rate as a part of the base rate.
        final_ratio: f64,
        /// Where `t` begins: 1 for recipes that count epochs from 1, whose last one has the final rate.
        #[serde(default, skip_serializing_if = "is_zero")]
        offset: usize,
    },
    /// `(1 − t / T)^power`, as `PolynomialLR`.
    Polynomial {
        /// The exponent; 1 is a straight line.
        power: f64,
    },
}

/// What a schedule counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Passes over the data: the rate is constant within one.
    Epoch,
    /// Updates of the parameters.
    Step,
}

/// The beginning of a learning rate, as a factor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum Warmup {
    /// `1`.
    None,
    /// From `start_factor` in a straight line to 1 at `length`, as `LinearLR`.
    Linear {
        /// Where the full rate is reached.
        length: usize,
        /// What `length` counts.
        unit: Unit,
        /// The factor at the first step.
        start_factor: f64,
    },
    /// `factor` before `length`, then 1, as `ConstantLR`.
    Constant {
        /// Where the full rate begins.
        length: usize,
        /// What `length` counts.
        unit: Unit,
        /// The factor before.
        factor: f64,
    },
}

/// A moment of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Updates done.
    pub step: usize,
    /// Updates in a pass over the data, at least 1.
    pub steps_per_epoch: usize,
    /// Passes that training lasts.
    pub epochs: usize,
}

impl Clock {
    fn now(self, unit: Unit) -> usize {
        match unit {
            Unit::Epoch => self.step / self.steps_per_epoch.max(1),
            Unit::Step => self.step,
        }
    }

    fn end(self, unit: Unit) -> usize {
        match unit {
            Unit::Epoch => self.epochs,
            Unit::Step => self.epochs * self.steps_per_epoch,
        }
    }
}

impl ScheduleConfig {
    /// The base rate, always.
    pub const CONSTANT: Self = Self { decay: Decay::Constant, unit: Unit::Epoch, warmup: Warmup::None };
    /// From the base rate to 0 along a cosine, step by step.
    pub const COSINE: Self =
        Self { decay: Decay::Cosine { final_ratio: 0.0, offset: 0 }, unit: Unit::Step, warmup: Warmup::None };

    /// The rate of the update after `clock.step` others.
    pub fn lr(&self, base: f64, clock: Clock) -> f64 {
        base * self.decay.factor(clock.now(self.unit), clock.end(self.unit)) * self.warmup.factor(clock)
    }

    /// Whether the rate at a step depends on the number of epochs, so that a longer run differs from its beginning on.
    pub fn depends_on_length(&self) -> bool {
        match self.decay {
            Decay::Constant | Decay::Step { .. } | Decay::MultiStep { .. } | Decay::Exponential { .. } => false,
            Decay::Cosine { .. } | Decay::Polynomial { .. } => true,
        }
    }

    /// Checks that every number is in its range.
    ///
    /// # Errors
    /// [`EngineError::Config`] with the first key, below `prefix`, whose value is not.
    pub fn validate(&self, prefix: &str) -> Result<()> {
        let require = |key: &str, value: f64, expected: &str, ok: bool| {
            if ok { Ok(()) } else { Err(EngineError::config(format!("{prefix}.{key}"), value, expected)) }
        };
        let positive =
            |key: &str, value: f64| require(key, value, "a positive number", value > 0.0 && value.is_finite());
        let ratio = |key: &str, value: f64| require(key, value, "0 to 1", (0.0..=1.0).contains(&value));
        match &self.decay {
            Decay::Constant => Ok(()),
            Decay::Step { every, gamma } => {
                positive("decay.every", *every as f64)?;
                positive("decay.gamma", *gamma)
            }
            Decay::MultiStep { milestones, gamma } => {
                if !milestones.is_sorted() {
                    let key = format!("{prefix}.decay.milestones");
                    return Err(EngineError::config(key, format!("{milestones:?}"), "ascending numbers"));
                }
                positive("decay.gamma", *gamma)
            }
            Decay::Exponential { gamma } => positive("decay.gamma", *gamma),
            Decay::Cosine { final_ratio, .. } => ratio("decay.final_ratio", *final_ratio),
            Decay::Polynomial { power } => positive("decay.power", *power),
        }?;
        match self.warmup {
            Warmup::None => Ok(()),
            Warmup::Linear { start_factor, .. } => ratio("warmup.start_factor", start_factor),
            Warmup::Constant { factor, .. } => ratio("warmup.factor", factor),
        }
    }
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Decay {
    fn factor(&self, t: usize, end: usize) -> f64 {
        let part = |t: usize| t.min(end) as f64 / end.max(1) as f64;
        match self {
            Self::Constant => 1.0,
            Self::Step { every, gamma } => gamma.powf((t / every.max(&1)) as f64),
            Self::MultiStep { milestones, gamma } => gamma.powf(milestones.iter().filter(|&&m| m <= t).count() as f64),
            Self::Exponential { gamma } => gamma.powf(t as f64),
            Self::Cosine { final_ratio, offset } => {
                let angle = std::f64::consts::PI * part(t.saturating_add(*offset));
                final_ratio + (1.0 - final_ratio) * (1.0 + angle.cos()) / 2.0
            }
            Self::Polynomial { power } => (1.0 - part(t)).powf(*power),
        }
    }
}

impl Warmup {
    fn factor(&self, clock: Clock) -> f64 {
        match *self {
            Self::Linear { length, unit, start_factor } if clock.now(unit) < length => {
                start_factor + (1.0 - start_factor) * clock.now(unit) as f64 / length as f64
            }
            Self::Constant { length, unit, factor } if clock.now(unit) < length => factor,
            _ => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rates at the first step of each of `epochs` epochs of 10 steps, from a base of 1.
    fn by_epoch(decay: Decay, epochs: usize) -> Vec<f64> {
        let schedule = ScheduleConfig { decay, unit: Unit::Epoch, warmup: Warmup::None };
        (0..epochs).map(|e| schedule.lr(1.0, Clock { step: 10 * e, steps_per_epoch: 10, epochs })).collect()
    }

    #[track_caller]
    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (f, e) in found.iter().zip(expected) {
            assert!((f - e).abs() <= 1e-12 * e.abs().max(1e-12), "{found:?} is not {expected:?}");
        }
    }

    /// The rates of SCN's code (specification §1.4): 1e-3, 9e-4, … 3.874e-4 in epoch 10, 6.96e-7 in epoch 70.
    #[test]
    fn exponential_has_scns_rates() {
        let rates = by_epoch(Decay::Exponential { gamma: 0.9 }, 70);
        assert_close(&rates[..3], &[1.0, 0.9, 0.81]);
        assert!((1e-3 * rates[9] - 3.874e-4).abs() < 5e-8);
        assert!((1e-3 * rates[69] - 6.96e-7).abs() < 5e-10);
    }

    #[test]
    fn steps_fall_at_their_milestones() {
        assert_close(&by_epoch(Decay::Step { every: 2, gamma: 0.5 }, 5), &[1.0, 1.0, 0.5, 0.5, 0.25]);
        let milestones = vec![1, 3, 3];
        assert_close(&by_epoch(Decay::MultiStep { milestones, gamma: 0.1 }, 5), &[1.0, 0.1, 0.1, 1e-3, 1e-3]);
    }

    /// `CosineAnnealingLR(T_max=4, eta_min=0.1)` and `PolynomialLR(total_iters=4, power=2)` from a rate of 1.
    #[test]
    fn cosine_and_polynomial_fall_to_their_ends() {
        let s = std::f64::consts::FRAC_1_SQRT_2;
        let cosine = by_epoch(Decay::Cosine { final_ratio: 0.1, offset: 0 }, 4);
        assert_close(&cosine, &[1.0, 0.1 + 0.45 * (1.0 + s), 0.55, 0.1 + 0.45 * (1.0 - s)]);
        let from_1 = by_epoch(Decay::Cosine { final_ratio: 0.0, offset: 1 }, 4);
        assert_close(&from_1, &[0.5 * (1.0 + s), 0.5, 0.5 * (1.0 - s), 0.0]);
        assert_close(&by_epoch(Decay::Polynomial { power: 2.0 }, 4), &[1.0, 0.5625, 0.25, 0.0625]);
    }

    #[test]
    fn the_unit_decides_what_is_counted() {
        let rate = |unit, step| {
            let schedule = ScheduleConfig { decay: Decay::Polynomial { power: 1.0 }, unit, warmup: Warmup::None };
            schedule.lr(1.0, Clock { step, steps_per_epoch: 10, epochs: 2 })
        };
        assert_close(&[rate(Unit::Epoch, 9), rate(Unit::Epoch, 10)], &[1.0, 0.5]);
        assert_close(&[rate(Unit::Step, 9), rate(Unit::Step, 10)], &[0.55, 0.5]);
    }

    /// `LinearLR(start_factor=1/3, total_iters=4)`, and `ConstantLR(factor=0.25, total_iters=2)` chained to `StepLR(3, 0.1)`.
    #[test]
    fn warm_up_multiplies_the_decay() {
        let rates = |decay, warmup| -> Vec<f64> {
            let schedule = ScheduleConfig { decay, unit: Unit::Step, warmup };
            (0..6).map(|step| schedule.lr(0.3, Clock { step, steps_per_epoch: 100, epochs: 1 })).collect()
        };
        let linear = Warmup::Linear { length: 4, unit: Unit::Step, start_factor: 1.0 / 3.0 };
        assert_close(&rates(Decay::Constant, linear), &[0.1, 0.15, 0.2, 0.25, 0.3, 0.3]);
        let constant = Warmup::Constant { length: 2, unit: Unit::Step, factor: 0.25 };
        let expected = [0.075, 0.075, 0.3, 0.03, 0.03, 0.03];
        assert_close(&rates(Decay::Step { every: 3, gamma: 0.1 }, constant), &expected);
    }

    #[test]
    fn a_value_out_of_range_is_named_by_its_key() {
        let schedule = |decay, warmup| ScheduleConfig { decay, unit: Unit::Epoch, warmup };
        let linear = Warmup::Linear { length: 1, unit: Unit::Step, start_factor: 2.0 };
        for (schedule, key) in [
            (schedule(Decay::Step { every: 0, gamma: 0.1 }, Warmup::None), "s.decay.every"),
            (schedule(Decay::MultiStep { milestones: vec![3, 1], gamma: 0.1 }, Warmup::None), "s.decay.milestones"),
            (schedule(Decay::Exponential { gamma: f64::NAN }, Warmup::None), "s.decay.gamma"),
            (schedule(Decay::Cosine { final_ratio: -0.1, offset: 0 }, Warmup::None), "s.decay.final_ratio"),
            (schedule(Decay::Constant, linear), "s.warmup.start_factor"),
        ] {
            let error = schedule.validate("s").unwrap_err();
            assert!(matches!(&error, EngineError::Config { key: k, .. } if k == key), "{error}");
        }
    }
}
