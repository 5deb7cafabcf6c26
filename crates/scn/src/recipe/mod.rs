//! The recipe: presets, the studies that xtask runs, and what the binary `scn` does.

mod outcome;
mod papers;
mod pictures;
mod predict;
mod presets;
mod study;
mod sweeps;

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use sconce_core::{Batches, DType, Device, LoadReport, Params, Tolerance};
use sconce_data::ImageDataset;
use sconce_engine::{
    Checkpoint, ClassNames, Evaluation, InitialWeights, Metrics, PredictRequest, Preset, Profile, Run, RunFile, Study,
    Weights, dist::on_root,
};

use crate::{
    ScnError,
    config::ScnConfig,
    data::Datasets,
    eval::{Predictions, predict as run_on},
    model::Scn,
    relabel::LabelTable,
    train::{Batch, Training, train},
    weights,
};
pub use presets::{Config, Pretraining};

/// Self-Cure Network as a recipe of `sconce-engine`.
#[derive(Clone, Copy, Debug)]
pub struct Recipe;

impl sconce_engine::Recipe for Recipe {
    const METHOD: &'static str = "scn";
    const ABOUT: &'static str =
        "Self-Cure Network: Suppressing Uncertainties for Large-Scale Facial Expression Recognition (CVPR 2020)";
    type Config = Config;

    fn presets() -> Vec<Preset<Config>> {
        study::presets()
    }

    fn study(profile: Profile) -> Option<Study<Config>> {
        Some(study::study(profile))
    }

    fn validate(config: &Config, initial: InitialWeights<'_>) -> anyhow::Result<()> {
        config.scn.validate()?;
        config.data.validate(config.scn.model.n_classes)?;
        config.trainer.validate()?;
        anyhow::ensure!(config.trainer.ema.is_none(), "trainer.ema is set, but SCN evaluates no averaged parameters");
        match &config.pretraining {
            Pretraining::File if initial == InitialWeights::Unsaid => anyhow::bail!(NEEDS_WEIGHTS),
            Pretraining::Hub { repo, .. } if initial == InitialWeights::Unsaid && cfg!(not(feature = "hub")) => {
                anyhow::bail!("{repo}: {NEEDS_HUB}")
            }
            _ => Ok(()),
        }
    }

