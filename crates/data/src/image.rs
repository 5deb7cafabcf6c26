//! Images of 8-bit pixels, and their files.

use std::{io::Cursor, path::Path};

use image::{ExtendedColorType, ImageEncoder as _, ImageFormat, ImageReader, codecs::png::PngEncoder};

use crate::{DataError, Result};

/// The first byte of every marker in a JPEG file.
const MARKER: u8 = 0xFF;

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

    /// Decodes a PNG or JPEG file's bytes; `origin` names them in errors.
    ///
    /// The format is told from the bytes. Palettes are resolved, 16 bits are rounded to 8, and an alpha channel is dropped
    /// without compositing, as PIL's `convert("RGB")` does. The orientation that a camera noted is not applied, as in
    /// torchvision.
    ///
    /// # Errors
    /// [`DataError::Decode`] for anything else, and for a file that was cut off.
    pub fn decode(bytes: &[u8], origin: &Path) -> Result<Self> {
        let fail = |e: &dyn std::fmt::Display| DataError::decode(origin, e);
        let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| fail(&e))?;
        let whole = match reader.format() {
            Some(ImageFormat::Jpeg) => jpeg_end(bytes).is_some(),
            Some(ImageFormat::Png) => png_end(bytes).is_some(),
            _ => return Err(fail(&"neither PNG nor JPEG")),
        };
        // The decoders fill what is missing with grey: that would train on half an image.
        if !whole {
            return Err(fail(&format!("the file is cut off after {} bytes", bytes.len())));
        }
        let decoded = reader.decode().map_err(|e| fail(&e))?;
        let (width, height) = (decoded.width() as usize, decoded.height() as usize);
        if decoded.color().has_color() {
            Self::new(width, height, 3, decoded.into_rgb8().into_raw())
        } else {
            Self::new(width, height, 1, decoded.into_luma8().into_raw())
        }
    }

    /// Reads a PNG or JPEG file; see [`Image::decode`].
    ///
    /// # Errors
    /// [`DataError::Io`] or [`DataError::Decode`].
    pub fn read(path: &Path) -> Result<Self> {
        Self::decode(&std::fs::read(path).map_err(DataError::io(path))?, path)
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

/// Where the image ends in a JPEG file: after its end-of-image marker. None if there is none.
///
/// Walks the segments, because a thumbnail inside one has an end of its own.
fn jpeg_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 2; // after start of image
    loop {
        // Between segments lie entropy-coded data, in which a marker's first byte is followed by 0 or a restart number.
        while bytes.get(at) != Some(&MARKER) || matches!(*bytes.get(at + 1)?, 0x00 | 0x01 | MARKER | 0xD0..=0xD8) {
            at += 1;
            bytes.get(at)?;
        }
        if bytes[at + 1] == 0xD9 {
            return Some(at + 2);
        }
        let length = u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]);
        at += 2 + usize::from(length);
    }
}

