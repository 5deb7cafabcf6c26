//! What a run reports at its end.

use std::{collections::BTreeMap, fs};

use anyhow::Context as _;

use sconce_core::files::write_atomic;
use sconce_data::{DataError, Image, ImageDataset};
use sconce_engine::{
    Checkpoint, Evaluation, Metrics, Run, RunFile,
    metrics::{ConfusionMatrix, auroc},
};

use super::{Config, load, measure, pictures, run_on, suspects};
use crate::{
    config::ScnConfig,
    data::Datasets,
    eval::Predictions,
    relabel::LabelTable,
    train::{Trained, label_metrics},
};

/// A run that has come to its end.
pub(super) struct Ended<'a> {
    pub(super) config: &'a Config,
    /// The network, for the classes of the data.
    pub(super) scn: &'a ScnConfig,
    pub(super) data: &'a Datasets,
    pub(super) labels: &'a LabelTable,
    pub(super) trained: &'a Trained,
}

/// Evaluates the network as it is and as it was at its best on the validation images, lists the labels that it doubts, draws the
/// pictures, and ends the run.
pub(super) fn report(ended: &Ended<'_>, run: &mut Run) -> anyhow::Result<()> {
    let Ended { config, data, labels, trained, .. } = *ended;
    let device = run.device().clone();
    let mut metrics = Metrics::new();
    let tested = run_on(&trained.model, &mut config.data.eval_batches(&data.test, &device)?)?;
    metrics.extend(super::metrics(&tested, &data.test)?);
    let best_accuracy = best_accuracy(ended, run)?.unwrap_or(metrics["accuracy"]);
    metrics.insert("best_accuracy".into(), best_accuracy);
    metrics.extend(label_metrics(labels, data.truth.as_deref()));

    let mut batches = config.data.eval_batches(&data.train, &device)?;
    let predictions = run_on(&trained.model, &mut batches)?;
    if let Some(truth) = &data.truth
        && let Some(auroc) = alpha_auroc(&predictions, &labels.original(), truth)?
    {
        metrics.insert("alpha_auroc".into(), auroc);
    }
    let folder = run.pictures()?;
    let save = |name: &str, sheet: Option<Image>| -> anyhow::Result<()> {
        let path = folder.join(name);
        match sheet {
            Some(sheet) => write_atomic(&path, &sheet.encode_png()?)?,
            // Of an earlier end of the run.
            None if path.exists() => fs::remove_file(&path).with_context(|| path.display().to_string())?,
            None => {}
        }
        Ok(())
    };
    save("least-certain.png", Some(pictures::least_certain(&predictions, &data.train, data.truth.as_deref())?))?;
    doubts(ended, &predictions, run, save)?;
    let details = details(&tested, &data.test)?;
    write_atomic(&run.file(RunFile::Evaluation), &serde_json::to_vec_pretty(&details)?)?;
    warn_of_changes(ended, run)?;
    run.finish(metrics)?;
    Ok(())
}

