//! To another size.

use serde::{Deserialize, Serialize};

use crate::{
    Image, Result,
    resample::{Rectangle, check_size},
};

/// To `width` × `height` pixels whatever the aspect, bilinear.
///
/// With `antialias`, which is the default in a file, it is PIL's `resize` with `BILINEAR`, within one grey level: PIL rounds its
/// weights to more bits. Without, it is PyTorch's `interpolate`, within one grey level too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// Pixels in a row of the result.
    pub width: usize,
    /// Rows of the result.
    pub height: usize,
    /// Whether a pixel of a smaller image is the mean of what it covers.
    #[serde(default = "antialias")]
    pub antialias: bool,
}

/// The shorter side to `size` pixels and the longer one in proportion, cut to a whole number: torchvision's `Resize(size)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ResizeShorterSide {
    /// Pixels of the shorter side.
    pub size: usize,
    /// As [`Resize::antialias`].
    #[serde(default = "antialias")]
    pub antialias: bool,
}

fn antialias() -> bool {
    true
}

impl Resize {
    /// The resized image.
    ///
    /// # Errors
    /// [`DataError::Argument`](crate::DataError::Argument) for a size that is empty or too large.
    pub fn apply(&self, image: Image) -> Result<Image> {
        self.validate()?;
        if (image.width(), image.height()) == (self.width, self.height) {
            return Ok(image);
        }
        let whole = Rectangle::whole(image.width(), image.height());
        image.resample(whole, (self.width, self.height), self.antialias)
    }

    pub(crate) fn validate(&self) -> Result<()> {
        check_size("resize: size", self.width, self.height)
    }
}

impl ResizeShorterSide {
    /// The resized image.
    ///
    /// # Errors
    /// [`DataError::Argument`](crate::DataError::Argument) for a size that is empty, or whose longer side becomes too large.
    pub fn apply(&self, image: Image) -> Result<Image> {
        self.validate()?;
        let short = image.width().min(image.height());
        // The product fits: both are lengths of something in memory, and `size` is below 2²⁰.
        let [width, height] = [image.width(), image.height()].map(|side| self.size.saturating_mul(side) / short);
        Resize { width, height, antialias: self.antialias }.apply(image)
    }

    pub(crate) fn validate(&self) -> Result<()> {
        check_size("resize shorter side: size", self.size, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DataError;

    #[track_caller]
    fn check(image: Image, (width, height): (usize, usize), pillow: &[u8]) {
        let resized = Resize { width, height, antialias: true }.apply(image).unwrap();
        assert_eq!((resized.width(), resized.height()), (width, height));
        let worst = resized.data().iter().zip(pillow).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert_eq!(resized.data().len(), pillow.len());
        assert!(worst <= 1, "{worst}: {:?}", resized.data());
    }

    #[test]
    fn smaller_is_pils() {
        let pillow = [
            103, 132, 143, 123, 126, 147, 127, 140, 129, 110, 123, 144, 121, 126, 138, 119, 134, 130, 141, 140, 133,
            141, 135, 126, 132, 128, 121, 128, 131, 127, 112, 154, 124, 120, 134, 111, 145, 136, 116, 127, 142, 118,
            135, 128, 98,
        ];
        check(Image::pattern(11, 7, 3), (5, 3), &pillow);
    }

    #[test]
    fn larger_is_pils() {
        let pillow = [
            0, 16, 39, 62, 86, 109, 132, 148, 33, 50, 74, 99, 124, 149, 122, 99, 85, 103, 131, 158, 185, 212, 106, 21,
            137, 157, 179, 129, 119, 148, 106, 71, 170, 192, 210, 94, 52, 84, 116, 138, 76, 100, 129, 107, 113, 147,
            183, 206, 17, 42, 79, 115, 151, 187, 224, 249,
        ];
        check(Image::pattern(5, 4, 1), (8, 7), &pillow);
    }

    #[test]
    fn the_same_size_changes_nothing() {
        let image = Image::pattern(5, 4, 3);
        check(image.clone(), (5, 4), image.data());
    }

    #[test]
    fn an_impossible_size_is_refused() {
        for (width, height) in [(0, 3), (3, 0), (usize::MAX, 1)] {
            let result = Resize { width, height, antialias: true }.apply(Image::pattern(2, 2, 1));
            assert!(matches!(result, Err(DataError::Argument { .. })));
        }
    }

    #[test]
    fn without_antialiasing_it_is_torchs() {
        let torch = [
            86, 139, 192, 177, 94, 113, 98, 151, 119, 105, 158, 177, 128, 79, 132, 52, 105, 158, 179, 232, 81, 51, 104,
            157, 179, 180, 29, 50, 103, 156, 86, 139, 124, 113, 166, 66, 89, 142, 110, 133, 186, 85, 126, 128, 112,
        ];
        let resized = Resize { width: 5, height: 3, antialias: false }.apply(Image::pattern(11, 7, 3)).unwrap();
        assert_eq!(resized.data().len(), torch.len());
        let worst = resized.data().iter().zip(torch).map(|(&a, b): (&u8, u8)| a.abs_diff(b)).max().unwrap();
        assert!(worst <= 1, "{worst}: {:?}", resized.data());
    }

    #[test]
    fn the_longer_side_is_cut_to_a_whole_number() {
        // torchvision 0.28's sizes.
        for ((width, height), size, expected) in [
            ((500, 375), 256, (341, 256)),
            ((375, 500), 224, (224, 298)),
            ((7, 3), 5, (11, 5)),
            ((64, 64), 64, (64, 64)),
        ] {
            let resize = ResizeShorterSide { size, antialias: true };
            let resized = resize.apply(Image::pattern(width, height, 1)).unwrap();
            assert_eq!((resized.width(), resized.height()), expected);
        }
        let far_too_long = ResizeShorterSide { size: 10_000, antialias: true }.apply(Image::pattern(1000, 1, 1));
        assert_eq!(
            far_too_long.unwrap_err().to_string(),
            "resize: size is 10000000×10000, expected at least 1×1, sides of at most 1048576 and 268435456 pixels in all"
        );
    }

    #[test]
    fn an_old_configuration_is_antialiased() {
        let resize: Resize = toml::from_str("width = 5\nheight = 3").unwrap();
        assert_eq!(resize, Resize { width: 5, height: 3, antialias: true });
    }
}
