//! Runs whose result is a classifier: the papers' linear classification, and fine-tuning.

use std::{collections::BTreeMap, sync::Arc};

use sconce_backbones::ResNetConfig;
use sconce_core::{
    DType, Device, Params, Scope, Tensor,
    nn::{BatchNormKind, Mode},
};
use sconce_data::ImageDataset;
use sconce_engine::{
    BatchTensors, ClassNames, Loss, Metrics, ParamGroup, Run, Trainer, WeightFile, dist::on_root, metrics::accuracy,
};

use super::{Config, Task, outcome::boxed};
use crate::{
    data::{Datasets, Remainder},
    evaluation::{Classifier, LabelledImages},
    weights,
};

/// All stages of a backbone: what is frozen has no gradient, and its batch normalisations keep their statistics, in training
/// too.
const ALL_STAGES: usize = 5;

/// Trains a classifier on the labels of the training images, and ends the run with its accuracy.
pub(super) fn train(config: &Config, data: &Datasets, run: &mut Run) -> anyhow::Result<()> {
    let test = data.labelled_test()?;
    let (device, ranks) = (run.device().clone(), run.communicator().clone());
    let params = Params::new(run.seed(), DType::F32, &device).with_communicator(ranks.clone());
    let classes = data.train.classes().to_vec();
    let classifier = build(config, &params.scope(), classes.len())?;
    let twin = build(config, &params.detached(), classes.len())?;
    if let Some(file) = run.init_from() {
        weights::load_backbone(&params, file)?;
    }
    let mut trained = params.trainable();
    if config.task == Task::LinearClassifier {
        trained.retain(|(name, _)| name.starts_with("fc."));
    }
    let mut batches = config.data.labelled(&data.train, batch(config), run.seed(), &device, &*ranks)?;
    let mut trainer = Trainer::with_groups(&params, vec![ParamGroup::new("all", trained)], &config.trainer, run)?;
    trainer.track(ClassNames::STATE, Arc::new(ClassNames::new(classes)))?;
    while let Some(batch) = trainer.next(&mut batches)? {
        let loss = classifier.loss(&batch, Mode::Train)?;
        trainer.step(&Loss::new(loss).samples(batch.labels.len()), &batch)?;
        if trainer.finished_epoch().is_some() {
            let metrics = on_root(&*ranks, || measure(config, &twin, test, &device))?;
            trainer.evaluated("test", &metrics)?;
        }
    }
    let metrics = on_root(&*ranks, || measure(config, &twin, test, &device))?;
    run.finish(metrics)?;
    Ok(())
}

/// How large batches are, and what becomes of a last one of one image: frozen batch normalisations look at no batch.
pub(super) fn batch(config: &Config) -> (usize, Remainder) {
    let remainder = if config.task == Task::LinearClassifier { Remainder::Kept } else { Remainder::NotOne };
    (config.data.batch_size, remainder)
}

/// The classifier in a file of weights, without a gradient.
pub(super) fn load(
    config: &Config,
    n_classes: usize,
    file: &WeightFile,
    device: &Device,
) -> anyhow::Result<Classifier> {
    let params = Params::new(0, DType::F32, device);
    build(config, &params.scope(), n_classes)?;
    weights::load_encoder(&params, file)?;
    Ok(build(config, &params.detached(), n_classes)?)
}

/// Builds or finds the classifier that the task trains in `scope`.
pub(super) fn build(config: &Config, scope: &Scope, n_classes: usize) -> crate::Result<Classifier> {
    Classifier::new(scope, &backbone(config), n_classes)
}

/// Accuracies on a set of images with its own labels: the class itself, and where there are more than five, whether it is among
/// the first five.
pub(super) fn measure(
    config: &Config,
    classifier: &Classifier,
    dataset: &ImageDataset,
    device: &Device,
) -> crate::Result<Metrics> {
    let (logits, labels) = classifier.logits(&mut config.data.in_order(dataset, device).map_err(boxed)?)?;
    let mut metrics = Metrics::from([("accuracy".to_owned(), accuracy(&logits.classes(), &labels)?)]);
    if dataset.classes().len() > 5 {
        metrics.insert("top5_accuracy".to_owned(), logits.top_accuracy(&labels, 5));
    }
    Ok(metrics)
}

fn backbone(config: &Config) -> ResNetConfig {
    let backbone = config.moco.encoder.backbone;
    match config.task {
        Task::LinearClassifier => ResNetConfig { frozen_stages: ALL_STAGES, ..backbone },
        // Over the batches of all ranks, so that no result depends on their number.
        _ => ResNetConfig { batch_norm: BatchNormKind::Sync, ..backbone },
    }
}

impl BatchTensors for LabelledImages {
    fn tensors(&self) -> BTreeMap<String, Tensor> {
        let labels: Vec<i64> = self.labels.iter().map(|&label| i64::from(label)).collect();
        let labels = Tensor::from_vec(labels, self.labels.len(), &Device::Cpu).ok();
        let named = [("images", Some(self.images.clone())), ("labels", labels)];
        named.into_iter().filter_map(|(name, t)| Some((name.to_owned(), t?))).collect()
    }
}
