//! The recipe: presets, the studies that xtask runs, and what the binary `swda` does.

mod ablations;
mod classifier;
mod config;
mod outcome;
mod papers;
mod photos;
mod pictures;
mod predict;
mod presets;
mod study;

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use sconce_core::{DType, Device, Params};
use sconce_engine::{
    Checkpoint, ClassNames, Evaluation, InitialWeights, PredictRequest, Preset, Profile, Run, RunFile, Study, Weights,
    dist::on_root,
};

use crate::{
    config::{SwdaConfig, TargetUse},
    data::{Datasets, check_classes},
    error::SwdaError,
    model::Swda,
    train::{Training, train},
    weights,
};
pub use config::{Config, EvaluationConfig, Start, Task};

/// Strong-Weak Distribution Alignment as a recipe of `sconce-engine`.
#[derive(Clone, Copy, Debug)]
pub struct Recipe;

impl sconce_engine::Recipe for Recipe {
    const METHOD: &'static str = "swda";
    const ABOUT: &'static str = "SWDA: Strong-Weak Distribution Alignment for Adaptive Object Detection (CVPR 2019)";
    type Config = Config;

    fn presets() -> Vec<Preset<Config>> {
        [presets::presets(), photos::presets(), papers::presets()].concat()
    }

    fn study(profile: Profile) -> Option<Study<Config>> {
        Some(study::study(profile))
    }

    fn validate(config: &Config, initial: InitialWeights<'_>) -> anyhow::Result<()> {
        config.validate()?;
        anyhow::ensure!(
            config.start == Start::Random || config.weights.is_some() || initial != InitialWeights::Unsaid,
            "start is \"file\" or \"caffe-file\": --init-from, or `weights`, must name the file to start from"
        );
        anyhow::ensure!(
            config.task == Task::Detector || !matches!(initial, InitialWeights::File(_)),
            "--init-from: the task \"classifier\" starts from no file"
        );
        Ok(())
    }

    fn train(config: &Config, run: &mut Run) -> anyhow::Result<()> {
        match config.task {
            Task::Classifier => classifier::train(config, run),
            Task::Detector => detector(config, run),
        }
    }

    fn eval(config: &Config, weights: &Weights, device: &Device) -> anyhow::Result<Evaluation> {
        if config.task == Task::Classifier {
            return classifier::eval(config, weights, device);
        }
        let model = load(&config.swda, weights, device)?;
        let (test, _) = config.data.test.read()?;
        if let Weights::Checkpoint(path) = weights {
            check_classes(&test, &ClassNames::of(&Checkpoint::open(path)?)?)?;
        }
        let mut evaluation = outcome::details(config, &model, &test, device)?;
        if let Some(source) = &config.data.source_test {
            let of_source = outcome::details(config, &model, &source.read()?.0, device)?;
            evaluation.insert("source".to_owned(), serde_json::to_value(of_source)?);
        }
        Ok(evaluation)
    }

    fn predict(config: &Config, request: &PredictRequest, lines: &mut dyn Write) -> anyhow::Result<()> {
        anyhow::ensure!(
            config.task == Task::Detector,
            "these are weights of a classifier of single objects, to start from"
        );
        predict::predict(config, request, lines)
    }

    fn convert(input: &Path, output: &Path) -> anyhow::Result<String> {
        Ok(weights::convert(input, output)?.to_string())
    }
}

/// Trains a detector, and reports how good it is on both domains.
fn detector(config: &Config, run: &mut Run) -> anyhow::Result<()> {
    // A resumed run has its own weights.
    let initial = run.init_from().or(config.weights.as_deref()).filter(|_| !run.is_resuming()).map(Path::to_owned);
    if let Some(path) = initial.as_deref().filter(|path| !path.is_file()) {
        anyhow::bail!("{}: no such file of weights to start from; --init-from names another", path.display());
    }
    let data = config.data.read(run.seed())?;
    check_n_classes(&config.swda, &data)?;
    if run.is_root() && !run.is_resuming() && !data.counts.is_empty() {
        let counts = serde_json::to_vec_pretty(&data.counts)?;
        sconce_core::files::write_atomic(&run.file(RunFile::Data), &counts)?;
    }
    let (device, ranks) = (run.device().clone(), run.communicator().clone());
    let uses_target = config.swda.target != TargetUse::None;
    let mut batches = config.data.train_batches(&data, uses_target, (run.seed(), &device), &*ranks)?;
    let classes = Arc::new(ClassNames::new(data.source.classes().to_vec()));
    let training = Training {
        config: &config.swda,
        trainer: &config.trainer,
        groups: &config.groups,
        evaluate_every: config.evaluation.every,
        state: &[(ClassNames::STATE, classes)],
    };
    let channels = config.start.channels();
    let start = |params: &Params| {
        initial.as_deref().map_or(Ok(()), |path| weights::load_start(params, path, channels).map(drop))
    };
    let mut splits = vec![("test", &data.test)];
    splits.extend(data.source_test.as_ref().map(|source| ("source", source)));
    splits.extend(data.validation.as_ref().map(|validation| ("validation", validation)));
    let pictures = pictures::Early::new(config, &data, run)?;
    let trained = train(&training, &mut batches, run, start, |model| {
        let measured = on_root(&*ranks, || -> anyhow::Result<_> {
            pictures.draw_once(config, model, &device)?;
            let measure = |&(_, dataset): &(&str, _)| outcome::measure(config, model, dataset, &device);
            Ok(splits.iter().map(measure).collect::<crate::Result<Vec<_>>>()?)
        });
        let measured = measured.map_err(|e| SwdaError::Other(e.into()))?;
        Ok(splits.iter().map(|(name, _)| *name).zip(measured).collect())
    })?;
    if run.is_root() { outcome::report(config, &data, &trained, run) } else { Ok(()) }
}

/// A detector's file or checkpoint as a model without a gradient.
fn load(config: &SwdaConfig, weights: &Weights, device: &Device) -> anyhow::Result<Swda> {
    let params = Params::new(0, DType::F32, device);
    Swda::new(&params.scope(), config)?;
    weights::load_detector(&params, &weight_file(weights)?)?;
    Ok(Swda::new(&params.detached(), config)?)
}

/// The file that holds the weights.
fn weight_file(weights: &Weights) -> anyhow::Result<PathBuf> {
    Ok(match weights {
        Weights::Checkpoint(path) => Checkpoint::open(path)?.model_file(),
        Weights::File(path) => path.clone(),
    })
}

/// Checks that the detector has as many classes as the data.
fn check_n_classes(config: &SwdaConfig, data: &Datasets) -> crate::Result<()> {
    let (found, expected) = (config.detector.roi_heads.n_classes, data.source.classes().len());
    if found == expected {
        return Ok(());
    }
    let expected = format!("{expected}, the classes of {}", data.source.origin());
    Err(SwdaError::config("swda.detector.roi_heads.n_classes", found, expected))
}
