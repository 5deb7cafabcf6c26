//! The recipe: presets, the studies that xtask runs, and what the binary `moco` does.

mod ablations;
mod classification;
mod config;
mod outcome;
mod photos;
mod pictures;
mod predict;
mod prepare;
mod presets;
mod study;

use std::path::Path;

use sconce_core::{DType, Device, Params, nn::BatchNormKind};
use sconce_data::ImageDataset;
use sconce_engine::{
    Checkpoint, ClassNames, EVALUATED_DATA, Evaluation, InitialWeights, Metrics, PredictRequest, Predictions, Preset,
    Profile, Run, RunPlan, Study, WeightFile, Weights,
};

use self::{
    outcome::{Extractor, Splits},
    prepare::{Prepared, prepare},
};
use crate::{
    data::Datasets,
    moco::QUERY,
    model::Encoder,
    train::{Training, query_encoder, train},
    weights::{self, Content},
};
pub use config::{Config, EvaluationConfig, KnnFeatures, Task};

/// Momentum Contrast as a recipe of `sconce-engine`.
#[derive(Clone, Copy, Debug)]
pub struct Recipe;

impl sconce_engine::Recipe for Recipe {
    const METHOD: &'static str = "moco";
    const ABOUT: &'static str =
        "MoCo: Momentum Contrast for Unsupervised Visual Representation Learning (CVPR 2020), and v2";
    type Config = Config;
    type Prepared = Prepared;
    const DATA_KEYS: &'static [&'static str] = &["data.images"];

    fn presets() -> Vec<Preset<Config>> {
        presets::presets()
    }

    fn study(profile: Profile) -> Option<Study<Config>> {
        Some(study::study(profile))
    }

    fn validate(config: &Config, initial: InitialWeights<'_>) -> anyhow::Result<()> {
        config.validate()?;
        anyhow::ensure!(
            config.task != Task::LinearClassifier || initial != InitialWeights::Unspecified,
            "task is \"linear-classifier\": --init-from must name the backbone that it stands on"
        );
        let is_baseline = matches!(config.task, Task::RandomFeatures | Task::PixelFeatures);
        anyhow::ensure!(
            !(is_baseline && matches!(initial, InitialWeights::File(_))),
            "--init-from: the features of the task {:?} start from no file",
            config.task
        );
        Ok(())
    }

    fn may_lengthen(config: &Config) -> Result<(), String> {
        config.trainer.may_lengthen()
    }

    fn prepare(config: &Config, plan: &RunPlan) -> anyhow::Result<Prepared> {
        prepare(config, plan)
    }

    fn data_hash(prepared: &Prepared) -> anyhow::Result<Option<String>> {
        Ok(Some(prepared.data.hash()?))
    }

    fn train(config: &Config, prepared: Prepared, run: &mut Run) -> anyhow::Result<()> {
        prepared.describe(run)?;
        let data = &prepared.data;
        match config.task {
            Task::Pretrain => pretrain(&prepared.config, data, run),
            Task::RandomFeatures => {
                let (params, encoder) = random_encoder(config, run.seed(), run.device())?;
                outcome::report(config, data, Extractor::Backbone(&encoder), Some(&params), run)
            }
            Task::PixelFeatures => outcome::report(config, data, Extractor::Pixels, None, run),
            Task::LinearClassifier | Task::FineTune => classification::train(config, data, run),
        }
    }

    fn eval(config: &Config, weights: &Weights, device: &Device) -> anyhow::Result<Evaluation> {
        config.data.images.require_test()?;
        let file = weight_file(weights)?;
        let mut lines = Vec::new();
        let mut describe = |name: &str, dataset: &ImageDataset| {
            lines.extend(dataset.summary(name).to_string().lines().map(str::to_owned));
        };
        let metrics = if config.task.is_classification() {
            let test = config.data.images.read_test()?;
            describe("test", &test);
            if let Weights::Checkpoint(path) = weights {
                test.check_classes(&ClassNames::of(&Checkpoint::open(path)?)?)?;
            }
            let classifier = classification::load(config, test.classes().len(), &file, device)?;
            classification::measure(config, &classifier, &test, device)?
        } else {
            let (encoder, content) = load_encoder(config, &file, device)?;
            anyhow::ensure!(
                content == Content::Moco || config.evaluation.knn_features == KnnFeatures::Pooled,
                "{}: a backbone without a projection head, which evaluation.knn_features = \"projected\" needs",
                file.path.display()
            );
            let data = config.data.images.read_both()?;
            outcome::check_labels(config, &data)?;
            let splits = Splits { train: &data.train, test: data.labelled_test()? };
            describe("train", splits.train);
            describe("test", splits.test);
            // Which labels the classifier on few of them has is drawn as in the run.
            let seed = match weights {
                Weights::Checkpoint(path) => Checkpoint::open(path)?.state().seed,
                Weights::File(_) => 0,
            };
            let extractor = Extractor::Backbone(&encoder);
            let measured = extractor.measure(config, splits, device)?;
            outcome::accuracies(config, extractor, (splits, &measured), seed, device)?
        };
        let metrics = metrics.into_iter().map(|(name, value)| (name, serde_json::json!(value)));
        Ok(metrics.chain([(EVALUATED_DATA.to_owned(), serde_json::json!(lines))]).collect())
    }

    fn predict(config: &Config, request: &PredictRequest, lines: &mut Predictions<'_>) -> anyhow::Result<()> {
        predict::predict(config, request, lines)
    }

    fn convert(input: &WeightFile, output: &Path) -> anyhow::Result<String> {
        Ok(weights::convert(input, output)?.to_string())
    }
}

