//! Transforms with torchvision's semantics, one family a file, and the pipeline that chains them.
//!
//! Each is a plain struct, which a configuration can hold. What is random draws from the stream that it is given.

mod crop;
mod erasing;
mod flip;
mod noise;
mod normalize;
mod resize;

use sconce_core::Rng;
use serde::{Deserialize, Serialize};

pub use crop::RandomCrop;
pub use erasing::{AspectDraw, RandomErasing};
pub use flip::HorizontalFlip;
pub use noise::GaussianNoise;
pub use normalize::Normalize;
pub use resize::Resize;

use crate::{DataError, FloatImage, Image, Result};

/// A transform of 8-bit images. In TOML: `{ name = "resize", width = 224, height = 224 }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum PixelTransform {
    /// Replicates a grey image to three channels.
    Rgb,
    /// Reduces an RGB image to its luma.
    Gray,
    /// To a size, bilinear.
    Resize(Resize),
    /// A part at a random place.
    RandomCrop(RandomCrop),
    /// Mirrors left and right.
    HorizontalFlip(HorizontalFlip),
    /// Adds noise to every value.
    GaussianNoise(GaussianNoise),
    /// One of several, sometimes.
    OneOf(OneOf),
}

/// With probability `p` applies one of `transforms`, each equally likely.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneOf {
    /// The probability that any of them is applied.
    pub p: f64,
    /// What to choose from.
    pub transforms: Vec<PixelTransform>,
}

/// From a decoded image to what a network takes: pixel transforms in order, to [0, 1], normalisation, erasing.
///
/// ```
/// use sconce_core::Rng;
/// use sconce_data::{Image, Normalize, Pipeline, PixelTransform, RandomErasing, Resize};
///
/// let pipeline = Pipeline {
///     pixels: vec![PixelTransform::Rgb, PixelTransform::Resize(Resize { width: 224, height: 224 })],
///     normalize: Normalize::imagenet(),
///     erasing: Some(RandomErasing::default()),
/// };
/// pipeline.validate()?;
/// let image = Image::new(100, 100, 3, vec![128; 30_000])?;
/// let float = pipeline.apply(image, &mut Rng::new(0, "augmentation"))?;
/// assert_eq!(float.shape(), [3, 224, 224]);
/// # Ok::<(), sconce_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// Transforms of the 8-bit image, in order.
    pub pixels: Vec<PixelTransform>,
    /// The mean and standard deviation of each channel.
    pub normalize: Normalize,
    /// Random erasing, after normalisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erasing: Option<RandomErasing>,
}

impl PixelTransform {
    /// The transformed image.
    ///
    /// # Errors
    /// [`DataError::Argument`] if the image is too small for it, or a setting makes no sense.
    pub fn apply(&self, image: Image, rng: &mut Rng) -> Result<Image> {
        match self {
            Self::Rgb => Ok(image.into_rgb()),
            Self::Gray => Ok(image.into_gray()),
            Self::Resize(resize) => resize.apply(image),
            Self::RandomCrop(crop) => crop.apply(image, rng),
            Self::HorizontalFlip(flip) => Ok(flip.apply(image, rng)),
            Self::GaussianNoise(noise) => Ok(noise.apply(image, rng)),
            Self::OneOf(one_of) => one_of.apply(image, rng),
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`DataError::Argument`] with the first that makes no sense.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Rgb | Self::Gray => Ok(()),
            Self::Resize(resize) => resize.validate(),
            Self::RandomCrop(crop) => crop.validate(),
            Self::HorizontalFlip(flip) => flip.validate(),
            Self::GaussianNoise(noise) => noise.validate(),
            Self::OneOf(one_of) => one_of.validate(),
        }
    }
}

impl OneOf {
    fn apply(&self, image: Image, rng: &mut Rng) -> Result<Image> {
        if !rng.bernoulli(self.p) {
            return Ok(image);
        }
        match self.transforms.get(rng.below(self.transforms.len())) {
            Some(transform) => transform.apply(image, rng),
            None => Ok(image),
        }
    }

    fn validate(&self) -> Result<()> {
        probability("one of: p", self.p)?;
        if self.transforms.is_empty() {
            return Err(DataError::argument("one of: transforms", "empty", "at least one"));
        }
        self.transforms.iter().try_for_each(PixelTransform::validate)
    }
}

impl Pipeline {
    /// The transformed image.
    ///
    /// # Errors
    /// [`DataError::Argument`] if the image does not fit a transform, or a setting makes no sense.
    pub fn apply(&self, mut image: Image, rng: &mut Rng) -> Result<FloatImage> {
        for transform in &self.pixels {
            image = transform.apply(image, rng)?;
        }
        let mut float = FloatImage::from(&image);
        self.normalize.apply(&mut float)?;
        if let Some(erasing) = &self.erasing {
            erasing.apply(&mut float, rng);
        }
        Ok(float)
    }

    /// Checks the settings, before the first image.
    ///
    /// # Errors
    /// [`DataError::Argument`] with the first that makes no sense.
    pub fn validate(&self) -> Result<()> {
        self.pixels.iter().try_for_each(PixelTransform::validate)?;
        self.normalize.validate()?;
        self.erasing.as_ref().map_or(Ok(()), RandomErasing::validate)
    }
}

