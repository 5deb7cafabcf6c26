//! What a run reports at its end.

use std::collections::BTreeMap;

use sconce_data::ImageDataset;
use sconce_engine::{
    Checkpoint, Evaluation, Metrics, Outcome, Run, RunFile,
    metrics::{ConfusionMatrix, auroc},
};

use super::{Config, load, measure, pictures, run_on};
use crate::{
    data::Datasets,
    eval::Predictions,
    relabel::LabelTable,
    train::{Trained, label_metrics},
};

/// Evaluates the network as it is and as it was at its best on the validation images, draws the pictures, and ends the run.
pub(super) fn report(
    config: &Config,
    data: &Datasets,
    labels: &LabelTable,
    trained: &Trained,
    run: &mut Run,
) -> anyhow::Result<()> {
    let device = run.device().clone();
    let mut metrics = Metrics::new();
    let tested = run_on(&trained.model, &mut config.data.eval_batches(&data.test, &device)?)?;
    metrics.extend(super::metrics(&tested, &data.test)?);
    let best_accuracy = best_accuracy(config, data, run)?.unwrap_or(metrics["accuracy"]);
    metrics.insert("best_accuracy".into(), best_accuracy);
    metrics.extend(label_metrics(labels, Some(&data.truth)));

    let mut batches = config.data.eval_batches(&data.train, &device)?;
    let predictions = run_on(&trained.model, &mut batches)?;
    if let Some(auroc) = alpha_auroc(&predictions, &labels.original(), &data.truth)? {
        metrics.insert("alpha_auroc".into(), auroc);
    }
    let folder = run.pictures()?;
    let sheet = pictures::least_certain(&predictions, &data.train, &data.truth)?;
    sconce_core::files::write_atomic(&folder.join("least-certain.png"), &sheet.encode_png()?)?;
    let details = details(&tested, config, &data.test)?;
    sconce_core::files::write_atomic(&run.file(RunFile::Evaluation), &serde_json::to_vec_pretty(&details)?)?;
    let data_hash = Some(format!("{}+{}", data.train.content_hash()?, data.test.content_hash()?));
    run.finish(Outcome { metrics, data_hash })?;
    Ok(())
}

/// The test accuracy of the checkpoint that was best on the validation images, if there is one.
fn best_accuracy(config: &Config, data: &Datasets, run: &Run) -> anyhow::Result<Option<f64>> {
    let best = run.dir().join("checkpoints/best");
    if !best.exists() {
        return Ok(None);
    }
    let model = load(&Checkpoint::open(&best)?, &config.scn, run.device())?;
    let mut batches = config.data.eval_batches(&data.test, run.device())?;
    Ok(Some(measure(&model, &data.test, &mut batches)?["accuracy"]))
}

/// How well α tells clean labels from noisy ones: the chance that a clean sample's weight exceeds a noisy one's.
fn alpha_auroc(predictions: &Predictions, given: &[u32], truth: &[u32]) -> anyhow::Result<Option<f64>> {
    let clean: Vec<bool> = predictions.indices.iter().map(|&i| given[i] == truth[i]).collect();
    Ok(auroc(&predictions.alpha, &clean)?)
}

/// Accuracy, accuracy of each class, and the confusion matrix on a set of images with its own labels.
pub(super) fn details(
    predictions: &Predictions,
    config: &Config,
    dataset: &ImageDataset,
) -> anyhow::Result<Evaluation> {
    let labels: Vec<u32> = predictions.indices.iter().map(|&i| dataset.label(i)).collect();
    let matrix = ConfusionMatrix::new(config.scn.model.n_classes, &predictions.classes(), &labels)?;
    let per_class: BTreeMap<&String, Option<f64>> = dataset.classes().iter().zip(matrix.per_class_accuracy()).collect();
    Ok([
        ("accuracy", serde_json::json!(matrix.accuracy())),
        ("mean_class_accuracy", serde_json::json!(matrix.mean_class_accuracy())),
        ("per_class_accuracy", serde_json::json!(per_class)),
        ("classes", serde_json::json!(dataset.classes())),
        ("confusion_matrix", serde_json::json!(matrix.counts())),
        ("loss", serde_json::json!(predictions.mean_loss(dataset.labels())?)),
        ("images", serde_json::json!(labels.len())),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into())
}
