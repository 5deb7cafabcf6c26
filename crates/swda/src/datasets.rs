//! The images of a run, and what is to be said of them (feature `cli`).

use std::collections::{BTreeMap, HashSet};

use sconce_data::{CocoId, DetectionCounts, DetectionDataset};

use crate::error::{Result, SwdaError};

/// The images of a run.
#[derive(Clone, Debug)]
pub struct Datasets {
    /// Trained on.
    pub source: DetectionDataset,
    /// Held out of the source.
    pub validation: Option<DetectionDataset>,
    /// Adapted to; without what is on them.
    pub target: Option<DetectionDataset>,
    /// Measured on.
    pub test: Option<DetectionDataset>,
    /// Measured on, of the source.
    pub source_test: Option<DetectionDataset>,
    /// What the readers of each kept and left out.
    pub counts: BTreeMap<&'static str, DetectionCounts>,
    /// Which files each was read from, where that was found out.
    pub found: BTreeMap<&'static str, String>,
    /// By which ids a file in COCO's format calls the classes, if the source is one.
    pub category_ids: Option<Vec<Option<CocoId>>>,
}

impl Datasets {
    /// A hash of all of them.
    pub fn hash(&self) -> String {
        let all = [Some(&self.source), self.target.as_ref(), self.test.as_ref()];
        let others = [self.validation.as_ref(), self.source_test.as_ref()];
        let all = all.into_iter().chain(others).flatten();
        all.map(|dataset| dataset.content_hash()[..16].to_owned()).collect::<Vec<_>>().join("+")
    }

    /// What there is, for a reader: images, objects and what was left out of each dataset, and what cannot be measured.
    pub fn described(&self) -> Vec<String> {
        let named = [
            ("source", Some(&self.source)),
            ("validation", self.validation.as_ref()),
            ("target", self.target.as_ref()),
            ("test", self.test.as_ref()),
            ("source_test", self.source_test.as_ref()),
        ];
        let mut lines = Vec::new();
        for (name, dataset) in named {
            let Some(dataset) = dataset else { continue };
            if let Some(found) = self.found.get(name) {
                lines.push(format!("{name} is {found} in {}", dataset.origin()));
            }
            lines.extend(dataset.summary(name).to_string().lines().map(str::to_owned));
        }
        if self.test.is_none() {
            let instead = match (&self.source_test, &self.validation) {
                (Some(_), _) => "`source_test` is measured on",
                (None, Some(_)) => "the images that are held out of the source, `validation`, are",
                (None, None) => "nor is anything else",
            };
            lines.push(format!("no labelled images of the target (data.test): nothing is measured on it; {instead}"));
        }
        for (name, dataset) in [("test", &self.test), ("source_test", &self.source_test)] {
            let shared = dataset.as_ref().map_or(0, |dataset| shared(&self.source, dataset));
            if shared > 0 {
                lines.push(format!(
                    "warning: {shared} images of {name} (data.{name}) are also trained on, with their labels"
                ));
            }
        }
        lines
    }
}

/// How many files of `dataset` are among those of `source`.
fn shared(source: &DetectionDataset, dataset: &DetectionDataset) -> usize {
    let paths = |dataset: &DetectionDataset| -> HashSet<_> {
        (0..dataset.len()).filter_map(|i| dataset.path(i)?.canonicalize().ok()).collect()
    };
    paths(source).intersection(&paths(dataset)).count()
}

/// Whether there is an object that a detector has to find: groups and what is hard to recognise are not counted.
pub(crate) fn has_objects(dataset: &DetectionDataset) -> bool {
    let mut objects = dataset.samples().iter().flat_map(|sample| &sample.objects);
    objects.any(|object| !object.is_crowd && !object.is_difficult)
}

/// Checks that there is something to measure on a dataset, whose settings stand under `key`.
pub(crate) fn check_objects(key: &'static str, dataset: &DetectionDataset) -> Result<()> {
    if has_objects(dataset) {
        return Ok(());
    }
    let summary = dataset.summary(key).to_string();
    let found = summary.strip_prefix(key).unwrap_or(&summary).trim_start_matches(": ");
    Err(SwdaError::config(key, format!("{found}, of {}", dataset.origin()), "an object to measure on"))
}

/// Checks that `dataset` has these classes in this order: label `i` means the same in both.
pub(crate) fn check_classes(dataset: &DetectionDataset, classes: &[String]) -> Result<()> {
    // Some readers write them in lower case.
    let lower = |names: &[String]| names.iter().map(|name| name.to_lowercase()).collect::<Vec<_>>();
    if lower(dataset.classes()) == lower(classes) {
        return Ok(());
    }
    let found = format!("{:?} in {}", dataset.classes(), dataset.origin());
    Err(SwdaError::config("classes", found, format!("{classes:?}, those of the source")))
}
