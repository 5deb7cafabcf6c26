//! The recipe: presets, the studies that xtask runs, and what the binary `scn` does.

mod outcome;
mod pictures;
mod predict;
mod presets;
mod study;

use std::{collections::BTreeMap, io::Write, path::Path, sync::Arc};

use anyhow::Context as _;
use sconce_core::{DType, Device, Params, Tolerance};
use sconce_data::{ImageDataset, Loader};
use sconce_engine::{Checkpoint, Metrics, PredictRequest, Preset, Profile, Run, Source, Stateful, Study};

use crate::{
    ScnError,
    config::ScnConfig,
    data::{Datasets, Samples},
    eval::predict as run_on,
    model::Scn,
    relabel::LabelTable,
    train::{Training, train},
};
pub use presets::Config;

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
        study::study(profile)
    }

    fn train(config: &Config, run: &mut Run) -> anyhow::Result<()> {
        let data = config.data.read(run.seed())?;
        check_classes(&config.scn, &data.train)?;
        store_labels(&data, run)?;
        let classes = Arc::new(ClassNames(data.train.classes().to_vec()));
        let labels = Arc::new(LabelTable::new(data.train.labels().to_vec(), config.scn.model.n_classes)?);
        let device = run.device().clone();
        let mut batches = config.data.train_batches(&data.train, run.seed(), &device)?;
        let mut splits = [
            ("validation", &data.validation, config.data.eval_batches(&data.validation, &device)?),
            ("test", &data.test, config.data.eval_batches(&data.test, &device)?),
        ];
        let training = Training {
            config: &config.scn,
            trainer: &config.trainer,
            labels: labels.clone(),
            truth: Some(&data.truth),
            state: &[("classes", classes)],
        };
        let trained = train(&training, &mut batches, run, |model| {
            splits.iter_mut().map(|(name, dataset, batches)| Ok((*name, measure(model, dataset, batches)?))).collect()
        })?;
        outcome::report(config, &data, &labels, &trained, run)
    }

    fn eval(
        config: &Config,
        checkpoint: &Path,
        device: &Device,
    ) -> anyhow::Result<BTreeMap<String, serde_json::Value>> {
        let checkpoint = Checkpoint::open(checkpoint)?;
        let (_, model) = load(&checkpoint, &config.scn, device)?;
        let data = config.data.read(checkpoint.state().seed)?;
        outcome::details(&model, config, &data.test, device)
    }

    fn predict(config: &Config, request: &PredictRequest, lines: &mut dyn Write) -> anyhow::Result<()> {
        predict::predict(config, request, lines)
    }
}

/// The network of a checkpoint, without a gradient, and its parameters.
fn load(checkpoint: &Checkpoint, config: &ScnConfig, device: &Device) -> anyhow::Result<(Params, Scn)> {
    let params = Params::new(0, DType::F32, device);
    Scn::new(&params.scope(), config)?;
    params.load_file(&checkpoint.model_file(), Tolerance::Exact)?;
    let model = Scn::new(&params.detached(), config)?;
    Ok((params, model))
}

/// Accuracy and losses of `model` on one split.
fn measure(model: &Scn, dataset: &ImageDataset, batches: &mut Loader<Samples>) -> crate::Result<Metrics> {
    let predictions = run_on(model, batches)?;
    let labels: Vec<u32> = predictions.indices.iter().map(|&i| dataset.label(i)).collect();
    let accuracy = sconce_engine::metrics::accuracy(&predictions.classes(), &labels)?;
    let loss = predictions.mean_loss(dataset.labels())?;
    let alpha = sconce_engine::metrics::mean(&predictions.alpha);
    Ok([("accuracy", accuracy), ("loss", loss), ("alpha", alpha)].map(|(n, v)| (n.to_owned(), v)).into())
}

fn check_classes(config: &ScnConfig, dataset: &ImageDataset) -> Result<(), ScnError> {
    if dataset.classes().len() == config.model.n_classes {
        return Ok(());
    }
    Err(ScnError::Config {
        field: "scn.model.n_classes",
        found: config.model.n_classes.to_string(),
        expected: format!("{}, the classes of {}", dataset.classes().len(), dataset.origin()),
    })
}

/// Writes the labels that training is given beside the run, as a list that can be read back. A resumed run has it already.
fn store_labels(data: &Datasets, run: &Run) -> anyhow::Result<()> {
    let path = run.dir().join("labels.txt");
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

/// The names of the classes, which a checkpoint carries to whoever predicts with it.
#[derive(Debug)]
struct ClassNames(Vec<String>);

impl Stateful for ClassNames {
    fn save(&self) -> Result<Vec<u8>, Source> {
        Ok(serde_json::to_vec(&self.0)?)
    }

    fn load(&self, bytes: &[u8]) -> Result<(), Source> {
        let stored: Vec<String> = serde_json::from_slice(bytes)?;
        if stored == self.0 {
            return Ok(());
        }
        Err(format!("the checkpoint's classes are {stored:?}, the data's {:?}", self.0).into())
    }
}
