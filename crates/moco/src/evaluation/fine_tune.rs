//! A classifier on a backbone, trained as a whole.

use sconce_backbones::{ResNet, ResNetConfig};
use sconce_core::{Batches, DType, Init, Params, Position, Scope, Tensor, nn::Mode, ops};
use sconce_engine::{Clock, Optimizer, OptimizerConfig, ParamGroup, ScheduleConfig};
use serde::{Deserialize, Serialize};

use super::{LabelledImages, Logits};
use crate::error::{MocoError, Result};

/// A ResNet and a linear classifier `fc`, under torchvision's names. `fc` begins as in the official code's linear
/// classification: a normal weight of deviation 0.01, a bias of 0.
#[derive(Clone, Debug)]
pub struct Classifier {
    backbone: ResNet,
    weight: Tensor,
    bias: Tensor,
}

impl Classifier {
    /// Builds or finds the parameters in `scope`.
    ///
    /// # Errors
    /// If the configuration of the backbone has no sense, or as [`Scope::param`].
    pub fn new(scope: &Scope, backbone: &ResNetConfig, n_classes: usize) -> Result<Self> {
        let backbone = ResNet::new(scope, backbone)?;
        let fc = scope.pp("fc");
        let weight = fc.param("weight", (n_classes, backbone.channels()[3]), Init::Normal { mean: 0.0, std: 0.01 })?;
        Ok(Self { backbone, weight, bias: fc.param("bias", n_classes, Init::ZEROS)? })
    }

    /// `(B, in_channels, H, W)` → logits `(B, n_classes)`.
    ///
    /// # Errors
    /// If `images` do not fit the backbone.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<Tensor> {
        Ok(ops::linear(&self.backbone.pooled(images, mode)?, &self.weight, Some(&self.bias))?)
    }

    /// Cross-entropy of a batch.
    ///
    /// # Errors
    /// If the images do not fit or a label is no class.
    pub fn loss(&self, batch: &LabelledImages, mode: Mode) -> Result<Tensor> {
        let labels: Vec<i64> = batch.labels.iter().map(|&label| i64::from(label)).collect();
        let labels = Tensor::from_vec(labels, batch.labels.len(), batch.images.device())?;
        Ok(ops::cross_entropy(&self.forward(&batch.images, mode)?, &labels, &Default::default())?)
    }

    /// The logits of an epoch of `batches` and the true labels, in evaluation mode.
    ///
    /// # Errors
    /// If a batch cannot be made or does not fit, or a logit is not finite.
    pub fn logits<B: Batches<Batch = LabelledImages>>(&self, batches: &mut B) -> Result<(Logits, Vec<u32>)> {
        let failed = |e: B::Error| MocoError::Batches(Box::new(e));
        batches.seek(Position::default()).map_err(failed)?;
        let (mut rows, mut labels) = (Vec::new(), Vec::new());
        for _ in 0..batches.batches_per_epoch() {
            let batch = batches.next_batch().map_err(failed)?;
            rows.extend(self.forward(&batch.images, Mode::Eval)?.to_dtype(DType::F32)?.to_vec2::<f32>()?);
            labels.extend(batch.labels);
        }
        Ok((Logits::new(rows)?, labels))
    }
}

/// How a whole classifier is trained on few labels: SGD with momentum 0.9 at a rate that falls as a cosine.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FineTuneConfig {
    /// The number of labelled images, the same number of each class.
    pub labels: usize,
    /// Passes over the labelled images.
    pub epochs: usize,
    /// The number of images in a batch. A single image at the end of an epoch is left out.
    pub batch_size: usize,
    /// The learning rate of the first step; it falls as a cosine.
    pub lr: f64,
    /// The factor of the L2 penalty on all parameters.
    pub weight_decay: f64,
}

/// Epochs, labels and images of a batch beyond this are a slip.
pub(super) const MOST: usize = 1 << 24;

impl FineTuneConfig {
    /// Checks that the numbers have a sense.
    ///
    /// # Errors
    /// [`MocoError::Config`] with the first that does not.
    pub fn validate(&self) -> Result<()> {
        let counts = [
            ("evaluation.fine_tune.labels", self.labels),
            ("evaluation.fine_tune.epochs", self.epochs),
            ("evaluation.fine_tune.batch_size", self.batch_size),
        ];
        if let Some((key, count)) = counts.into_iter().find(|(_, count)| !(1..=MOST).contains(count)) {
            return Err(MocoError::config(key, count, format!("1 to {MOST}")));
        }
        if self.batch_size == 1 {
            let expected = "at least 2: batch normalisation finds no variance in one image";
            return Err(MocoError::config("evaluation.fine_tune.batch_size", 1, expected));
        }
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            return Err(MocoError::config("evaluation.fine_tune.lr", self.lr, "a positive number"));
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return Err(MocoError::config("evaluation.fine_tune.weight_decay", self.weight_decay, "0 or more"));
        }
        Ok(())
    }
}

/// Trains all of `params`, in which a [`Classifier`] has been built, on `batches`.
///
/// # Errors
/// If a batch cannot be made or does not fit, or the configuration has no sense.
pub fn fine_tune<B: Batches<Batch = LabelledImages>>(
    params: &Params,
    classifier: &Classifier,
    batches: &mut B,
    config: &FineTuneConfig,
) -> Result<()> {
    config.validate()?;
    let sgd = OptimizerConfig::Sgd { momentum: 0.9, nesterov: false, weight_decay: config.weight_decay };
    let mut sgd = Optimizer::new(&sgd, vec![ParamGroup::new("all", params.trainable())])?;
    let failed = |e: B::Error| MocoError::Batches(Box::new(e));
    batches.seek(Position::default()).map_err(failed)?;
    let steps_per_epoch = batches.batches_per_epoch();
    for step in 0..config.epochs * steps_per_epoch {
        let batch = batches.next_batch().map_err(failed)?;
        let gradients = sconce_core::backward(&classifier.loss(&batch, Mode::Train)?)?;
        let clock = Clock { step, steps_per_epoch, epochs: config.epochs };
        sgd.step(&gradients, ScheduleConfig::COSINE.lr(config.lr, clock))?;
    }
    Ok(())
}
