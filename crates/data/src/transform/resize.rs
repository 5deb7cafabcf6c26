//! To another size.

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image as Target, ImageRef},
};
use serde::{Deserialize, Serialize};

use crate::{DataError, Image, Result};

/// To `width` × `height` pixels whatever the aspect, bilinear with antialiasing, as PIL's `resize` with `BILINEAR`.
///
/// It is within one grey level of PIL, which rounds its weights to more bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// Pixels in a row of the result.
    pub width: usize,
    /// Rows of the result.
    pub height: usize,
}

impl Resize {
    /// The resized image.
    ///
    /// # Errors
    /// [`DataError::Argument`] for an empty size, or one that needs more than 32 bits.
    pub fn apply(&self, image: Image) -> Result<Image> {
        if (image.width(), image.height()) == (self.width, self.height) {
            return Ok(image);
        }
        self.validate()?;
        let pixel_type = if image.channels() == 1 { PixelType::U8 } else { PixelType::U8x3 };
        let source = ImageRef::new(side(image.width())?, side(image.height())?, image.data(), pixel_type)
            .map_err(|e| DataError::argument("resize: image", e, "pixels of the image's size"))?;
        let mut target = Target::new(side(self.width)?, side(self.height)?, pixel_type);
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).use_alpha(false);
        Resizer::new()
            .resize(&source, &mut target, &options)
            .map_err(|e| DataError::argument("resize: image", e, "pixels of the target's type"))?;
        Image::new(self.width, self.height, image.channels(), target.into_vec())
    }

    pub(super) fn validate(&self) -> Result<()> {
        if self.width == 0 || self.height == 0 {
            let found = format!("{}×{}", self.width, self.height);
            return Err(DataError::argument("resize: size", found, "at least 1×1"));
        }
        side(self.width.max(self.height)).map(drop)
    }
}

/// A side that the resizing library, and any image file, can express.
fn side(n: usize) -> Result<u32> {
    // Beyond this, the area of a picture would not fit a machine's memory anyway.
    let limit = 1 << 20;
    if n <= limit { Ok(n as u32) } else { Err(DataError::argument("resize: side", n, format!("at most {limit}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(image: Image, (width, height): (usize, usize), pillow: &[u8]) {
        let resized = Resize { width, height }.apply(image).unwrap();
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
            let result = Resize { width, height }.apply(Image::pattern(2, 2, 1));
            assert!(matches!(result, Err(DataError::Argument { .. })));
        }
    }
}
