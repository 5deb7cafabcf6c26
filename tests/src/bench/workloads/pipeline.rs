//! From files to batches: what MoCo's loader does.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result, ensure};
use sconce_core::{Batches as _, Device, Rng, Tensor};
use sconce_data::{
    ColorJitter, FloatImage, FloatTransform, GaussianBlur, HorizontalFlip, ImageDataset, JitterRange, Loader,
    LoaderConfig, Normalize, Pipeline, PixelTransform, RandomApply, RandomGrayscale, RandomResizedCrop, Resize,
    TwoCropSource, read_image_folder,
};

use super::{Workload, WorkloadSpec, mean_square};
use crate::bench::{exchange, photos};

pub(super) const WORKLOADS: &[WorkloadSpec] = &[
    WorkloadSpec { name: "pipeline moco v1 1000 jpeg 500x375", make: || Epoch::boxed(v1()) },
    WorkloadSpec { name: "pipeline moco v2 1000 jpeg 500x375", make: || Epoch::boxed(v2()) },
];

const N_IMAGES: u64 = 1000;
/// Images that both sides resize alike, to see that they read the same.
const N_CHECKED: usize = 64;
const SIZE: usize = 224;

/// An epoch of two views of every image, with as many workers as there are threads.
struct Epoch {
    pipeline: Pipeline,
    dataset: Option<ImageDataset>,
}

impl Epoch {
    fn boxed(pipeline: Pipeline) -> Result<Box<dyn Workload>> {
        Ok(Box::new(Self { pipeline, dataset: None }))
    }

    fn dataset(&self) -> Result<ImageDataset> {
        self.dataset.clone().context("the pictures were not written")
    }
}

impl Workload for Epoch {
    fn tensors(&self) -> BTreeMap<String, Tensor> {
        BTreeMap::new()
    }

    /// Both sides read the same pictures, below `folder/photos`.
    fn export(&mut self, folder: &Path) -> Result<()> {
        let photos = folder.join("photos");
        photos::write(&photos, N_IMAGES)?;
        self.dataset = Some(read_image_folder(&photos)?);
        exchange::write(folder, &self.tensors())
    }

    /// The number of images; and the mean square of every one of the first ones, resized as a whole and grey: what is drawn at
    /// random is not the same on both sides, and colours differ by a third of a grey level where decoders double them.
    fn check(&mut self) -> Result<Vec<f64>> {
        let dataset = self.dataset()?;
        let whole = PixelTransform::Resize(Resize { width: SIZE, height: SIZE, antialias: true });
        let pipeline = Pipeline {
            pixels: vec![whole, PixelTransform::Gray],
            floats: Vec::new(),
            normalize: Normalize { mean: vec![0.449], std: vec![0.226] },
            erasing: None,
        };
        let mut numbers = vec![dataset.len() as f64];
        for i in 0..N_CHECKED {
            let view = pipeline.apply(dataset.image(i)?, &mut Rng::new(0, "unused"))?;
            numbers.push(mean_square(&FloatImage::stack(&[view], &Device::Cpu)?)?);
        }
        Ok(numbers)
    }

    fn run(&mut self) -> Result<()> {
        let source = TwoCropSource::new(self.dataset()?, self.pipeline.clone())?;
        let config = LoaderConfig { workers: rayon::current_num_threads(), ..LoaderConfig::default() };
        // A new one each time, as each epoch has its processes there: it starts with nothing made ahead.
        let mut loader = Loader::new(source, config)?;
        let mut n_images = 0;
        for _ in 0..loader.batches_per_epoch() {
            let batch = loader.next_batch()?;
            ensure!(batch.query.dims()[1..] == [3, SIZE, SIZE] && batch.key.dims() == batch.query.dims());
            n_images += batch.indices.len();
        }
        ensure!(n_images as u64 == N_IMAGES, "{n_images} images in an epoch");
        Ok(())
    }
}

/// `moco_v1` of `main_moco.py`. The flip comes first: it is done to pixels, and changes nothing of what follows.
fn v1() -> Pipeline {
    let jitter = FloatTransform::ColorJitter(jitter(0.4));
    pipeline(vec![FloatTransform::RandomGrayscale(RandomGrayscale { p: 0.2 }), jitter])
}

/// `--aug-plus` of `main_moco.py`, with a Gaussian's blur where PIL has three boxes.
fn v2() -> Pipeline {
    let some = |p, transform| FloatTransform::RandomApply(RandomApply { p, transforms: vec![transform] });
    let blur = GaussianBlur { kernel_size: 23, sigma: [0.1, 2.0] };
    pipeline(vec![
        some(0.8, FloatTransform::ColorJitter(jitter(0.1))),
        FloatTransform::RandomGrayscale(RandomGrayscale { p: 0.2 }),
        some(0.5, FloatTransform::GaussianBlur(blur)),
    ])
}

fn jitter(hue: f64) -> ColorJitter {
    let around = JitterRange::Around;
    ColorJitter { brightness: around(0.4), contrast: around(0.4), saturation: around(0.4), hue: around(hue) }
}

fn pipeline(floats: Vec<FloatTransform>) -> Pipeline {
    let crop = RandomResizedCrop { scale: [0.2, 1.0], ..RandomResizedCrop::new(SIZE, SIZE) };
    let flip = HorizontalFlip { p: 0.5 };
    Pipeline {
        pixels: vec![
            PixelTransform::Rgb,
            PixelTransform::RandomResizedCrop(crop),
            PixelTransform::HorizontalFlip(flip),
        ],
        floats,
        normalize: Normalize::imagenet(),
        erasing: None,
    }
}
