//! Everything that a run depends on, besides its seed.

use std::path::PathBuf;

use sconce_backbones::weights::ColourOrder;
use sconce_engine::TrainerConfig;
use serde::{Deserialize, Serialize};

use crate::{
    config::{SwdaConfig, TargetUse},
    data::DataConfig,
    error::{Result, SwdaError},
    eval::Measure,
    train::GroupsConfig,
};

/// Everything that a run depends on, besides its seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is trained.
    pub task: Task,
    /// Images of both domains, and what is done with them.
    pub data: DataConfig,
    /// The detector and what is aligned.
    pub swda: SwdaConfig,
    /// Learning rates of parts.
    pub groups: GroupsConfig,
    /// Optimiser, schedule, epochs.
    pub trainer: TrainerConfig,
    /// How the model is measured.
    pub evaluation: EvaluationConfig,
    /// What of the detector is taken from the images to train on.
    #[serde(default)]
    pub fit: FitConfig,
    /// The start that a detector is to have.
    pub start: Start,
    /// The file of weights to start from where `--init-from` names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
}

/// What is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// A detector.
    #[default]
    Detector,
    /// The detector's trunk, as a classifier of single objects: what a detector of small pictures starts from.
    Classifier,
}

/// What of a detector is taken from the images to train on when they are read. A checkpoint says what it came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct FitConfig {
    /// The number of classes, in place of `swda.detector.roi_heads.n_classes`.
    pub n_classes: Taken,
    /// Sizes and aspect ratios of anchors, in place of those in `swda.detector.rpn.anchors`: up to three of each, which fit the
    /// boxes as the network sees them.
    pub anchors: Taken,
}

/// Where a setting is taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Taken {
    /// The configuration says it.
    #[default]
    FromConfig,
    /// The labelled images to train on say it.
    FromData,
}

impl FitConfig {
    /// Everything from the data.
    pub const ALL: Self = Self { n_classes: Taken::FromData, anchors: Taken::FromData };
}

/// What a detector starts from. Whatever it says, a file that `--init-from` names is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// Random weights.
    #[default]
    Random,
    /// A file that `--init-from` or `weights` must name, trained on red, green, blue: a run that is meant to be pre-trained does
    /// not begin from nothing unnoticed.
    File,
    /// The same, trained on blue, green, red, as models for Caffe are.
    CaffeFile,
}

impl Start {
    /// The order of the channels that the start was trained on.
    pub fn channels(self) -> ColourOrder {
        match self {
            Self::Random | Self::File => ColourOrder::Rgb,
            Self::CaffeFile => ColourOrder::Bgr,
        }
    }
}

/// How a model is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EvaluationConfig {
    /// Epochs between two evaluations; 0 for none but the last.
    pub every: usize,
    /// The headline's measure.
    pub measure: Measure,
}

impl Config {
    /// Checks what types cannot say.
    ///
    /// # Errors
    /// With the first setting that has no sense.
    pub fn validate(&self) -> Result<()> {
        self.swda.validate()?;
        self.data.validate(self.task == Task::Detector && self.swda.target != TargetUse::None)?;
        if self.trainer.ema.is_some() {
            return Err(SwdaError::config("trainer.ema", "set", "nothing: no averaged parameters are evaluated"));
        }
        if let Some(weights) = &self.weights {
            let expected = match (self.task, self.start) {
                (Task::Classifier, _) => "nothing where `task` is \"classifier\", which starts from no file",
                (Task::Detector, Start::Random) => "nothing where `start` is \"random\"",
                (Task::Detector, Start::File | Start::CaffeFile) => return Ok(self.trainer.validate()?),
            };
            return Err(SwdaError::config("weights", weights.display(), expected));
        }
        Ok(self.trainer.validate()?)
    }
}
