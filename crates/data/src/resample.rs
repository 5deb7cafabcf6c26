//! Images to other sizes, bilinear.

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{CroppedImage, Image as Target, ImageRef, TypedImage, TypedImageRef},
    pixels::F32,
};

use crate::{DataError, FloatImage, Image, Result};

/// A part of an image, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rectangle {
    pub(crate) top: usize,
    pub(crate) left: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

impl Rectangle {
    /// All of an image.
    pub(crate) fn whole(width: usize, height: usize) -> Self {
        Self { top: 0, left: 0, height, width }
    }
}

/// Checks that a picture of `width` × `height` pixels can be made.
pub(crate) fn check_size(what: &'static str, width: usize, height: usize) -> Result<()> {
    /// What the resizing library expresses, and what a machine's memory holds: 2²⁸ pixels are 3 GiB of `f32`.
    const SIDE: usize = 1 << 20;
    const AREA: usize = 1 << 28;
    if width == 0 || height == 0 || width > SIDE || height > SIDE || width * height > AREA {
        let expected = format!("at least 1×1, sides of at most {SIDE} and {AREA} pixels in all");
        return Err(DataError::argument(what, format!("{width}×{height}"), expected));
    }
    Ok(())
}

impl Image {
    /// `part` of the image as `width` × `height` pixels; what lies around it has no influence. Within one grey level of PIL with
    /// `antialias`, and of torchvision's tensors without.
    pub(crate) fn resample(&self, part: Rectangle, (width, height): (usize, usize), antialias: bool) -> Result<Self> {
        check_size("resize: size", width, height)?;
        check_size("resize: image", self.width(), self.height())?;
        let fail = |e: &dyn std::fmt::Display| DataError::argument("resize: image", e, "a part of the image");
        let pixel_type = if self.channels() == 1 { PixelType::U8 } else { PixelType::U8x3 };
        let source = ImageRef::new(self.width() as u32, self.height() as u32, self.data(), pixel_type);
        let source = source.map_err(|e| fail(&e))?;
        let [left, top, w, h] = [part.left, part.top, part.width, part.height].map(|n| n as u32);
        // Not the resizer's own cropping: it lets the pixels around the part shine in.
        let source = CroppedImage::new(&source, left, top, w, h).map_err(|e| fail(&e))?;
        let mut target = Target::new(width as u32, height as u32, pixel_type);
        Resizer::new().resize(&source, &mut target, &options(antialias)).map_err(|e| fail(&e))?;
        Self::new(width, height, self.channels(), target.into_vec())
    }
}

impl FloatImage {
    /// The image as `height` × `width` values, bilinear: PyTorch's `interpolate` with `align_corners=False`, and torchvision's
    /// `resize` of a tensor. With `antialias`, each value is a mean over as many as it covers, where the image becomes smaller.
    ///
    /// # Errors
    /// [`DataError::Argument`] for a size that is empty or too large.
    pub fn resize(&self, height: usize, width: usize, antialias: bool) -> Result<Self> {
        let [channels, from_height, from_width] = self.shape();
        check_size("resize: size", width, height)?;
        check_size("resize: image", from_width, from_height)?;
        let fail = |e: &dyn std::fmt::Display| DataError::argument("resize: image", e, "planes of one size");
        let mut resizer = Resizer::new();
        let mut data = Vec::with_capacity(channels * height * width);
        for plane in self.data().chunks_exact(from_height * from_width) {
            let plane: Vec<F32> = plane.iter().map(|&value| F32::new(value)).collect();
            let source = TypedImageRef::new(from_width as u32, from_height as u32, &plane).map_err(|e| fail(&e))?;
            let mut target = TypedImage::new(width as u32, height as u32);
            resizer.resize_typed(&source, &mut target, &options(antialias)).map_err(|e| fail(&e))?;
            data.extend(target.pixels().iter().map(|pixel| pixel.0));
        }
        Self::new([channels, height, width], data)
    }
}

fn options(antialias: bool) -> ResizeOptions {
    let bilinear = FilterType::Bilinear;
    let algorithm = if antialias { ResizeAlg::Convolution(bilinear) } else { ResizeAlg::Interpolation(bilinear) };
    ResizeOptions::new().resize_alg(algorithm).use_alpha(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check((width, height): (usize, usize), antialias: bool, torch: &[f32]) {
        let data = [0.0, 0.9, 0.3, 0.6, 0.2, 0.8, 0.1, 0.7, 1.0, 0.4, 0.5, 0.0].to_vec();
        let image = FloatImage::new([1, 3, 4], data).unwrap();
        let resized = image.resize(height, width, antialias).unwrap();
        assert_eq!(resized.shape(), [1, height, width]);
        let worst = resized.data().iter().zip(torch).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-6, "{worst}: {:?}", resized.data());
    }

    #[test]
    fn planes_are_resized_as_by_torch() {
        check((2, 2), true, &[0.4339286, 0.4928571, 0.5857143, 0.3410714]);
        check((2, 2), false, &[0.4625, 0.4375, 0.65, 0.2875]);
        check(
            (3, 5),
            true,
            &[0.27, 0.6, 0.51, 0.314, 0.54, 0.514, 0.38, 0.45, 0.52, 0.644, 0.45, 0.298, 0.82, 0.45, 0.15],
        );
        check(
            (6, 2),
            false,
            &[0.05, 0.4625, 0.7708333, 0.3541667, 0.4375, 0.625, 0.8, 0.65, 0.4833333, 0.4166667, 0.2875, 0.175],
        );
    }

    #[test]
    fn what_lies_around_a_part_has_no_influence() {
        let image = Image::pattern(9, 8, 3);
        let part = Rectangle { top: 2, left: 3, height: 5, width: 4 };
        let mut data = Vec::new();
        for y in 2..7 {
            data.extend_from_slice(&image.data()[(y * 9 + 3) * 3..(y * 9 + 7) * 3]);
        }
        let cut = Image::new(4, 5, 3, data).unwrap();
        for (size, antialias) in [((2, 3), true), ((7, 11), true), ((4, 5), true), ((3, 4), false)] {
            let expected = cut.resample(Rectangle::whole(4, 5), size, antialias).unwrap();
            assert_eq!(image.resample(part, size, antialias).unwrap(), expected);
        }
    }

    #[test]
    fn sizes_that_cannot_be_made_are_refused() {
        let image = FloatImage::new([1, 1, 1], vec![0.0]).unwrap();
        for (width, height) in [(0, 1), (1, 0), (usize::MAX, usize::MAX), (1 << 20, 1 << 9)] {
            assert!(matches!(image.resize(height, width, true), Err(DataError::Argument { .. })));
        }
        assert!(check_size("size", 1 << 20, 1 << 8).is_ok());
    }
}
