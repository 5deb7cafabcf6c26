//! Mirror images.

use sconce_core::Rng;
use serde::{Deserialize, Serialize};

use super::probability;
use crate::{Image, Result};

/// Mirrors left and right with probability `p`, ½ by default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HorizontalFlip {
    /// The probability.
    pub p: f64,
}

impl Default for HorizontalFlip {
    fn default() -> Self {
        Self { p: 0.5 }
    }
}

impl HorizontalFlip {
    /// The image, mirrored or not.
    pub fn apply(&self, mut image: Image, rng: &mut Rng) -> Image {
        if rng.bernoulli(self.p) {
            let n = image.channels();
            let row = image.width() * n;
            for row in image.data_mut().chunks_exact_mut(row) {
                // All values in reverse, then each pixel's back in its order.
                row.reverse();
                row.chunks_exact_mut(n).for_each(<[u8]>::reverse);
            }
        }
        image
    }

    pub(super) fn validate(&self) -> Result<()> {
        probability("horizontal flip: p", self.p)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::tests::draws;

    #[test]
    fn columns_are_mirrored_and_channels_are_not() {
        let image = Image::new(3, 2, 3, (0..18).collect()).unwrap();
        let flipped = HorizontalFlip { p: 1.0 }.apply(image, &mut Rng::new(0, "test"));
        assert_eq!(flipped.data(), [6, 7, 8, 3, 4, 5, 0, 1, 2, 15, 16, 17, 12, 13, 14, 9, 10, 11]);
    }

    #[test]
    fn half_of_the_images_are_mirrored() {
        let image = Image::new(2, 1, 1, vec![1, 2]).unwrap();
        let flip = HorizontalFlip::default();
        let n = draws(2000, |rng| flip.apply(image.clone(), rng)).iter().filter(|i| i.data() == [2, 1]).count();
        assert!(n.abs_diff(1000) < 112, "{n}"); // five standard deviations
        assert!(draws(50, |rng| HorizontalFlip { p: 0.0 }.apply(image.clone(), rng)).iter().all(|i| *i == image));
    }
}
