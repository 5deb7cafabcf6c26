//! Mirror images.

use sconce_core::Rng;
use serde::{Deserialize, Serialize};

use super::probability;
use crate::{Image, Result};

/// torchvision's `RandomHorizontalFlip`: mirrors left and right with probability `p`, ½ by default. Draws: whether.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct HorizontalFlip {
    /// The probability.
    pub p: f64,
}

/// torchvision's `RandomVerticalFlip`: mirrors top and bottom with probability `p`, ½ by default. Draws: whether.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct VerticalFlip {
    /// The probability.
    pub p: f64,
}

impl Default for VerticalFlip {
    fn default() -> Self {
        Self { p: 0.5 }
    }
}

impl VerticalFlip {
    /// The image, mirrored or not.
    pub fn apply(&self, mut image: Image, rng: &mut Rng) -> Image {
        if rng.bernoulli(self.p) {
            let (row, height) = (image.width() * image.channels(), image.height());
            let (top, bottom) = image.data_mut().split_at_mut(height / 2 * row);
            let below = bottom.chunks_exact_mut(row).rev();
            top.chunks_exact_mut(row).zip(below).for_each(|(above, below)| above.swap_with_slice(below));
        }
        image
    }

    pub(super) fn validate(&self) -> Result<()> {
        probability("vertical flip: p", self.p)
    }
}

impl Default for HorizontalFlip {
    fn default() -> Self {
        Self { p: 0.5 }
    }
}

impl HorizontalFlip {
    /// The image, mirrored or not.
    pub fn apply(&self, image: Image, rng: &mut Rng) -> Image {
        if rng.bernoulli(self.p) { mirrored(image) } else { image }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        probability("horizontal flip: p", self.p)
    }
}

/// The image with left and right exchanged.
pub(crate) fn mirrored(mut image: Image) -> Image {
    let n = image.channels();
    let row = image.width() * n;
    for row in image.data_mut().chunks_exact_mut(row) {
        if n == 3 { row.as_chunks_mut::<3>().0.reverse() } else { row.reverse() }
    }
    image
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

    #[test]
    fn rows_are_mirrored_and_stay_as_they_are() {
        for height in 1..5u8 {
            let rows: Vec<[u8; 6]> = (0..height).map(|y| [0, 1, 2, 3, 4, 5].map(|x| 10 * y + x)).collect();
            let image = Image::new(2, rows.len(), 3, rows.concat()).unwrap();
            let flipped = VerticalFlip { p: 1.0 }.apply(image.clone(), &mut Rng::new(0, "test"));
            assert_eq!(flipped.data(), rows.iter().rev().copied().collect::<Vec<_>>().concat());
            assert_eq!(VerticalFlip { p: 0.0 }.apply(image.clone(), &mut Rng::new(0, "test")), image);
        }
    }
}
