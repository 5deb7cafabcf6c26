//! From datasets to batches: which images, with which noise, augmented how.

mod images;

use std::{collections::BTreeMap, path::PathBuf};

use sconce_core::{Communicator, Device};
use sconce_data::{
    DataError, ImageBatch, ImageDataset, ImageSource, LabelNoise, Loader, LoaderConfig, NoisyLabels, Pipeline, Source,
};
use serde::{Deserialize, Serialize};

pub use self::images::Images;
use self::images::Part;
use crate::train::Batch;

/// Which images, and how they become batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Images of a training batch, of all ranks together.
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
    /// The true labels of the training images. Only what measures may look at them.
    pub(crate) truth: Vec<u32>,
    /// The images to choose a checkpoint by, if there are any.
    pub(crate) validation: Option<ImageDataset>,
    /// With its own labels.
    pub(crate) test: ImageDataset,
    /// The labels of all training images, what is cut off included, for the list file.
    pub(crate) labels: NoisyLabels,
    /// All training images with their true labels.
    pub(crate) clean: ImageDataset,
    /// What a reader left out of each split, and why, for `data.json`.
    pub(crate) counts: BTreeMap<&'static str, serde_json::Value>,
}

/// From the seed of the training labels' noise to that of others', so that they are not wrong at the same places.
const OTHER_STREAM: u64 = 1 << 32;

impl DataConfig {
    /// Checks what types cannot say, for a network of `n_classes` classes.
    pub(crate) fn validate(&self, n_classes: usize) -> Result<(), DataError> {
        if self.batch_size == 0 {
            return Err(DataError::argument("data.batch_size", 0, "at least 1"));
        }
        if !(0.0..1.0).contains(&self.validation) {
            return Err(DataError::argument("data.validation", self.validation, "0 to less than 1"));
        }
        self.noise.validate(n_classes)?;
        self.train.validate()?;
        self.eval.validate()
    }

    /// Reads the images, gives the training ones noisy labels, and cuts off the validation part.
    pub(crate) fn read(&self, seed: u64) -> Result<Datasets, DataError> {
        let mut counts = BTreeMap::new();
        let clean = self.images.read(Part::Train, &mut counts)?;
        let test = self.images.read(Part::Test, &mut counts)?;
        test.check_classes(clean.classes())?;
        let labels = match &self.noise_list {
            Some(NoiseList::Sconce { path }) => NoisyLabels::read(path, &clean)?,
            Some(NoiseList::PathLabel { path, first_label }) => NoisyLabels::read_rerooted(path, &clean, *first_label)?,
            None => self.noise.apply(clean.labels(), clean.classes().len(), seed)?,
        };
        let given = clean.with_labels(labels.noisy().to_vec())?;
        let (train, truth, validation) = if self.images.has_validation() {
            let own = self.images.read(Part::Validation, &mut counts)?;
            // As noisy as the training images: what chooses must not know more than what trains.
            let noisy = self.noise.apply(own.labels(), own.classes().len(), seed.wrapping_add(OTHER_STREAM))?;
            (given, labels.original().to_vec(), Some(own.with_labels(noisy.noisy().to_vec())?))
        } else if self.validation == 0.0 {
            (given, labels.original().to_vec(), None)
        } else {
            let (rest, cut) = given.split_indices(self.validation, seed)?;
            let truth = rest.iter().map(|&i| labels.original()[i]).collect();
            (given.subset(&rest)?, truth, Some(given.subset(&cut)?))
        };
        Ok(Datasets { train, truth, validation, test, labels, clean, counts })
    }

    /// The test images with their own labels, which is all that an evaluation needs.
    pub(crate) fn read_test(&self) -> Result<ImageDataset, DataError> {
        self.images.read(Part::Test, &mut BTreeMap::new())
    }

    /// Shuffled, augmented batches of `dataset`, as training takes them: of each what falls to this one of `ranks`.
    pub(crate) fn train_batches(
        &self,
        dataset: &ImageDataset,
        seed: u64,
        device: &Device,
        ranks: &dyn Communicator,
    ) -> Result<Loader<impl Source<Batch = Batch> + use<>>, DataError> {
        let config = LoaderConfig { shuffle: true, ..self.in_order(seed) };
        Loader::new(samples(dataset, &self.train, device)?, config)?.sharded(ranks.rank(), ranks.size())
    }

    /// Batches of `dataset` in its own order, without augmentation.
    pub(crate) fn eval_batches(
        &self,
        dataset: &ImageDataset,
        device: &Device,
    ) -> Result<Loader<impl Source<Batch = Batch> + use<>>, DataError> {
        Loader::new(samples(dataset, &self.eval, device)?, self.in_order(0))
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

/// Images as a network takes them; the labels of training are not the dataset's but the label table's.
fn samples(
    dataset: &ImageDataset,
    pipeline: &Pipeline,
    device: &Device,
) -> Result<impl Source<Batch = Batch> + use<>, DataError> {
    let device = device.clone();
    Ok(ImageSource::new(dataset.clone(), pipeline.clone())?.map_batch(move |batch: ImageBatch| {
        let images = batch.images.to_device(&device).map_err(sconce_core::Error::from)?;
        Ok(Batch { images, indices: batch.indices })
    }))
}
