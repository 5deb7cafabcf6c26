//! Image files' bytes to pixels.

use std::{
    io::{BufRead, Cursor, Seek},
    path::Path,
};

use image::{
    DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, ImageResult, Limits, RgbaImage,
    metadata::Orientation as Noted,
};

use super::{Image, Orientation, jpeg};
use crate::{DataError, Result};

impl Image {
    /// Decodes the bytes of a PNG, JPEG, WebP, BMP or PNM (P1 to P6) file, upright; `origin` names them in errors.
    ///
    /// The format is told from the bytes. Palettes are resolved, 16 bits are rounded to 8, other maxima of a PNM file are scaled
    /// to 255, and an alpha channel is dropped without compositing, as PIL's `convert("RGB")` does. Of an animation it is the
    /// first frame. A JPEG file in four colours becomes RGB as in PIL, from the inverted values that Adobe writes. The orientation
    /// that a camera noted is applied; [`Image::decode_stored`] does without.
    ///
    /// Pixels are PIL's; a JPEG file's differ by a few grey levels where luma and chroma become colours.
    ///
    /// # Errors
    /// [`DataError::Decode`] for anything else, and for a file that was cut off.
    pub fn decode(bytes: &[u8], origin: &Path) -> Result<Self> {
        Self::decode_as(bytes, origin, Orientation::Upright)
    }

    /// [`Image::decode`] with the pixels as they are stored, whatever orientation a camera noted: what torchvision decodes.
    ///
    /// # Errors
    /// As [`Image::decode`].
    pub fn decode_stored(bytes: &[u8], origin: &Path) -> Result<Self> {
        Self::decode_as(bytes, origin, Orientation::Stored)
    }

    /// Reads an image file, upright; see [`Image::decode`].
    ///
    /// # Errors
    /// [`DataError::Io`] or [`DataError::Decode`].
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_as(path, Orientation::Upright)
    }

    /// Reads an image file as its pixels are stored; see [`Image::decode_stored`].
    ///
    /// # Errors
    /// As [`Image::read`].
    pub fn read_stored(path: &Path) -> Result<Self> {
        Self::read_as(path, Orientation::Stored)
    }

    /// Reads an image file; see [`Image::decode`].
    ///
    /// # Errors
    /// As [`Image::read`].
    pub fn read_as(path: &Path, orientation: Orientation) -> Result<Self> {
        Self::decode_as(&std::fs::read(path).map_err(DataError::io(path))?, path, orientation)
    }

    fn decode_as(bytes: &[u8], origin: &Path, orientation: Orientation) -> Result<Self> {
        let decoded = decoded(bytes, origin, orientation)?;
        let (width, height) = (decoded.width() as usize, decoded.height() as usize);
        if decoded.color().has_color() {
            Self::new(width, height, 3, decoded.into_rgb8().into_raw())
        } else {
            Self::new(width, height, 1, decoded.into_luma8().into_raw())
        }
    }
}

/// A file's pixels, upright, with how opaque they are; see [`Image::decode`] for what is a file.
pub(crate) fn decode_rgba(bytes: &[u8], origin: &Path) -> Result<RgbaImage> {
    Ok(decoded(bytes, origin, Orientation::Upright)?.into_rgba8())
}

/// What the libraries make of a file that is whole.
fn decoded(bytes: &[u8], origin: &Path, orientation: Orientation) -> Result<DynamicImage> {
    let fail = |e: &dyn std::fmt::Display| DataError::decode(origin, e);
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| fail(&e))?;
    // Some decoders fill what is missing, and some do not look at the end: that would train on half an image.
    let whole = match (reader.format(), bytes.get(1)) {
        // Its scans are read up to the end marker.
        (Some(ImageFormat::Jpeg), _) => true,
        (Some(ImageFormat::Png), _) => png_end(bytes).is_some(),
        (Some(ImageFormat::WebP), _) => webp_end(bytes).is_some(),
        (Some(ImageFormat::Bmp), _) => bmp_runs_end(bytes).is_some(),
        // White space follows every number: without it, the last one may have lost digits.
        (Some(ImageFormat::Pnm), Some(b'1'..=b'3')) => bytes.last().is_some_and(u8::is_ascii_whitespace),
        (Some(ImageFormat::Pnm), Some(b'4'..=b'6')) => true,
        _ => return Err(fail(&"neither PNG, JPEG, WebP, BMP nor PNM (P1 to P6)")),
    };
    if !whole {
        return Err(fail(&format!("the file is cut off after {} bytes", bytes.len())));
    }
    let (mut image, noted) = match reader.format() {
        Some(ImageFormat::Jpeg) => jpeg::decode(bytes).map_err(|e| fail(&e))?,
        _ => decode_other(reader).map_err(|e| fail(&e))?,
    };
    if orientation == Orientation::Upright {
        image.apply_orientation(noted);
    }
    Ok(image)
}

