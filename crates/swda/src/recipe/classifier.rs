//! The trunk of a detector as a classifier of single objects: what detectors of small pictures start from.

use std::{collections::BTreeMap, sync::Arc};

use sconce_backbones::{ResNet, Vgg};
use sconce_core::{Batches, DType, Device, Params, Rng, Scope, Tensor, nn::Linear, nn::Mode, ops};
use sconce_data::{
    DataError, HorizontalFlip, ImageBatch, ImageDataset, ImageSource, Loader, LoaderConfig, Pipeline, PixelTransform,
    Source as _, Split,
};
use sconce_detection::BackboneConfig;
use sconce_engine::{
    BatchTensors, ClassNames, Evaluation, Loss, Metrics, Run, RunPlan, Trainer, Weights, dist::on_root,
    metrics::accuracy,
};

use super::{Config, weight_file};
use crate::{error::SwdaError, eval::other, images::Images};

/// Pictures to train on, and to measure on.
const TRAIN: usize = 4000;
const TEST: usize = 1000;
/// Pixels of a side.
const SIDE: usize = 48;

/// A trunk under torchvision's names, the mean over its map, and a linear layer.
struct Classifier {
    trunk: Trunk,
    fc: Linear,
}

enum Trunk {
    Vgg(Vgg),
    ResNet(Box<ResNet>),
}

impl Classifier {
    fn new(scope: &Scope, backbone: &BackboneConfig, n_classes: usize) -> sconce_core::Result<Self> {
        let (trunk, channels) = match backbone {
            BackboneConfig::Vgg { network, .. } => {
                (Trunk::Vgg(Vgg::new(scope, network)?), network.channels()[network.stages() - 1])
            }
            BackboneConfig::ResNet { network } => {
                let [.., channels] = network.channels();
                (Trunk::ResNet(Box::new(ResNet::new(scope, network)?)), channels)
            }
        };
        Ok(Self { trunk, fc: Linear::new(&scope.pp("fc"), (channels, n_classes))? })
    }

    fn forward(&self, images: &Tensor, mode: Mode) -> sconce_core::Result<Tensor> {
        let map = match &self.trunk {
            Trunk::Vgg(vgg) => vgg.features(images, mode)?.pop().unwrap_or_else(|| images.clone()),
            Trunk::ResNet(resnet) => {
                let [.., last] = resnet.features(images, mode)?;
                last
            }
        };
        self.fc.forward(&ops::adaptive_avg_pool2d(&map, (1, 1))?.flatten_from(1)?)
    }
}

/// A batch on its way to a loss.
struct Batch {
    images: Tensor,
    labels: Vec<u32>,
}

impl BatchTensors for Batch {
    fn tensors(&self) -> BTreeMap<String, Tensor> {
        BTreeMap::from([("images".to_owned(), self.images.clone())])
    }
}

/// Data and model of a run, read and checked.
pub(super) struct Prepared {
    train: ImageDataset,
    test: ImageDataset,
    params: Params,
    model: Classifier,
    twin: Classifier,
}

impl Prepared {
    pub(super) fn data_hash(&self) -> anyhow::Result<String> {
        Ok(format!("{}+{}", self.train.content_hash()?, self.test.content_hash()?))
    }
}

/// Draws the pictures and builds the classifier.
pub(super) fn prepare(config: &Config, plan: &RunPlan) -> anyhow::Result<Prepared> {
    let (train, test) = (crops(config, Split::Train, TRAIN)?, crops(config, Split::Test, TEST)?);
    for pictures in [&train, &test] {
        // One through the pipeline.
        source(config, pictures, Vec::new())?.fetch(0, &mut Rng::new(0, "first sample"))?;
    }
    let params = Params::new(plan.seed(), DType::F32, plan.device()).with_communicator(plan.communicator().clone());
    let backbone = &config.swda.detector.backbone;
    let model = Classifier::new(&params.scope(), backbone, train.classes().len())?;
    let twin = Classifier::new(&params.detached(), backbone, train.classes().len())?;
    Ok(Prepared { train, test, params, model, twin })
}

