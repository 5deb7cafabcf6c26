//! What a Self-Cure Network is made of, and where paper and official code differ.

use sconce_backbones::ResNetConfig;
use serde::{Deserialize, Serialize};

use crate::error::{Result, ScnError};

/// The model and the three modules of the method. [`ScnConfig::paper`] and [`ScnConfig::code`] are the two readings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ScnConfig {
    /// The network.
    pub model: ModelConfig,
    /// Module 1, §3.2: whether logits are scaled by the importance weight.
    pub weighting: Weighting,
    /// Module 2, §3.3: rank regularisation.
    pub rank: RankConfig,
    /// How cross-entropy and rank regularisation become one loss.
    pub combine: Combine,
    /// Module 3, §3.4: relabelling.
    pub relabel: RelabelConfig,
}

/// The network: a ResNet, an importance weight and a classifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// The backbone.
    pub backbone: ResNetConfig,
    /// Classes; absent for as many as the data have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_classes: Option<usize>,
    /// Probability of dropping a pooled feature.
    pub dropout: f64,
    /// When features are dropped.
    pub dropout_when: DropoutWhen,
}

/// When dropout is active. At a probability of 0, the default of both, there is no difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DropoutWhen {
    /// In training, as everybody means it.
    Training,
    /// In evaluation too: the official code makes the layer anew in each forward pass, where `eval()` does not reach it.
    Always,
}

/// What the importance weight does to the logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Weighting {
    /// Logits are multiplied by the image's importance weight α, eq. (2) of the paper: uncertain images pull less.
    Logits,
    /// Logits stay as they are: plain cross-entropy.
    Off,
}

/// Rank regularisation: the high group's mean weight is to exceed the low group's by a margin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RankConfig {
    /// β: the share of a batch that is the high group, rounded down to whole images.
    pub high_ratio: f64,
    /// δ₁: by how much the mean weight of the high group is to exceed that of the low group.
    pub margin: Margin,
}

/// δ₁, the margin between the groups.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Margin {
    /// No rank regularisation.
    Off,
    /// A constant: 0.15 in the paper, with batches of 1,024; 0.07 for batches of 64 (official README).
    Fixed {
        /// The value.
        value: f64,
    },
    /// A parameter `margin` of the model, which begins here (§3.3). Its gradient is 1 while the margin is not reached.
    Learnable {
        /// The value at the start.
        initial: f64,
    },
}

/// How weighted cross-entropy and rank regularisation become one loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Combine {
    /// `L_WCE + L_RR`, as code.
    Sum,
    /// `γ · L_RR + (1 − γ) · L_WCE`, as paper. γ = 0.5 is half of the sum.
    Mix {
        /// γ.
        gamma: f64,
    },
}

/// Relabelling: an image whose label the network contradicts gets the class that the network finds most probable.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RelabelConfig {
    /// Which images of a batch may be relabelled.
    pub scope: RelabelScope,
    /// δ₂: a label is changed if the probability of the best class exceeds that of the label by more than this.
    pub margin: f64,
    /// The first epoch, counted from 1, at whose steps labels are changed.
    pub start_epoch: usize,
    /// The share of the training labels beyond which a run warns that many were changed. It changes no result.
    #[serde(default = "a_fifth")]
    pub warn_above: f64,
}

/// The default of [`RelabelConfig::warn_above`].
fn a_fifth() -> f64 {
    0.2
}

/// Which images of a batch may be relabelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RelabelScope {
    /// None.
    Off,
    /// The low group of the batch, as paper.
    LowGroup,
    /// Every sample of the batch, as code (acknowledged in issue 83 of the official repository).
    WholeBatch,
}

impl ScnConfig {
    /// Checks what types cannot say.
    ///
    /// # Errors
    /// [`ScnError::Config`] naming the first key whose value is invalid.
    pub fn validate(&self) -> Result<()> {
        let require = |field: &'static str, value: f64, expected: &str, ok: bool| match ok {
            true => Ok(()),
            false => Err(ScnError::Config { field, found: value.to_string(), expected: expected.to_owned() }),
        };
        let share = |field, value: f64| require(field, value, "0 to 1", (0.0..=1.0).contains(&value));
        if let Some(n) = self.model.n_classes {
            require("scn.model.n_classes", n as f64, "at least 1", n > 0)?;
        }
        let dropout = self.model.dropout;
        require("scn.model.dropout", dropout, "0 to less than 1", (0.0..1.0).contains(&dropout))?;
        share("scn.rank.high_ratio", self.rank.high_ratio)?;
        match self.rank.margin {
            Margin::Off => {}
            Margin::Fixed { value } => share("scn.rank.margin.value", value)?,
            Margin::Learnable { initial } => share("scn.rank.margin.initial", initial)?,
        }
        if let Combine::Mix { gamma } = self.combine {
            share("scn.combine.gamma", gamma)?;
        }
        share("scn.relabel.margin", self.relabel.margin)?;
        share("scn.relabel.warn_above", self.relabel.warn_above)?;
        let start = self.relabel.start_epoch;
        require("scn.relabel.start_epoch", start as f64, "at least 1: epochs count from 1", start > 0)
    }

    /// The same for a network of `n_classes`, which are those of `origin`.
    ///
    /// # Errors
    /// [`ScnError::Config`] if the configuration has another number of classes.
    pub fn for_classes(&self, n_classes: usize, origin: &str) -> Result<Self> {
        match self.model.n_classes {
            Some(found) if found != n_classes => Err(ScnError::Config {
                field: "scn.model.n_classes",
                found: found.to_string(),
                expected: format!("{n_classes}, the classes of {origin}"),
            }),
            _ => {
                let mut config = self.clone();
                config.model.n_classes = Some(n_classes);
                Ok(config)
            }
        }
    }

    /// As the paper has it: losses mixed with γ = 0.5, relabelling in the low group from epoch 10. (γ and the epoch are
    /// recalled from its text, which was not at hand.) `n_classes` is `None` for as many classes as the data have.
    pub fn paper(backbone: ResNetConfig, n_classes: impl Into<Option<usize>>) -> Self {
        let n_classes = n_classes.into();
        Self {
            model: ModelConfig { backbone, n_classes, dropout: 0.0, dropout_when: DropoutWhen::Training },
            weighting: Weighting::Logits,
            rank: RankConfig { high_ratio: 0.7, margin: Margin::Fixed { value: 0.15 } },
            combine: Combine::Mix { gamma: 0.5 },
            relabel: RelabelConfig {
                scope: RelabelScope::LowGroup,
                margin: 0.2,
                start_epoch: 10,
                warn_above: a_fifth(),
            },
        }
    }

    /// As the official code has it for batches of 64: losses added, whole batches relabelled, a margin of 0.07 (README).
    pub fn code(backbone: ResNetConfig, n_classes: impl Into<Option<usize>>) -> Self {
        let paper = Self::paper(backbone, n_classes);
        Self {
            model: ModelConfig { dropout_when: DropoutWhen::Always, ..paper.model },
            rank: RankConfig { margin: Margin::Fixed { value: 0.07 }, ..paper.rank },
            combine: Combine::Sum,
            relabel: RelabelConfig { scope: RelabelScope::WholeBatch, ..paper.relabel },
            ..paper
        }
    }

    /// The baseline: the same network trained by cross-entropy alone.
    #[must_use]
    pub fn cross_entropy(mut self) -> Self {
        self.weighting = Weighting::Off;
        self.rank.margin = Margin::Off;
        self.relabel.scope = RelabelScope::Off;
        self
    }
}
