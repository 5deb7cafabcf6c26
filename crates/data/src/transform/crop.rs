//! A part of the image.

use sconce_core::Rng;
use serde::{Deserialize, Serialize};

use crate::{DataError, Image, Result};

/// A part of `width` × `height` pixels at a uniformly random place, after `padding` black pixels were put on every side.
///
/// CIFAR's usual augmentation is 32 × 32 with a padding of 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomCrop {
    /// Pixels in a row of the result.
    pub width: usize,
    /// Rows of the result.
    pub height: usize,
    /// Black pixels on every side.
    pub padding: usize,
}

impl RandomCrop {
    /// The part, drawn from `rng`.
    ///
    /// # Errors
    /// [`DataError::Argument`] if the padded image is smaller than the part.
    pub fn apply(&self, image: Image, rng: &mut Rng) -> Result<Image> {
        self.validate()?;
        let room = |side: usize, crop: usize| side.checked_add(self.padding.checked_mul(2)?)?.checked_sub(crop);
        let (Some(room_y), Some(room_x)) = (room(image.height(), self.height), room(image.width(), self.width)) else {
            let found = format!("{}×{} with {} of padding", image.width(), image.height(), self.padding);
            let expected = format!("at least {}×{}", self.width, self.height);
            return Err(DataError::argument("random crop: image", found, expected));
        };
        let top = rng.below(room_y + 1);
        let left = rng.below(room_x + 1);
        self.at(&image, top, left)
    }

    /// The part whose corner is at (`top`, `left`) of the padded image.
    fn at(&self, image: &Image, top: usize, left: usize) -> Result<Image> {
        let n = image.channels();
        let mut data = vec![0; self.width * self.height * n];
        // Columns of the part that lie in the image, and where they begin there.
        let first = self.padding.saturating_sub(left).min(self.width);
        let x = (left + first).saturating_sub(self.padding).min(image.width());
        let n_columns = (image.width() - x).min(self.width - first);
        for (row, line) in data.chunks_exact_mut(self.width * n).enumerate() {
            let Some(y) = (top + row).checked_sub(self.padding).filter(|&y| y < image.height()) else { continue };
            let from = (y * image.width() + x) * n;
            line[first * n..(first + n_columns) * n].copy_from_slice(&image.data()[from..from + n_columns * n]);
        }
        Image::new(self.width, self.height, n, data)
    }

    pub(super) fn validate(&self) -> Result<()> {
        if self.width == 0 || self.height == 0 {
            let found = format!("{}×{}", self.width, self.height);
            return Err(DataError::argument("random crop: size", found, "at least 1×1"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::transform::tests::draws;

    /// The part cut from an image that was really padded.
    fn padded_and_cut(crop: &RandomCrop, image: &Image, top: usize, left: usize) -> Vec<u8> {
        let mut data = Vec::new();
        for y in top..top + crop.height {
            for x in left..left + crop.width {
                for k in 0..image.channels() {
                    let inside = |at: usize, side: usize| at.checked_sub(crop.padding).filter(|&v| v < side);
                    data.push(match (inside(y, image.height()), inside(x, image.width())) {
                        (Some(y), Some(x)) => image.data()[(y * image.width() + x) * image.channels() + k],
                        _ => 0,
                    });
                }
            }
        }
        data
    }

    #[test]
    fn every_place_is_a_part_of_the_padded_image() {
        for (width, height, padding) in [(4, 3, 2), (9, 7, 2), (2, 2, 0), (1, 1, 3), (2, 1, 5)] {
            let crop = RandomCrop { width, height, padding };
            let image = Image::pattern(5, 3, 3);
            for top in 0..=(3 + 2 * padding - height) {
                for left in 0..=(5 + 2 * padding - width) {
                    let expected = padded_and_cut(&crop, &image, top, left);
                    assert_eq!(crop.at(&image, top, left).unwrap().data(), expected, "{crop:?} {top} {left}");
                }
            }
        }
    }

    #[test]
    fn every_place_is_drawn() {
        let crop = RandomCrop { width: 4, height: 4, padding: 1 };
        let image = Image::pattern(4, 4, 1);
        let parts = draws(300, |rng| crop.apply(image.clone(), rng).unwrap().data().to_vec());
        assert_eq!(parts.into_iter().collect::<BTreeSet<_>>().len(), 9);
    }

    #[test]
    fn an_image_that_is_too_small_is_refused() {
        let crop = RandomCrop { width: 8, height: 4, padding: 1 };
        let error = crop.apply(Image::pattern(5, 4, 1), &mut Rng::new(0, "test")).unwrap_err();
        assert_eq!(error.to_string(), "random crop: image is 5×4 with 1 of padding, expected at least 8×4");
    }
}