/// The pixels of a file of another format than JPEG, and how they have to be turned to be upright.
fn decode_other(reader: ImageReader<impl BufRead + Seek>) -> ImageResult<(DynamicImage, Noted)> {
    let mut decoder = reader.into_decoder()?;
    // A size that a file claims is not believed.
    Limits::default().reserve(decoder.total_bytes())?;
    let noted = noted(&mut decoder);
    Ok((DynamicImage::from_decoder(decoder)?, noted))
}

/// The orientation that a file notes; one that cannot be read is none.
pub(super) fn noted(decoder: &mut impl image::ImageDecoder) -> Noted {
    decoder.orientation().unwrap_or(Noted::NoTransforms)
}

/// Where the image ends in a PNG file: after its `IEND` chunk. None if there is none.
pub(super) fn png_end(bytes: &[u8]) -> Option<usize> {
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

/// Where a WebP file ends: its container says how long it is. None if that is beyond the last byte.
fn webp_end(bytes: &[u8]) -> Option<usize> {
    let end = little_endian(bytes, 4)?.checked_add(8)?;
    bytes.get(..end).map(<[u8]>::len)
}

/// Where the runs of a run-length encoded BMP file end, or 0 for pixels that are not encoded: of these the decoder itself misses
/// what is not there. None if the runs end beyond the last byte.
fn bmp_runs_end(bytes: &[u8]) -> Option<usize> {
    /// The least length of a header that says how the pixels are encoded.
    const INFO: usize = 40;
    const RLE8: usize = 1;
    const RLE4: usize = 2;
    if little_endian(bytes, 14)? < INFO || !matches!(little_endian(bytes, 30)?, RLE8 | RLE4) {
        return Some(0);
    }
    let end = little_endian(bytes, 10)?.checked_add(little_endian(bytes, 34)?)?;
    bytes.get(..end).map(<[u8]>::len)
}

/// The 32-bit number at `at`.
fn little_endian(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..)?.first_chunk().map(|&number| u32::from_le_bytes(number) as usize)
}

#[cfg(test)]
mod tests {
    use image::{ExtendedColorType, ImageBuffer, Luma, LumaA, Rgb, Rgba, codecs::jpeg::JpegEncoder};

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

    /// Encoders call the planes 1, 2, 3 or 0, 1, 2, and may call them anything: behind JFIF's header they are luma and chroma.
    #[test]
    fn the_names_of_a_jpegs_planes_do_not_matter() {
        let bytes = jpeg(&Image::pattern(40, 30, 3));
        let expected = decode(&bytes).unwrap();
        let find = |marker: u8| bytes.windows(2).position(|pair| pair == [0xFF, marker]).unwrap();
        let (frame, scan) = (find(0xC0), find(0xDA));
        assert!(find(0xE0) < frame);
        for ids in [[0, 1, 2], [7, 200, 3], [3, 2, 1], *b"RGB"] {
            let mut renamed = bytes.clone();
            for (i, id) in ids.into_iter().enumerate() {
                renamed[frame + 10 + 3 * i] = id;
                renamed[scan + 5 + 2 * i] = id;
            }
            let found = decode(&renamed).unwrap();
            let worst = found.data().iter().zip(expected.data()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            // Names that spell RGB go to another decoder, which rounds otherwise.
            assert!(worst <= if ids == *b"RGB" { 3 } else { 0 }, "{ids:?}: {worst}");
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
}
