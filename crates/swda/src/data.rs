//! Images of both domains, and how they become batches (feature `cli`).

use std::collections::BTreeMap;

use sconce_core::{Batches, Communicator, Device, Paired, Position, Rounds};
use sconce_data::{
    DetectionBatch, DetectionDataset, DetectionPipeline, DetectionSource, Loader, LoaderConfig, OnInvalid, Orientation,
};
use serde::{Deserialize, Serialize};

use crate::{
    datasets::{Datasets, check_classes, check_objects, has_objects},
    error::{Result, SwdaError},
    eval::{on_device, other},
    images::{Images, ReadImages, Reading, without_labels},
    layout::Role,
    preload::preloaded,
    train::Batch,
};

/// Images of both domains, and what is done with them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Labelled images to train on: `kind` is "voc", "voc-flat", "coco", "cityscapes", "scenes" or "photo-scenes", and most kinds
    /// have a `root`, the folder.
    pub source: Images,
    /// Images to adapt to. What is on them is never read: they need no annotations, and `kind` may be "unlabelled" for a folder of
    /// images. Absent where `swda.target` is "none".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Images>,
    /// Labelled images of the target to measure on. If absent, nothing is measured on the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Images>,
    /// Labelled images of the source to measure on, if wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_test: Option<Images>,
    /// The share of the source's images that is held out, to choose the best checkpoint by; 0 for none.
    pub validation: f64,
    /// What becomes of images and annotations that are wrong: "skip" leaves them out of every dataset and says so, "fail" leaves it
    /// to what each dataset says, which is an error unless it says otherwise.
    #[serde(default)]
    pub on_invalid: OnInvalid,
    /// What becomes of the orientation that a camera noted, in every dataset and in `predict`: "upright" turns images, "stored"
    /// leaves them. If absent, images with annotations are as stored, as most tools take them, and those without are upright.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orientation: Option<Orientation>,
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
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Leak {
    /// Nothing, as in the paper.
    #[default]
    None,
    /// Images of the target without an object are dropped, as the official code's loader does.
    DropEmpty,
}

/// Where a dataset's settings stand.
fn key(name: &str) -> &'static str {
    match name {
        "source" => "data.source",
        "target" => "data.target",
        "test" => "data.test",
        _ => "data.source_test",
    }
}

impl DataConfig {
    /// Checks what types cannot say; `uses_target` says whether images of the target are looked at.
    ///
    /// # Errors
    /// With the first setting that has no sense.
    pub fn validate(&self, uses_target: bool) -> Result<()> {
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
        if self.source.root().is_some_and(|root| root.as_os_str().is_empty()) {
            let expected = "your labelled images: --set 'data.source={kind=\"voc\",root=\"PATH\"}', or kind \"coco\"";
            return Err(SwdaError::config("data.source.root", "empty", expected));
        }
        if self.target.is_none() && uses_target {
            let expected = "images to adapt to: --set 'data.target={kind=\"unlabelled\",root=\"PATH\"}'; a detector of the \
                            source alone has swda.target = \"none\", and neither swda.global nor swda.local";
            return Err(SwdaError::config("data.target", "absent", expected));
        }
        let labelled = [
            ("data.source", Some(&self.source)),
            ("data.test", self.test.as_ref()),
            ("data.source_test", self.source_test.as_ref()),
            ("data.target", self.target.as_ref().filter(|_| self.leak != Leak::None)),
        ];
        for (key, images) in labelled {
            if let Some(Images::Unlabelled { root, .. }) = images {
                return Err(without_labels(key, root));
            }
        }
        if self.leak == Leak::None && self.target.as_ref().is_some_and(Images::drops_empty) {
            let expected = "\"keep\", or data.leak = \"drop-empty\": which images are empty, labels of the target say";
            return Err(SwdaError::config("data.target.config.empty_images", "\"drop\"", expected));
        }
        self.train.validate().map_err(other)?;
        self.eval.validate().map_err(other)
    }

