//! Noise on pixels.

use sconce_core::Rng;
use serde::{Deserialize, Serialize};

use crate::{DataError, Image, Result};

/// Adds a normal draw of standard deviation `std` to every value of every channel, clips to 0 to 255, and cuts the fraction
/// off. The default is SCN's: √30. Draws: one a value, in their order in memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct GaussianNoise {
    /// The standard deviation, in grey levels.
    pub std: f64,
}

impl Default for GaussianNoise {
    fn default() -> Self {
        Self { std: 30f64.sqrt() }
    }
}

impl GaussianNoise {
    /// The noisy image.
    pub fn apply(&self, mut image: Image, rng: &mut Rng) -> Image {
        for value in image.data_mut() {
            // The conversion clips and truncates.
            *value = (f64::from(*value) + self.std * rng.normal()) as u8;
        }
        image
    }

    pub(crate) fn validate(&self) -> Result<()> {
        if self.std.is_finite() && self.std >= 0.0 {
            return Ok(());
        }
        Err(DataError::argument("gaussian noise: std", self.std, "0 or more"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noisy(value: u8, std: f64) -> Vec<f64> {
        let image = Image::new(100, 100, 1, vec![value; 10_000]).unwrap();
        let noisy = GaussianNoise { std }.apply(image, &mut Rng::new(0, "test"));
        noisy.data().iter().map(|&v| f64::from(v)).collect()
    }

    #[test]
    fn mean_and_variance_are_those_of_truncated_values() {
        let values = noisy(100, 30f64.sqrt());
        let mean = values.iter().sum::<f64>() / 1e4;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 1e4;
        // Cutting the fraction off lowers the mean by ½ and adds 1/12 to the variance; five standard errors.
        assert!((mean - 99.5).abs() < 0.28, "{mean}");
        assert!((variance - 30.083).abs() < 2.2, "{variance}");
    }

    #[test]
    fn values_are_clipped() {
        let dark = noisy(0, 30.0);
        assert!(dark.iter().filter(|&&v| v == 0.0).count() > 4500 && dark.iter().all(|&v| v < 200.0));
        let bright = noisy(255, 30.0);
        assert!(bright.iter().filter(|&&v| v == 255.0).count() > 4500 && bright.iter().all(|&v| v > 55.0));
    }

    #[test]
    fn every_channel_has_its_own_noise() {
        let image = Image::new(20, 20, 3, vec![100; 1200]).unwrap();
        let noisy = GaussianNoise::default().apply(image, &mut Rng::new(0, "test"));
        let n_gray = noisy.data().chunks(3).filter(|p| p[0] == p[1] && p[1] == p[2]).count();
        assert!(n_gray < 20, "{n_gray}");
    }
}
