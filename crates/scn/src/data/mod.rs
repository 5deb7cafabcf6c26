//! From datasets to batches: which images, with which noise, augmented how.

mod folder;
mod held_out;
mod images;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use sconce_core::{Communicator, Device};
use sconce_data::{
    DataError, ImageBatch, ImageDataset, ImageSource, LabelNoise, Loader, LoaderConfig, NoisyLabels, Pipeline, Source,
};
use serde::{Deserialize, Serialize};

pub(crate) use self::held_out::HeldOut;
pub use self::images::Images;
use self::images::Part;
use crate::train::Batch;

/// Which images, and how they become batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Where the images are.
    pub images: Images,
    /// What is done to the training labels.
    pub noise: LabelNoise,
    /// A list file of noisy labels to use instead of drawing them; it must name the training images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise_list: Option<NoiseList>,
    /// The share of the training images by which the best checkpoint is chosen, as noisy as the rest; at 0 all are trained on
    /// and none is chosen. FERPlus has validation images of its own, which get noise of the same kind where it is drawn.
    pub validation: f64,
    /// Images of a training batch, of all ranks together. A last batch of an epoch with fewer than two images for some rank is
    /// left out.
    pub batch_size: usize,
    /// Threads of each rank that decode ahead; 0 for none. No result depends on it.
    pub workers: usize,
    /// What a training image goes through.
    pub train: Pipeline,
    /// What an image of the other splits goes through.
    pub eval: Pipeline,
}

/// A list file of noisy labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(tag = "format", rename_all = "kebab-case", deny_unknown_fields)]
pub enum NoiseList {
    /// Lines `name original noisy`, as a run's `labels.txt`.
    Sconce {
        /// The file.
        path: PathBuf,
    },
    /// Lines `path label`, of which the path's last part counts: the lists of the official repository (`train.txt`,
    /// `0.1noise_train.txt`), and of others, who count labels from 1.
    PathLabel {
        /// The file.
        path: PathBuf,
        /// The label of the first class.
        #[serde(default)]
        first_label: u32,
    },
}

/// The images of a run.
#[derive(Debug)]
pub(crate) struct Datasets {
    /// With the labels that training is given.
    pub(crate) train: ImageDataset,
    /// The true labels of the training images, where they are known. Only what measures may look at them.
    pub(crate) truth: Option<Vec<u32>>,
    /// The images to choose a checkpoint by, if there are any.
    pub(crate) validation: Option<ImageDataset>,
    /// With its own labels.
    pub(crate) test: ImageDataset,
    /// The names of the test images, where they were held out of the training images.
    pub(crate) held_out: Option<Vec<String>>,
    /// The labels of all training images, what is cut off included, for the list file; none where they are the dataset's.
    pub(crate) labels: Option<NoisyLabels>,
    /// All training images with their own labels.
    pub(crate) clean: ImageDataset,
    /// What a reader left out of each split, and why, for `data.json`.
    pub(crate) counts: BTreeMap<&'static str, serde_json::Value>,
}

impl Datasets {
    /// A hash of all images and labels of the run.
    pub(crate) fn hash(&self) -> Result<String, DataError> {
        let parts = [Some(&self.train), self.validation.as_ref(), Some(&self.test)];
        let hashes = parts.into_iter().flatten().map(ImageDataset::content_hash).collect::<Result<Vec<_>, _>>()?;
        Ok(hashes.join("+"))
    }

    /// What there is to train and to test on, in lines for a reader and as data, with the weights that training starts from.
    pub(crate) fn description(&self, initial: Option<&Path>) -> (Vec<String>, serde_json::Value) {
        let mut parts = vec![self.train.summary("train")];
        parts.extend(self.validation.as_ref().map(|validation| validation.summary("validation")));
        parts.push(self.test.summary("test"));
        if self.clean.origin() == self.test.origin() {
            // All parts are of one folder, of which the first line says what was left out.
            parts.iter_mut().skip(1).for_each(|part| part.left_out.clear());
        }
        let mut lines: Vec<String> = parts.iter().map(ToString::to_string).collect();
        if self.held_out.is_some() {
            lines.push(format!(
                "test: held out of {}, since there is no data.images.test; `eval` tests on the same images",
                self.test.origin()
            ));
        }
        if let Some(labels) = &self.labels {
            lines.push(format!(
                "labels: {} of {} differ from those of the dataset (data.noise, data.noise_list)",
                labels.flips().len(),
                labels.len()
            ));
        }
        let mut details = self.counts.clone();
        details.insert("parts", serde_json::json!(parts));
        if let Some(path) = initial {
            details.insert("initial_weights", serde_json::json!(path));
        }
        (lines, serde_json::json!(details))
    }
}

