//! What a run reports at its end.

use std::collections::BTreeMap;

use sconce_core::{Device, files::write_atomic};
use sconce_data::DetectionDataset;
use sconce_engine::{Checkpoint, Evaluation, Metrics, Outcome, Run, RunFile, Weights};

use super::{Config, load, pictures};
use crate::{
    data::Datasets,
    eval::{Precision, Results, detect},
    model::Swda,
    train::Trained,
};

/// Runs `model` on a dataset.
pub(super) fn results(
    config: &Config,
    model: &Swda,
    data: &DetectionDataset,
    device: &Device,
) -> crate::Result<Results> {
    detect(model, data, &config.data.eval, config.data.batch_size, device)
}

fn precision(config: &Config, results: &Results, data: &DetectionDataset) -> crate::Result<Precision> {
    results.precision(data.classes().len(), config.evaluation.measure)
}

/// Average precisions on a dataset.
pub(super) fn measure(
    config: &Config,
    model: &Swda,
    data: &DetectionDataset,
    device: &Device,
) -> crate::Result<Metrics> {
    Ok(precision(config, &results(config, model, data, device)?, data)?.metrics())
}

/// Everything that is known of a model on a dataset.
pub(super) fn details(
    config: &Config,
    model: &Swda,
    data: &DetectionDataset,
    device: &Device,
) -> anyhow::Result<Evaluation> {
    let precision = precision(config, &results(config, model, data, device)?, data)?;
    described(config, &precision, data)
}

fn described(config: &Config, precision: &Precision, data: &DetectionDataset) -> anyhow::Result<Evaluation> {
    let per_class: BTreeMap<&String, Option<f64>> = data.classes().iter().zip(precision.per_class.clone()).collect();
    Ok([
        ("ap50", serde_json::json!(precision.ap50)),
        ("ap", serde_json::json!(precision.ap)),
        ("measure", serde_json::to_value(config.evaluation.measure)?),
        ("ap50_per_class", serde_json::json!(per_class)),
        ("coco_stats", serde_json::json!(precision.coco)),
        ("images", serde_json::json!(data.len())),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into())
}

/// Measures the model as it is, and as it was at its best on images of the source that were cut off, draws the pictures, and
/// ends the run.
pub(super) fn report(config: &Config, data: &Datasets, trained: &Trained, run: &mut Run) -> anyhow::Result<()> {
    let device = run.device().clone();
    let tested = results(config, &trained.model, &data.test, &device)?;
    let on_target = precision(config, &tested, &data.test)?;
    let mut metrics = on_target.metrics();
    for (class, ap) in data.test.classes().iter().zip(&on_target.per_class) {
        metrics.extend(ap.map(|ap| (format!("ap50_{class}"), ap)));
    }
    let mut evaluation = described(config, &on_target, &data.test)?;
    let folder = run.pictures()?;
    let draw = |name: &str, results: &Results, data: &DetectionDataset| -> anyhow::Result<()> {
        let sheet = pictures::sheet(results, data)?.encode_png()?;
        Ok(write_atomic(&folder.join(name), &sheet)?)
    };
    draw("target.png", &tested, &data.test)?;
    if let Some(source) = &data.source_test {
        let results = results(config, &trained.model, source, &device)?;
        let on_source = precision(config, &results, source)?;
        metrics.insert("source_ap50".into(), on_source.ap50);
        evaluation.insert("source".into(), serde_json::to_value(described(config, &on_source, source)?)?);
        draw("source.png", &results, source)?;
    }
    metrics.extend(best(config, data, run)?.map(|ap50| ("best_ap50".to_owned(), ap50)));
    write_atomic(&run.file(RunFile::Evaluation), &serde_json::to_vec_pretty(&evaluation)?)?;
    run.finish(Outcome { metrics, data_hash: Some(data.hash()) })?;
    Ok(())
}

/// AP50 on the target of the checkpoint that was best on the source's validation images, if there is one.
fn best(config: &Config, data: &Datasets, run: &Run) -> anyhow::Result<Option<f64>> {
    let best = run.dir().join("checkpoints/best");
    if data.validation.is_none() || !best.exists() {
        return Ok(None);
    }
    Checkpoint::open(&best)?;
    let model = load(&config.swda, &Weights::Checkpoint(best), run.device())?;
    Ok(measure(config, &model, &data.test, run.device())?.get("ap50").copied())
}