fn probability(what: &'static str, p: f64) -> Result<()> {
    if (0.0..=1.0).contains(&p) { Ok(()) } else { Err(DataError::argument(what, p, "a probability from 0 to 1")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `apply` of `n` different streams.
    pub(super) fn draws<T>(n: u64, mut apply: impl FnMut(&mut Rng) -> T) -> Vec<T> {
        (0..n).map(|i| apply(&mut Rng::keyed(0, "test", [i, 0]))).collect()
    }

    /// `size` × `size` pixels with ImageNet's normalisation.
    fn resized(size: usize) -> Pipeline {
        Pipeline {
            pixels: vec![PixelTransform::Rgb, PixelTransform::Resize(Resize { width: size, height: size })],
            normalize: Normalize::imagenet(),
            erasing: None,
        }
    }

    /// With probability ½ either a flip or Gaussian noise, as the official SCN code augments.
    fn flip_or_noise() -> PixelTransform {
        let flip = PixelTransform::HorizontalFlip(HorizontalFlip { p: 1.0 });
        let noise = PixelTransform::GaussianNoise(GaussianNoise::default());
        PixelTransform::OneOf(OneOf { p: 0.5, transforms: vec![flip, noise] })
    }

    fn augmented(size: usize) -> Pipeline {
        let mut pipeline = resized(size);
        pipeline.pixels.insert(1, flip_or_noise());
        pipeline.erasing = Some(RandomErasing::default());
        pipeline
    }

    #[test]
    fn flip_and_noise_take_a_quarter_of_the_images_each() {
        let image = Image::pattern(6, 6, 3);
        let flipped = HorizontalFlip { p: 1.0 }.apply(image.clone(), &mut Rng::new(0, "test"));
        let augment = flip_or_noise();
        let results = draws(4000, |rng| augment.apply(image.clone(), rng).unwrap());
        let n_same = results.iter().filter(|&r| *r == image).count() as f64;
        let n_flipped = results.iter().filter(|&r| *r == flipped).count() as f64;
        // Five standard deviations of a binomial draw.
        assert!((n_same - 2000.0).abs() < 158.0, "{n_same}");
        assert!((n_flipped - 1000.0).abs() < 137.0, "{n_flipped}");
    }

    #[test]
    fn the_pipeline_normalises_before_it_erases() {
        let always = RandomErasing { p: 1.0, area: [0.3, 0.3], aspect: [1.0, 1.0], ..RandomErasing::default() };
        let pipeline = Pipeline { erasing: Some(always), ..resized(10) };
        let image = Image::new(10, 10, 1, vec![255; 100]).unwrap();
        let float = pipeline.apply(image, &mut Rng::new(0, "test")).unwrap();
        let white = (1.0 - 0.485) / 0.229;
        let n_erased = float.data()[..100].iter().filter(|&&v| v == 0.0).count();
        assert_eq!(n_erased, 25); // round(√30)² pixels, filled after normalisation
        assert!(float.data()[..100].iter().all(|&v| v == 0.0 || (v - white).abs() < 1e-6));
    }

    #[test]
    fn toml_round_trip_and_unknown_keys() {
        let pipeline = augmented(224);
        let text = toml::to_string(&pipeline).unwrap();
        assert_eq!(toml::from_str::<Pipeline>(&text).unwrap(), pipeline);
        for unknown in ["name = \"resize\"\nwidth = 2\nheight = 2\ndepth = 2", "name = \"rotate\""] {
            assert!(toml::from_str::<PixelTransform>(unknown).is_err(), "{unknown}");
        }
        assert_eq!(
            toml::from_str::<PixelTransform>("name = \"horizontal-flip\"").unwrap(),
            PixelTransform::HorizontalFlip(HorizontalFlip { p: 0.5 })
        );
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let good = augmented(8);
        good.validate().unwrap();
        let with = |transform| Pipeline { pixels: vec![transform], ..good.clone() };
        let erasing = |erasing| Pipeline { erasing: Some(erasing), ..good.clone() };
        let bad = [
            with(PixelTransform::Resize(Resize { width: 0, height: 8 })),
            with(PixelTransform::RandomCrop(RandomCrop { width: 8, height: 0, padding: 4 })),
            with(PixelTransform::HorizontalFlip(HorizontalFlip { p: 1.5 })),
            with(PixelTransform::GaussianNoise(GaussianNoise { std: -1.0 })),
            with(PixelTransform::OneOf(OneOf { p: 0.5, transforms: vec![] })),
            with(PixelTransform::OneOf(OneOf { p: f64::NAN, transforms: vec![PixelTransform::Rgb] })),
            Pipeline { normalize: Normalize { mean: vec![0.5], std: vec![0.0] }, ..good.clone() },
            Pipeline { normalize: Normalize { mean: vec![0.5], std: vec![1.0, 1.0] }, ..good.clone() },
            erasing(RandomErasing { area: [0.3, 0.2], ..RandomErasing::default() }),
            erasing(RandomErasing { aspect: [0.0, 1.0], ..RandomErasing::default() }),
        ];
        for pipeline in bad {
            assert!(matches!(pipeline.validate(), Err(DataError::Argument { .. })), "{pipeline:?}");
        }
    }
}
