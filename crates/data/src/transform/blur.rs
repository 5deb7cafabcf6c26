//! Blur of a random width.

use sconce_core::Rng;
use serde::{Deserialize, Serialize};

use super::check_range;
use crate::{FloatImage, Result, float_image::check_blur};

/// Blurs by a Gaussian whose standard deviation is uniform in `sigma`: torchvision's `GaussianBlur`.
///
/// Draws: the standard deviation. See [`FloatImage::gaussian_blur`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GaussianBlur {
    /// Values of the kernel in each direction, an odd number.
    pub kernel_size: usize,
    /// The least and the largest standard deviation, in pixels.
    #[serde(default = "default_sigma")]
    pub sigma: [f64; 2],
}

fn default_sigma() -> [f64; 2] {
    [0.1, 2.0]
}

impl GaussianBlur {
    /// Blurs in place.
    ///
    /// # Errors
    /// As [`FloatImage::gaussian_blur`].
    pub fn apply(&self, image: &mut FloatImage, rng: &mut Rng) -> Result<()> {
        image.gaussian_blur(self.kernel_size, rng.uniform(self.sigma[0], self.sigma[1]))
    }

    pub(super) fn validate(&self) -> Result<()> {
        self.sigma.into_iter().try_for_each(|sigma| check_blur(self.kernel_size, sigma))?;
        check_range("gaussian blur: sigma", self.sigma, [f64::MIN_POSITIVE, f64::MAX])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::tests::draws;

    #[test]
    fn the_width_is_uniform_in_its_range() {
        // A point spreads to its neighbour by w = exp(−1/(2σ²)), as a share of itself.
        let mut point = FloatImage::new([1, 5, 5], vec![0.0; 25]).unwrap();
        point.data_mut()[12] = 1.0;
        let blur = GaussianBlur { kernel_size: 3, sigma: [0.5, 1.5] };
        let widths = draws(4000, |rng| {
            let mut image = point.clone();
            blur.apply(&mut image, rng).unwrap();
            let share = f64::from(image.data()[13]) / f64::from(image.data()[12]);
            (-0.5 / share.ln()).sqrt()
        });
        let mean = widths.iter().sum::<f64>() / 4000.0;
        assert!(widths.iter().all(|w| (0.499..1.501).contains(w)));
        assert!((mean - 1.0).abs() < 0.0183, "{mean}"); // four standard errors
    }
}
