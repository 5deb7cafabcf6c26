//! Images of both domains, and how they become batches (feature `cli`).

use std::collections::BTreeMap;

use sconce_core::{Batches, Communicator, Device, Paired, Position, Rounds};
use sconce_data::{
    DetectionBatch, DetectionCounts, DetectionDataset, DetectionPipeline, DetectionSource, Loader, LoaderConfig,
};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Result, SwdaError},
    eval::{on_device, other},
    images::{Images, without_labels},
    train::Batch,
};

/// Images of both domains, and what is done with them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Labelled images to train on.
    pub source: Images,
    /// Images to adapt to. What is on them is never read: they need no annotations.
    pub target: Images,
    /// Labelled images of the target to measure on.
    pub test: Images,
    /// Labelled images of the source to measure on, if wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_test: Option<Images>,
    /// The share of the source's images that is cut off to choose the best checkpoint by; 0 for none.
    pub validation: f64,
    /// What of the target's labels reaches training after all.
    #[serde(default)]
    pub leak: Leak,
    /// Images of the source in a batch.
    pub batch_size: usize,
    /// Images of the target beside them.
    pub target_batch_size: usize,
    /// Batches of an epoch, where it is not one pass over the source: 10,000 in the official code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batches_per_epoch: Option<usize>,
    /// Threads that decode ahead.
    pub workers: usize,
    /// What images are trained on as.
    pub train: DetectionPipeline,
    /// What images are measured as.
    pub eval: DetectionPipeline,
}

/// What of the target's labels reaches training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leak {
    /// Nothing, as in the paper.
    #[default]
    None,
    /// Images of the target without an object are dropped, as the official code's loader does.
    DropEmpty,
}

/// The images of a run.
#[derive(Clone, Debug)]
pub struct Datasets {
    /// Trained on.
    pub source: DetectionDataset,
    /// Cut off from the source.
    pub validation: Option<DetectionDataset>,
    /// Adapted to; without what is on them.
    pub target: DetectionDataset,
    /// Measured on.
    pub test: DetectionDataset,
    /// Measured on, of the source.
    pub source_test: Option<DetectionDataset>,
    /// What the readers of each kept and left out.
    pub counts: BTreeMap<&'static str, DetectionCounts>,
}

impl DataConfig {
    /// Checks what types cannot say.
    ///
    /// # Errors
    /// With the first setting that has no sense.
    pub fn validate(&self) -> Result<()> {
        if self.batches_per_epoch == Some(0) {
            return Err(SwdaError::config("data.batches_per_epoch", 0, "at least 1"));
        }
        if self.batch_size == 0 || self.target_batch_size == 0 {
            let found = format!("{} and {}", self.batch_size, self.target_batch_size);
            return Err(SwdaError::config("data.batch_size and data.target_batch_size", found, "at least 1"));
        }
        if !(0.0..1.0).contains(&self.validation) {
            return Err(SwdaError::config("data.validation", self.validation, "at least 0 and less than 1"));
        }
        let labelled = [
            ("data.source", Some(&self.source)),
            ("data.test", Some(&self.test)),
            ("data.source_test", self.source_test.as_ref()),
            ("data.target", Some(&self.target).filter(|_| self.leak != Leak::None)),
        ];
        for (key, images) in labelled {
            if let Some(Images::Unlabelled { root }) = images {
                return Err(without_labels(key, root));
            }
        }
        if self.leak == Leak::None && self.target.drops_empty() {
            let expected = "\"keep\", or data.leak = \"drop-empty\": which images are empty, labels of the target say";
            return Err(SwdaError::config("data.target.config.empty_images", "\"drop\"", expected));
        }
        self.train.validate().map_err(other)?;
        self.eval.validate().map_err(other)
    }

    /// Reads all images; which ones are cut off depends on `seed`.
    ///
    /// # Errors
    /// If a dataset cannot be read, or two of them have other classes.
    pub fn read(&self, seed: u64) -> Result<Datasets> {
        let mut counts = BTreeMap::new();
        let mut counted = |name: &'static str, (dataset, of_reader): (DetectionDataset, Option<DetectionCounts>)| {
            counts.extend(of_reader.map(|of_reader| (name, of_reader)));
            dataset
        };
        let source = counted("source", self.source.read()?);
        let target = match self.leak {
            Leak::None => counted("target", self.target.read_unlabelled(source.classes())?),
            Leak::DropEmpty => {
                let labelled = counted("target", self.target.read()?);
                let kept: Vec<usize> =
                    (0..labelled.len()).filter(|&i| !labelled.sample(i).objects.is_empty()).collect();
                labelled.subset(&kept).map_err(other)?.without_objects()
            }
        };
        let (source, validation) = match self.validation {
            0.0 => (source, None),
            share => {
                let (rest, cut) = source.split_off(share, seed).map_err(other)?;
                (rest, Some(cut))
            }
        };
        let test = counted("test", self.test.read()?);
        let source_test = match &self.source_test {
            Some(images) => Some(counted("source_test", images.read()?)),
            None => None,
        };
        for dataset in [Some(&test), source_test.as_ref()].into_iter().flatten() {
            check_classes(dataset, source.classes())?;
        }
        Ok(Datasets { source, validation, target, test, source_test, counts })
    }

    /// Batches to train on; without images of the target where nothing is done with them. The same for the same seed.
    ///
    /// # Errors
    /// If a setting makes no sense.
    pub fn train_batches(
        &self,
        data: &Datasets,
        uses_target: bool,
        (seed, device): (u64, &Device),
        ranks: &dyn Communicator,
    ) -> Result<TrainBatches> {
        let loader = |dataset: &DetectionDataset, batch_size, seed| -> sconce_data::Result<_> {
            let source = DetectionSource::new(dataset.clone(), self.train.clone())?;
            // A last batch of an image or two would have other statistics.
            let drop_last = dataset.len() >= batch_size;
            let config =
                LoaderConfig { batch_size, shuffle: true, drop_last, seed, workers: self.workers, prefetch: 2 };
            let loader = Loader::new(source, config)?.sharded(ranks.rank(), ranks.size())?;
            let own = loader.batches_per_epoch();
            Ok(Rounds::new(loader, self.batches_per_epoch.unwrap_or(own)))
        };
        let source = loader(&data.source, self.batch_size, seed).map_err(other)?;
        let loaders = match uses_target {
            false => Loaders::Source(source),
            // Another order than the source's, should both have as many images.
            true => {
                let target = loader(&data.target, self.target_batch_size, seed ^ TARGET).map_err(other)?;
                Loaders::Both(Box::new(Paired::new(source, target)))
            }
        };
        Ok(TrainBatches { loaders, device: device.clone() })
    }
}

