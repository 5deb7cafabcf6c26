//! What a loader loads.

use sconce_core::{Device, Rng, Tensor};

use crate::{DataError, FloatImage, ImageDataset, Pipeline, Result};

/// A list of samples, and how some of them become a batch.
pub trait Source: Send + Sync + 'static {
    /// A sample, decoded and transformed; made on a worker thread.
    type Item: Send + 'static;
    /// What one step consumes; made on the caller's thread.
    type Batch;

    /// The number of samples.
    fn len(&self) -> usize;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sample at `index`, with what is random about it drawn from `rng`.
    ///
    /// # Errors
    /// If it cannot be read; the loader adds `index` to the error.
    fn fetch(&self, index: usize, rng: &mut Rng) -> Result<Self::Item>;

    /// The batch of `items`, at least one.
    ///
    /// # Errors
    /// If they do not fit together.
    fn collate(&self, items: Vec<Self::Item>) -> Result<Self::Batch>;

    /// What errors call the sample at `index`: its file, or its name. By default nothing but the index is known.
    fn name(&self, index: usize) -> Option<String> {
        let _ = index;
        None
    }

    /// The key of the configuration that says how samples are made, as `data.train`, for errors. By default it is not known.
    fn key(&self) -> Option<&str> {
        None
    }

    /// `error` of the sample at `index`, with what it is called and the key to change.
    fn error(&self, index: usize, error: DataError) -> DataError {
        let (error, key) = (error.under(self.key()), self.key().map(str::to_owned));
        // A reader names its file itself.
        let name = self.name(index).filter(|name| !error.to_string().contains(name.as_str()));
        DataError::Sample { index, name, key, source: Box::new(error) }
    }

    /// The same samples in batches that `f` makes of this source's: what a method trains on, on its device.
    fn map_batch<B, F>(self, f: F) -> MapBatch<Self, F>
    where
        Self: Sized,
        F: Fn(Self::Batch) -> Result<B> + Send + Sync + 'static,
    {
        MapBatch { source: self, f }
    }
}

/// A source with other batches; see [`Source::map_batch`].
#[derive(Clone, Debug)]
pub struct MapBatch<S, F> {
    source: S,
    f: F,
}

impl<S, B, F> Source for MapBatch<S, F>
where
    S: Source,
    F: Fn(S::Batch) -> Result<B> + Send + Sync + 'static,
{
    type Item = S::Item;
    type Batch = B;

    fn len(&self) -> usize {
        self.source.len()
    }

    fn fetch(&self, index: usize, rng: &mut Rng) -> Result<Self::Item> {
        self.source.fetch(index, rng)
    }

    fn collate(&self, items: Vec<Self::Item>) -> Result<B> {
        (self.f)(self.source.collate(items)?)
    }

    fn name(&self, index: usize) -> Option<String> {
        self.source.name(index)
    }

    fn key(&self) -> Option<&str> {
        self.source.key()
    }
}

/// The images of a dataset through a pipeline, with their labels.
#[derive(Clone, Debug)]
pub struct ImageSource {
    dataset: ImageDataset,
    pipeline: Pipeline,
    key: Option<String>,
}

/// Images with their labels, and where they stand in their dataset.
#[derive(Clone, Debug)]
pub struct ImageBatch {
    /// (N, C, H, W), `f32`, on the CPU.
    pub images: Tensor,
    /// N labels; none of a dataset without labels.
    pub labels: Vec<u32>,
    /// N indices into the dataset.
    pub indices: Vec<usize>,
}

impl ImageSource {
    /// The images of `dataset` through `pipeline`.
    ///
    /// # Errors
    /// [`crate::DataError::Argument`] if a setting of the pipeline makes no sense.
    pub fn new(dataset: ImageDataset, pipeline: Pipeline) -> Result<Self> {
        pipeline.validate()?;
        Ok(Self { dataset, pipeline, key: None })
    }

    /// The same, whose errors name the `key` of the configuration under which the pipeline stands, as `data.train`.
    #[must_use]
    pub fn with_key(self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self }
    }

    /// The dataset.
    pub fn dataset(&self) -> &ImageDataset {
        &self.dataset
    }
}

impl Source for ImageSource {
    type Item = (usize, FloatImage);
    type Batch = ImageBatch;

    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn fetch(&self, index: usize, rng: &mut Rng) -> Result<Self::Item> {
        Ok((index, self.pipeline.apply(self.dataset.image(index)?, rng)?))
    }

    fn collate(&self, items: Vec<Self::Item>) -> Result<Self::Batch> {
        let (indices, images): (Vec<usize>, Vec<FloatImage>) = items.into_iter().unzip();
        let labels = match self.dataset.is_labelled() {
            true => indices.iter().map(|&i| self.dataset.label(i)).collect(),
            false => Vec::new(),
        };
        Ok(ImageBatch { images: stack(self, &images, &indices)?, labels, indices })
    }

    fn name(&self, index: usize) -> Option<String> {
        self.dataset.described(index)
    }

    fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

/// The images at `indices` of `source` as one tensor; the error names the first one that has another shape.
pub(crate) fn stack<S: Source>(source: &S, images: &[FloatImage], indices: &[usize]) -> Result<Tensor> {
    let other = images.iter().position(|image| image.shape() != images[0].shape());
    let named = |error| match other.and_then(|i| indices.get(i)) {
        Some(&index) => source.error(index, error),
        None => error,
    };
    FloatImage::stack(images, &Device::Cpu).map_err(named)
}
