//! What a loader loads.

use sconce_core::{Device, Rng, Tensor};

use crate::{FloatImage, ImageDataset, Pipeline, Result};

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
}

/// The images of a dataset through a pipeline, with their labels.
#[derive(Clone, Debug)]
pub struct ImageSource {
    dataset: ImageDataset,
    pipeline: Pipeline,
}

/// Images with their labels, and where they stand in their dataset.
#[derive(Clone, Debug)]
pub struct ImageBatch {
    /// (N, C, H, W), `f32`, on the CPU.
    pub images: Tensor,
    /// N labels.
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
        Ok(Self { dataset, pipeline })
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
        let labels = indices.iter().map(|&i| self.dataset.label(i)).collect();
        Ok(ImageBatch { images: FloatImage::stack(&images, &Device::Cpu)?, labels, indices })
    }
}
