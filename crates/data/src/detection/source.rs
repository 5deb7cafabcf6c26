//! Batches of images with objects.

use sconce_core::{Device, Rng, Tensor, geometry::Object};

use super::{DetectionDataset, DetectionPipeline, DetectorInput};
use crate::{DataError, FloatImage, Result, Source};

/// The images of a dataset through a pipeline, with their objects.
#[derive(Clone, Debug)]
pub struct DetectionSource {
    dataset: DetectionDataset,
    pipeline: DetectionPipeline,
    key: Option<String>,
}

/// Images of different sizes in one tensor, their objects, and where they stand in their dataset.
#[derive(Clone, Debug)]
pub struct DetectionBatch {
    /// (N, C, H, W), `f32`, on the CPU. Each image lies in the upper left corner; right of it and below it are zeros, which
    /// after normalisation is the mean.
    pub images: Tensor,
    /// Height and width of each image, without what is beside it.
    pub sizes: Vec<(usize, usize)>,
    /// The factors by which x and y of each image were multiplied.
    pub scales: Vec<(f64, f64)>,
    /// The objects of each image, in its pixels; there may be none.
    pub objects: Vec<Vec<Object>>,
    /// N indices into the dataset.
    pub indices: Vec<usize>,
}

impl DetectionSource {
    /// The images of `dataset` through `pipeline`.
    ///
    /// # Errors
    /// [`crate::DataError::Argument`] if a setting of the pipeline makes no sense.
    pub fn new(dataset: DetectionDataset, pipeline: DetectionPipeline) -> Result<Self> {
        pipeline.validate()?;
        Ok(Self { dataset, pipeline, key: None })
    }

    /// The same, whose errors name the `key` of the configuration under which the pipeline stands, as `data.train`.
    #[must_use]
    pub fn with_key(self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self }
    }

    /// The dataset.
    pub fn dataset(&self) -> &DetectionDataset {
        &self.dataset
    }
}

impl Source for DetectionSource {
    type Item = (usize, DetectorInput);
    type Batch = DetectionBatch;

    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn fetch(&self, index: usize, rng: &mut Rng) -> Result<Self::Item> {
        let image = self.dataset.image(index)?;
        Ok((index, self.pipeline.apply(image, &self.dataset.sample(index).objects, rng)?))
    }

    fn collate(&self, items: Vec<Self::Item>) -> Result<Self::Batch> {
        let (indices, samples): (Vec<usize>, Vec<DetectorInput>) = items.into_iter().unzip();
        let scales = samples.iter().map(|sample| sample.scale).collect();
        let (images, objects): (Vec<_>, Vec<_>) = samples.into_iter().map(|s| (s.image, s.objects)).unzip();
        let sizes = images.iter().map(FloatImage::shape).map(|[_, height, width]| (height, width)).collect();
        let images = self.stack(&images, &indices)?;
        Ok(DetectionBatch { images, sizes, scales, objects, indices })
    }

    fn name(&self, index: usize) -> Option<String> {
        self.dataset.described(index)
    }

    fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

impl DetectionSource {
    /// The images at `indices` as one tensor; the error names the first one that has other channels, or the largest one of a batch
    /// that is too large.
    fn stack(&self, images: &[FloatImage], indices: &[usize]) -> Result<Tensor> {
        let named = |error: DataError| {
            let channels = |image: &FloatImage| image.shape()[0];
            let other = images.iter().position(|image| channels(image) != channels(&images[0]));
            let largest = || (0..images.len()).max_by_key(|&i| images[i].data().len());
            match other.or_else(largest).and_then(|i| indices.get(i)) {
                Some(&index) => self.error(index, error),
                None => error,
            }
        };
        FloatImage::stack_padded(images, self.pipeline.size_divisible, &Device::Cpu).map_err(named)
    }
}
