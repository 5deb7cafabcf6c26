//! Everything that a run depends on, besides its seed.

use std::path::PathBuf;

use sconce_backbones::weights::ColourOrder;
use sconce_engine::TrainerConfig;
use serde::{Deserialize, Serialize};

use crate::{
    config::SwdaConfig,
    data::DataConfig,
    error::{Result, SwdaError},
    eval::Measure,
    train::GroupsConfig,
};

/// Everything that a run depends on, besides its seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// The start that a detector is to have.
    pub start: Start,
    /// The file of weights to start from where `--init-from` names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
}

/// What is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// A detector.
    #[default]
    Detector,
    /// The detector's trunk, as a classifier of single objects: what a detector of small pictures starts from.
    Classifier,
}

/// What a detector starts from. Whatever it says, a file that `--init-from` names is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
        self.data.validate()?;
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
