//! Faces that a list marks in larger images.

use std::path::PathBuf;

use crate::{Image, Result, line::Line};

/// A face in an image: a rectangle of pixels, which may reach beyond the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaceBox {
    /// Its left side; 0 is the image's.
    pub x: i32,
    /// Its upper side; 0 is the image's.
    pub y: i32,
    /// Its width.
    pub width: u32,
    /// Its height.
    pub height: u32,
}

/// One face an image, and the list that says so.
#[derive(Debug)]
pub(crate) struct FaceBoxes {
    pub(crate) list: PathBuf,
    /// Each with its line in the list.
    pub(crate) boxes: Vec<(FaceBox, usize)>,
}

impl FaceBoxes {
    /// `image`, which is number `row`, cut to its face.
    ///
    /// # Errors
    /// [`crate::DataError::Line`] if the face lies outside.
    pub(crate) fn cut(&self, row: usize, image: &Image) -> Result<Image> {
        let (face, number) = &self.boxes[row];
        face.cut(image).unwrap_or_else(|| {
            let found = format!("a face of {}×{} at ({}, {})", face.width, face.height, face.x, face.y);
            let expected = format!("one inside of the image of {}×{}", image.width(), image.height());
            Err(Line { path: &self.list, number: *number }.fail(found, expected))
        })
    }

    /// The numbers of face `row`, for a hash.
    pub(crate) fn sides(&self, row: usize) -> [i64; 4] {
        let FaceBox { x, y, width, height } = self.boxes[row].0;
        [x.into(), y.into(), width.into(), height.into()]
    }
}

impl FaceBox {
    /// The part of the box that lies in `image`; none if there is no such part.
    fn cut(&self, image: &Image) -> Option<Result<Image>> {
        let (left, right) = clipped(self.x, self.width, image.width())?;
        let (top, bottom) = clipped(self.y, self.height, image.height())?;
        let channels = image.channels();
        let rows = image.data().chunks_exact(image.width() * channels).skip(top).take(bottom - top);
        let data = rows.flat_map(|row| &row[left * channels..right * channels]).copied().collect();
        Some(Image::new(right - left, bottom - top, channels, data))
    }
}

/// Start and end of what lies between 0 and `size` of `length` pixels from `start` on.
fn clipped(start: i32, length: u32, size: usize) -> Option<(usize, usize)> {
    let end = i64::from(start) + i64::from(length);
    let (start, end) = (usize::try_from(start.max(0)).ok()?, usize::try_from(end).ok()?.min(size));
    (start < end).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::DataError;

    fn cut(x: i32, y: i32, width: u32, height: u32) -> Result<Image> {
        // 4 × 3 pixels of the values 0 to 11.
        let image = Image::new(4, 3, 1, (0..12).collect()).unwrap();
        FaceBoxes { list: "list.csv".into(), boxes: vec![(FaceBox { x, y, width, height }, 7)] }.cut(0, &image)
    }

    #[test]
    fn a_box_is_clipped_to_the_image() {
        let check = |image: Image, width, data: &[u8]| assert_eq!((image.width(), image.data()), (width, data));
        check(cut(1, 1, 2, 2).unwrap(), 2, &[5, 6, 9, 10]);
        check(cut(-1, -5, 2, 6).unwrap(), 1, &[0]);
        check(cut(3, 2, u32::MAX, u32::MAX).unwrap(), 1, &[11]);
        check(cut(0, 0, 4, 3).unwrap(), 4, &(0..12).collect::<Vec<u8>>());
    }

    #[test]
    fn colours_stay_together() {
        let image = Image::new(2, 1, 3, (0..6).collect()).unwrap();
        let cut = FaceBox { x: 1, y: 0, width: 1, height: 1 }.cut(&image).unwrap().unwrap();
        assert_eq!(cut.data(), [3, 4, 5]);
    }

    #[test]
    fn a_box_outside_names_the_row() {
        for (x, y, width, height) in [(4, 0, 1, 1), (0, 3, 1, 1), (-2, 0, 2, 1), (0, 0, 0, 1), (i32::MIN, 0, 1, 1)] {
            let error = cut(x, y, width, height).unwrap_err();
            assert!(
                matches!(&error, DataError::Line { path, line: 7, .. } if path == Path::new("list.csv")),
                "{error}"
            );
        }
        let message = cut(4, 0, 1, 1).unwrap_err().to_string();
        assert_eq!(message, "list.csv:7: found a face of 1×1 at (4, 0), expected one inside of the image of 4×3");
    }
}
