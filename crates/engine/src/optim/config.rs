//! Which optimiser, and the numbers of one of its steps.

use serde::{Deserialize, Serialize};

use crate::{EngineError, Result};

/// An optimiser by PyTorch's names and formulas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// `g ← g + wd·p`, `b ← momentum·b + g` (`b = g` at the first step), `p ← p − lr·b`, or with Nesterov's momentum
    /// `p ← p − lr·(g + momentum·b)`.
    Sgd {
        /// 0 for none.
        momentum: f64,
        /// Looks ahead by the momentum, which must not be 0 then.
        nesterov: bool,
        /// L2, added to the gradient.
        weight_decay: f64,
    },
    /// `g ← g + wd·p`, `m ← β₁m + (1 − β₁)g`, `v ← β₂v + (1 − β₂)g²`, `p ← p − lr · m̂ / (√v̂ + eps)` with
    /// `m̂ = m / (1 − β₁ᵗ)`, `v̂ = v / (1 − β₂ᵗ)`.
    Adam {
        /// β₁ and β₂.
        betas: [f64; 2],
        /// Added outside of the root.
        eps: f64,
        /// L2, added to the gradient.
        weight_decay: f64,
    },
    /// Adam with `p ← p·(1 − lr·wd)` in front, instead of a decay in the gradient.
    AdamW {
        /// β₁ and β₂.
        betas: [f64; 2],
        /// Added outside of the root.
        eps: f64,
        /// Decoupled from the gradient.
        weight_decay: f64,
    },
}

/// What a step does, apart from the numbers that change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rule {
    Sgd { momentum: f64, nesterov: bool },
    Adam { betas: [f64; 2], eps: f64, decoupled: bool },
}

/// The numbers of one step of one parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepNumbers {
    pub(super) lr: f64,
    pub(super) weight_decay: f64,
    /// Counted from 1.
    pub(super) step: u64,
    pub(super) grad_scale: f64,
}

/// A step of Adam in the order in which PyTorch rounds: `p ← shrink·p`, `g ← scale·g + l2·p`, …,
/// `p ← p − step_size · m / (√v / root + eps)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdamNumbers {
    pub(super) shrink: f64,
    pub(super) l2: f64,
    pub(super) step_size: f64,
    pub(super) root: f64,
}

impl Rule {
    /// The names of its buffers in a saved state.
    pub(super) fn moments(self) -> &'static [&'static str] {
        match self {
            Self::Sgd { momentum: 0.0, .. } => &[],
            Self::Sgd { .. } => &["momentum_buffer"],
            Self::Adam { .. } => &["exp_avg", "exp_avg_sq"],
        }
    }
}

impl StepNumbers {
    pub(super) fn adam(self, betas: [f64; 2], decoupled: bool) -> AdamNumbers {
        let correction = |beta: f64| 1.0 - beta.powf(self.step as f64);
        AdamNumbers {
            shrink: if decoupled { 1.0 - self.lr * self.weight_decay } else { 1.0 },
            l2: if decoupled { 0.0 } else { self.weight_decay },
            step_size: self.lr / correction(betas[0]),
            root: correction(betas[1]).sqrt(),
        }
    }
}

impl OptimizerConfig {
    /// Checks that every number is in its range.
    ///
    /// # Errors
    /// [`EngineError::Config`] with the first key, below `prefix`, whose value is not.
    pub fn validate(&self, prefix: &str) -> Result<()> {
        let require = |key: &str, value: String, expected: &str, ok: bool| {
            if ok { Ok(()) } else { Err(EngineError::config(format!("{prefix}.{key}"), value, expected)) }
        };
        let weight_decay = self.weight_decay();
        require(
            "weight_decay",
            weight_decay.to_string(),
            "0 or more",
            weight_decay >= 0.0 && weight_decay.is_finite(),
        )?;
        match *self {
            Self::Sgd { momentum, nesterov, .. } => {
                require(
                    "momentum",
                    momentum.to_string(),
                    "at least 0 and less than 1",
                    (0.0..1.0).contains(&momentum),
                )?;
                require("nesterov", nesterov.to_string(), "false without momentum", !nesterov || momentum > 0.0)
            }
            Self::Adam { betas, eps, .. } | Self::AdamW { betas, eps, .. } => {
                let in_range = betas.iter().all(|b| (0.0..1.0).contains(b));
                require("betas", format!("{betas:?}"), "at least 0 and less than 1 each", in_range)?;
                require("eps", eps.to_string(), "0 or more", eps >= 0.0 && eps.is_finite())
            }
        }
    }

    pub(super) fn weight_decay(&self) -> f64 {
        match *self {
            Self::Sgd { weight_decay, .. } | Self::Adam { weight_decay, .. } | Self::AdamW { weight_decay, .. } => {
                weight_decay
            }
        }
    }

    pub(super) fn rule(&self) -> Rule {
        match *self {
            Self::Sgd { momentum, nesterov, .. } => Rule::Sgd { momentum, nesterov },
            Self::Adam { betas, eps, .. } => Rule::Adam { betas, eps, decoupled: false },
            Self::AdamW { betas, eps, .. } => Rule::Adam { betas, eps, decoupled: true },
        }
    }
}
