//! From datasets to batches of views, or of labelled images.

use std::path::PathBuf;

use sconce_core::{Communicator, Device, Tensor};
use sconce_data::{
    DataError, ImageBatch, ImageDataset, ImageSource, Loader, LoaderConfig, Pipeline, Source, Split, TwoCropBatch,
    TwoCropSource, fashion_mnist_subset, read_cifar10, read_fashion_mnist, read_image_folder,
};
use serde::{Deserialize, Serialize};

use crate::{evaluation::LabelledImages, train::Batch};

/// Which images, and how they become batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Where the images are.
    pub images: Images,
    /// Images of a training batch, over all ranks; what does not fill one at the end of an epoch is left out in pre-training.
    pub batch_size: usize,
    /// Threads that decode ahead; 0 for none. No result depends on it.
    pub workers: usize,
    /// What each view of a training image goes through, or the image itself where a classifier is trained.
    pub train: Pipeline,
    /// What an image goes through whose features are taken.
    pub eval: Pipeline,
}

/// Where images are. Their labels serve evaluation alone.
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
    /// CIFAR-10 in its binary version: see [`read_cifar10`].
    Cifar10 {
        /// The folder of `data_batch_1.bin` and the others.
        root: PathBuf,
    },
    /// A folder of images for each class, as ImageNet's `train` and `val`.
    ImageFolder {
        /// The folder of the training classes.
        train: PathBuf,
        /// The folder of the test classes, named as the training ones. Pre-training does without, and then measures nothing:
        /// `train` may be one folder of images in it, whatever its name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        test: Option<PathBuf>,
    },
}

impl Images {
    /// The images of one split.
    fn read(&self, split: Split) -> Result<ImageDataset, DataError> {
        match self {
            Self::FashionMnistSubset => fashion_mnist_subset(split),
            Self::FashionMnist { root } => read_fashion_mnist(root, split),
            Self::Cifar10 { root } => read_cifar10(root, split),
            Self::ImageFolder { train, test } => match split {
                Split::Train => read_image_folder(train),
                Split::Test => read_image_folder(test.as_ref().ok_or_else(no_test)?),
            },
        }
    }

    /// Both splits, of the same classes, as far as there are two.
    pub(crate) fn read_both(&self) -> Result<Datasets, DataError> {
        let train = self.read(Split::Train)?;
        if matches!(self, Self::ImageFolder { test: None, .. }) {
            return Ok(Datasets { train, test: None });
        }
        let test = self.read(Split::Test)?;
        test.check_classes(train.classes())?;
        Ok(Datasets { train, test: Some(test) })
    }

    /// The test images.
    pub(crate) fn read_test(&self) -> Result<ImageDataset, DataError> {
        self.read(Split::Test)
    }
}

/// The images of a run.
#[derive(Debug)]
pub(crate) struct Datasets {
    pub(crate) train: ImageDataset,
    pub(crate) test: Option<ImageDataset>,
}

fn no_test() -> DataError {
    DataError::argument("data.images.test", "nothing", "a folder of labelled images to measure on")
}

impl Datasets {
    /// A hash of both splits.
    pub(crate) fn hash(&self) -> Result<String, DataError> {
        let train = self.train.content_hash()?;
        let test = self.test.as_ref().map(ImageDataset::content_hash).transpose()?;
        Ok(test.map_or_else(|| train.clone(), |test| format!("{train}+{test}")))
    }

    /// The test images, which whoever trains on labels needs.
    pub(crate) fn labelled_test(&self) -> Result<&ImageDataset, DataError> {
        self.test.as_ref().ok_or_else(no_test)
    }
}

/// Images of evaluation that go through a network at a time.
const EVAL_BATCH: usize = 256;

impl DataConfig {
    /// Checks what types cannot say.
    pub(crate) fn validate(&self) -> Result<(), DataError> {
        if self.batch_size == 0 {
            return Err(DataError::argument("data.batch_size", 0, "at least 1"));
        }
        self.train.validate()?;
        self.eval.validate()
    }

    /// Shuffled pairs of views of `dataset`, this rank's of each batch; a last batch that is not full is left out.
    pub(crate) fn views(
        &self,
        dataset: &ImageDataset,
        seed: u64,
        device: &Device,
        ranks: &dyn Communicator,
    ) -> Result<Loader<impl Source<Batch = Batch> + use<>>, DataError> {
        let device = device.clone();
        let views = TwoCropSource::new(dataset.clone(), self.train.clone())?.map_batch(move |batch: TwoCropBatch| {
            let [query, key] = [on_device(&batch.query, &device)?, on_device(&batch.key, &device)?];
            Ok(Batch { query, key, indices: batch.indices })
        });
        let config = LoaderConfig { drop_last: true, ..self.loader(self.batch_size, Some(seed)) };
        Loader::new(views, config)?.sharded(ranks.rank(), ranks.size())
    }

    /// Shuffled, augmented images of `dataset` with their labels, this rank's of each batch.
    pub(crate) fn labelled(
        &self,
        dataset: &ImageDataset,
        batch_size: usize,
        seed: u64,
        device: &Device,
        ranks: &dyn Communicator,
    ) -> Result<Loader<impl Source<Batch = LabelledImages> + use<>>, DataError> {
        let images = labelled_images(dataset, &self.train, device)?;
        Loader::new(images, self.loader(batch_size, Some(seed)))?.sharded(ranks.rank(), ranks.size())
    }

    /// Images of `dataset` in its own order, without augmentation.
    pub(crate) fn in_order(
        &self,
        dataset: &ImageDataset,
        device: &Device,
    ) -> Result<Loader<impl Source<Batch = LabelledImages> + use<>>, DataError> {
        Loader::new(labelled_images(dataset, &self.eval, device)?, self.loader(EVAL_BATCH, None))
    }

    fn loader(&self, batch_size: usize, shuffled: Option<u64>) -> LoaderConfig {
        LoaderConfig {
            batch_size,
            shuffle: shuffled.is_some(),
            drop_last: false,
            seed: shuffled.unwrap_or_default(),
            workers: self.workers,
            prefetch: 2,
        }
    }
}

/// Images with their labels as a network takes them.
fn labelled_images(
    dataset: &ImageDataset,
    pipeline: &Pipeline,
    device: &Device,
) -> Result<impl Source<Batch = LabelledImages> + use<>, DataError> {
    let device = device.clone();
    Ok(ImageSource::new(dataset.clone(), pipeline.clone())?.map_batch(move |batch: ImageBatch| {
        Ok(LabelledImages { images: on_device(&batch.images, &device)?, labels: batch.labels })
    }))
}

fn on_device(images: &Tensor, device: &Device) -> Result<Tensor, DataError> {
    Ok(images.to_device(device).map_err(sconce_core::Error::from)?)
}