    /// How a dataset is read whose settings say no classes.
    fn reading<'a>(&self, role: Role, classes: &'a [String]) -> Reading<'a> {
        Reading { role, on_invalid: self.on_invalid, orientation: self.orientation, classes }
    }

    /// Reads all images; which ones are held out depends on `seed`.
    ///
    /// # Errors
    /// If a dataset cannot be read, or two of them have other classes.
    pub fn read(&self, seed: u64) -> Result<Datasets> {
        let (mut counts, mut found) = (BTreeMap::new(), BTreeMap::new());
        let mut noted = |name: &'static str, read: Result<ReadImages>| {
            let read = read.map_err(SwdaError::at(key(name)))?;
            counts.extend(read.counts.map(|of_reader| (name, of_reader)));
            found.extend(read.found.map(|files| (name, files)));
            Ok::<_, SwdaError>((read.dataset, read.category_ids))
        };
        let (source, category_ids) = noted("source", self.source.read(&self.reading(Role::Train, &[])))?;
        let classes = source.classes().to_vec();
        let reading = self.reading(Role::Train, &classes);
        let target = match (&self.target, self.leak) {
            (None, _) => None,
            (Some(target), Leak::None) => Some(noted("target", target.read_unlabelled(&reading))?.0),
            (Some(target), Leak::DropEmpty) => {
                let (labelled, _) = noted("target", target.read(&reading))?;
                let kept: Vec<usize> =
                    (0..labelled.len()).filter(|&i| !labelled.sample(i).objects.is_empty()).collect();
                Some(labelled.subset(&kept).map_err(other)?.without_objects())
            }
        };
        let (source, validation) = self.held_out(source, seed)?;
        let reading = self.reading(Role::Test, &classes);
        let mut measured = |name: &'static str, images: &Option<Images>| {
            let Some(images) = images else { return Ok(None) };
            let (dataset, _) = noted(name, images.read(&reading))?;
            check_classes(&dataset, &classes)?;
            check_objects(key(name), &dataset)?;
            Ok::<_, SwdaError>(Some(dataset))
        };
        let test = measured("test", &self.test)?;
        let source_test = measured("source_test", &self.source_test)?;
        Ok(Datasets { source, validation, target, test, source_test, counts, found, category_ids })
    }

    /// The images that a model of `classes` is measured on, each with what it is called: those to test on, or, without any, those
    /// that a run with this seed held out of the source.
    ///
    /// # Errors
    /// If a dataset cannot be read or has other classes, or if there is none.
    pub fn read_measured(
        &self,
        classes: &[String],
        seed: Option<u64>,
    ) -> Result<Vec<(&'static str, DetectionDataset)>> {
        let read = |key, images: &Images, role| {
            let read = images.read(&self.reading(role, classes)).map_err(SwdaError::at(key))?;
            check_classes(&read.dataset, classes)?;
            check_objects(key, &read.dataset)?;
            Ok::<_, SwdaError>(read.dataset)
        };
        let mut measured = Vec::new();
        for (name, key, images) in
            [("test", "data.test", &self.test), ("source", "data.source_test", &self.source_test)]
        {
            if let Some(images) = images {
                measured.push((name, read(key, images, Role::Test)?));
            }
        }
        if let (true, Some(seed)) = (measured.is_empty(), seed) {
            let (_, held_out) = self.held_out(read("data.source", &self.source, Role::Train)?, seed)?;
            measured.extend(held_out.map(|held_out| ("validation", held_out)));
        }
        if measured.is_empty() {
            let expected = "labelled images to measure on: --set 'data.test={kind=\"voc\",root=\"PATH\"}'";
            return Err(SwdaError::config("data.test", "absent", expected));
        }
        Ok(measured)
    }

    /// What of the source is trained on, and what is held out.
    fn held_out(&self, source: DetectionDataset, seed: u64) -> Result<(DetectionDataset, Option<DetectionDataset>)> {
        if self.validation == 0.0 {
            return Ok((source, None));
        }
        let split = source.split_off(self.validation, seed);
        let (rest, cut) = split.map_err(|e| SwdaError::at("data.validation")(other(e)))?;
        if !has_objects(&cut) {
            let found = format!("{}: {} images without an object", self.validation, cut.len());
            let expected = "a part with objects to measure on: another --seed, a larger share, or 0 for no such part";
            return Err(SwdaError::config("data.validation", found, expected));
        }
        Ok((rest, Some(cut)))
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
            let (images, pipeline) = preloaded(dataset, &self.train)?;
            let source = DetectionSource::new(images, pipeline)?.with_key("data.train");
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
                let Some(target) = &data.target else {
                    return Err(SwdaError::config("data.target", "absent", "images to adapt to"));
                };
                let target = loader(target, self.target_batch_size, seed ^ TARGET).map_err(other)?;
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

#[cfg(test)]
mod tests {
    use std::fs;

    use sconce_data::{FolderConfig, Image, VocConfig};

    use super::*;
    use crate::Config;

    #[test]
    fn a_target_is_a_folder_of_images() {
        let folder = tempfile::tempdir().unwrap();
        let picture = Image::new(40, 30, 3, vec![90; 3600]).unwrap().encode_png().unwrap();
        ["a.png", "b.png"].iter().for_each(|name| fs::write(folder.path().join(name), &picture).unwrap());
        let unlabelled = Images::Unlabelled { root: folder.path().to_owned(), config: FolderConfig::default() };
        let mut config = Config::smoke().data;
        config.target = Some(unlabelled.clone());
        let data = config.read(0).unwrap();
        let target = data.target.unwrap();
        assert_eq!((target.len(), target.classes()), (2, data.source.classes()));
        // To measure on them there would have to be labels.
        config.test = Some(unlabelled);
        assert!(config.validate(true).unwrap_err().to_string().contains("data.test"));
        assert!(config.read(0).is_err());
    }

    #[test]
    fn a_broken_photo_of_the_target_is_left_out_where_that_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let picture = Image::new(40, 30, 3, vec![90; 3600]).unwrap().encode_png().unwrap();
        fs::write(folder.path().join("a.png"), &picture).unwrap();
        fs::write(folder.path().join("b.png"), &picture[..picture.len() / 2]).unwrap();
        let mut config = Config::smoke().data;
        let target = |config| Some(Images::Unlabelled { root: folder.path().to_owned(), config });
        config.target = target(FolderConfig { on_invalid: OnInvalid::Skip, ..FolderConfig::default() });
        assert_eq!(config.read(0).unwrap().target.unwrap().len(), 1);
        config.target = target(FolderConfig::default());
        config.on_invalid = OnInvalid::Skip;
        let data = config.read(0).unwrap();
        assert_eq!(data.target.as_ref().unwrap().len(), 1);
        let lines = data.described().join("\n");
        assert!(lines.contains("target: 1 image without labels") && lines.contains("b.png"), "{lines}");
    }

    #[test]
    fn labels_of_the_target_choose_no_images() {
        let mut config = Config::smoke().data;
        let target = |config| Some(Images::Voc { root: "nowhere".into(), config: Some(config) });
        config.target = target(VocConfig::clipart1k("train"));
        config.validate(true).unwrap();
        config.target = target(VocConfig::clipart1k("train").without_empty_images());
        assert!(config.validate(true).unwrap_err().to_string().contains("empty_images"));
        config.leak = Leak::DropEmpty;
        config.validate(true).unwrap();
    }
}
