//! A run that trains a detector.

use std::sync::Arc;

use anyhow::Context as _;
use sconce_core::Rng;
use sconce_data::{DetectionDataset, DetectionPipeline, FloatImage};
use sconce_engine::{Checkpoint, ClassNames, Run, RunPlan, Stateful, WeightFile, dist::on_root};

use super::{
    Config,
    fitted::{self, Fitted},
    outcome::{self, Examiner},
    pictures,
};
use crate::{
    config::TargetUse,
    data::TrainBatches,
    datasets::Datasets,
    error::SwdaError,
    model::{Images, Swda},
    train::{Trainee, Training, train as train_on},
    weights::{self, Predictors},
};

/// Data and model of a run, read and checked.
pub(super) struct Prepared {
    /// With what is taken from the data.
    config: Config,
    data: Datasets,
    fitted: Option<Fitted>,
    batches: TrainBatches,
    trainee: Trainee,
    /// What is to be said of data and start.
    lines: Vec<String>,
}

impl Prepared {
    pub(super) fn data_hash(&self) -> String {
        self.data.hash()
    }
}

/// Reads the data, builds the model and gives it the weights that it starts from.
pub(super) fn prepare(config: &Config, plan: &RunPlan) -> anyhow::Result<Prepared> {
    // A resumed run has its own weights.
    let own = config.weights.as_ref().map(WeightFile::new);
    let initial = plan.init_from().or(own.as_ref()).filter(|_| !plan.is_resuming());
    if let Some(WeightFile { path, .. }) = initial.filter(|file| !file.path.is_file()) {
        anyhow::bail!("{}: no such file of weights to start from; --init-from names another", path.display());
    }
    let data = config.data.read(plan.seed())?;
    let (config, fitted, of_anchors) = fitted::fit(config, &data)?;
    let mut lines = data.described();
    lines.extend(of_anchors);
    let (device, ranks) = (plan.device().clone(), plan.communicator().clone());
    let trainee = Trainee::new(&config.swda, plan.seed(), &device, ranks.clone())?;
    if let Some(file) = initial {
        let predictors = predictors(file, data.source.classes());
        let started = weights::load_start(trainee.params(), file, config.start.channels(), predictors)?;
        lines.push(format!("start: {}: {started}", file.path.display()));
    }
    check_samples(&config, &data, trainee.twin(), plan)?;
    let uses_target = config.swda.target != TargetUse::None;
    let batches = config.data.train_batches(&data, uses_target, (plan.seed(), &device), &*ranks)?;
    Ok(Prepared { config, data, fitted, batches, trainee, lines })
}

/// Trains a detector, and reports how good it is on both domains.
pub(super) fn train(prepared: Prepared, run: &mut Run) -> anyhow::Result<()> {
    let Prepared { config, data, fitted, mut batches, trainee, lines } = prepared;
    run.describe_data(&lines, &data.counts)?;
    let (device, ranks) = (run.device().clone(), run.communicator().clone());
    let classes = Arc::new(ClassNames::new(data.source.classes().to_vec()));
    let mut state: Vec<(&'static str, Arc<dyn Stateful>)> = vec![(ClassNames::STATE, classes)];
    if let Some(fitted) = fitted {
        state.push((Fitted::STATE, Arc::new(fitted)));
    }
    let training = Training {
        config: &config.swda,
        trainer: &config.trainer,
        groups: &config.groups,
        evaluate_every: config.evaluation.every,
        state: &state,
    };
    let mut examiner = Examiner::new(&config, &data, &device);
    let mut pictures = pictures::Early::new(&config, run)?;
    let trained = train_on(&training, trainee, &mut batches, run, |model, steps| {
        let measured = on_root(&*ranks, || -> anyhow::Result<_> {
            let examined = examiner.examine(model, steps)?;
            pictures.draw_once(examined)?;
            Ok(examined.iter().map(outcome::Examined::metrics).collect::<Vec<_>>())
        });
        let measured = measured.map_err(|e| SwdaError::Other(e.into()))?;
        Ok(examiner.splits().into_iter().zip(measured).collect())
    })?;
    if run.is_root() { outcome::report(&config, &data, &trained, &mut examiner, run) } else { Ok(()) }
}

/// Whether the predictors in `file` can be those of `classes`: a checkpoint beside it says what they were trained on.
fn predictors(file: &WeightFile, classes: &[String]) -> Predictors {
    let of_file = || ClassNames::of(&Checkpoint::open(file.path.parent()?).ok()?).ok();
    match of_file() {
        Some(others) if others != classes => Predictors::Anew,
        _ => Predictors::WhereTheyFit,
    }
}

/// Longer sides than this times the shorter one are tried before the first step.
const LONG: usize = 4;

/// Puts the first image of every set through its pipeline, and through the model one of the source and the longest of each set:
/// behind a pipeline that keeps proportions they may be too flat for it.
fn check_samples(config: &Config, data: &Datasets, model: &Swda, plan: &RunPlan) -> anyhow::Result<()> {
    let (train, eval) = (("data.train", &config.data.train), ("data.eval", &config.data.eval));
    let trained = [Some(&data.source), data.target.as_ref()].map(|dataset| (dataset, train));
    let measured = [&data.test, &data.source_test, &data.validation].map(|dataset| (dataset.as_ref(), eval));
    for (dataset, (key, pipeline)) in trained.into_iter().chain(measured) {
        let Some(dataset) = dataset else { continue };
        sample(key, dataset, 0, pipeline)?;
        for i in longest(dataset) {
            detect_on(model, (key, pipeline), dataset, i, plan)?;
        }
    }
    detect_on(model, ("data.eval", &config.data.eval), &data.source, 0, plan)
}

/// The image of the greatest proportion of width to height, and that of height to width, if they are long.
fn longest(dataset: &DetectionDataset) -> impl Iterator<Item = usize> {
    let longest = |side: fn((usize, usize)) -> (usize, usize)| {
        let proportion = |&i: &usize| {
            let (long, short) = side(dataset.sample(i).size);
            (long * 1000) / short.max(1)
        };
        (0..dataset.len()).max_by_key(proportion).filter(|i| proportion(i) > LONG * 1000)
    };
    [longest(|size| (size.1, size.0)), longest(|size| size)].into_iter().flatten()
}

/// Runs the model on an image of `dataset` behind `pipeline`, whose settings stand under `key`.
fn detect_on(
    model: &Swda,
    (key, pipeline): (&str, &DetectionPipeline),
    dataset: &DetectionDataset,
    index: usize,
    plan: &RunPlan,
) -> anyhow::Result<()> {
    let image = sample(key, dataset, index, pipeline)?;
    let [_, height, width] = image.shape();
    let images = Images { images: FloatImage::stack(&[image], plan.device())?, sizes: vec![(height, width)] };
    model.detect(&images).map(drop).with_context(|| {
        format!(
            "an image of {width}×{height} pixels behind {key}, {} of {}",
            dataset.sample(index).name,
            dataset.origin()
        )
    })
}

/// An image of `dataset` behind `pipeline`, whose settings stand under `key`.
fn sample(
    key: &str,
    dataset: &DetectionDataset,
    index: usize,
    pipeline: &DetectionPipeline,
) -> anyhow::Result<FloatImage> {
    let sample = dataset.sample(index);
    let applied = pipeline.apply(dataset.image(index)?, &sample.objects, &mut Rng::new(0, "first sample"));
    Ok(applied.with_context(|| format!("{key}: {} of {}", sample.name, dataset.origin()))?.image)
}
