//! Transforms of images with objects.

use sconce_core::{Rng, geometry::Object};
use serde::{Deserialize, Serialize};

use super::{FixedSizeCrop, RandomIouCrop, ResizeSides, ScaleJitter, resize::resized};
use crate::{GaussianNoise, HorizontalFlip, Image, Resize, Result, transform::mirrored};

/// A transform of an 8-bit image and of the boxes in it. In TOML: `{ name = "resize-sides", shorter = 600 }`.
///
/// A pixel that belongs to an object belongs to its box afterwards, apart from half a pixel where an image was resized: see
/// the property test in `tests/it/detection.rs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum DetectionTransform {
    /// Replicates a grey image to three channels.
    Rgb,
    /// Reduces an RGB image to its luma.
    Gray,
    /// Adds noise to every value.
    GaussianNoise(GaussianNoise),
    /// Mirrors left and right.
    HorizontalFlip(HorizontalFlip),
    /// To a size whatever the aspect, bilinear.
    Resize(Resize),
    /// To a length of the shorter side, and at most one of the longer side, bilinear.
    ResizeSides(ResizeSides),
    /// To a random size, bilinear.
    ScaleJitter(ScaleJitter),
    /// A part of a size of its own, which overlaps an object.
    RandomIouCrop(RandomIouCrop),
    /// A part of a given size at a random place.
    FixedSizeCrop(FixedSizeCrop),
}

impl DetectionTransform {
    pub(super) fn apply(&self, annotated: Annotated, rng: &mut Rng) -> Result<Annotated> {
        match self {
            Self::Rgb => Ok(annotated.map_image(Image::into_rgb)),
            Self::Gray => Ok(annotated.map_image(Image::into_gray)),
            Self::GaussianNoise(noise) => Ok(annotated.map_image(|image| noise.apply(image, rng))),
            Self::HorizontalFlip(flip) if rng.bernoulli(flip.p) => Ok(annotated.flipped()),
            Self::HorizontalFlip(_) => Ok(annotated),
            Self::Resize(resize) => resized(annotated, *resize),
            Self::ResizeSides(resize) => resize.apply(annotated),
            Self::ScaleJitter(jitter) => jitter.apply(annotated, rng),
            Self::RandomIouCrop(crop) => crop.apply(annotated, rng),
            Self::FixedSizeCrop(crop) => crop.apply(annotated, rng),
        }
    }

    /// What a configuration calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Rgb => "rgb",
            Self::Gray => "gray",
            Self::GaussianNoise(_) => "gaussian-noise",
            Self::HorizontalFlip(_) => "horizontal-flip",
            Self::Resize(_) => "resize",
            Self::ResizeSides(_) => "resize-sides",
            Self::ScaleJitter(_) => "scale-jitter",
            Self::RandomIouCrop(_) => "random-iou-crop",
            Self::FixedSizeCrop(_) => "fixed-size-crop",
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`DataError::Argument`](crate::DataError::Argument) with the first that makes no sense.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Rgb | Self::Gray => Ok(()),
            Self::GaussianNoise(noise) => noise.validate(),
            Self::HorizontalFlip(flip) => flip.validate(),
            Self::Resize(resize) => resize.validate(),
            Self::ResizeSides(resize) => resize.validate(),
            Self::ScaleJitter(jitter) => jitter.validate(),
            Self::RandomIouCrop(crop) => crop.validate(),
            Self::FixedSizeCrop(crop) => crop.validate(),
        }
    }
}

/// An image with its objects, on its way through the transforms.
#[derive(Clone, Debug)]
pub(super) struct Annotated {
    pub(super) image: Image,
    pub(super) objects: Vec<Object>,
    /// By how much columns and rows have been resized so far.
    pub(super) scale: (f64, f64),
}

impl Annotated {
    pub(super) fn new(image: Image, objects: Vec<Object>) -> Self {
        Self { image, objects, scale: (1.0, 1.0) }
    }

    fn map_image(self, f: impl FnOnce(Image) -> Image) -> Self {
        Self { image: f(self.image), ..self }
    }

    fn flipped(mut self) -> Self {
        let width = self.image.width() as f64;
        for object in &mut self.objects {
            object.bbox = object.bbox.flipped(width);
        }
        self.map_image(mirrored)
    }
}
