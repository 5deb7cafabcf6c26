//! From datasets to batches of views, or of labelled images.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sconce_core::{Communicator, Device, Rng, Tensor};
use sconce_data::{
    CIFAR10_CLASSES, DataError, DatasetSummary, FASHION_MNIST_CLASSES, FloatImage, FolderConfig, ImageBatch,
    ImageDataset, ImageSource, Loader, LoaderConfig, OnInvalid, Pipeline, Source, Split, TwoCropBatch, TwoCropSource,
    fashion_mnist_subset, read_cifar10, read_fashion_mnist, read_flat_folder, read_image_folder_as,
};
use serde::{Deserialize, Serialize};

use crate::{evaluation::LabelledImages, train::Batch};

/// Which images, and how they become batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Where the images are.
    pub images: Images,
    /// The number of images in a training batch, over all processes. In pre-training, images at the end of an epoch that do
    /// not fill a batch are left out.
    pub batch_size: usize,
    /// Threads that decode images ahead of time; 0 decodes them when they are needed. It changes no result.
    pub workers: usize,
    /// What is done to a training image: to each of its two views in pre-training, to the image itself where a classifier is
    /// trained.
    pub train: Pipeline,
    /// What is done to an image before its features are taken.
    pub eval: Pipeline,
}

/// Where the images are. Pre-training does not look at their labels: they serve evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Images {
    /// The subset of Fashion-MNIST inside the binary: 6,000 and 1,000 images of ten classes.
    FashionMnistSubset,
    /// All of Fashion-MNIST, in its four files.
    FashionMnist {
        /// The folder of the four files.
        root: PathBuf,
    },
    /// CIFAR-10 in its binary version: see [`read_cifar10`].
    Cifar10 {
        /// The folder of `data_batch_1.bin` and the others.
        root: PathBuf,
    },
    /// Image files in folders of your own.
    ImageFolder {
        /// The folder of the training images. Without `test`, all images in it and in the folders below it are trained on, and
        /// have no labels. With `test`, it holds a folder for each class, as ImageNet's `train`.
        train: PathBuf,
        /// The folder of the test images: a folder for each class, named as in `train`. Without it, nothing is measured.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        test: Option<PathBuf>,
        /// What is done about files that cannot be decoded: `"skip"` leaves them out and names them before the first step; to
        /// find them, all files are decoded once. `"fail"`, the default, ends the run at the first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on_invalid: Option<OnInvalid>,
    },
}

impl Images {
    /// The images of one split; an error names the key that says where they are.
    fn read(&self, split: Split) -> anyhow::Result<ImageDataset> {
        Ok(match self {
            Self::FashionMnistSubset => fashion_mnist_subset(split)?,
            Self::FashionMnist { root } => read_fashion_mnist(root, split).context("data.images.root")?,
            Self::Cifar10 { root } => read_cifar10(root, split).context("data.images.root")?,
            Self::ImageFolder { train, test, on_invalid } => {
                let config = FolderConfig { on_invalid: on_invalid.unwrap_or_default(), ..FolderConfig::default() };
                let (key, folder) = match split {
                    Split::Train => ("data.images.train", train),
                    Split::Test => ("data.images.test", test.as_ref().ok_or_else(no_test)?),
                };
                require_path(key, folder)?;
                // Labels are of no use without a test set, and not everybody has them.
                let read = if test.is_some() { read_image_folder_as } else { read_flat_folder };
                read(folder, &config).context(key)?
            }
        })
    }

    /// Both splits, of the same classes, as far as there are two.
    pub(crate) fn read_both(&self) -> anyhow::Result<Datasets> {
        let train = self.read(Split::Train)?;
        if matches!(self, Self::ImageFolder { test: None, .. }) {
            return Ok(Datasets { train, test: None });
        }
        let test = self.read(Split::Test)?;
        test.check_classes(train.classes()).context("data.images.test")?;
        Ok(Datasets { train, test: Some(test) })
    }

    /// The test images, which measurements need.
    pub(crate) fn read_test(&self) -> anyhow::Result<ImageDataset> {
        self.read(Split::Test)
    }

    /// Checks that there are test images, before the training images are read.
    pub(crate) fn require_test(&self) -> Result<(), DataError> {
        if matches!(self, Self::ImageFolder { test: None, .. }) { Err(no_test()) } else { Ok(()) }
    }

    /// The names of the classes, where they are known without the data.
    pub(crate) fn class_names(&self) -> Option<Vec<String>> {
        match self {
            Self::FashionMnistSubset | Self::FashionMnist { .. } => {
                Some(FASHION_MNIST_CLASSES.map(str::to_owned).to_vec())
            }
            Self::Cifar10 { .. } => Some(CIFAR10_CLASSES.map(str::to_owned).to_vec()),
            Self::ImageFolder { .. } => None,
        }
    }
}

/// Checks that a path was set: the preset for one's own images has none.
fn require_path(key: &'static str, path: &Path) -> Result<(), DataError> {
    if path.as_os_str().is_empty() {
        let expected = format!("a folder of images: --set {key}=PATH");
        return Err(DataError::argument(key, "\"\"", expected));
    }
    Ok(())
}