/// From the seed of the training labels' noise to that of others', so that they are not wrong at the same places.
const OTHER_STREAM: u64 = 1 << 32;

/// From the seed by which validation images are cut off to that by which test images are held out.
const HELD_OUT_STREAM: u64 = 1 << 33;

impl DataConfig {
    /// Checks what types cannot say.
    pub(crate) fn validate(&self) -> Result<(), DataError> {
        if self.batch_size == 0 {
            return Err(DataError::argument("data.batch_size", 0, "at least 1"));
        }
        if !(0.0..1.0).contains(&self.validation) {
            return Err(DataError::argument("data.validation", self.validation, "0 to less than 1"));
        }
        self.images.validate()?;
        self.train.validate()?;
        self.eval.validate()
    }

    /// Reads the images, holds out test images where there are no others, gives the training ones noisy labels, and cuts off
    /// the validation part.
    pub(crate) fn read(&self, seed: u64) -> Result<Datasets, DataError> {
        let mut counts = BTreeMap::new();
        let all = self.images.read(Part::Train, &mut counts)?;
        let (clean, test, held_out) = match self.images.test_share() {
            Some(share) => {
                let (rest, cut) = cut(&all, "data.images.test_share", share, seed.wrapping_add(HELD_OUT_STREAM))?;
                let (rest, test) = (all.subset(&rest)?, all.subset(&cut)?);
                let names = (0..test.len()).map(|i| test.name(i).to_owned()).collect();
                (rest, test, Some(names))
            }
            None => {
                let test = self.images.read(Part::Test, &mut counts)?.with_classes(all.classes())?;
                (all, test, None)
            }
        };
        let labels = match &self.noise_list {
            Some(NoiseList::Sconce { path }) => NoisyLabels::read(path, &clean)?,
            Some(NoiseList::PathLabel { path, first_label }) => NoisyLabels::read_rerooted(path, &clean, *first_label)?,
            None => self.noise.apply(clean.labels(), clean.classes().len(), seed)?,
        };
        let given = clean.with_labels(labels.noisy().to_vec())?;
        let (train, places, validation) = if self.images.has_validation() {
            let own = self.images.read(Part::Validation, &mut counts)?;
            // As noisy as the training images: what chooses must not know more than what trains.
            let noisy = self.noise.apply(own.labels(), own.classes().len(), seed.wrapping_add(OTHER_STREAM))?;
            (given, None, Some(own.with_labels(noisy.noisy().to_vec())?))
        } else if self.validation == 0.0 {
            (given, None, None)
        } else {
            let (rest, cut) = cut(&given, "data.validation", self.validation, seed)?;
            (given.subset(&rest)?, Some(rest), Some(given.subset(&cut)?))
        };
        let original = labels.original();
        let truth = self.knows_truth(&labels).then(|| match places {
            Some(places) => places.iter().map(|&i| original[i]).collect(),
            None => original.to_vec(),
        });
        let is_own = self.noise == LabelNoise::None && self.noise_list.is_none();
        let labels = (!is_own).then_some(labels);
        Ok(Datasets { train, truth, validation, test, held_out, labels, clean, counts })
    }

    /// Whether the labels of the dataset can be taken for the true ones: where noise is drawn, or a list says which it has
    /// changed. A user's own labels are what a run is to question.
    fn knows_truth(&self, labels: &NoisyLabels) -> bool {
        match self.noise_list {
            Some(NoiseList::Sconce { .. }) => !labels.flips().is_empty(),
            // Such a list does not say where labels are wrong: in a folder of one's own they may be in either of the two.
            Some(NoiseList::PathLabel { .. }) => self.images.classes().is_some(),
            None => self.noise != LabelNoise::None,
        }
    }

