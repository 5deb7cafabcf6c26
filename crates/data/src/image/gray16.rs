//! Grey images of 16 bits, as maps of ids are stored.

use std::path::Path;

use image::{DynamicImage, ImageFormat};

use super::decode::png_end;
use crate::{DataError, Result};

/// Decodes the bytes of a grey PNG file of 16 bits: height, width and values, rows from the top. `origin` names them in errors.
///
/// # Errors
/// [`DataError::Decode`] for anything else, and for a file that was cut off.
pub(crate) fn decode_gray16(bytes: &[u8], origin: &Path) -> Result<(usize, usize, Vec<u16>)> {
    let decoded = image::load_from_memory_with_format(bytes, ImageFormat::Png);
    let decoded = decoded.map_err(|e| DataError::decode(origin, e))?;
    if png_end(bytes).is_none() {
        return Err(DataError::decode(origin, format!("the file is cut off after {} bytes", bytes.len())));
    }
    match decoded {
        DynamicImage::ImageLuma16(map) => Ok((map.height() as usize, map.width() as usize, map.into_raw())),
        other => {
            Err(DataError::decode(origin, format!("the pixels are {:?}, expected grey of 16 bits", other.color())))
        }
    }
}