/// The images of a run.
#[derive(Debug)]
pub(crate) struct Datasets {
    pub(crate) train: ImageDataset,
    pub(crate) test: Option<ImageDataset>,
}

fn no_test() -> DataError {
    DataError::argument("data.images.test", "not set", "a folder of labelled images to measure on")
}

impl Datasets {
    /// A hash of both splits.
    pub(crate) fn hash(&self) -> Result<String, DataError> {
        let train = self.train.content_hash()?;
        let test = self.test.as_ref().map(ImageDataset::content_hash).transpose()?;
        Ok(test.map_or_else(|| train.clone(), |test| format!("{train}+{test}")))
    }

    /// The test images, which training on labels needs.
    pub(crate) fn labelled_test(&self) -> Result<&ImageDataset, DataError> {
        self.test.as_ref().ok_or_else(no_test)
    }

    /// What there is of each split, and what was left out.
    pub(crate) fn summaries(&self) -> Vec<DatasetSummary> {
        let test = self.test.as_ref().map(|test| test.summary("test"));
        std::iter::once(self.train.summary("train")).chain(test).collect()
    }
}

/// The keys of the pipelines, for errors.
const TRAIN: &str = "data.train";
const EVAL: &str = "data.eval";

/// What is done with images at the end of an epoch that do not fill a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remainder {
    /// They are a smaller batch.
    Kept,
    /// They are a smaller batch, unless it is a single image, which is left out: batch normalisation finds no variance in it
    /// where its map has one place.
    NotOne,
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
        let views = TwoCropSource::new(dataset.clone(), self.train.clone())?.with_key(TRAIN).map_batch(
            move |batch: TwoCropBatch| {
                let [query, key] = [on_device(&batch.query, &device)?, on_device(&batch.key, &device)?];
                Ok(Batch { query, key, indices: batch.indices })
            },
        );
        let config = LoaderConfig { drop_last: true, ..self.loader(self.batch_size, Some(seed)) };
        Loader::new(views, config)?.sharded(ranks.rank(), ranks.size())
    }

    /// Shuffled, augmented images of `dataset` with their labels, this rank's of each batch.
    pub(crate) fn labelled(
        &self,
        dataset: &ImageDataset,
        (batch_size, remainder): (usize, Remainder),
        seed: u64,
        device: &Device,
        ranks: &dyn Communicator,
    ) -> Result<Loader<impl Source<Batch = LabelledImages> + use<>>, DataError> {
        let images = labelled_images(dataset, (&self.train, TRAIN), device)?;
        let drop_last = remainder == Remainder::NotOne && batch_size > 0 && dataset.len() % batch_size == 1;
        let config = LoaderConfig { drop_last, ..self.loader(batch_size, Some(seed)) };
        Loader::new(images, config)?.sharded(ranks.rank(), ranks.size())
    }

    /// The first image of `dataset` as training takes it, and as evaluation does; a few of the others must be like it.
    pub(crate) fn first(&self, dataset: &ImageDataset) -> Result<[FloatImage; 2], DataError> {
        /// Enough to meet one of another size, where images are not all alike.
        const TRIED: usize = 8;
        let of = |pipeline: &Pipeline, key| {
            let source = ImageSource::new(dataset.clone(), pipeline.clone())?.with_key(key);
            let fetch = |i: usize| {
                let fetched = source.fetch(i, &mut Rng::new(i as u64, "first images"));
                fetched.map(|(_, image)| image).map_err(|e| source.error(i, e))
            };
            let first = fetch(0)?;
            let n = dataset.len().min(TRIED);
            for i in (1..n).map(|i| i * dataset.len() / n) {
                FloatImage::stack(&[first.clone(), fetch(i)?], &Device::Cpu).map_err(|e| source.error(i, e))?;
            }
            Ok::<_, DataError>(first)
        };
        Ok([of(&self.train, TRAIN)?, of(&self.eval, EVAL)?])
    }

    /// Images of `dataset` in its own order, without augmentation.
    pub(crate) fn in_order(
        &self,
        dataset: &ImageDataset,
        device: &Device,
    ) -> Result<Loader<impl Source<Batch = LabelledImages> + use<>>, DataError> {
        Loader::new(labelled_images(dataset, (&self.eval, EVAL), device)?, self.loader(EVAL_BATCH, None))
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
    (pipeline, key): (&Pipeline, &str),
    device: &Device,
) -> Result<impl Source<Batch = LabelledImages> + use<>, DataError> {
    let device = device.clone();
    Ok(ImageSource::new(dataset.clone(), pipeline.clone())?.with_key(key).map_batch(move |batch: ImageBatch| {
        Ok(LabelledImages { images: on_device(&batch.images, &device)?, labels: batch.labels })
    }))
}

fn on_device(images: &Tensor, device: &Device) -> Result<Tensor, DataError> {
    Ok(images.to_device(device).map_err(sconce_core::Error::from)?)
}