    /// The test images with their own labels, which is all that an evaluation needs: those of the configuration, or those
    /// that the run has `held_out`. Labels are places in `classes`, where they are known.
    pub(crate) fn read_test(
        &self,
        held_out: Option<&[String]>,
        classes: Option<&[String]>,
    ) -> Result<ImageDataset, DataError> {
        let test = match (self.images.test_share(), held_out) {
            (Some(_), Some(names)) => self.images.read_held_out(names)?,
            _ => self.images.read(Part::Test, &mut BTreeMap::new())?,
        };
        classes.map_or(Ok(test.clone()), |classes| test.with_classes(classes))
    }

    /// Shuffled, augmented batches of `dataset`, as training takes them: of each what falls to this one of `ranks`.
    pub(crate) fn train_batches(
        &self,
        dataset: &ImageDataset,
        seed: u64,
        device: &Device,
        ranks: &dyn Communicator,
    ) -> Result<Loader<impl Source<Batch = Batch> + use<>>, DataError> {
        let drop_last = self.leaves_out_last(dataset.len(), ranks.size());
        let config = LoaderConfig { shuffle: true, drop_last, ..self.in_order(seed) };
        Loader::new(samples(dataset, ("data.train", &self.train), device)?, config)?.sharded(ranks.rank(), ranks.size())
    }

    /// Batches of `dataset` in its own order, without augmentation.
    pub(crate) fn eval_batches(
        &self,
        dataset: &ImageDataset,
        device: &Device,
    ) -> Result<Loader<impl Source<Batch = Batch> + use<>>, DataError> {
        Loader::new(samples(dataset, ("data.eval", &self.eval), device)?, self.in_order(0))
    }

    /// Whether what an epoch has left for a last batch is left out, because some rank would have fewer than two images of it: a
    /// batch normalisation after which a map has one pixel cannot train on one image. Every epoch leaves out others.
    fn leaves_out_last(&self, n: usize, ranks: usize) -> bool {
        let rest = n % self.batch_size;
        n > self.batch_size && rest > 0 && rest < 2 * ranks
    }

    /// The images of the smallest batch of each rank, where `n` are trained on.
    pub(crate) fn smallest_share(&self, n: usize, ranks: usize) -> usize {
        let rest = n % self.batch_size;
        let smallest = if rest == 0 || self.leaves_out_last(n, ranks) { self.batch_size } else { rest };
        smallest / ranks
    }

    fn in_order(&self, seed: u64) -> LoaderConfig {
        LoaderConfig {
            batch_size: self.batch_size,
            shuffle: false,
            drop_last: false,
            seed,
            workers: self.workers,
            prefetch: 2,
        }
    }
}

/// Which images of `dataset` remain, and which are the `share` of each class that the setting `key` cuts off.
fn cut(
    dataset: &ImageDataset,
    key: &'static str,
    share: f64,
    seed: u64,
) -> Result<(Vec<usize>, Vec<usize>), DataError> {
    dataset.split_indices(share, seed).map_err(|_| {
        let found = format!("{share} of {} images in {} classes", dataset.len(), dataset.classes().len());
        let way_out = match key {
            "data.validation" => "0 for no part to choose by",
            _ => "data.images.test for a folder to test on",
        };
        DataError::argument(key, found, format!("a share that leaves an image of each class to train on; or {way_out}"))
    })
}

/// Images as a network takes them; the labels of training are not the dataset's but the label table's.
fn samples(
    dataset: &ImageDataset,
    (key, pipeline): (&str, &Pipeline),
    device: &Device,
) -> Result<impl Source<Batch = Batch> + use<>, DataError> {
    let device = device.clone();
    let source = ImageSource::new(dataset.clone(), pipeline.clone())?.with_key(key);
    Ok(source.map_batch(move |batch: ImageBatch| {
        let images = batch.images.to_device(&device).map_err(sconce_core::Error::from)?;
        Ok(Batch { images, indices: batch.indices })
    }))
}

#[cfg(test)]
mod tests;