/// Writes `relabelled.csv`, and the contact sheets of what was relabelled and of what is suspect.
fn doubts(
    ended: &Ended<'_>,
    predictions: &Predictions,
    run: &Run,
    save: impl Fn(&str, Option<Image>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let Ended { config, data, labels, trained, scn } = *ended;
    let margin = scn.relabel.margin;
    let mut rows = suspects::training(predictions, &labels.original(), &labels.current(), margin);
    if let Some(validation) = &data.validation {
        let said = run_on(&trained.model, &mut config.data.eval_batches(validation, run.device())?)?;
        rows.extend(suspects::validation(&said, validation.labels(), margin));
    }
    suspects::sort(&mut rows);
    let dataset = |row: &suspects::Row| match (row.split, &data.validation) {
        (suspects::Split::Validation, Some(validation)) => validation,
        _ => &data.train,
    };
    let file = |row: &suspects::Row| config.data.images.file(dataset(row), row.index);
    let image = |row: &suspects::Row| -> Result<Image, DataError> { dataset(row).image(row.index) };
    let table = suspects::to_csv(&rows, data.train.classes(), &file);
    write_atomic(&run.file(RunFile::Relabelled), &table)?;
    for (name, status) in [("relabelled.png", suspects::Status::Relabelled), ("suspect.png", suspects::Status::Suspect)]
    {
        let shown: Vec<&suspects::Row> = rows.iter().filter(|row| row.status == status).take(pictures::MANY).collect();
        let sheet = if shown.is_empty() { None } else { Some(pictures::doubted(&shown, data, &file, &image)?) };
        save(name, sheet)?;
    }
    Ok(())
}

/// Says where more labels were changed than the configuration finds plausible, and where that is known to have done harm.
fn warn_of_changes(ended: &Ended<'_>, run: &Run) -> anyhow::Result<()> {
    let (given, current) = (ended.labels.original(), ended.labels.current());
    let share = |a: &[u32], b: &[u32]| a.iter().zip(b).filter(|(a, b)| a != b).count() as f64 / a.len() as f64;
    let (changed, bound) = (share(&given, &current), ended.scn.relabel.warn_above);
    let advice = "let relabelling begin later (scn.relabel.start_epoch), ask for more (scn.relabel.margin), or be off \
                  (scn.relabel.scope = \"off\")";
    if changed > bound {
        run.warn(&format!(
            "{:.0} % of the training labels were changed, more than scn.relabel.warn_above = {bound}; see relabelled.csv and \
             pictures/relabelled.png whether they are better now; if not, {advice}",
            100.0 * changed
        ))?;
    }
    if let Some(truth) = &ended.data.truth {
        let (before, after) = (share(&given, truth), share(&current, truth));
        if after > before {
            run.warn(&format!(
                "relabelling did harm: {:.1} % of the training labels were wrong, and {:.1} % are now; {advice}",
                100.0 * before,
                100.0 * after
            ))?;
        }
    }
    Ok(())
}

/// The test accuracy of the checkpoint that was best on the validation images, if there is one.
fn best_accuracy(ended: &Ended<'_>, run: &Run) -> anyhow::Result<Option<f64>> {
    let Ended { config, data, scn, .. } = *ended;
    let best = run.dir().join("checkpoints/best");
    if !best.exists() {
        return Ok(None);
    }
    let model = load(&Checkpoint::open(&best)?, scn, run.device())?;
    let mut batches = config.data.eval_batches(&data.test, run.device())?;
    Ok(Some(measure(&model, &data.test, &mut batches)?["accuracy"]))
}

/// How well α tells clean labels from noisy ones: the chance that a clean sample's weight exceeds a noisy one's.
fn alpha_auroc(predictions: &Predictions, given: &[u32], truth: &[u32]) -> anyhow::Result<Option<f64>> {
    let clean: Vec<bool> = predictions.indices.iter().map(|&i| given[i] == truth[i]).collect();
    Ok(auroc(&predictions.alpha, &clean)?)
}

/// Accuracy, accuracy of each class, and the confusion matrix on a set of images with its own labels.
pub(super) fn details(predictions: &Predictions, dataset: &ImageDataset) -> anyhow::Result<Evaluation> {
    let labels: Vec<u32> = predictions.indices.iter().map(|&i| dataset.label(i)).collect();
    let classes = dataset.classes();
    let matrix = ConfusionMatrix::new(classes.len(), &predictions.classes(), &labels)?;
    let per_class: BTreeMap<&String, Option<f64>> = classes.iter().zip(matrix.per_class_accuracy()).collect();
    let missing: Vec<&String> = per_class.iter().filter(|(_, share)| share.is_none()).map(|(name, _)| *name).collect();
    let mut details: Evaluation = [
        ("accuracy", serde_json::json!(matrix.accuracy())),
        ("mean_class_accuracy", serde_json::json!(matrix.mean_class_accuracy())),
        ("per_class_accuracy", serde_json::json!(per_class)),
        ("classes", serde_json::json!(classes)),
        ("confusion_matrix", serde_json::json!(matrix.counts())),
        ("loss", serde_json::json!(predictions.mean_loss(dataset.labels())?)),
        ("images", serde_json::json!(labels.len())),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    if !missing.is_empty() {
        details.insert("classes_without_images".to_owned(), serde_json::json!(missing));
    }
    Ok(details)
}
