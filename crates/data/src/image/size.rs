//! The size of an image, without its pixels.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

use image::{ImageDecoder as _, ImageReader, metadata::Orientation as Noted};

use super::{Orientation, decode::noted, jpeg::Head};
use crate::{DataError, Result};

/// The height and width of the image in the file `path` as [`Image::read_as`](super::Image::read_as) gives it. Only the file's
/// head is read: that of thousands of images takes no time.
///
/// # Errors
/// [`DataError::Io`], or [`DataError::Decode`] for what is no image.
pub(crate) fn read_size(path: &Path, orientation: Orientation) -> Result<(usize, usize)> {
    read_head(path, orientation).map(|(size, _)| size)
}

/// [`read_size`], and whether a camera noted that the image is not upright as it is stored.
///
/// # Errors
/// As there.
pub(crate) fn read_head(path: &Path, orientation: Orientation) -> Result<((usize, usize), bool)> {
    let mut file = BufReader::new(File::open(path).map_err(DataError::io(path))?);
    let is_jpeg = file.fill_buf().map_err(DataError::io(path))?.starts_with(&[0xFF, 0xD8, 0xFF]);
    let ((height, width), noted) = if is_jpeg {
        // The library's decoder would read all of the file, and see another size in some.
        let head = Head::read(&mut file).map_err(|e| DataError::decode(path, e))?;
        ((head.height, head.width), head.orientation)
    } else {
        let reader = ImageReader::new(file).with_guessed_format().map_err(DataError::io(path))?;
        let mut decoder = reader.into_decoder().map_err(|e| DataError::decode(path, e))?;
        let (width, height) = decoder.dimensions();
        ((height as usize, width as usize), noted(&mut decoder))
    };
    let is_turned = matches!(noted, Noted::Rotate90 | Noted::Rotate270 | Noted::Rotate90FlipH | Noted::Rotate270FlipH);
    let is_exchanged = is_turned && orientation == Orientation::Upright;
    Ok((if is_exchanged { (width, height) } else { (height, width) }, noted != Noted::NoTransforms))
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
            let size = read_size(&path, Orientation::Upright).unwrap();
            assert_eq!(size, (image.height(), image.width()), "{}", path.display());
            n_seen += 1;
        }
        assert!(n_seen > 40, "{n_seen}");
    }

    #[test]
    fn what_is_no_image_has_no_size() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.jpg");
        let jpeg = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/gray.jpg")).unwrap();
        let scan = jpeg.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
        let read_size = |path: &Path| read_size(path, Orientation::Stored);
        for end in 0..scan + 4 {
            fs::write(&path, &jpeg[..end]).unwrap();
            assert!(matches!(read_size(&path), Err(DataError::Decode { .. })), "{end}");
        }
        fs::write(&path, &jpeg[..scan + 4]).unwrap();
        read_size(&path).unwrap();
        fs::write(&path, "no image").unwrap();
        assert!(matches!(read_size(&path), Err(DataError::Decode { .. })));
        assert!(matches!(read_size(&root.path().join("missing")), Err(DataError::Io { .. })));
    }
}
