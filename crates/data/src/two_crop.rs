//! Two views of every image, for methods that learn without labels.

use sconce_core::{Rng, Tensor};

use crate::{FloatImage, ImageDataset, Pipeline, Result, Source, source::stack};

/// Two random views of each image of a dataset: MoCo's `TwoCropsTransform` over `ImageFolder`.
///
/// An image is decoded once. Each view draws from a stream of its own, forked from the sample's: what one pipeline draws does
/// not shift the other's draws. Labels play no part; the batch's indices lead to them.
#[derive(Clone, Debug)]
pub struct TwoCropSource {
    dataset: ImageDataset,
    query: Pipeline,
    key: Pipeline,
    /// The keys of the configuration under which both stand.
    keys: Option<[String; 2]>,
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
        Ok(Self { dataset, query, key, keys: None })
    }

    /// The same, whose errors name the `key` of the configuration under which the pipeline of both views stands, as `data.train`.
    #[must_use]
    pub fn with_key(self, key: &str) -> Self {
        self.with_keys(key, key)
    }

    /// The same, whose errors name the keys of the configuration under which the pipelines of query and key stand.
    #[must_use]
    pub fn with_keys(self, query: &str, key: &str) -> Self {
        Self { keys: Some([query, key].map(str::to_owned)), ..self }
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
        let [query, key] = [0, 1].map(|i| self.keys.as_ref().map(|keys| keys[i].as_str()));
        let query = self.query.apply(image.clone(), &mut first).map_err(|e| e.under(query))?;
        Ok((index, [query, self.key.apply(image, &mut second).map_err(|e| e.under(key))?]))
    }

    fn collate(&self, items: Vec<Self::Item>) -> Result<Self::Batch> {
        let (indices, views): (Vec<usize>, Vec<[FloatImage; 2]>) = items.into_iter().unzip();
        let (query, key): (Vec<_>, Vec<_>) = views.into_iter().map(|[query, key]| (query, key)).unzip();
        let stack = |views: &[FloatImage]| stack(self, views, &indices);
        Ok(TwoCropBatch { query: stack(&query)?, key: stack(&key)?, indices })
    }

    fn name(&self, index: usize) -> Option<String> {
        self.dataset.described(index)
    }

    fn key(&self) -> Option<&str> {
        self.keys.as_ref().map(|keys| keys[0].as_str())
    }
}
