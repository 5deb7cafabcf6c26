//! What MoCo is made of.

use sconce_backbones::ResNetConfig;
use sconce_core::nn::BatchNormKind;
use serde::{Deserialize, Serialize};

use crate::error::{MocoError, Result};

/// The encoders, the dictionary and the loss. [`MocoConfig::v1`] and [`MocoConfig::v2`] are the two papers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MocoConfig {
    /// The network of the query encoder and of the key encoder.
    pub encoder: EncoderConfig,
    /// Where the negatives come from (figure 2 of the paper).
    pub mechanism: Mechanism,
    /// The temperature τ of the contrastive loss, eq. (1): 0.07 in v1, 0.2 in v2. A lower one tells near images apart more
    /// sharply.
    pub temperature: f64,
    /// Over which images of a batch batch normalisation takes its statistics (§3.3, "shuffling BN").
    pub batch_norm: BatchNormGroups,
    /// Whether each of the two views is the query once: the loss is then the sum of both, and the keys of both views are
    /// remembered (`--symmetric` of the official notebook for CIFAR-10). A step takes twice as long.
    pub symmetric: bool,
}

/// A ResNet and a projection to the space of the contrastive loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// The backbone. What its batch normalisations do is decided by [`MocoConfig::batch_norm`]; another kind than the default
    /// is refused here.
    pub backbone: ResNetConfig,
    /// The projection that follows the pooled features in pre-training: `"linear"` as in v1, `"mlp"` as in v2.
    pub head: Head,
    /// The length of queries and keys, 128 in the papers.
    pub dim: usize,
}

/// The projection head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Head {
    /// One linear layer, as in v1.
    Linear,
    /// A hidden layer as wide as the features, a ReLU, and a linear layer, without batch normalisation, as in v2.
    Mlp,
}

/// Where negatives come from: the three mechanisms of figure 2.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Mechanism {
    /// MoCo (c): a queue of the latest keys, which a slowly moving copy of the query encoder makes.
    Queue {
        /// The number of keys K that the queue holds; batches need not divide it. It should be less than the number of training
        /// images: else an older key of the query's own image is always among the negatives.
        length: usize,
        /// The momentum m of eq. (2), `θ_k ← m θ_k + (1 − m) θ_q`: with 0 the key encoder is a copy of the query encoder, with 1
        /// it never changes.
        momentum: f64,
    },
    /// End-to-end (a): the keys of the batch itself, of the query encoder's own weights, with a gradient through both.
    EndToEnd,
    /// Memory bank (b): one entry a training image, as it was when the image was last seen. The positive is the image's own
    /// entry; negatives are drawn from the entries of other images (Wu et al., 2018).
    MemoryBank {
        /// The number of negatives drawn for a batch.
        negatives: usize,
        /// The share of an entry's old value when its image is seen: `v ← normalize(m v + (1 − m) q)`. 0.5 in Wu et al.
        momentum: f64,
    },
}

/// Which images share the statistics of batch normalisation.
///
/// A query that is normalised together with its own key could tell it by their common statistics (§3.3). Sample n of a batch
/// belongs to group n mod `groups`, which is also how the ranks of a run with many processes share a batch: two ranks with one
/// group each compute what one process computes with two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum BatchNormGroups {
    /// The whole batch, over all ranks.
    Whole,
    /// Groups of a batch, as the GPUs of the paper have them.
    Groups {
        /// The number of groups; the batch size is a multiple of it.
        groups: usize,
        /// Whether keys are normalised in a random order of their own, so that a key is normalised among others than its query.
        shuffle: bool,
    },
}

impl BatchNormGroups {
    /// What the batch normalisations of one of `ranks` processes do.
    ///
    /// # Errors
    /// [`MocoError::Config`] if the ranks cannot share the groups.
    pub fn kind(self, ranks: usize) -> Result<BatchNormKind> {
        match self {
            Self::Whole => Ok(BatchNormKind::Sync),
            Self::Groups { groups, .. } if groups == 0 || ranks == 0 || !groups.is_multiple_of(ranks) => {
                Err(MocoError::config(
                    "moco.batch_norm.groups",
                    groups,
                    format!("a multiple of the number of ranks, {ranks}"),
                ))
            }
            Self::Groups { groups, .. } if groups == ranks => Ok(BatchNormKind::Learning),
            Self::Groups { groups, .. } => Ok(BatchNormKind::Split { splits: groups / ranks }),
        }
    }

    /// The number of groups.
    pub fn groups(self) -> usize {
        match self {
            Self::Whole => 1,
            Self::Groups { groups, .. } => groups,
        }
    }

    /// Whether keys have an order of their own.
    pub fn shuffles(self) -> bool {
        matches!(self, Self::Groups { shuffle: true, .. })
    }
}

/// Larger values would not fit into memory, so they are rejected.
const MOST_DIM: usize = 1 << 16;
const MOST_KEYS: usize = 1 << 26;

