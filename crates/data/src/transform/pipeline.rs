//! From a decoded image to what a network takes.

use sconce_core::Rng;
use serde::{Deserialize, Serialize};

use super::{FloatTransform, Normalize, PixelTransform, RandomErasing};
use crate::{DataError, FloatImage, Image, Result};

/// Pixel transforms in order, to [0, 1], transforms of these values in order, normalisation, erasing.
///
/// ```
/// use sconce_core::Rng;
/// use sconce_data::{
///     ColorJitter, FloatTransform, GaussianBlur, HorizontalFlip, Image, JitterRange, Normalize, Pipeline, PixelTransform,
///     RandomApply, RandomGrayscale, RandomResizedCrop,
/// };
///
/// let around = JitterRange::Around;
/// let jitter = ColorJitter { brightness: around(0.4), contrast: around(0.4), saturation: around(0.4), hue: around(0.1) };
/// let blur = GaussianBlur { kernel_size: 23, sigma: [0.1, 2.0] };
/// let pipeline = Pipeline {
///     pixels: vec![
///         PixelTransform::Rgb,
///         PixelTransform::RandomResizedCrop(RandomResizedCrop { scale: [0.2, 1.0], ..RandomResizedCrop::new(224, 224) }),
///         PixelTransform::HorizontalFlip(HorizontalFlip { p: 0.5 }),
///     ],
///     floats: vec![
///         FloatTransform::RandomApply(RandomApply { p: 0.8, transforms: vec![FloatTransform::ColorJitter(jitter)] }),
///         FloatTransform::RandomGrayscale(RandomGrayscale { p: 0.2 }),
///         FloatTransform::RandomApply(RandomApply { p: 0.5, transforms: vec![FloatTransform::GaussianBlur(blur)] }),
///     ],
///     normalize: Normalize::imagenet(),
///     erasing: None,
/// };
/// pipeline.validate()?;
/// let image = Image::new(100, 100, 3, vec![128; 30_000])?;
/// let float = pipeline.apply(image, &mut Rng::new(0, "augmentation"))?;
/// assert_eq!(float.shape(), [3, 224, 224]);
/// # Ok::<(), sconce_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// Transforms of the 8-bit image, in order.
    pub pixels: Vec<PixelTransform>,
    /// Transforms of the values in [0, 1], in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub floats: Vec<FloatTransform>,
    /// The mean and standard deviation of each channel.
    pub normalize: Normalize,
    /// Random erasing, after normalisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erasing: Option<RandomErasing>,
}

impl Pipeline {
    /// The transformed image.
    ///
    /// # Errors
    /// [`DataError::Step`] with the place and the name of the transform that the image does not fit, or that has a setting that
    /// makes no sense.
    pub fn apply(&self, mut image: Image, rng: &mut Rng) -> Result<FloatImage> {
        for (i, transform) in self.pixels.iter().enumerate() {
            let step = || format!("pixels[{i}] {}", transform.name());
            image = transform.apply(image, rng).map_err(|e| DataError::step(step())(e))?;
        }
        let mut float = FloatImage::from(&image);
        for (i, transform) in self.floats.iter().enumerate() {
            let step = || format!("floats[{i}] {}", transform.name());
            transform.apply(&mut float, rng).map_err(|e| DataError::step(step())(e))?;
        }
        self.normalize.apply(&mut float).map_err(DataError::step("normalize".to_owned()))?;
        if let Some(erasing) = &self.erasing {
            erasing.apply(&mut float, rng);
        }
        Ok(float)
    }

