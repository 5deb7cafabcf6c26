//! The recipe: presets, the studies that xtask runs, and what the binary `scn` does.

mod outcome;
mod papers;
mod pictures;
mod predict;
mod prepare;
mod presets;
mod study;
mod suspects;
mod sweeps;

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use sconce_core::{Batches, DType, Device, LoadReport, Params, Tolerance};
use sconce_data::ImageDataset;
use sconce_engine::{
    Checkpoint, ClassNames, EVALUATED_DATA, Evaluation, InitialWeights, Metrics, PredictRequest, Preset, Profile, Run,
    RunFile, RunPlan, Stateful, Study, WeightFile, Weights,
};

use self::prepare::{NEEDS_HUB, NEEDS_WEIGHTS};
pub use self::{
    prepare::Prepared,
    presets::{Config, Pretraining},
};
use crate::{
    config::ScnConfig,
    data::{Datasets, HeldOut},
    eval::{Predictions, predict as run_on},
    model::Scn,
    relabel::LabelTable,
    train::{Batch, Training, train},
    weights,
};

/// Self-Cure Network as a recipe of `sconce-engine`.
#[derive(Clone, Copy, Debug)]
pub struct Recipe;

impl sconce_engine::Recipe for Recipe {
    const METHOD: &'static str = "scn";
    const ABOUT: &'static str =
        "Self-Cure Network: Suppressing Uncertainties for Large-Scale Facial Expression Recognition (CVPR 2020)";
    type Config = Config;
    type Prepared = Prepared;