impl MocoConfig {
    /// MoCo v1 (He et al., 2020, §3.3 and §4): ResNet-50, a linear head, τ = 0.07, 65,536 keys, m = 0.999, BN shuffled over 8
    /// GPUs.
    pub fn v1() -> Self {
        Self {
            encoder: EncoderConfig { backbone: ResNetConfig::resnet50(), head: Head::Linear, dim: 128 },
            mechanism: Mechanism::Queue { length: 65_536, momentum: 0.999 },
            temperature: 0.07,
            batch_norm: BatchNormGroups::Groups { groups: 8, shuffle: true },
            symmetric: false,
        }
    }

    /// MoCo v2 (Chen et al., 2020): as v1 with an MLP head and τ = 0.2. What else is new is in the data and the schedule.
    pub fn v2() -> Self {
        let v1 = Self::v1();
        Self { encoder: EncoderConfig { head: Head::Mlp, ..v1.encoder }, temperature: 0.2, ..v1 }
    }

    /// Checks what types cannot say.
    ///
    /// # Errors
    /// [`MocoError::Config`] with the first key whose value has no sense.
    pub fn validate(&self) -> Result<()> {
        let require = |field, found: String, expected: &str, ok: bool| match ok {
            true => Ok(()),
            false => Err(MocoError::config(field, found, expected)),
        };
        let limit = |field, value: usize, most: usize| {
            require(field, value.to_string(), &format!("1 to {most}"), (1..=most).contains(&value))
        };
        let share = |field, value: f64| require(field, value.to_string(), "0 to 1", (0.0..=1.0).contains(&value));
        self.encoder.backbone.validate()?;
        let batch_norm = self.encoder.backbone.batch_norm;
        let is_default = batch_norm == BatchNormKind::Learning;
        let expected = "\"learning\": moco.batch_norm decides";
        require("moco.encoder.backbone.batch_norm", format!("{batch_norm:?}"), expected, is_default)?;
        limit("moco.encoder.dim", self.encoder.dim, MOST_DIM)?;
        let temperature = self.temperature;
        let is_positive = temperature > 0.0 && temperature.is_finite();
        require("moco.temperature", temperature.to_string(), "a positive number", is_positive)?;
        match self.mechanism {
            Mechanism::Queue { length, momentum } => {
                limit("moco.mechanism.length", length, MOST_KEYS)?;
                share("moco.mechanism.momentum", momentum)?;
            }
            Mechanism::EndToEnd => {}
            Mechanism::MemoryBank { negatives, momentum } => {
                limit("moco.mechanism.negatives", negatives, MOST_KEYS)?;
                share("moco.mechanism.momentum", momentum)?;
            }
        }
        let has_two_views = !(self.symmetric && matches!(self.mechanism, Mechanism::MemoryBank { .. }));
        require("moco.symmetric", "true".into(), "false with a memory bank, which knows one view", has_two_views)?;
        let groups = self.batch_norm.groups();
        require("moco.batch_norm.groups", groups.to_string(), "at least 1", groups > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_of_ranks_are_those_of_one_process() {
        let groups = |groups| BatchNormGroups::Groups { groups, shuffle: true };
        assert_eq!(groups(8).kind(1).unwrap(), BatchNormKind::Split { splits: 8 });
        assert_eq!(groups(8).kind(2).unwrap(), BatchNormKind::Split { splits: 4 });
        assert_eq!(groups(2).kind(2).unwrap(), BatchNormKind::Learning);
        assert_eq!(groups(1).kind(1).unwrap(), BatchNormKind::Learning);
        let error = groups(3).kind(2).unwrap_err().to_string();
        assert_eq!(error, "moco.batch_norm.groups is 3, expected a multiple of the number of ranks, 2");
    }

    #[test]
    fn a_value_without_sense_is_named_by_its_key() {
        MocoConfig::v1().validate().unwrap();
        MocoConfig::v2().validate().unwrap();
        let with = |mechanism| MocoConfig { mechanism, ..MocoConfig::v1() };
        for (bad, key) in [
            (with(Mechanism::Queue { length: 0, momentum: 0.9 }), "moco.mechanism.length"),
            (with(Mechanism::Queue { length: 1, momentum: 1.1 }), "moco.mechanism.momentum"),
            (with(Mechanism::MemoryBank { negatives: 0, momentum: 0.5 }), "moco.mechanism.negatives"),
            (MocoConfig { temperature: f64::NAN, ..MocoConfig::v1() }, "moco.temperature"),
            (
                MocoConfig { batch_norm: BatchNormGroups::Groups { groups: 0, shuffle: true }, ..MocoConfig::v1() },
                "moco.batch_norm.groups",
            ),
            (
                MocoConfig {
                    symmetric: true,
                    mechanism: Mechanism::MemoryBank { negatives: 1, momentum: 0.5 },
                    ..MocoConfig::v1()
                },
                "moco.symmetric",
            ),
        ] {
            let error = bad.validate().unwrap_err();
            assert!(matches!(&error, MocoError::Config { field, .. } if *field == key), "{error}");
        }
    }
}