/// What the seed of the target's order differs by.
const TARGET: u64 = 0x7461_7267_6574;

/// Batches of one or both domains.
pub struct TrainBatches {
    loaders: Loaders,
    device: Device,
}

type Domain = Rounds<Loader<DetectionSource>>;

enum Loaders {
    Source(Domain),
    Both(Box<Paired<Domain, Domain>>),
}

impl Batches for TrainBatches {
    type Batch = Batch;
    type Error = SwdaError;

    fn batches_per_epoch(&self) -> usize {
        match &self.loaders {
            Loaders::Source(loader) => loader.batches_per_epoch(),
            Loaders::Both(pair) => pair.batches_per_epoch(),
        }
    }

    fn seek(&mut self, position: Position) -> Result<()> {
        match &mut self.loaders {
            Loaders::Source(loader) => loader.seek(position),
            Loaders::Both(pair) => pair.seek(position),
        }
        .map_err(other)
    }

    fn next_batch(&mut self) -> Result<Batch> {
        let (source, target): (DetectionBatch, Option<DetectionBatch>) = match &mut self.loaders {
            Loaders::Source(loader) => (loader.next_batch().map_err(other)?, None),
            Loaders::Both(pair) => {
                let (source, target) = pair.next_batch().map_err(other)?;
                (source, Some(target))
            }
        };
        Ok(Batch {
            source: on_device(&source, &self.device)?,
            objects: source.objects,
            target: target.map(|target| on_device(&target, &self.device)).transpose()?,
        })
    }
}

/// Checks that `dataset` has these classes in this order: label `i` means the same in both.
pub(crate) fn check_classes(dataset: &DetectionDataset, classes: &[String]) -> Result<()> {
    if dataset.classes() == classes {
        return Ok(());
    }
    let found = format!("{:?} in {}", dataset.classes(), dataset.origin());
    Err(SwdaError::config("classes", found, format!("{classes:?}, those of the source")))
}

impl Datasets {
    /// A hash of all of them.
    pub fn hash(&self) -> String {
        let others = [self.validation.as_ref(), self.source_test.as_ref()].into_iter().flatten();
        let all = [&self.source, &self.target, &self.test].into_iter().chain(others);
        all.map(|dataset| dataset.content_hash()[..16].to_owned()).collect::<Vec<_>>().join("+")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use sconce_data::{Image, VocConfig};

    use super::*;
    use crate::Config;

    #[test]
    fn a_target_is_a_folder_of_images() {
        let folder = tempfile::tempdir().unwrap();
        let picture = Image::new(40, 30, 3, vec![90; 3600]).unwrap().encode_png().unwrap();
        ["a.png", "b.png"].iter().for_each(|name| fs::write(folder.path().join(name), &picture).unwrap());
        let unlabelled = Images::Unlabelled { root: folder.path().to_owned() };
        let mut config = Config::smoke().data;
        config.target = unlabelled.clone();
        let data = config.read(0).unwrap();
        assert_eq!((data.target.len(), data.target.classes()), (2, data.source.classes()));
        // To measure on them there would have to be labels.
        config.test = unlabelled;
        assert!(config.validate().unwrap_err().to_string().contains("data.test"));
        assert!(config.read(0).is_err());
    }

    #[test]
    fn labels_of_the_target_choose_no_images() {
        let mut config = Config::smoke().data;
        let target = |config| Images::Voc { root: "nowhere".into(), config };
        config.target = target(VocConfig::clipart1k("train"));
        config.validate().unwrap();
        config.target = target(VocConfig::clipart1k("train").without_empty_images());
        assert!(config.validate().unwrap_err().to_string().contains("empty_images"));
        config.leak = Leak::DropEmpty;
        config.validate().unwrap();
    }
}
