//! Transforms that are applied sometimes.

use sconce_core::Rng;
use serde::{Deserialize, Serialize};

use super::{PixelTransform, probability};
use crate::{DataError, Image, Result};

/// With probability `p` applies one of `transforms`, each equally likely. Draws: whether, which, and what that one draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OneOf {
    /// The probability that any of them is applied.
    pub p: f64,
    /// What to choose from.
    pub transforms: Vec<PixelTransform>,
}

/// With probability `p` applies all of `transforms`, in order: torchvision's `RandomApply`, of [`PixelTransform`]s or of
/// [`FloatTransform`](super::FloatTransform)s. Draws: whether, then what they draw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RandomApply<T> {
    /// The probability that they are applied.
    pub p: f64,
    /// What is applied.
    pub transforms: Vec<T>,
}

impl OneOf {
    pub(super) fn apply(&self, image: Image, rng: &mut Rng) -> Result<Image> {
        if !rng.bernoulli(self.p) {
            return Ok(image);
        }
        match self.transforms.get(rng.below(self.transforms.len())) {
            Some(transform) => transform.apply(image, rng),
            None => Ok(image),
        }
    }

    pub(super) fn validate(&self) -> Result<()> {
        probability("one of: p", self.p)?;
        if self.transforms.is_empty() {
            return Err(DataError::argument("one of: transforms", "empty", "at least one"));
        }
        self.transforms.iter().try_for_each(PixelTransform::validate)
    }
}

impl<T> RandomApply<T> {
    /// The transforms that are to be applied: all of them or none.
    pub(super) fn drawn(&self, rng: &mut Rng) -> &[T] {
        if rng.bernoulli(self.p) { &self.transforms } else { &[] }
    }

    pub(super) fn validate(&self, each: impl Fn(&T) -> Result<()>) -> Result<()> {
        probability("random apply: p", self.p)?;
        if self.transforms.is_empty() {
            return Err(DataError::argument("random apply: transforms", "empty", "at least one"));
        }
        self.transforms.iter().try_for_each(each)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::transform::{GaussianNoise, HorizontalFlip, VerticalFlip, tests::draws};

    /// With probability ½ either a flip or Gaussian noise, as the official SCN code augments.
    pub(in crate::transform) fn flip_or_noise() -> PixelTransform {
        let flip = PixelTransform::HorizontalFlip(HorizontalFlip { p: 1.0 });
        let noise = PixelTransform::GaussianNoise(GaussianNoise::default());
        PixelTransform::OneOf(OneOf { p: 0.5, transforms: vec![flip, noise] })
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
    fn all_are_applied_or_none() {
        let image = Image::new(2, 2, 1, vec![1, 2, 3, 4]).unwrap();
        let transforms = vec![
            PixelTransform::HorizontalFlip(HorizontalFlip { p: 1.0 }),
            PixelTransform::VerticalFlip(VerticalFlip { p: 1.0 }),
        ];
        let some = PixelTransform::RandomApply(RandomApply { p: 0.8, transforms });
        let results = draws(2000, |rng| some.apply(image.clone(), rng).unwrap());
        let n = results.iter().filter(|r| r.data() == [4, 3, 2, 1]).count();
        assert!(n.abs_diff(1600) < 90, "{n}"); // five standard deviations
        assert_eq!(results.iter().filter(|r| **r == image).count(), 2000 - n);
    }
}
