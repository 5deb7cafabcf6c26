//! Two views of every image, for methods that learn without labels.

use sconce_core::{Device, Rng, Tensor};

use crate::{FloatImage, ImageDataset, Pipeline, Result, Source};

/// Two random views of each image of a dataset: MoCo's `TwoCropsTransform` over `ImageFolder`.
///
/// An image is decoded once. Each view draws from a stream of its own, forked from the sample's: what one pipeline draws does
/// not shift the other's draws. Labels play no part; the batch's indices lead to them.
#[derive(Clone, Debug)]
pub struct TwoCropSource {
    dataset: ImageDataset,
    query: Pipeline,
    key: Pipeline,
}

/// Two views of some images, and where these stand in their dataset.
#[derive(Clone, Debug)]
pub struct TwoCropBatch {
    /// The first views: (N, C, H, W), `f32`, on the CPU.
    pub query: Tensor,
    /// The second views of the same images, in the same order: (N, C, H, W), `f32`, on the CPU.
    pub key: Tensor,
    /// N indices into the dataset.
    pub indices: Vec<usize>,
}

impl TwoCropSource {
    /// The images of `dataset`, each twice through `pipeline`.
    ///
    /// # Errors
    /// [`crate::DataError::Argument`] if a setting of the pipeline makes no sense.
    pub fn new(dataset: ImageDataset, pipeline: Pipeline) -> Result<Self> {
        Self::with_pipelines(dataset, pipeline.clone(), pipeline)
    }

    /// The images of `dataset`, each once through `query` and once through `key`, as BYOL and MoCo v3 augment.
    ///
    /// # Errors
    /// As [`TwoCropSource::new`].
    pub fn with_pipelines(dataset: ImageDataset, query: Pipeline, key: Pipeline) -> Result<Self> {
        query.validate()?;
        key.validate()?;
        Ok(Self { dataset, query, key })
    }

    /// The dataset.
    pub fn dataset(&self) -> &ImageDataset {
        &self.dataset
    }
}

impl Source for TwoCropSource {
    /// The index, and the two views.
    type Item = (usize, [FloatImage; 2]);
    type Batch = TwoCropBatch;

    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn fetch(&self, index: usize, rng: &mut Rng) -> Result<Self::Item> {
        let image = self.dataset.image(index)?;
        let [mut first, mut second] = [rng.fork("query"), rng.fork("key")];
        let query = self.query.apply(image.clone(), &mut first)?;
        Ok((index, [query, self.key.apply(image, &mut second)?]))
    }

    fn collate(&self, items: Vec<Self::Item>) -> Result<Self::Batch> {
        let (indices, views): (Vec<usize>, Vec<[FloatImage; 2]>) = items.into_iter().unzip();
        let (query, key): (Vec<_>, Vec<_>) = views.into_iter().map(|[query, key]| (query, key)).unzip();
        let stack = |views: &[FloatImage]| FloatImage::stack(views, &Device::Cpu);
        Ok(TwoCropBatch { query: stack(&query)?, key: stack(&key)?, indices })
    }
}