    fn train(config: &Config, run: &mut Run) -> anyhow::Result<()> {
        let initial = initial_weights(config, run)?;
        let data = config.data.read(run.seed())?;
        check_classes(&config.scn, data.train.classes(), data.train.origin())?;
        if run.is_root() {
            store_labels(&data, run)?;
            store_origin(&data, initial.as_deref(), run)?;
        }
        let classes = Arc::new(ClassNames::new(data.train.classes().to_vec()));
        let labels = Arc::new(LabelTable::new(data.train.labels().to_vec(), config.scn.model.n_classes)?);
        let device = run.device().clone();
        let mut batches = config.data.train_batches(&data.train, run.seed(), &device, &**run.communicator())?;
        let named = [("validation", data.validation.as_ref()), ("test", Some(&data.test))];
        let splits = named.into_iter().filter_map(|(name, dataset)| Some((name, dataset?)));
        let mut splits = splits
            .map(|(name, dataset)| Ok((name, dataset, config.data.eval_batches(dataset, &device)?)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let training = Training {
            config: &config.scn,
            trainer: &config.trainer,
            labels: labels.clone(),
            truth: Some(&data.truth),
            state: &[(ClassNames::STATE, classes)],
            initial_weights: initial.as_deref(),
        };
        let trained = train(&training, &mut batches, run, |model| {
            splits.iter_mut().map(|(name, dataset, batches)| Ok((*name, measure(model, dataset, batches)?))).collect()
        })?;
        if run.is_root() { outcome::report(config, &data, &labels, &trained, run) } else { Ok(()) }
    }

    fn eval(config: &Config, weights: &Weights, device: &Device) -> anyhow::Result<Evaluation> {
        let model = match weights {
            Weights::Checkpoint(path) => load(&Checkpoint::open(path)?, &config.scn, device)?,
            Weights::File(path) => load_file(path, &config.scn, device)?,
        };
        let test = config.data.read_test()?;
        check_classes(&config.scn, test.classes(), test.origin())?;
        let predictions = run_on(&model, &mut config.data.eval_batches(&test, device)?)?;
        outcome::details(&predictions, config, &test)
    }

    fn predict(config: &Config, request: &PredictRequest, lines: &mut dyn Write) -> anyhow::Result<()> {
        predict::predict(config, request, lines)
    }

    fn convert(input: &Path, output: &Path) -> anyhow::Result<String> {
        Ok(weights::convert(input, output)?.to_string())
    }
}

const NEEDS_HUB: &str = "pretraining.kind is \"hub\": that needs a binary with the feature `hub`, or --init-from";
const NEEDS_WEIGHTS: &str = "pretraining.kind is \"file\": --init-from must name the weights to start from";

/// The file that the backbone starts from, if it does; a resumed run has its own weights.
fn initial_weights(config: &Config, run: &Run) -> anyhow::Result<Option<PathBuf>> {
    match (run.init_from(), &config.pretraining) {
        _ if run.is_resuming() => Ok(None),
        (Some(path), _) => Ok(Some(path.to_owned())),
        (None, Pretraining::None) => Ok(None),
        (None, Pretraining::File) => anyhow::bail!(NEEDS_WEIGHTS),
        (None, Pretraining::Hub { repo, file, revision }) => {
            on_root(&**run.communicator(), || fetch(repo, file, revision)).map(Some)
        }
    }
}

#[cfg(feature = "hub")]
fn fetch(repo: &str, file: &str, revision: &str) -> anyhow::Result<PathBuf> {
    use sconce_backbones::weights::hub::{HubConfig, HubFile, fetch};
    let file = HubFile { revision: revision.to_owned(), ..HubFile::new(repo, file) };
    Ok(fetch(&file, &HubConfig::default())?)
}

#[cfg(not(feature = "hub"))]
fn fetch(repo: &str, _: &str, _: &str) -> anyhow::Result<PathBuf> {
    anyhow::bail!("{repo}: {NEEDS_HUB}")
}

/// The network of a checkpoint, without a gradient.
fn load(checkpoint: &Checkpoint, config: &ScnConfig, device: &Device) -> anyhow::Result<Scn> {
    network(config, device, |params| Ok(params.load_file(&checkpoint.model_file(), Tolerance::Exact)?))
}

/// The network in a file of weights, without a gradient.
fn load_file(path: &Path, config: &ScnConfig, device: &Device) -> anyhow::Result<Scn> {
    network(config, device, |params| Ok(weights::load_network(params, path)?))
}

/// A network with the parameters that `load` fills in.
fn network(
    config: &ScnConfig,
    device: &Device,
    load: impl FnOnce(&Params) -> anyhow::Result<LoadReport>,
) -> anyhow::Result<Scn> {
    let params = Params::new(0, DType::F32, device);
    Scn::new(&params.scope(), config)?;
    load(&params)?;
    Ok(Scn::new(&params.detached(), config)?)
}

/// Accuracy and losses of `model` on one split.
fn measure(model: &Scn, dataset: &ImageDataset, batches: &mut impl Batches<Batch = Batch>) -> crate::Result<Metrics> {
    metrics(&run_on(model, batches)?, dataset)
}

/// Accuracy and losses of `predictions` for a dataset with its own labels.
fn metrics(predictions: &Predictions, dataset: &ImageDataset) -> crate::Result<Metrics> {
    let labels: Vec<u32> = predictions.indices.iter().map(|&i| dataset.label(i)).collect();
    let accuracy = sconce_engine::metrics::accuracy(&predictions.classes(), &labels)?;
    let loss = predictions.mean_loss(dataset.labels())?;
    let alpha = sconce_engine::metrics::mean(&predictions.alpha);
    Ok([("accuracy", accuracy), ("loss", loss), ("alpha", alpha)].map(|(n, v)| (n.to_owned(), v)).into())
}

/// Checks that the network has as many classes as `origin`, whose `classes` these are.
fn check_classes(config: &ScnConfig, classes: &[String], origin: &str) -> Result<(), ScnError> {
    if classes.len() == config.model.n_classes {
        return Ok(());
    }
    Err(ScnError::Config {
        field: "scn.model.n_classes",
        found: config.model.n_classes.to_string(),
        expected: format!("{}, the classes of {origin}", classes.len()),
    })
}

/// Writes the labels that training is given beside the run, as a list that can be read back. A resumed run has it already.
fn store_labels(data: &Datasets, run: &Run) -> anyhow::Result<()> {
    let path = run.file(RunFile::Labels);
    if path.exists() {
        let stored = sconce_data::NoisyLabels::read(&path, &data.clean)?;
        anyhow::ensure!(
            stored.noisy() == data.labels.noisy(),
            "{}: the labels there are not those of this configuration and seed",
            path.display()
        );
        return Ok(());
    }
    data.labels.write(&path, &data.clean).context("writing the labels of the run")
}

/// Writes what readers left out, and which weights the run starts from. A resumed run has it already.
fn store_origin(data: &Datasets, initial: Option<&Path>, run: &Run) -> anyhow::Result<()> {
    let mut origin = data.counts.clone();
    if let Some(path) = initial {
        origin.insert("initial_weights", serde_json::json!(path));
    }
    if !origin.is_empty() && !run.is_resuming() {
        sconce_core::files::write_atomic(&run.file(RunFile::Data), &serde_json::to_vec_pretty(&origin)?)?;
    }
    Ok(())
}
