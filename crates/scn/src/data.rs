//! From datasets to batches: which images, with which noise, augmented how.

use std::{collections::BTreeMap, path::PathBuf};

use sconce_core::{Device, Rng};
use sconce_data::{
    DataError, ImageBatch, ImageDataset, ImageSource, LabelNoise, Loader, LoaderConfig, NoisyLabels, Pipeline, Source,
    Split, fashion_mnist_subset, read_fashion_mnist, read_image_folder,
};
use serde::{Deserialize, Serialize};

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
    pub noise_list: Option<PathBuf>,
    /// The share of the training images by which the best checkpoint is chosen. They keep their noise.
    pub validation: f64,
    /// Images of a training batch.
    pub batch_size: usize,
    /// Threads that decode ahead; 0 for none. No result depends on it.
    pub workers: usize,
    /// What a training image goes through.
    pub train: Pipeline,
    /// What an image of the other splits goes through.
    pub eval: Pipeline,
}

/// Where images are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Images {
    /// The subset of Fashion-MNIST inside the binary: 6,000 and 1,000 images of ten classes.
    FashionMnistSubset,
    /// All of Fashion-MNIST, in its four files.
    FashionMnist {
        /// Their folder.
        root: PathBuf,
    },
    /// A folder of images for each class.
    ImageFolder {
        /// The folder of the training classes.
        train: PathBuf,
        /// The folder of the test classes, named as the training ones.
        test: PathBuf,
    },
}

impl Images {
    /// The images of one split.
    pub(crate) fn read(&self, split: Split) -> Result<ImageDataset, DataError> {
        match (self, split) {
            (Self::FashionMnistSubset, split) => fashion_mnist_subset(split),
            (Self::FashionMnist { root }, split) => read_fashion_mnist(root, split),
            (Self::ImageFolder { train, .. }, Split::Train) => read_image_folder(train),
            (Self::ImageFolder { test, .. }, Split::Test) => read_image_folder(test),
        }
    }
}

/// The images of a run.
#[derive(Debug)]
pub(crate) struct Datasets {
    /// With the labels that training is given.
    pub(crate) train: ImageDataset,
    /// The true labels of the training images. Only what measures may look at them.
    pub(crate) truth: Vec<u32>,
    /// Cut from the training images, as noisy as they are.
    pub(crate) validation: ImageDataset,
    /// With its own labels.
    pub(crate) test: ImageDataset,
    /// The labels of all training images, validation included, for the list file.
    pub(crate) labels: NoisyLabels,
    /// All training images with their true labels.
    pub(crate) clean: ImageDataset,
}

impl DataConfig {
    /// Reads the images, gives the training ones noisy labels, and cuts off the validation part.
    pub(crate) fn read(&self, seed: u64) -> Result<Datasets, DataError> {
        let clean = self.images.read(Split::Train)?;
        let test = self.images.read(Split::Test)?;
        test.check_classes(clean.classes())?;
        let labels = match &self.noise_list {
            Some(path) => NoisyLabels::read(path, &clean)?,
            None => self.noise.apply(clean.labels(), clean.classes().len(), seed)?,
        };
        let given = clean.with_labels(labels.noisy().to_vec())?;
        let (train, validation) = given.split_off(self.validation, seed)?;
        let truth: BTreeMap<&str, u32> =
            (0..clean.len()).map(|i| clean.name(i)).zip(labels.original().iter().copied()).collect();
        let truth = (0..train.len()).map(|i| truth[train.name(i)]).collect();
        Ok(Datasets { train, truth, validation, test, labels, clean })
    }

    /// Shuffled, augmented batches of `dataset`, as training takes them.
    pub(crate) fn train_batches(
        &self,
        dataset: &ImageDataset,
        seed: u64,
        device: &Device,
    ) -> Result<Loader<Samples>, DataError> {
        let config = LoaderConfig { shuffle: true, ..self.in_order(seed) };
        let images = ImageSource::new(dataset.clone(), self.train.clone())?;
        Loader::new(Samples { images, device: device.clone() }, config)
    }

    /// Batches of `dataset` in its own order, without augmentation.
    pub(crate) fn eval_batches(&self, dataset: &ImageDataset, device: &Device) -> Result<Loader<Samples>, DataError> {
        let images = ImageSource::new(dataset.clone(), self.eval.clone())?;
        Loader::new(Samples { images, device: device.clone() }, self.in_order(0))
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

/// Images on their way to a [`Batch`]; the labels of training are not the dataset's but the label table's.
#[derive(Clone, Debug)]
pub(crate) struct Samples {
    images: ImageSource,
    device: Device,
}

impl Source for Samples {
    type Item = <ImageSource as Source>::Item;
    type Batch = Batch;

    fn len(&self) -> usize {
        self.images.len()
    }

    fn fetch(&self, index: usize, rng: &mut Rng) -> Result<Self::Item, DataError> {
        self.images.fetch(index, rng)
    }

    fn collate(&self, items: Vec<Self::Item>) -> Result<Batch, DataError> {
        let ImageBatch { images, indices, .. } = self.images.collate(items)?;
        Ok(Batch { images: images.to_device(&self.device).map_err(sconce_core::Error::from)?, indices })
    }
}