    const DATA_KEYS: &'static [&'static str] = &["data.images", "data.noise_list"];

    fn presets() -> Vec<Preset<Config>> {
        study::presets()
    }

    fn study(profile: Profile) -> Option<Study<Config>> {
        Some(study::study(profile))
    }

    fn validate(config: &Config, initial: InitialWeights<'_>) -> anyhow::Result<()> {
        config.scn.validate()?;
        config.data.validate()?;
        config.trainer.validate()?;
        anyhow::ensure!(config.trainer.ema.is_none(), "trainer.ema is set, but SCN evaluates no averaged parameters");
        match &config.pretraining {
            Pretraining::File if initial == InitialWeights::Unspecified => anyhow::bail!(NEEDS_WEIGHTS),
            Pretraining::Hub { repo, .. } if initial == InitialWeights::Unspecified && cfg!(not(feature = "hub")) => {
                anyhow::bail!("{repo}: {NEEDS_HUB}")
            }
            _ => Ok(()),
        }
    }

    fn may_lengthen(config: &Config) -> Result<(), String> {
        config.trainer.may_lengthen()
    }

    fn prepare(config: &Config, plan: &RunPlan) -> anyhow::Result<Prepared> {
        Prepared::new(config, plan)
    }

    fn data_hash(prepared: &Prepared) -> anyhow::Result<Option<String>> {
        Ok(Some(prepared.data.hash()?))
    }

    fn train(config: &Config, prepared: Prepared, run: &mut Run) -> anyhow::Result<()> {
        let Prepared { scn, data, initial } = prepared;
        let (lines, details) = data.description(initial.as_ref().map(|file| file.path.as_path()));
        run.describe_data(&lines, &details)?;
        if run.is_root() {
            store_labels(&data, run)?;
        }
        let n_classes = data.train.classes().len();
        let labels = Arc::new(LabelTable::new(data.train.labels().to_vec(), n_classes)?);
        let classes: Arc<dyn Stateful> = Arc::new(ClassNames::new(data.train.classes().to_vec()));
        let held_out = data.held_out.clone().map(|names| Arc::new(HeldOut::new(names)) as Arc<dyn Stateful>);
        let mut state = vec![(ClassNames::STATE, classes)];
        state.extend(held_out.map(|names| (HeldOut::STATE, names)));
        let device = run.device().clone();
        let mut batches = config.data.train_batches(&data.train, run.seed(), &device, &**run.communicator())?;
        let named = [("validation", data.validation.as_ref()), ("test", Some(&data.test))];
        let splits = named.into_iter().filter_map(|(name, dataset)| Some((name, dataset?)));
        let mut splits = splits
            .map(|(name, dataset)| Ok((name, dataset, config.data.eval_batches(dataset, &device)?)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let training = Training {
            config: &scn,
            trainer: &config.trainer,
            labels: labels.clone(),
            truth: data.truth.as_deref(),
            state: &state,
            initial_weights: initial.as_ref(),
        };
        let trained = train(&training, &mut batches, run, |model| {
            splits.iter_mut().map(|(name, dataset, batches)| Ok((*name, measure(model, dataset, batches)?))).collect()
        })?;
        match run.is_root() {
            true => outcome::report(
                &outcome::Ended { config, scn: &scn, data: &data, labels: &labels, trained: &trained },
                run,
            ),
            false => Ok(()),
        }
    }

    fn eval(config: &Config, weights: &Weights, device: &Device) -> anyhow::Result<Evaluation> {
        let known = Known::of(config, weights)?;
        let test = config.data.read_test(known.held_out.as_deref(), known.classes.as_deref())?;
        let scn = config.scn.for_classes(test.classes().len(), test.origin())?;
        let model = known.load(&scn, device)?;
        let predictions = run_on(&model, &mut config.data.eval_batches(&test, device)?)?;
        let mut details = outcome::details(&predictions, &test)?;
        let lines = test.summary("test").to_string();
        details.insert(EVALUATED_DATA.to_owned(), serde_json::json!(lines.lines().collect::<Vec<_>>()));
        if known.classes.is_none() {
            let note =
                format!("the weights do not name their classes: those of {} are taken in their order", test.origin());
            details.insert("note".to_owned(), serde_json::json!(note));
        }
        Ok(details)
    }

    fn predict(
        config: &Config,
        request: &PredictRequest,
        lines: &mut sconce_engine::Predictions<'_>,
    ) -> anyhow::Result<()> {
        predict::predict(config, request, lines)
    }

    fn convert(input: &WeightFile, output: &Path) -> anyhow::Result<String> {
        Ok(weights::convert(input, output)?.to_string())
    }
}

/// What is known of a model from where its weights are.
struct Known {
    source: Source,
    /// The names of its classes.
    classes: Option<Vec<String>>,
    /// The images that its run held out to test on.
    held_out: Option<Vec<String>>,
}

enum Source {
    Checkpoint(Box<Checkpoint>),
    File(WeightFile),
}

impl Known {
    fn of(config: &Config, weights: &Weights) -> anyhow::Result<Self> {
        let path = match weights {
            Weights::Checkpoint(path) => path,
            Weights::File(file) => {
                let classes = config.data.images.classes();
                return Ok(Self { source: Source::File(file.clone()), classes, held_out: None });
            }
        };
        let checkpoint = Checkpoint::open(path)?;
        let has_held_out = checkpoint.state().tracked.iter().any(|name| name == HeldOut::STATE);
        let held_out = if has_held_out { Some(HeldOut::of(&checkpoint)?) } else { None };
        let classes = Some(ClassNames::of(&checkpoint)?);
        Ok(Self { source: Source::Checkpoint(Box::new(checkpoint)), classes, held_out })
    }

    /// The network, without a gradient.
    fn load(&self, config: &ScnConfig, device: &Device) -> anyhow::Result<Scn> {
        match &self.source {
            Source::Checkpoint(checkpoint) => load(checkpoint, config, device),
            Source::File(file) => network(config, device, |params| Ok(weights::load_network(params, file)?)),
        }
    }
}

/// The network of a checkpoint, without a gradient.
fn load(checkpoint: &Checkpoint, config: &ScnConfig, device: &Device) -> anyhow::Result<Scn> {
    network(config, device, |params| Ok(params.load_file(&checkpoint.model_file(), Tolerance::Exact)?))
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

/// Writes the labels that training is given beside the run, where they are not the dataset's, as a list that can be read back.
/// A resumed run has it already.
fn store_labels(data: &Datasets, run: &Run) -> anyhow::Result<()> {
    let Some(labels) = &data.labels else { return Ok(()) };
    let path = run.file(RunFile::Labels);
    if path.exists() {
        let stored = sconce_data::NoisyLabels::read(&path, &data.clean)?;
        anyhow::ensure!(
            stored.noisy() == labels.noisy(),
            "{}: the labels there are not those of this configuration and seed",
            path.display()
        );
        return Ok(());
    }
    labels.write(&path, &data.clean).context("writing the labels of the run")
}
