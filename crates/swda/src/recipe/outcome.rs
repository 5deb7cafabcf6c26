//! How good a detector is, in training and at its end.

use std::collections::BTreeMap;

use sconce_core::{Device, files::write_atomic};
use sconce_data::DetectionDataset;
use sconce_engine::{Checkpoint, Evaluation, Metrics, Run, RunFile};

use super::{Config, model::Model, pictures};
use crate::{
    datasets::Datasets,
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
    #[cfg(test)]
    tests::count(data.len());
    detect(model, data, &config.data.eval, config.data.batch_size, device)
}

fn precision(config: &Config, results: &Results, data: &DetectionDataset) -> crate::Result<Precision> {
    results.precision(data.classes().len(), config.evaluation.measure)
}

/// What was found on a dataset, and how good that is.
pub(super) struct Examined<'a> {
    /// What the dataset is called in logs.
    pub(super) split: &'static str,
    pub(super) data: &'a DetectionDataset,
    pub(super) results: Results,
    precision: Precision,
}

impl Examined<'_> {
    pub(super) fn metrics(&self) -> Metrics {
        self.precision.metrics()
    }
}

/// Measures a model on the sets of a run, once for each state of it.
pub(super) struct Examiner<'a> {
    config: &'a Config,
    device: &'a Device,
    datasets: Vec<(&'static str, &'a DetectionDataset)>,
    /// What was found last, and after how many steps.
    latest: Option<(usize, Vec<Examined<'a>>)>,
}

impl<'a> Examiner<'a> {
    pub(super) fn new(config: &'a Config, data: &'a Datasets, device: &'a Device) -> Self {
        let named = [("test", &data.test), ("source", &data.source_test), ("validation", &data.validation)];
        let datasets = named.into_iter().filter_map(|(name, dataset)| Some((name, dataset.as_ref()?))).collect();
        Self { config, device, datasets, latest: None }
    }

    /// What the sets are called, in the order of [`Self::examine`].
    pub(super) fn splits(&self) -> Vec<&'static str> {
        self.datasets.iter().map(|(split, _)| *split).collect()
    }

    /// What `model` finds after so many steps. The same steps are those of the same model, which is not measured again.
    pub(super) fn examine(&mut self, model: &Swda, steps: usize) -> crate::Result<&[Examined<'a>]> {
        if self.latest.as_ref().is_none_or(|(at, _)| *at != steps) {
            let examine = |&(split, data): &(&'static str, &'a DetectionDataset)| {
                let results = results(self.config, model, data, self.device)?;
                let precision = precision(self.config, &results, data)?;
                Ok(Examined { split, data, results, precision })
            };
            let examined = self.datasets.iter().map(examine).collect::<crate::Result<Vec<_>>>()?;
            self.latest = Some((steps, examined));
        }
        Ok(self.latest.as_ref().map_or(&[], |(_, examined)| examined))
    }
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

