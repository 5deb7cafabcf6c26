//! The recipe: presets, the studies that xtask runs, and what the binary `swda` does.

mod ablations;
mod classifier;
mod config;
mod detector;
mod files;
mod fitted;
mod model;
mod outcome;
mod own;
mod papers;
mod photos;
mod pictures;
mod predict;
mod presets;
mod study;

use std::path::Path;

use sconce_core::Device;
use sconce_engine::{
    Checkpoint, EVALUATED_DATA, Evaluation, InitialWeights, PredictRequest, Predictions, Preset, Profile, Run, RunPlan,
    Study, WeightFile, Weights,
};

use self::model::Model;
use crate::{config::LambdaSchedule, weights};
pub use config::{Config, EvaluationConfig, FitConfig, Start, Taken, Task};

/// Strong-Weak Distribution Alignment as a recipe of `sconce-engine`.
#[derive(Clone, Copy, Debug)]
pub struct Recipe;

/// What a run needs besides its configuration: data and a model, read and checked.
pub struct Prepared(Work);

enum Work {
    Classifier(Box<classifier::Prepared>),
    Detector(Box<detector::Prepared>),
}

impl sconce_engine::Recipe for Recipe {
    const METHOD: &'static str = "swda";
    const ABOUT: &'static str = "SWDA: Strong-Weak Distribution Alignment for Adaptive Object Detection (CVPR 2019)";
    const HAS_SCORES: bool = true;
    const DATA_KEYS: &'static [&'static str] = &["data.source", "data.target", "data.test", "data.source_test"];
    type Config = Config;
    type Prepared = Prepared;

    fn presets() -> Vec<Preset<Config>> {
        [presets::presets(), own::presets(), photos::presets(), papers::presets()].concat()
    }

    fn study(profile: Profile) -> Option<Study<Config>> {
        Some(study::study(profile))
    }

    fn validate(config: &Config, initial: InitialWeights<'_>) -> anyhow::Result<()> {
        config.validate()?;
        anyhow::ensure!(
            config.start == Start::Random || config.weights.is_some() || initial != InitialWeights::Unspecified,
            "start is \"file\" or \"caffe-file\": --init-from, or `weights`, must name the file to start from"
        );
        anyhow::ensure!(
            config.task == Task::Detector || !matches!(initial, InitialWeights::File(_)),
            "--init-from: the task \"classifier\" starts from no file"
        );
        Ok(())
    }

    fn may_lengthen(config: &Config) -> Result<(), String> {
        if config.swda.aligns() && config.swda.reversal.schedule == LambdaSchedule::Ramp {
            return Err("the ramp of `swda.reversal.schedule` depends on the number of epochs".to_owned());
        }
        config.trainer.may_lengthen()
    }

    fn prepare(config: &Config, plan: &RunPlan) -> anyhow::Result<Prepared> {
        Ok(Prepared(match config.task {
            Task::Classifier => Work::Classifier(Box::new(classifier::prepare(config, plan)?)),
            Task::Detector => Work::Detector(Box::new(detector::prepare(config, plan)?)),
        }))
    }

    fn data_hash(Prepared(prepared): &Prepared) -> anyhow::Result<Option<String>> {
        Ok(Some(match prepared {
            Work::Classifier(prepared) => prepared.data_hash()?,
            Work::Detector(prepared) => prepared.data_hash(),
        }))
    }

    fn train(config: &Config, Prepared(prepared): Prepared, run: &mut Run) -> anyhow::Result<()> {
        match prepared {
            Work::Classifier(prepared) => classifier::train(config, *prepared, run),
            Work::Detector(prepared) => detector::train(*prepared, run),
        }
    }

    fn eval(config: &Config, weights: &Weights, device: &Device) -> anyhow::Result<Evaluation> {
        if config.task == Task::Classifier {
            return classifier::eval(config, weights, device);
        }
        let model = Model::open(config, weights, device)?;
        let mut evaluation = Evaluation::new();
        let mut lines = Vec::new();
        for (split, data) in model.config.data.read_measured(&model.classes, model.seed)? {
            lines.extend(data.summary(split).to_string().lines().map(str::to_owned));
            let details = outcome::details(&model.config, &model.swda, &data, device)?;
            match split {
                "test" => evaluation.extend(details),
                split => drop(evaluation.insert(split.to_owned(), serde_json::to_value(details)?)),
            }
        }
        evaluation.insert(EVALUATED_DATA.to_owned(), serde_json::json!(lines));
        Ok(evaluation)
    }

    fn predict(config: &Config, request: &PredictRequest, lines: &mut Predictions<'_>) -> anyhow::Result<()> {
        anyhow::ensure!(
            config.task == Task::Detector,
            "these are weights of a classifier of single objects, to start from"
        );
        predict::predict(config, request, lines)
    }

    fn convert(input: &WeightFile, output: &Path) -> anyhow::Result<String> {
        Ok(weights::convert(input, output)?.to_string())
    }
}

/// The file that holds the weights.
fn weight_file(weights: &Weights) -> anyhow::Result<WeightFile> {
    Ok(match weights {
        Weights::Checkpoint(path) => WeightFile::new(Checkpoint::open(path)?.model_file()),
        Weights::File(file) => file.clone(),
    })
}
