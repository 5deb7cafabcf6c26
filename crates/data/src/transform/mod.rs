//! Transforms with torchvision's semantics, one family a file, and the pipeline that chains them.
//!
//! Each is a plain struct, which a configuration can hold. What is random draws from the stream that it is given, in the order
//! that the struct documents.

mod blur;
mod choice;
mod crop;
mod erasing;
mod flip;
mod float;
mod jitter;
mod noise;
mod normalize;
mod pipeline;
mod resize;
mod resized_crop;

use sconce_core::Rng;
use serde::{Deserialize, Serialize};

pub use blur::GaussianBlur;
pub use choice::{OneOf, RandomApply};
pub(crate) use crop::cut;
pub use crop::{CenterCrop, RandomCrop};
pub use erasing::{AspectDraw, RandomErasing};
pub(crate) use flip::mirrored;
pub use flip::{HorizontalFlip, VerticalFlip};
pub use float::FloatTransform;
pub use jitter::{ColorJitter, JitterRange, RandomGrayscale};
pub use noise::GaussianNoise;
pub use normalize::Normalize;
pub use pipeline::Pipeline;
pub use resize::{Resize, ResizeShorterSide};
pub use resized_crop::RandomResizedCrop;

use crate::{DataError, Image, Result};

/// How often a rectangle is drawn until one fits.
const TRIES: usize = 10;

/// The least and the largest area of a part, as a part of the image's.
const AREA: [f64; 2] = [0.0, 1.0];

/// The least and the largest aspect.
const RATIO: [f64; 2] = [f64::MIN_POSITIVE, f64::MAX];

/// A transform of 8-bit images. In TOML: `{ name = "resize", width = 224, height = 224 }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum PixelTransform {
    /// Replicates a grey image to three channels.
    Rgb,
    /// Reduces an RGB image to its luma.
    Gray,
    /// To a size, bilinear.
    Resize(Resize),
    /// To a length of the shorter side, bilinear.
    ResizeShorterSide(ResizeShorterSide),
    /// The part in the middle.
    CenterCrop(CenterCrop),
    /// A part at a random place.
    RandomCrop(RandomCrop),
    /// A part of random area, aspect and place, to a size.
    RandomResizedCrop(RandomResizedCrop),
    /// Mirrors left and right.
    HorizontalFlip(HorizontalFlip),
    /// Mirrors top and bottom.
    VerticalFlip(VerticalFlip),
    /// Adds noise to every value.
    GaussianNoise(GaussianNoise),
    /// One of several, sometimes.
    OneOf(OneOf),
    /// Several, sometimes.
    RandomApply(RandomApply<PixelTransform>),
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
            Self::ResizeShorterSide(resize) => resize.apply(image),
            Self::CenterCrop(crop) => crop.apply(image),
            Self::RandomCrop(crop) => crop.apply(image, rng),
            Self::RandomResizedCrop(crop) => crop.apply(&image, rng),
            Self::HorizontalFlip(flip) => Ok(flip.apply(image, rng)),
            Self::VerticalFlip(flip) => Ok(flip.apply(image, rng)),
            Self::GaussianNoise(noise) => Ok(noise.apply(image, rng)),
            Self::OneOf(one_of) => one_of.apply(image, rng),
            Self::RandomApply(some) => {
                some.drawn(rng).iter().try_fold(image, |image, transform| transform.apply(image, rng))
            }
        }
    }

    /// What a configuration calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Rgb => "rgb",
            Self::Gray => "gray",
            Self::Resize(_) => "resize",
            Self::ResizeShorterSide(_) => "resize-shorter-side",
            Self::CenterCrop(_) => "center-crop",
            Self::RandomCrop(_) => "random-crop",
            Self::RandomResizedCrop(_) => "random-resized-crop",
            Self::HorizontalFlip(_) => "horizontal-flip",
            Self::VerticalFlip(_) => "vertical-flip",
            Self::GaussianNoise(_) => "gaussian-noise",
            Self::OneOf(_) => "one-of",
            Self::RandomApply(_) => "random-apply",
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
            Self::ResizeShorterSide(resize) => resize.validate(),
            Self::CenterCrop(crop) => crop.validate(),
            Self::RandomCrop(crop) => crop.validate(),
            Self::RandomResizedCrop(crop) => crop.validate(),
            Self::HorizontalFlip(flip) => flip.validate(),
            Self::VerticalFlip(flip) => flip.validate(),
            Self::GaussianNoise(noise) => noise.validate(),
            Self::OneOf(one_of) => one_of.validate(),
            Self::RandomApply(some) => some.validate(Self::validate),
        }
    }
}

pub(crate) fn probability(what: &'static str, p: f64) -> Result<()> {
    if (0.0..=1.0).contains(&p) { Ok(()) } else { Err(DataError::argument(what, p, "a probability from 0 to 1")) }
}

/// Checks that a range is one, and lies within its limits.
pub(crate) fn check_range(what: &'static str, [low, high]: [f64; 2], [least, largest]: [f64; 2]) -> Result<()> {
    if least <= low && low <= high && high <= largest {
        return Ok(());
    }
    let expected = match (least, largest) {
        (f64::MIN_POSITIVE, f64::MAX) => "a range above 0".to_owned(),
        (_, f64::MAX) => format!("a range from {least} on"),
        _ => format!("a range within {least} to {largest}"),
    };
    Err(DataError::argument(what, format!("{low} to {high}"), expected))
}

/// Rounded to a whole number, a half to even, as Python does.
fn rounded(value: f64) -> usize {
    value.round_ties_even() as usize
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// `apply` of `n` different streams.
    pub(crate) fn draws<T>(n: u64, mut apply: impl FnMut(&mut Rng) -> T) -> Vec<T> {
        (0..n).map(|i| apply(&mut Rng::keyed(0, "test", [i, 0]))).collect()
    }
}