/// What `names` are of each set in the final metrics: AP on the target is `ap50`, on the source `source_ap50`, on what was held out
/// `validation_ap50`.
fn final_metrics(examined: &[Examined<'_>]) -> Metrics {
    let mut metrics = Metrics::new();
    let has_test = examined.iter().any(|of| of.split == "test");
    for of in examined {
        let prefix = if of.split == "test" { String::new() } else { format!("{}_", of.split) };
        match of.split {
            // The rest of what is known of it stands in `evaluation.json`.
            "source" if has_test => drop(metrics.insert("source_ap50".to_owned(), of.precision.ap50)),
            // What was held out is measured for its own sake where there is nothing else.
            "validation" if examined.len() > 1 => {}
            _ => {
                metrics.extend(of.metrics().into_iter().map(|(name, value)| (format!("{prefix}{name}"), value)));
                let of_class = of.data.classes().iter().zip(&of.precision.per_class);
                metrics.extend(of_class.filter_map(|(class, ap)| Some((format!("{prefix}ap50_{class}"), (*ap)?))));
            }
        }
    }
    metrics
}

/// The name of the picture of what is found on a set.
pub(super) fn picture(split: &str) -> &str {
    if split == "test" { "target" } else { split }
}

/// Measures the model as it is, and as it was at its best on images of the source that were held out, draws the pictures, and ends
/// the run.
pub(super) fn report<'a>(
    config: &Config,
    data: &Datasets,
    trained: &Trained,
    examiner: &mut Examiner<'a>,
    run: &mut Run,
) -> anyhow::Result<()> {
    let device = run.device().clone();
    let folder = run.pictures()?;
    let draw = |name: &str, results: &Results, data: &DetectionDataset| -> anyhow::Result<()> {
        let sheet = pictures::sheet(results, data)?.encode_png()?;
        Ok(write_atomic(&folder.join(name), &sheet)?)
    };
    let examined = examiner.examine(&trained.model, trained.steps)?;
    let mut metrics = final_metrics(examined);
    let mut evaluation = Evaluation::new();
    for of in examined {
        let details = described(config, &of.precision, of.data)?;
        match of.split {
            "test" => evaluation.extend(details),
            "validation" if examined.len() > 1 => continue,
            split => drop(evaluation.insert(split.to_owned(), serde_json::to_value(details)?)),
        }
        draw(&format!("{}.png", picture(of.split)), &of.results, of.data)?;
    }
    if let (None, Some(target)) = (&data.test, &data.target) {
        // Nobody can measure it, but everybody can look at it.
        let first = pictures::first(target)?;
        draw("target.png", &results(config, &trained.model, &first, &device)?, &first)?;
    }
    if let Some(test) = &data.test {
        let last = examined.iter().find(|of| of.split == "test").map(|of| of.precision.ap50);
        let best = best(config, data, test, (trained.steps, last), run)?;
        metrics.extend(best.map(|ap50| ("best_ap50".to_owned(), ap50)));
    }
    write_atomic(&run.file(RunFile::Evaluation), &serde_json::to_vec_pretty(&evaluation)?)?;
    run.finish(metrics)?;
    Ok(())
}

/// AP50 on the target of the checkpoint that was best on the source's validation images, if there is one. The model's last state has
/// been measured.
fn best(
    config: &Config,
    data: &Datasets,
    test: &DetectionDataset,
    (steps, last): (usize, Option<f64>),
    run: &Run,
) -> anyhow::Result<Option<f64>> {
    let best = run.dir().join("checkpoints/best");
    if data.validation.is_none() || !best.exists() {
        return Ok(None);
    }
    let best = Checkpoint::open(&best)?;
    if best.state().step == steps {
        return Ok(last);
    }
    let model = Model::of_checkpoint(config, &best, run.device())?;
    let results = results(config, &model.swda, test, run.device())?;
    Ok(Some(precision(config, &results, test)?.ap50))
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, path::Path};

    use sconce_engine::{Recipe as _, RunOptions, RunPlan, config::to_toml, with_threads};

    use super::{super::Recipe, *};
    use crate::images::{Images, Scene};

    thread_local! {
        static DETECTED: Cell<usize> = const { Cell::new(0) };
    }

    /// Counts images on which a detector is run.
    pub(super) fn count(images: usize) {
        DETECTED.set(DETECTED.get() + images);
    }

    fn run(config: &Config, dir: &Path, max_steps: Option<usize>) -> usize {
        let options = RunOptions { max_steps, ..RunOptions::new(dir, Recipe::METHOD, to_toml(config).unwrap()) };
        with_threads(Some(1), || {
            DETECTED.set(0);
            let plan = RunPlan::look(options).unwrap();
            let prepared = Recipe::prepare(config, &plan).unwrap();
            let mut run = plan.open(None).unwrap();
            Recipe::train(config, prepared, &mut run).unwrap();
            DETECTED.get()
        })
        .unwrap()
    }

    #[test]
    fn nothing_is_measured_twice() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::smoke().started();
        config.data.source = Images::scenes(Scene::Clear, 10);
        config.data.target = Some(Images::scenes(Scene::Fog, 10));
        config.data.test = Some(Images::test_scenes(Scene::Fog, 3));
        config.data.source_test = Some(Images::test_scenes(Scene::Clear, 5));
        let once = 3 + 5 + 1;
        // Of two epochs each is measured once, and the best checkpoint on the target alone unless it is the last one.
        let dir = folder.path().join("whole");
        let found = run(&config, &dir, None);
        let step = |name: &str| Checkpoint::open(&dir.join("checkpoints").join(name)).unwrap().state().step;
        let best = if step("best") == step("last") { 0 } else { 3 };
        assert_eq!(found, 2 * once + best);
        // A run that stops between two epochs is measured at its end.
        assert_eq!(run(&config, &folder.path().join("part"), Some(1)), once);
    }
}
