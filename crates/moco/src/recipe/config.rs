//! Everything that a run depends on.

use sconce_engine::TrainerConfig;
use serde::{Deserialize, Serialize};

use crate::{
    config::{Mechanism, MocoConfig},
    data::DataConfig,
    error::{MocoError, Result},
    evaluation::{FineTuneConfig, KnnConfig, ProbeConfig},
};

/// Everything that a run depends on, besides its seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What the run does.
    pub task: Task,
    /// Whether batches and the queue of pre-training shrink to what a small set of images can fill: a batch to the images there
    /// are, the queue to half as many keys. Where it is off or not set, a set that does not fill a batch is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit_to_data: Option<bool>,
    /// The images, and how they are augmented.
    pub data: DataConfig,
    /// The encoders, the dictionary of keys, and the loss.
    pub moco: MocoConfig,
    /// The optimiser, its schedule, and the number of epochs.
    pub trainer: TrainerConfig,
    /// How features are measured.
    pub evaluation: EvaluationConfig,
}

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Trains the encoders without labels, then measures the features.
    Pretrain,
    /// Measures the features of the encoder that pre-training with the same seed begins with: the baseline.
    RandomFeatures,
    /// Measures pixels as features.
    PixelFeatures,
    /// Trains a linear classifier on a frozen backbone, on all labels and augmented images: the papers' protocol.
    LinearClassifier,
    /// Trains the backbone and a classifier on all labels.
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
        if self.task == Task::FineTune && batch < 2 {
            let expected = "at least 2: batch normalisation finds no variance in one image";
            return Err(MocoError::config("data.batch_size", batch, expected).into());
        }
        Ok(())
    }

    /// The same for pre-training on `n_images` images, and what a reader should know of it.
    ///
    /// # Errors
    /// If they do not fill a batch; the error says by which values they would.
    pub(crate) fn fitted(&self, n_images: usize) -> Result<(Self, Vec<String>)> {
        let (mut config, mut notes, is_fitted) = (self.clone(), Vec::new(), self.fit_to_data == Some(true));
        if self.task != Task::Pretrain {
            return Ok((config, notes));
        }
        let (batch, groups) = (self.data.batch_size, self.moco.batch_norm.groups());
        let most = n_images / groups * groups;
        if batch > n_images && most < 2 * groups {
            let expected =
                format!("at most {}: there are {n_images} training images, and 2 go into a group", n_images / 2);
            return Err(MocoError::config("moco.batch_norm.groups", groups, expected));
        }
        if batch > n_images && !is_fitted {
            let expected = format!(
                "at most {most}, as there are {n_images} training images; --set fit_to_data=true lets it shrink by itself"
            );
            return Err(MocoError::config("data.batch_size", batch, expected));
        }
        if batch > n_images {
            config.data.batch_size = most;
            notes.push(format!("a batch holds {most} images (data.batch_size is {batch})"));
        }
        if let Mechanism::Queue { length, .. } = &mut config.moco.mechanism {
            let half = (n_images / 2).max(1);
            if is_fitted && *length > half {
                notes.push(format!("the queue holds {half} keys (moco.mechanism.length is {length})"));
                *length = half;
            } else if *length >= n_images {
                notes.push(format!(
                    "warning: the queue holds {length} keys of {n_images} images, so that an older key of a query's own image \
                     is among the negatives; --set moco.mechanism.length={half} avoids it"
                ));
            }
        }
        Ok((config, notes))
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
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EvaluationConfig {
    /// Epochs of training between two measurements by nearest neighbours; 0 measures at the end alone.
    pub every: usize,
    /// The classifier by nearest neighbours, which are looked for among the training images.
    pub knn: KnnConfig,
    /// Which features nearest neighbours are searched by.
    #[serde(default, skip_serializing_if = "KnnFeatures::is_pooled")]
    pub knn_features: KnnFeatures,
    /// The linear classifier on the features, which stay as they are.
    pub probe: ProbeConfig,
    /// How many labels the second linear classifier is trained on, the same number of each class; the first has all.
    pub few_labels: usize,
    /// Fine-tuning of the whole network on some labels; without it, nothing is fine-tuned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fine_tune: Option<FineTuneConfig>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BatchNormGroups;

    /// Batches of 32 in groups of 4, a queue of 100.
    fn config(fit_to_data: bool) -> Config {
        let mut config = Config { fit_to_data: Some(fit_to_data), ..Config::smoke() };
        config.data.batch_size = 32;
        config.moco.batch_norm = BatchNormGroups::Groups { groups: 4, shuffle: true };
        config.moco.mechanism = Mechanism::Queue { length: 100, momentum: 0.9 };
        config
    }

    #[test]
    fn batches_and_queue_shrink_to_the_images_where_that_is_asked_for() {
        for (n, batch, queue, n_notes) in [(9, 8, 4, 2), (35, 32, 17, 1), (199, 32, 99, 1), (200, 32, 100, 0)] {
            let (fitted, notes) = config(true).fitted(n).unwrap();
            fitted.validate().unwrap();
            assert_eq!(fitted.data.batch_size, batch, "{n}");
            assert_eq!(fitted.moco.mechanism, Mechanism::Queue { length: queue, momentum: 0.9 }, "{n}");
            assert_eq!(notes.len(), n_notes, "{notes:?}");
        }
    }

    #[test]
    fn else_they_stay_and_too_few_images_are_refused_with_the_key() {
        assert_eq!(config(false).fitted(101).unwrap(), (config(false), Vec::new()));
        let (same, notes) = config(false).fitted(100).unwrap();
        assert!(same == config(false) && notes[0].starts_with("warning: the queue"), "{notes:?}");
        let error = |fit, n| config(fit).fitted(n).unwrap_err().to_string();
        assert!(error(false, 31).starts_with("data.batch_size is 32, expected at most 28,"), "{}", error(false, 31));
        for fit in [false, true] {
            assert!(error(fit, 7).starts_with("moco.batch_norm.groups is 4, expected at most 3:"), "{}", error(fit, 7));
        }
        let random = Config { task: Task::RandomFeatures, ..config(false) };
        assert_eq!(random.fitted(3).unwrap().0, random, "no batch is trained on");
    }
}