/// Trains a classifier on single cut-outs in the style of the source, and ends the run with its accuracy on others.
pub(super) fn train(config: &Config, prepared: Prepared, run: &mut Run) -> anyhow::Result<()> {
    let Prepared { train, test, params, model, twin } = prepared;
    let lines = [("train", &train), ("test", &test)].map(|(name, pictures)| {
        format!("{name}: {} pictures of single objects in {} classes", pictures.len(), pictures.classes().len())
    });
    run.describe_data(&lines, &())?;
    let (device, ranks, seed) = (run.device().clone(), run.communicator().clone(), run.seed());
    let shuffled = LoaderConfig {
        batch_size: config.data.batch_size,
        drop_last: true,
        seed,
        workers: 0,
        ..LoaderConfig::default()
    };
    let flip = PixelTransform::HorizontalFlip(HorizontalFlip { p: 0.5 });
    let source = source(config, &train, vec![flip])?.map_batch(batch_on(&device));
    let mut batches = Loader::new(source, shuffled)?.sharded(ranks.rank(), ranks.size())?;
    let mut trainer = Trainer::new(&params, &config.trainer, run)?;
    trainer.track(ClassNames::STATE, Arc::new(ClassNames::new(train.classes().to_vec())))?;
    let mut measured = None;
    while let Some(batch) = trainer.next(&mut batches)? {
        let labels: Vec<i64> = batch.labels.iter().map(|&label| i64::from(label)).collect();
        let labels = Tensor::from_vec(labels, batch.labels.len(), &device)?;
        let loss = ops::cross_entropy(&model.forward(&batch.images, Mode::Train)?, &labels, &Default::default())?;
        trainer.step(&Loss::new(loss).samples(batch.labels.len()), &batch)?;
        if trainer.finished_epoch().is_some() {
            let metrics = on_root(&*ranks, || measure(config, &twin, &test, &device))?;
            trainer.evaluated("test", &metrics)?;
            measured = Some((trainer.steps(), metrics));
        }
    }
    let steps = trainer.steps();
    let metrics = match measured {
        // After the last step nothing is measured again.
        Some((at, metrics)) if at == steps => metrics,
        _ => on_root(&*ranks, || measure(config, &twin, &test, &device))?,
    };
    run.finish(metrics)?;
    Ok(())
}

/// The accuracy of a classifier's weights.
pub(super) fn eval(config: &Config, weights: &Weights, device: &Device) -> anyhow::Result<Evaluation> {
    let path = weight_file(weights)?.path;
    let test = crops(config, Split::Test, TEST)?;
    let params = Params::new(0, DType::F32, device);
    Classifier::new(&params.scope(), &config.swda.detector.backbone, test.classes().len())?;
    params.load_file(&path, sconce_core::Tolerance::Exact)?;
    let model = Classifier::new(&params.detached(), &config.swda.detector.backbone, test.classes().len())?;
    let metrics = measure(config, &model, &test, device)?;
    Ok(metrics.into_iter().map(|(name, value)| (name, serde_json::json!(value))).collect())
}

fn measure(config: &Config, model: &Classifier, test: &ImageDataset, device: &Device) -> anyhow::Result<Metrics> {
    let in_order = LoaderConfig { batch_size: 100, shuffle: false, workers: 0, ..LoaderConfig::default() };
    let mut batches = Loader::new(source(config, test, Vec::new())?.map_batch(batch_on(device)), in_order)?;
    let (mut found, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..batches.batches_per_epoch() {
        let batch = batches.next_batch()?;
        found.extend(model.forward(&batch.images, Mode::Eval)?.argmax(1)?.to_vec1::<u32>()?);
        labels.extend(batch.labels);
    }
    Ok([("accuracy".to_owned(), accuracy(&found, &labels)?)].into())
}

/// Pictures of single cut-outs, as they stand in scenes of the source.
fn crops(config: &Config, split: Split, n: usize) -> anyhow::Result<ImageDataset> {
    match &config.data.source {
        Images::Scenes { scene, seed, .. } => Ok(scene.scenes(split, *seed)?.crops(n, SIDE).map_err(other)?),
        other => {
            let expected = "scenes: other images have no single objects";
            Err(SwdaError::config("data.source", format!("{other:?}"), expected).into())
        }
    }
}

fn source(config: &Config, dataset: &ImageDataset, pixels: Vec<PixelTransform>) -> Result<ImageSource, DataError> {
    let normalize = config.data.train.normalize.clone();
    ImageSource::new(dataset.clone(), Pipeline { pixels, floats: Vec::new(), normalize, erasing: None })
}

fn batch_on(device: &Device) -> impl Fn(ImageBatch) -> Result<Batch, DataError> + Send + Sync + 'static {
    let device = device.clone();
    move |batch| {
        let images = batch.images.to_device(&device).map_err(sconce_core::Error::from)?;
        Ok(Batch { images, labels: batch.labels })
    }
}
