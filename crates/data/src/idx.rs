//! The IDX format of MNIST and its successors, plain or gzip.
//!
//! A file is a magic number (two zero bytes, the type of the values, the number of dimensions), one big-endian `u32` a
//! dimension, then the values. Only unsigned bytes (type 8) are read: labels have one dimension, images three.

use std::{fs, io::Read as _, path::Path};

use flate2::read::MultiGzDecoder;

use crate::{DataError, Image, Result};

const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];
const UNSIGNED_BYTES: u8 = 8;

/// Reads grey images from a file of dimensions (N, H, W).
///
/// # Errors
/// [`DataError::Io`], [`DataError::Idx`] for a wrong magic number, size or length, [`DataError::Decode`] for broken gzip.
pub fn read_images(path: &Path) -> Result<Vec<Image>> {
    parse_images(&fs::read(path).map_err(DataError::io(path))?, path)
}

/// Reads labels from a file of dimensions (N).
///
/// # Errors
/// As [`read_images`].
pub fn read_labels(path: &Path) -> Result<Vec<u32>> {
    parse_labels(&fs::read(path).map_err(DataError::io(path))?, path)
}

/// [`read_images`] from a file's bytes; `origin` names them in errors.
///
/// # Errors
/// As [`read_images`].
pub fn parse_images(bytes: &[u8], origin: &Path) -> Result<Vec<Image>> {
    let ([_, height, width], values) = parse::<3>(bytes, origin)?;
    if width == 0 || height == 0 {
        return Err(fail(origin, "image size", format!("{width}×{height}"), "at least 1×1"));
    }
    values.chunks_exact(width * height).map(|image| Image::new(width, height, 1, image.to_vec())).collect()
}

/// [`read_labels`] from a file's bytes; `origin` names them in errors.
///
/// # Errors
/// As [`read_labels`].
pub fn parse_labels(bytes: &[u8], origin: &Path) -> Result<Vec<u32>> {
    let (_, values) = parse::<1>(bytes, origin)?;
    Ok(values.into_iter().map(u32::from).collect())
}

/// The dimensions and the values of a file that must have `D` dimensions.
fn parse<const D: usize>(bytes: &[u8], origin: &Path) -> Result<([usize; D], Vec<u8>)> {
    if !bytes.starts_with(&GZIP_MAGIC) {
        let (dims, n_values) = header::<D>(bytes, origin)?;
        let values = &bytes[4 + 4 * D..];
        check_length(values.len(), n_values, origin)?;
        return Ok((dims, values.to_vec()));
    }
    let broken = |e: std::io::Error| DataError::decode(origin, format!("broken gzip: {e}"));
    let mut stream = MultiGzDecoder::new(bytes);
    let mut head = Vec::new();
    stream.by_ref().take(4 + 4 * D as u64).read_to_end(&mut head).map_err(broken)?;
    let (dims, n_values) = header::<D>(&head, origin)?;
    // One more than expected, to notice what is too long. Memory grows with what is there, not with what the header says.
    let mut values = Vec::new();
    stream.take((n_values as u64).saturating_add(1)).read_to_end(&mut values).map_err(broken)?;
    check_length(values.len(), n_values, origin)?;
    Ok((dims, values))
}

/// The dimensions that the header names, and the number of values that follows from them.
fn header<const D: usize>(bytes: &[u8], origin: &Path) -> Result<([usize; D], usize)> {
    let words: Vec<u32> = bytes
        .chunks_exact(4)
        .take(1 + D)
        .map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
        .collect();
    let magic = u32::from_be_bytes([0, 0, UNSIGNED_BYTES, D as u8]);
    match words.first() {
        Some(&found) if found != magic => {
            return Err(fail(origin, "magic number", format!("{found:#010x}"), &format!("{magic:#010x}")));
        }
        Some(_) if words.len() == 1 + D => {}
        _ => {
            let expected = format!("at least {} bytes", 4 + 4 * D);
            return Err(fail(origin, "header length", format!("{} bytes", bytes.len()), &expected));
        }
    }
    let dims: [usize; D] = std::array::from_fn(|i| words[1 + i] as usize);
    let n_values = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    n_values
        .map(|n| (dims, n))
        .ok_or_else(|| fail(origin, "dimensions", format!("{dims:?}"), "a product that can be counted"))
}

