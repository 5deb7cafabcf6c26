//! Everything that a run depends on.

use sconce_engine::TrainerConfig;
use serde::{Deserialize, Serialize};

use crate::{
    config::MocoConfig,
    data::DataConfig,
    error::{MocoError, Result},
    evaluation::{FineTuneConfig, KnnConfig, ProbeConfig},
};

/// Everything that a run depends on, besides its seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is done.
    pub task: Task,
    /// Images and augmentation.
    pub data: DataConfig,
    /// Encoders, dictionary, loss.
    pub moco: MocoConfig,
    /// Optimiser, schedule, epochs.
    pub trainer: TrainerConfig,
    /// How features are measured.
    pub evaluation: EvaluationConfig,
}

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Trains the encoders without labels, then measures the features.
    Pretrain,
    /// Measures the features of an encoder as it begins: what training is held against.
    RandomFeatures,
    /// Measures pixels as features.
    PixelFeatures,
    /// Trains a linear classifier on a frozen backbone, on all labels and augmented images: the papers' protocol.
    LinearClassifier,
    /// Trains backbone and classifier on all labels.
    FineTune,
}

impl Config {
    /// Checks what types cannot say.
    ///
    /// # Errors
    /// The first setting that has no sense, by its key.
    pub(crate) fn validate(&self) -> anyhow::Result<()> {
        self.moco.validate()?;
        self.data.validate()?;
        self.trainer.validate()?;
        anyhow::ensure!(self.trainer.ema.is_none(), "trainer.ema is set, but MoCo evaluates no averaged parameters");
        self.evaluation.validate()?;
        if self.task == Task::Pretrain && self.trainer.accumulate != 1 {
            let expected = "1: the momentum update and the queue go by batches";
            return Err(MocoError::config("trainer.accumulate", self.trainer.accumulate, expected).into());
        }
        let (batch, groups) = (self.data.batch_size, self.moco.batch_norm.groups());
        // A group of one image has no variance where its map has one place.
        if self.task == Task::Pretrain && batch < 2 * groups {
            return Err(MocoError::config("data.batch_size", batch, "at least 2 images for each group").into());
        }
        if self.task == Task::Pretrain && !batch.is_multiple_of(groups) {
            let expected = format!("a divisor of data.batch_size, {batch}");
            return Err(MocoError::config("moco.batch_norm.groups", groups, expected).into());
        }
        Ok(())
    }
}

impl EvaluationConfig {
    fn validate(&self) -> Result<()> {
        self.knn.validate()?;
        self.probe.validate()?;
        if self.few_labels == 0 {
            return Err(MocoError::config("evaluation.few_labels", 0, "at least 1"));
        }
        self.fine_tune.map_or(Ok(()), |config| config.validate())
    }
}

impl Task {
    /// Whether labels are trained on, by a classifier that is the result of the run.
    pub(crate) fn is_classification(self) -> bool {
        matches!(self, Self::LinearClassifier | Self::FineTune)
    }
}

/// What nearest neighbours look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KnnFeatures {
    /// The backbone's pooled features, as linear classifiers do.
    #[default]
    Pooled,
    /// What the projection head makes of them, as in the authors' notebook for CIFAR-10.
    Projected,
}

impl KnnFeatures {
    fn is_pooled(&self) -> bool {
        *self == Self::Pooled
    }
}

/// How features are measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationConfig {
    /// Epochs of training between two measurements by kNN; 0 for one at the end.
    pub every: usize,
    /// The nearest neighbours, whose bank is the training images.
    pub knn: KnnConfig,
    /// What they look at.
    #[serde(default, skip_serializing_if = "KnnFeatures::is_pooled")]
    pub knn_features: KnnFeatures,
    /// The linear classifier on features that do not change.
    pub probe: ProbeConfig,
    /// Labels of the linear classifier that has few of them, the same number of each class.
    pub few_labels: usize,
    /// Fine-tuning on some labels; absent for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fine_tune: Option<FineTuneConfig>,
}
