//! Images of 8-bit pixels, and their files.

mod decode;
mod gray16;
mod jpeg;
mod orientation;
mod size;

pub(crate) use decode::decode_rgba;
use image::{ExtendedColorType, ImageEncoder as _, codecs::png::PngEncoder};

pub use self::orientation::Orientation;
pub(crate) use self::{
    gray16::decode_gray16,
    size::{read_head, read_size},
};
use crate::{DataError, Result};

/// An image of 8-bit pixels, grey (1 channel) or RGB (3 channels), rows from the top, channels interleaved: (H, W, C).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    width: usize,
    height: usize,
    channels: usize,
    data: Vec<u8>,
}

impl Image {
    /// An image of `width` × `height` pixels with 1 or 3 `channels`; `data` is (H, W, C).
    ///
    /// # Errors
    /// [`DataError::Argument`] for an empty image, another number of channels, or `data` of another length.
    pub fn new(width: usize, height: usize, channels: usize, data: Vec<u8>) -> Result<Self> {
        if width == 0 || height == 0 {
            return Err(DataError::argument("image size", format!("{width}×{height}"), "at least 1×1"));
        }
        if !matches!(channels, 1 | 3) {
            return Err(DataError::argument("image channels", channels, "1 or 3"));
        }
        let expected = width.checked_mul(height).and_then(|n| n.checked_mul(channels));
        if expected != Some(data.len()) {
            let shape = format!("{width}×{height}×{channels} bytes");
            return Err(DataError::argument("image data", format!("{} bytes", data.len()), shape));
        }
        Ok(Self { width, height, channels, data })
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// 1 for grey, 3 for RGB.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The pixels, (H, W, C).
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The pixels, (H, W, C), to be changed in place.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// The image in RGB; a grey one is replicated.
    #[must_use]
    pub fn into_rgb(self) -> Self {
        if self.channels == 3 {
            return self;
        }
        let data = self.data.iter().flat_map(|&v| [v; 3]).collect();
        Self { channels: 3, data, ..self }
    }

    /// The image in grey: ITU-R 601-2 luma in 16-bit fixed point, rounded, as PIL's `convert("L")`.
    #[must_use]
    pub fn into_gray(self) -> Self {
        if self.channels == 1 {
            return self;
        }
        let luma = |p: &[u8]| {
            let sum = 19595 * u32::from(p[0]) + 38470 * u32::from(p[1]) + 7471 * u32::from(p[2]);
            ((sum + 0x8000) >> 16) as u8
        };
        let data = self.data.chunks_exact(3).map(luma).collect();
        Self { channels: 1, data, ..self }
    }

    /// The image in as many channels as a network takes: in grey for 1, in RGB for 3. Of other numbers it knows nothing, and
    /// stays as it is.
    #[must_use]
    pub fn into_channels(self, channels: usize) -> Self {
        match channels {
            1 => self.into_gray(),
            3 => self.into_rgb(),
            _ => self,
        }
    }

    /// The image as a PNG file's bytes.
    ///
    /// # Errors
    /// [`DataError::Argument`] if a side is longer than PNG can say.
    pub fn encode_png(&self) -> Result<Vec<u8>> {
        let too_large =
            || DataError::argument("PNG size", format!("{}×{}", self.width, self.height), "sides below 2³¹");
        let width = u32::try_from(self.width).map_err(|_| too_large())?;
        let height = u32::try_from(self.height).map_err(|_| too_large())?;
        let color = if self.channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
        let mut bytes = Vec::new();
        PngEncoder::new(&mut bytes).write_image(&self.data, width, height, color).map_err(|_| too_large())?;
        Ok(bytes)
    }
}

#[cfg(test)]
impl Image {
    /// The pattern from which the tests' expected values were made with Pillow 13.
    pub(crate) fn pattern(width: usize, height: usize, channels: usize) -> Self {
        let value = |i: usize| {
            let (y, x, k) = (i / (width * channels), i / channels % width, i % channels);
            ((x * 37 + y * 91 + k * 53 + x * y * 7) % 256) as u8
        };
        Self { width, height, channels, data: (0..width * height * channels).map(value).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gray_and_rgb_convert_as_pil() {
        let gray = Image::pattern(4, 3, 3).into_gray();
        assert_eq!(gray.data(), [43, 80, 117, 154, 134, 178, 193, 87, 196, 97, 71, 122]);
        let rgb = gray.clone().into_rgb();
        assert_eq!(rgb.data()[..6], [43, 43, 43, 80, 80, 80]);
        assert_eq!(rgb.clone().into_gray(), gray);
        assert_eq!((gray.clone().into_channels(3), rgb.clone().into_channels(1)), (rgb.clone(), gray));
        assert_eq!(rgb.clone().into_channels(4), rgb);
    }

    #[test]
    fn data_of_another_length_is_refused() {
        assert!(Image::new(2, 2, 3, vec![0; 12]).is_ok());
        for (w, h, c, n) in [(2, 2, 3, 11), (2, 2, 2, 8), (0, 2, 1, 0), (usize::MAX, 3, 1, 0)] {
            assert!(matches!(Image::new(w, h, c, vec![0; n]), Err(DataError::Argument { .. })));
        }
    }
}
