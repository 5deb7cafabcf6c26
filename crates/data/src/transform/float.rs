//! Transforms of values in [0, 1].

use sconce_core::Rng;
use serde::{Deserialize, Serialize};

use super::{ColorJitter, GaussianBlur, RandomApply, RandomGrayscale};
use crate::{FloatImage, Result};

/// A transform of `f32` values in [0, 1]. In TOML: `{ name = "gaussian-blur", kernel_size = 23 }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum FloatTransform {
    /// Changes the colours.
    ColorJitter(ColorJitter),
    /// Takes the colours away, sometimes.
    RandomGrayscale(RandomGrayscale),
    /// Blurs.
    GaussianBlur(GaussianBlur),
    /// Several, sometimes.
    RandomApply(RandomApply<FloatTransform>),
}

impl FloatTransform {
    /// Transforms in place.
    ///
    /// # Errors
    /// [`DataError::Argument`](crate::DataError::Argument) if the image does not fit, or a setting makes no sense.
    pub fn apply(&self, image: &mut FloatImage, rng: &mut Rng) -> Result<()> {
        match self {
            Self::ColorJitter(jitter) => jitter.apply(image, rng),
            Self::RandomGrayscale(grayscale) => grayscale.apply(image, rng),
            Self::GaussianBlur(blur) => blur.apply(image, rng),
            Self::RandomApply(some) => some.drawn(rng).iter().try_for_each(|transform| transform.apply(image, rng)),
        }
    }

    /// What a configuration calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ColorJitter(_) => "color-jitter",
            Self::RandomGrayscale(_) => "random-grayscale",
            Self::GaussianBlur(_) => "gaussian-blur",
            Self::RandomApply(_) => "random-apply",
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`DataError::Argument`](crate::DataError::Argument) with the first that makes no sense.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::ColorJitter(jitter) => jitter.validate(),
            Self::RandomGrayscale(grayscale) => grayscale.validate(),
            Self::GaussianBlur(blur) => blur.validate(),
            Self::RandomApply(some) => some.validate(Self::validate),
        }
    }
}