/// Where the image ends in a PNG file: after its `IEND` chunk. None if there is none.
fn png_end(bytes: &[u8]) -> Option<usize> {
    let mut at: usize = 8; // after the signature
    loop {
        let header: [u8; 8] = bytes.get(at..at.checked_add(8)?)?.try_into().ok()?;
        let [a, b, c, d, kind @ ..] = header;
        at = at.checked_add(12 + u32::from_be_bytes([a, b, c, d]) as usize)?; // length, kind, data, checksum
        bytes.get(..at)?;
        if &kind == b"IEND" {
            return Some(at);
        }
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
    use image::{DynamicImage, ImageBuffer, Luma, LumaA, Rgb, Rgba, codecs::jpeg::JpegEncoder};

    use super::*;

    fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    fn jpeg(image: &Image) -> Vec<u8> {
        let mut bytes = Vec::new();
        let color = if image.channels() == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
        let size = (image.width() as u32, image.height() as u32);
        JpegEncoder::new_with_quality(&mut bytes, 95).encode(image.data(), size.0, size.1, color).unwrap();
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Image> {
        Image::decode(bytes, Path::new("a/file"))
    }

    #[test]
    fn png_round_trip_is_exact() {
        for channels in [1, 3] {
            let image = Image::pattern(7, 5, channels);
            assert_eq!(decode(&image.encode_png().unwrap()).unwrap(), image);
        }
    }

    #[test]
    fn jpeg_is_decoded_in_its_own_channels() {
        let smooth = Image::new(16, 16, 3, [200, 40, 90].repeat(256)).unwrap();
        for image in [smooth.clone(), smooth.into_gray()] {
            let decoded = decode(&jpeg(&image)).unwrap();
            assert_eq!(decoded.channels(), image.channels());
            let worst = decoded.data().iter().zip(image.data()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(worst <= 3, "{worst}");
        }
    }

    #[test]
    fn every_truncation_is_an_error_that_names_the_file() {
        let image = Image::pattern(40, 30, 3);
        for bytes in [image.encode_png().unwrap(), jpeg(&image)] {
            decode(&bytes).unwrap();
            for length in 0..bytes.len() {
                let error = decode(&bytes[..length]).expect_err("a truncated file");
                assert!(matches!(&error, DataError::Decode { .. }), "{length}: {error}");
                assert!(error.to_string().starts_with("a/file: "), "{error}");
            }
        }
    }

    #[test]
    fn bytes_after_the_end_are_ignored_and_a_thumbnails_end_does_not_count() {
        let image = Image::pattern(16, 16, 1);
        let mut bytes = jpeg(&image);
        let expected = decode(&bytes).unwrap();
        bytes.extend(b"trailing");
        assert_eq!(decode(&bytes).unwrap(), expected);

        // An application segment that holds an end marker, in front of a scan that is cut off.
        let thumbnail = [0xFF, 0xE2, 0x00, 0x06, 0xFF, 0xD9, 0x00, 0x00];
        let mut bytes = jpeg(&image);
        bytes.splice(2..2, thumbnail);
        assert_eq!(decode(&bytes).unwrap(), expected);
        bytes.truncate(bytes.len() - 8);
        assert!(decode(&bytes).is_err());
    }

    #[test]
    fn alpha_is_dropped_and_sixteen_bits_become_eight() {
        let rgba = ImageBuffer::from_pixel(2, 1, Rgba([10u8, 20, 30, 0]));
        assert_eq!(decode(&png(rgba)).unwrap().data(), [10, 20, 30, 10, 20, 30]);
        let gray_alpha = ImageBuffer::from_pixel(1, 1, LumaA([77u8, 3]));
        assert_eq!(decode(&png(gray_alpha)).unwrap(), Image::new(1, 1, 1, vec![77]).unwrap());
        let deep = ImageBuffer::from_pixel(1, 1, Rgb([0u16, 257 * 100, u16::MAX]));
        assert_eq!(decode(&png(deep)).unwrap().data(), [0, 100, 255]);
        let deep_gray = ImageBuffer::from_pixel(1, 1, Luma([257u16 * 9]));
        assert_eq!(decode(&png(deep_gray)).unwrap().data(), [9]);
    }

    #[test]
    fn a_palette_becomes_rgb() {
        // Two pixels of a two-colour palette, written by hand: the encoder has no palettes.
        let chunk = |kind: &[u8; 4], data: &[u8]| {
            let mut crc = flate2::Crc::new();
            crc.update(kind);
            crc.update(data);
            [&(data.len() as u32).to_be_bytes()[..], kind, data, &crc.sum().to_be_bytes()].concat()
        };
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut zlib, &[0, 0b0100_0000]).unwrap();
        let header = [0, 0, 0, 2, 0, 0, 0, 1, 1, 3, 0, 0, 0];
        let bytes = [
            b"\x89PNG\r\n\x1a\n".to_vec(),
            chunk(b"IHDR", &header),
            chunk(b"PLTE", &[1, 2, 3, 4, 5, 6]),
            chunk(b"IDAT", &zlib.finish().unwrap()),
            chunk(b"IEND", &[]),
        ]
        .concat();
        assert_eq!(decode(&bytes).unwrap().data(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn gray_and_rgb_convert_as_pil() {
        let gray = Image::pattern(4, 3, 3).into_gray();
        assert_eq!(gray.data(), [43, 80, 117, 154, 134, 178, 193, 87, 196, 97, 71, 122]);
        let rgb = gray.clone().into_rgb();
        assert_eq!(rgb.data()[..6], [43, 43, 43, 80, 80, 80]);
        assert_eq!(rgb.into_gray(), gray);
    }

    #[test]
    fn data_of_another_length_is_refused() {
        assert!(Image::new(2, 2, 3, vec![0; 12]).is_ok());
        for (w, h, c, n) in [(2, 2, 3, 11), (2, 2, 2, 8), (0, 2, 1, 0), (usize::MAX, 3, 1, 0)] {
            assert!(matches!(Image::new(w, h, c, vec![0; n]), Err(DataError::Argument { .. })));
        }
    }
}