    /// Checks the settings, before the first image.
    ///
    /// # Errors
    /// [`DataError::Argument`](crate::DataError::Argument) with the first that makes no sense.
    pub fn validate(&self) -> Result<()> {
        self.pixels.iter().try_for_each(PixelTransform::validate)?;
        self.floats.iter().try_for_each(FloatTransform::validate)?;
        self.normalize.validate()?;
        self.erasing.as_ref().map_or(Ok(()), RandomErasing::validate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        CenterCrop, ColorJitter, GaussianBlur, GaussianNoise, HorizontalFlip, JitterRange, OneOf, RandomApply,
        RandomCrop, RandomGrayscale, RandomResizedCrop, Resize, ResizeShorterSide, VerticalFlip,
        transform::choice::tests::flip_or_noise,
    };

    /// `size` × `size` pixels with ImageNet's normalisation.
    fn resized(size: usize) -> Pipeline {
        Pipeline {
            pixels: vec![
                PixelTransform::Rgb,
                PixelTransform::Resize(Resize { width: size, height: size, antialias: true }),
            ],
            floats: Vec::new(),
            normalize: Normalize::imagenet(),
            erasing: None,
        }
    }

    fn augmented(size: usize) -> Pipeline {
        let mut pipeline = resized(size);
        pipeline.pixels.insert(1, flip_or_noise());
        pipeline.erasing = Some(RandomErasing::default());
        pipeline
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

    /// Every transform that draws, with its defaults in TOML.
    fn everything() -> Pipeline {
        toml::from_str(
            r#"
            normalize = { mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }
            erasing = { p = 1.0 }
            pixels = [
                { name = "rgb" },
                { name = "resize-shorter-side", size = 40 },
                { name = "random-resized-crop", width = 30, height = 32 },
                { name = "vertical-flip" },
                { name = "center-crop", width = 31, height = 31 },
                { name = "random-apply", p = 0.5, transforms = [{ name = "gaussian-noise" }, { name = "horizontal-flip" }] },
            ]
            floats = [
                { name = "random-apply", p = 0.8, transforms = [
                    { name = "color-jitter", brightness = 0.4, contrast = 0.4, saturation = [0.6, 1.4], hue = 0.1 },
                ] },
                { name = "random-grayscale", p = 0.2 },
                { name = "gaussian-blur", kernel_size = 5 },
            ]
            "#,
        )
        .unwrap()
    }

    #[test]
    fn a_stream_decides_all_that_is_random() {
        let pipeline = everything();
        pipeline.validate().unwrap();
        assert_eq!(toml::from_str::<Pipeline>(&toml::to_string(&pipeline).unwrap()).unwrap(), pipeline);
        let apply = |seed| pipeline.apply(Image::pattern(50, 60, 3), &mut Rng::new(seed, "test")).unwrap();
        assert_eq!(apply(1).shape(), [3, 31, 31]);
        assert_eq!(apply(1), apply(1));
        assert_ne!(apply(1), apply(2));
    }

    #[test]
    fn values_are_transformed_before_they_are_normalised() {
        let twice = ColorJitter { brightness: JitterRange::Between([2.0, 2.0]), ..ColorJitter::default() };
        let pipeline = Pipeline { floats: vec![FloatTransform::ColorJitter(twice)], ..resized(2) };
        let image = Image::new(2, 2, 1, vec![51; 4]).unwrap();
        let float = pipeline.apply(image, &mut Rng::new(0, "test")).unwrap();
        assert!((float.data()[0] - (0.4 - 0.485) / 0.229).abs() < 1e-6, "{:?}", float.data());
    }

    #[test]
    fn a_pipeline_without_floats_is_written_as_before_there_were_any() {
        assert!(!toml::to_string(&resized(8)).unwrap().contains("floats"));
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let good = augmented(8);
        good.validate().unwrap();
        let with = |transform| Pipeline { pixels: vec![transform], ..good.clone() };
        let float = |transform| Pipeline { floats: vec![transform], ..good.clone() };
        let jitter = |jitter| float(FloatTransform::ColorJitter(jitter));
        let blur = |kernel_size, sigma| float(FloatTransform::GaussianBlur(GaussianBlur { kernel_size, sigma }));
        let crop = RandomResizedCrop::new(8, 8);
        let erasing = |erasing| Pipeline { erasing: Some(erasing), ..good.clone() };
        let bad = [
            with(PixelTransform::Resize(Resize { width: 0, height: 8, antialias: true })),
            with(PixelTransform::RandomCrop(RandomCrop { width: 8, height: 0, padding: 4 })),
            with(PixelTransform::HorizontalFlip(HorizontalFlip { p: 1.5 })),
            with(PixelTransform::GaussianNoise(GaussianNoise { std: -1.0 })),
            with(PixelTransform::OneOf(OneOf { p: 0.5, transforms: vec![] })),
            with(PixelTransform::OneOf(OneOf { p: f64::NAN, transforms: vec![PixelTransform::Rgb] })),
            with(PixelTransform::ResizeShorterSide(ResizeShorterSide { size: 0, antialias: true })),
            with(PixelTransform::CenterCrop(CenterCrop { width: 0, height: 1 })),
            with(PixelTransform::VerticalFlip(VerticalFlip { p: -0.1 })),
            with(PixelTransform::RandomApply(RandomApply { p: 2.0, transforms: vec![PixelTransform::Rgb] })),
            with(PixelTransform::RandomApply(RandomApply { p: 0.5, transforms: vec![] })),
            with(PixelTransform::RandomResizedCrop(RandomResizedCrop { width: 0, ..crop })),
            with(PixelTransform::RandomResizedCrop(RandomResizedCrop { scale: [0.5, 0.4], ..crop })),
            with(PixelTransform::RandomResizedCrop(RandomResizedCrop { scale: [0.5, 1.1], ..crop })),
            with(PixelTransform::RandomResizedCrop(RandomResizedCrop { scale: [f64::NAN, 1.0], ..crop })),
            with(PixelTransform::RandomResizedCrop(RandomResizedCrop { ratio: [0.0, 1.0], ..crop })),
            with(PixelTransform::RandomResizedCrop(RandomResizedCrop { ratio: [2.0, 1.0], ..crop })),
            jitter(ColorJitter { brightness: JitterRange::Around(-0.1), ..ColorJitter::default() }),
            jitter(ColorJitter { contrast: JitterRange::Around(f64::NAN), ..ColorJitter::default() }),
            jitter(ColorJitter { saturation: JitterRange::Between([-0.1, 1.0]), ..ColorJitter::default() }),
            jitter(ColorJitter { saturation: JitterRange::Between([1.0, 0.5]), ..ColorJitter::default() }),
            jitter(ColorJitter { hue: JitterRange::Around(0.51), ..ColorJitter::default() }),
            jitter(ColorJitter { hue: JitterRange::Between([-0.6, 0.0]), ..ColorJitter::default() }),
            float(FloatTransform::RandomGrayscale(RandomGrayscale { p: f64::NAN })),
            blur(4, [0.1, 2.0]),
            blur(0, [0.1, 2.0]),
            blur(3, [0.0, 2.0]),
            blur(3, [2.0, 1.0]),
            blur(3, [1.0, f64::INFINITY]),
            float(FloatTransform::RandomApply(RandomApply { p: 0.5, transforms: vec![] })),
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