/// Trains without labels, and reports what the features are worth.
fn pretrain(config: &Config, data: &Datasets, run: &mut Run) -> anyhow::Result<()> {
    let device = run.device().clone();
    let initial = run.init_from().cloned();
    let mut batches = config.data.views(&data.train, run.seed(), &device, &**run.communicator())?;
    let training = Training {
        config: &config.moco,
        trainer: &config.trainer,
        n_samples: data.train.len(),
        evaluate_every: config.evaluation.every,
        initial_weights: initial.as_ref(),
    };
    let trained = train(&training, &mut batches, run, |encoder| match Splits::of(data) {
        Some(splits) => {
            let accuracy = outcome::knn_accuracy(config, Extractor::Backbone(encoder), splits, &device)?;
            Ok([("knn_accuracy".to_owned(), accuracy)].into())
        }
        None => Ok(Metrics::new()),
    })?;
    let encoder = trained.query_encoder(&config.moco.encoder)?;
    outcome::report(config, data, Extractor::Backbone(&trained.encoder), Some(&encoder), run)
}

/// The encoder as it begins in a run of this seed, and its parameters.
fn random_encoder(config: &Config, seed: u64, device: &Device) -> crate::Result<(Params, Encoder)> {
    let params = Params::new(seed, DType::F32, device);
    Encoder::new(&params.scope().pp(QUERY), &config.moco.encoder, BatchNormKind::Learning)?;
    let params = query_encoder(&params, &config.moco.encoder)?;
    let encoder = Encoder::new(&params.detached(), &config.moco.encoder, BatchNormKind::Learning)?;
    Ok((params, encoder))
}

/// The query encoder in a file of weights, without a gradient, and what the file was. Of a backbone by itself, such as
/// torchvision's, the encoder has the features alone: its projection head is a random one.
fn load_encoder(config: &Config, file: &WeightFile, device: &Device) -> crate::Result<(Encoder, Content)> {
    let params = Params::new(0, DType::F32, device);
    Encoder::new(&params.scope(), &config.moco.encoder, BatchNormKind::Learning)?;
    let content = weights::load_encoder_or_backbone(&params, file)?;
    Ok((Encoder::new(&params.detached(), &config.moco.encoder, BatchNormKind::Learning)?, content))
}

/// The file that holds the weights.
fn weight_file(weights: &Weights) -> anyhow::Result<WeightFile> {
    Ok(match weights {
        Weights::Checkpoint(path) => WeightFile::new(Checkpoint::open(path)?.model_file()),
        Weights::File(file) => file.clone(),
    })
}