fn check_length(found: usize, expected: usize, origin: &Path) -> Result<()> {
    match found.cmp(&expected) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => {
            Err(fail(origin, "length of the values", format!("{found} bytes"), &format!("{expected} bytes")))
        }
        std::cmp::Ordering::Greater => {
            let found = format!("more than {expected} bytes");
            Err(fail(origin, "length of the values", found, &format!("{expected} bytes")))
        }
    }
}

fn fail(path: &Path, field: &'static str, found: String, expected: &str) -> DataError {
    DataError::Idx { path: path.to_owned(), field, found, expected: expected.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn file(magic: u32, dims: &[u32], values: &[u8]) -> Vec<u8> {
        let head = std::iter::once(&magic).chain(dims).flat_map(|word| word.to_be_bytes());
        head.chain(values.iter().copied()).collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn images(bytes: &[u8]) -> Result<Vec<Image>> {
        parse_images(bytes, Path::new("train-images"))
    }

    #[track_caller]
    fn check_field(bytes: &[u8], field: &str, message: &str) {
        for bytes in [bytes.to_vec(), gzip(bytes)] {
            let error = images(&bytes).expect_err(field);
            assert!(matches!(&error, DataError::Idx { field: f, .. } if *f == field), "{error}");
            assert_eq!(error.to_string(), format!("train-images: {message}"));
        }
    }

    #[test]
    fn plain_and_gzip_give_the_same_images() {
        let bytes = file(0x0803, &[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
        let expected: Vec<Image> =
            [[1, 2, 3], [4, 5, 6]].iter().map(|p| Image::new(3, 1, 1, p.to_vec()).unwrap()).collect();
        assert_eq!(images(&bytes).unwrap(), expected);
        assert_eq!(images(&gzip(&bytes)).unwrap(), expected);
    }

    #[test]
    fn labels_are_read() {
        let bytes = file(0x0801, &[3], &[7, 0, 9]);
        assert_eq!(parse_labels(&bytes, Path::new("labels")).unwrap(), [7, 0, 9]);
    }

    #[test]
    fn labels_in_place_of_images_are_named() {
        check_field(&file(0x0801, &[3], &[7, 0, 9]), "magic number", "magic number is 0x00000801, expected 0x00000803");
    }

    #[test]
    fn a_short_header_is_named() {
        let message = "header length is 12 bytes, expected at least 16 bytes";
        check_field(&file(0x0803, &[1, 2], &[]), "header length", message);
        check_field(&[], "header length", "header length is 0 bytes, expected at least 16 bytes");
    }

    #[test]
    fn missing_and_surplus_values_are_named() {
        let field = "length of the values";
        check_field(&file(0x0803, &[1, 2, 2], &[0; 3]), field, "length of the values is 3 bytes, expected 4 bytes");
        let message = "length of the values is more than 4 bytes, expected 4 bytes";
        check_field(&file(0x0803, &[1, 2, 2], &[0; 5]), field, message);
    }

    #[test]
    fn a_header_that_promises_too_much_allocates_nothing() {
        // 2³¹ images of 2³¹ × 1 pixels: an allocation of that size would abort the test.
        let bytes = file(0x0803, &[1 << 31, 1 << 31, 1], &[0; 8]);
        let message = "length of the values is 8 bytes, expected 4611686018427387904 bytes";
        check_field(&bytes, "length of the values", message);
        let bytes = file(0x0803, &[u32::MAX, u32::MAX, u32::MAX], &[]);
        check_field(
            &bytes,
            "dimensions",
            "dimensions is [4294967295, 4294967295, 4294967295], expected a product that can be counted",
        );
    }

    #[test]
    fn an_image_without_pixels_is_named() {
        check_field(&file(0x0803, &[5, 0, 3], &[]), "image size", "image size is 3×0, expected at least 1×1");
    }

    #[test]
    fn gzip_that_is_cut_off_is_an_error() {
        let bytes = gzip(&file(0x0803, &[1, 8, 8], &(0..64).collect::<Vec<u8>>()));
        let error = images(&bytes[..bytes.len() - 12]).expect_err("cut off");
        assert!(matches!(error, DataError::Decode { .. }), "{error}");
    }
}
