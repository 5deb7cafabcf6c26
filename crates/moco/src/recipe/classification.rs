//! Runs whose result is a classifier: the papers' linear classification, and fine-tuning.

use std::path::Path;

use sconce_backbones::ResNetConfig;
use sconce_core::{DType, Device, Params};
use sconce_data::ImageDataset;
use sconce_engine::{Loss, Metrics, Outcome, ParamGroup, Run, Trainer, metrics::accuracy};

use super::{Config, Task};
use crate::{
    data::Datasets,
    evaluation::{Classifier, LabelledImages},
    weights,
};

/// All stages of a backbone: what is frozen has no gradient, and its batch normalisations keep their statistics, in training
/// too.
const ALL_STAGES: usize = 5;

/// Trains a classifier on the labels of the training images, and ends the run with its accuracy.
pub(super) fn train(config: &Config, initial: Option<&Path>, data: &Datasets, run: &mut Run) -> anyhow::Result<()> {
    let device = run.device().clone();
    let params = Params::new(run.seed(), DType::F32, &device);
    let (backbone, n_classes) = (backbone(config), data.train.classes().len());
    let classifier = Classifier::new(&params.scope(), &backbone, n_classes)?;
    let twin = Classifier::new(&params.detached(), &backbone, n_classes)?;
    if let Some(path) = initial {
        weights::load_backbone(&params, path)?;
    }
    let mut trained = params.trainable();
    if config.task == Task::LinearClassifier {
        trained.retain(|(name, _)| name.starts_with("fc."));
    }
    let mut batches = config.data.labelled(&data.train, config.data.batch_size, run.seed(), &device)?;
    let groups = vec![ParamGroup::new("all", trained)];
    let mut trainer = Trainer::with_groups(&params, groups, &config.trainer, run)?;
    while let Some(batch) = trainer.next(&mut batches)? {
        let loss = classifier.loss(&batch, sconce_core::nn::Mode::Train)?;
        trainer.step(&Loss::new(loss), &batch)?;
        if trainer.finished_epoch().is_some() {
            let metrics = measure(config, &twin, &data.test, &device)?;
            trainer.evaluated("test", &metrics)?;
        }
    }
    let metrics = measure(config, &twin, &data.test, &device)?;
    run.finish(Outcome { metrics, data_hash: Some(data.hash()?) })?;
    Ok(())
}

/// The classifier in a file of weights, without a gradient.
pub(super) fn load(config: &Config, n_classes: usize, path: &Path, device: &Device) -> anyhow::Result<Classifier> {
    let params = Params::new(0, DType::F32, device);
    Classifier::new(&params.scope(), &backbone(config), n_classes)?;
    weights::load_encoder(&params, path)?;
    Ok(Classifier::new(&params.detached(), &backbone(config), n_classes)?)
}

/// Accuracy on a set of images with its own labels.
pub(super) fn measure(
    config: &Config,
    classifier: &Classifier,
    dataset: &ImageDataset,
    device: &Device,
) -> crate::Result<Metrics> {
    let mut batches = config.data.in_order(dataset, device).map_err(|e| crate::MocoError::Batches(Box::new(e)))?;
    let (classes, labels) = classifier.classify(&mut batches)?;
    Ok([("accuracy".to_owned(), accuracy(&classes, &labels)?)].into())
}

fn backbone(config: &Config) -> ResNetConfig {
    let backbone = config.moco.encoder.backbone;
    match config.task {
        Task::LinearClassifier => ResNetConfig { frozen_stages: ALL_STAGES, ..backbone },
        _ => backbone,
    }
}

impl sconce_engine::BatchTensors for LabelledImages {
    fn tensors(&self) -> std::collections::BTreeMap<String, sconce_core::Tensor> {
        [("images".to_owned(), self.images.clone())].into()
    }
}
