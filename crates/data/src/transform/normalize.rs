//! From [0, 1] to mean 0 and variance 1.

use sconce_core::vectorised;
use serde::{Deserialize, Serialize};

use crate::{DataError, FloatImage, Result};

/// Subtracts `mean` and divides by `std`, one value a channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    /// The mean of each channel, of values in [0, 1].
    pub mean: Vec<f32>,
    /// The standard deviation of each channel, of values in [0, 1].
    pub std: Vec<f32>,
}

impl Normalize {
    /// ImageNet's, in RGB, which pretrained networks expect.
    pub fn imagenet() -> Self {
        Self { mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225] }
    }

    /// Normalises in place.
    ///
    /// # Errors
    /// [`DataError::Argument`] if there is not one mean and one standard deviation a channel.
    pub fn apply(&self, image: &mut FloatImage) -> Result<()> {
        let [channels, height, width] = image.shape();
        if self.mean.len() != channels || self.std.len() != channels {
            let found = format!("{} and {}", self.mean.len(), self.std.len());
            let expected = format!("{channels} each, one a channel of the image");
            return Err(DataError::argument("normalize: number of means and of deviations", found, expected));
        }
        let planes = image.data_mut().chunks_exact_mut(height * width);
        for (plane, (mean, std)) in planes.zip(self.mean.iter().zip(&self.std)) {
            vectorised(
                #[inline(always)]
                || plane.iter_mut().for_each(|value| *value = (*value - mean) / std),
            );
        }
        Ok(())
    }

    pub(crate) fn validate(&self) -> Result<()> {
        if self.mean.len() != self.std.len() {
            let expected = format!("{}, one a mean", self.mean.len());
            return Err(DataError::argument("normalize: number of deviations", self.std.len(), expected));
        }
        if let Some(mean) = self.mean.iter().find(|m| !m.is_finite()) {
            return Err(DataError::argument("normalize: mean", mean, "a finite value"));
        }
        match self.std.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
            Some(std) => Err(DataError::argument("normalize: std", std, "more than 0")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_has_its_own_mean_and_deviation() {
        let mut image = FloatImage::new([2, 1, 2], vec![0.0, 1.0, 0.5, 0.25]).unwrap();
        Normalize { mean: vec![0.5, 0.25], std: vec![0.5, 0.125] }.apply(&mut image).unwrap();
        assert_eq!(image.data(), [-1.0, 1.0, 2.0, 0.0]);
    }

    #[test]
    fn another_number_of_channels_is_refused() {
        let mut image = FloatImage::new([1, 1, 1], vec![0.0]).unwrap();
        assert!(matches!(Normalize::imagenet().apply(&mut image), Err(DataError::Argument { .. })));
    }
}
