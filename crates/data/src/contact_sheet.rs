//! Contact sheets: many images in a grid.

use crate::{DataError, Image, Resize, Result};

/// How the images of a contact sheet are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContactSheet {
    /// Images in a row.
    pub columns: usize,
    /// Pixels of an image's longer side.
    pub side: usize,
    /// Pixels of the frame around it.
    pub frame: usize,
}

impl Default for ContactSheet {
    /// Twelve images of 64 pixels in a row.
    fn default() -> Self {
        Self { columns: 12, side: 64, frame: 4 }
    }
}

impl ContactSheet {
    /// A grid of images in their order, each scaled into a square and framed in a colour of its own.
    ///
    /// # Errors
    /// [`DataError::Argument`] if the sheet would be empty or too large.
    pub fn draw(&self, cells: Vec<(Image, [u8; 3])>) -> Result<Image> {
        let Self { side, frame, .. } = *self;
        if side == 0 {
            return Err(DataError::argument("contact sheet: side", side, "at least 1"));
        }
        let cell = frame.saturating_mul(2).saturating_add(side);
        let columns = cells.len().clamp(1, self.columns.max(1));
        let rows = cells.len().div_ceil(columns).max(1);
        let (width, height) = (columns.saturating_mul(cell), rows.saturating_mul(cell));
        crate::resample::check_size("contact sheet", width, height)?;
        let mut pixels = vec![255u8; width * height * 3];
        for (i, (image, colour)) in cells.into_iter().enumerate() {
            let image = self.fit(image)?;
            let (left, top) = (i % columns * cell, i / columns * cell);
            for y in 0..cell {
                let row = ((top + y) * width + left) * 3;
                for (x, pixel) in pixels[row..row + cell * 3].chunks_exact_mut(3).enumerate() {
                    pixel.copy_from_slice(&self.pixel(&image, (x, y), colour));
                }
            }
        }
        Image::new(width, height, 3, pixels)
    }

    /// The image in colour, its longer side as long as a cell's.
    fn fit(&self, image: Image) -> Result<Image> {
        let scale = self.side as f64 / image.width().max(image.height()) as f64;
        let size = |n: usize| ((n as f64 * scale).round() as usize).clamp(1, self.side);
        let resize = Resize { width: size(image.width()), height: size(image.height()), antialias: true };
        resize.apply(image.into_rgb())
    }

    /// What is seen at a place of a cell: the image, white beside it, or the frame.
    fn pixel(&self, image: &Image, (x, y): (usize, usize), frame: [u8; 3]) -> [u8; 3] {
        let inside = |v: usize| v.checked_sub(self.frame).filter(|&v| v < self.side);
        match inside(x).zip(inside(y)) {
            Some((x, y)) if x < image.width() && y < image.height() => {
                let start = (y * image.width() + x) * 3;
                [image.data()[start], image.data()[start + 1], image.data()[start + 2]]
            }
            Some(_) => [255; 3],
            None => frame,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: [u8; 3] = [214, 39, 40];
    const GRAY: [u8; 3] = [128; 3];

    #[test]
    fn a_sheet_frames_each_image_in_its_colour() {
        let image = |value| Image::new(2, 4, 1, vec![value; 8]).unwrap();
        let layout = ContactSheet::default();
        let sheet = layout.draw(vec![(image(10), RED), (image(200), GRAY)]).unwrap();
        let cell = layout.side + 2 * layout.frame;
        assert_eq!((sheet.width(), sheet.height()), (2 * cell, cell));
        let pixel = |x: usize, y: usize| &sheet.data()[(y * sheet.width() + x) * 3..][..3];
        assert_eq!(pixel(0, 0), RED);
        assert_eq!(pixel(cell, 0), GRAY);
        assert_eq!(pixel(layout.frame, layout.frame), [10; 3]);
        assert_eq!(pixel(cell + layout.frame, layout.frame), [200; 3]);
        // The image is half as wide as high; beside it is white.
        assert_eq!(pixel(layout.frame + layout.side - 1, layout.frame), [255; 3]);
    }

    #[test]
    fn layouts_that_cannot_be_drawn_are_refused() {
        let image = || vec![(Image::new(1, 1, 1, vec![0]).unwrap(), GRAY)];
        for (side, frame) in [(0, 4), (usize::MAX, 1), (1, usize::MAX)] {
            let layout = ContactSheet { columns: 2, side, frame };
            assert!(matches!(layout.draw(image()), Err(DataError::Argument { .. })), "{layout:?}");
        }
    }

    #[test]
    fn rows_are_filled_one_after_the_other() {
        let image = |value| Image::new(1, 1, 1, vec![value]).unwrap();
        let layout = ContactSheet { columns: 2, side: 1, frame: 0 };
        let sheet = layout.draw((0..3).map(|i| (image(i), GRAY)).collect()).unwrap();
        assert_eq!((sheet.width(), sheet.height()), (2, 2));
        assert_eq!(sheet.data(), [[0; 3], [1; 3], [2; 3], [255; 3]].concat());
    }
}
