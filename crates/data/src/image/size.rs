//! The size of an image, without its pixels.

use std::{
    fs::File,
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::Path,
};

use image::ImageReader;

use crate::{DataError, Result};

/// The height and width of the image in the file `path`. Only its head is read: that of thousands of images takes no time.
///
/// # Errors
/// [`DataError::Io`], or [`DataError::Decode`] for what is no image.
pub(crate) fn read_size(path: &Path) -> Result<(usize, usize)> {
    let mut file = BufReader::new(File::open(path).map_err(DataError::io(path))?);
    let is_jpeg = file.fill_buf().map_err(DataError::io(path))?.starts_with(&[0xFF, 0xD8]);
    if is_jpeg {
        // The decoder would read all of the file.
        return jpeg_size(&mut file).ok_or_else(|| DataError::decode(path, "the JPEG file has no frame with a size"));
    }
    let reader = ImageReader::new(file).with_guessed_format().map_err(DataError::io(path))?;
    let (width, height) = reader.into_dimensions().map_err(|e| DataError::decode(path, e))?;
    Ok((height as usize, width as usize))
}

/// Height and width, from the header of the first frame.
fn jpeg_size(file: &mut (impl BufRead + Seek)) -> Option<(usize, usize)> {
    file.seek(SeekFrom::Start(2)).ok()?;
    loop {
        let [mut marker] = bytes(file)?;
        if marker != 0xFF {
            return None;
        }
        // Any number of these may stand in front of a marker.
        while marker == 0xFF {
            [marker] = bytes(file)?;
        }
        let [a, b] = bytes(file)?;
        let length = u16::from_be_bytes([a, b]).checked_sub(2)?;
        match marker {
            // Between these lie tables for Huffman's and for arithmetic codes, and an extension.
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                let [_, h0, h1, w0, w1] = bytes(file)?;
                let (height, width) = (u16::from_be_bytes([h0, h1]), u16::from_be_bytes([w0, w1]));
                return (height > 0 && width > 0).then_some((height.into(), width.into()));
            }
            // The entropy-coded data, and the end.
            0xD9 | 0xDA => return None,
            _ => file.seek_relative(length.into()).ok()?,
        }
    }
}

fn bytes<const N: usize>(file: &mut impl BufRead) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::Image;

    #[test]
    fn every_format_tells_its_size() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images");
        let mut n_seen = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let Ok(image) = Image::read(&path) else { continue };
            assert_eq!(read_size(&path).unwrap(), (image.height(), image.width()), "{}", path.display());
            n_seen += 1;
        }
        assert!(n_seen > 40, "{n_seen}");
    }

    #[test]
    fn what_is_no_image_has_no_size() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.jpg");
        let jpeg = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/gray.jpg")).unwrap();
        let frame = jpeg.windows(2).position(|pair| pair[0] == 0xFF && (0xC0..0xC4).contains(&pair[1])).unwrap();
        for end in 0..frame + 9 {
            fs::write(&path, &jpeg[..end]).unwrap();
            assert!(matches!(read_size(&path), Err(DataError::Decode { .. })), "{end}");
        }
        fs::write(&path, &jpeg[..frame + 9]).unwrap();
        read_size(&path).unwrap();
        fs::write(&path, "no image").unwrap();
        assert!(matches!(read_size(&path), Err(DataError::Decode { .. })));
        assert!(matches!(read_size(&root.path().join("missing")), Err(DataError::Io { .. })));
    }
}
