//! A part of the image.

use sconce_core::Rng;
use serde::{Deserialize, Serialize};

use crate::{DataError, Image, Result, resample::check_size};

/// A part of `width` × `height` pixels at a uniformly random place, after `padding` black pixels were put on every side.
///
/// CIFAR's usual augmentation is 32 × 32 with a padding of 4. Draws: the row, then the column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RandomCrop {
    /// Pixels in a row of the result.
    pub width: usize,
    /// Rows of the result.
    pub height: usize,
    /// Black pixels on every side.
    pub padding: usize,
}

/// The part of `width` × `height` pixels in the middle, torchvision's `CenterCrop`.
///
/// An image that is smaller gets black pixels on both sides, the odd one on the right or below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CenterCrop {
    /// Pixels in a row of the result.
    pub width: usize,
    /// Rows of the result.
    pub height: usize,
}

impl RandomCrop {
    /// The part, drawn from `rng`.
    ///
    /// # Errors
    /// [`DataError::Argument`] if the padded image is smaller than the part, or a setting makes no sense.
    pub fn apply(&self, image: Image, rng: &mut Rng) -> Result<Image> {
        self.validate()?;
        let room = |side: usize, crop: usize| (side + 2 * self.padding).checked_sub(crop);
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
        let corner = [top, left].map(|v| v as isize - self.padding as isize);
        cut(image, corner, (self.width, self.height))
    }

    pub(super) fn validate(&self) -> Result<()> {
        check_size("random crop: size", self.width, self.height)?;
        let limit = 1 << 20;
        if self.padding > limit {
            return Err(DataError::argument("random crop: padding", self.padding, format!("at most {limit}")));
        }
        Ok(())
    }
}

impl CenterCrop {
    /// The part.
    ///
    /// # Errors
    /// [`DataError::Argument`] for a size that is empty or too large.
    pub fn apply(&self, image: Image) -> Result<Image> {
        self.validate()?;
        if (image.width(), image.height()) == (self.width, self.height) {
            return Ok(image);
        }
        let corner =
            [(image.height(), self.height), (image.width(), self.width)].map(|(side, crop)| middle(side, crop));
        cut(&image, corner, (self.width, self.height))
    }

    pub(super) fn validate(&self) -> Result<()> {
        check_size("center crop: size", self.width, self.height)
    }
}

/// Where `crop` pixels in the middle of `side` begin: half of what is over, a half rounded to even, as Python does.
fn middle(side: usize, crop: usize) -> isize {
    match side.checked_sub(crop) {
        Some(over) => (over / 2 + over % 2 * (over / 2 % 2)) as isize,
        None => -(((crop - side) / 2) as isize),
    }
}

/// `width` × `height` pixels from `corner` (row and column) on, black where there is no image.
pub(crate) fn cut(image: &Image, [top, left]: [isize; 2], (width, height): (usize, usize)) -> Result<Image> {
    let n = image.channels();
    let mut data = vec![0; width * height * n];
    // Columns of the part that lie in the image, and where they begin there.
    let first = left.min(0).unsigned_abs().min(width);
    let x = left.max(0).unsigned_abs().min(image.width());
    let n_columns = (image.width() - x).min(width - first);
    for (row, line) in data.chunks_exact_mut(width * n).enumerate() {
        let Some(y) = top.checked_add_unsigned(row).and_then(|y| usize::try_from(y).ok()) else { continue };
        if y < image.height() {
            let from = (y * image.width() + x) * n;
            line[first * n..(first + n_columns) * n].copy_from_slice(&image.data()[from..from + n_columns * n]);
        }
    }
    Image::new(width, height, n, data)
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

    #[test]
    fn the_middle_is_torchvisions() {
        // What remains of the columns 1 to 5 and rows 10 to 40 under torchvision 0.28, whose padding is black.
        let image = Image::new(5, 4, 1, (0..20).map(|i| (10 * (i / 5 + 1) + i % 5 + 1) as u8).collect()).unwrap();
        let middle = |width, height| CenterCrop { width, height }.apply(image.clone()).unwrap().data().to_vec();
        assert_eq!(middle(2, 1), [33, 34]);
        assert_eq!(middle(4, 3), [11, 12, 13, 14, 21, 22, 23, 24, 31, 32, 33, 34]);
        assert_eq!(middle(8, 1), [0, 31, 32, 33, 34, 35, 0, 0]);
        assert_eq!(middle(1, 7), [0, 13, 23, 33, 43, 0, 0]);
        assert_eq!(middle(5, 4), image.data());
    }

    #[test]
    fn sizes_that_cannot_be_made_are_refused() {
        let image = Image::pattern(2, 2, 1);
        for (width, height) in [(0, 1), (1, 0), (usize::MAX, usize::MAX)] {
            assert!(matches!(CenterCrop { width, height }.apply(image.clone()), Err(DataError::Argument { .. })));
            let crop = RandomCrop { width, height, padding: 4 };
            assert!(matches!(crop.apply(image.clone(), &mut Rng::new(0, "test")), Err(DataError::Argument { .. })));
        }
        let crop = RandomCrop { width: 1, height: 1, padding: usize::MAX };
        assert!(matches!(crop.apply(image, &mut Rng::new(0, "test")), Err(DataError::Argument { .. })));
    }
}
