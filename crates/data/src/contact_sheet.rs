//! Contact sheets: many images in a grid, with or without text below them.

use crate::{DataError, Image, Resize, Result, drawing};

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

/// An image of a contact sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SheetCell {
    /// The image.
    pub image: Image,
    /// The colour of its frame.
    pub frame: [u8; 3],
    /// Lines of text below it. What is too long loses its beginning, as the end of a path says more; letters look like capitals, and
    /// none but ASCII are known.
    pub caption: Vec<String>,
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
        let cell = |(image, frame)| SheetCell { image, frame, caption: Vec::new() };
        self.draw_captioned(cells.into_iter().map(cell).collect())
    }

    /// [`ContactSheet::draw`] with lines of text below each image; all have room for as many as the longest caption.
    ///
    /// # Errors
    /// As there.
    pub fn draw_captioned(&self, cells: Vec<SheetCell>) -> Result<Image> {
        let Self { side, frame, .. } = *self;
        if side == 0 {
            return Err(DataError::argument("contact sheet: side", side, "at least 1"));
        }
        let cell = frame.saturating_mul(2).saturating_add(side);
        let lines = cells.iter().map(|cell| cell.caption.len()).max().unwrap_or(0);
        let cell_height = cell.saturating_add(lines.saturating_mul(drawing::LINE));
        let columns = cells.len().clamp(1, self.columns.max(1));
        let rows = cells.len().div_ceil(columns).max(1);
        let (width, height) = (columns.saturating_mul(cell), rows.saturating_mul(cell_height));
        crate::resample::check_size("contact sheet", width, height)?;
        let mut sheet = Image::new(width, height, 3, vec![255u8; width * height * 3])?;
        for (i, SheetCell { image, frame: colour, caption }) in cells.into_iter().enumerate() {
            let image = self.fit(image)?;
            let (left, top) = (i % columns * cell, i / columns * cell_height);
            for y in 0..cell {
                let row = ((top + y) * width + left) * 3;
                for (x, pixel) in sheet.data_mut()[row..row + cell * 3].chunks_exact_mut(3).enumerate() {
                    pixel.copy_from_slice(&self.pixel(&image, (x, y), colour));
                }
            }
            for (line, text) in caption.iter().enumerate() {
                drawing::write_line(&mut sheet, text, (left, top + cell + line * drawing::LINE), cell);
            }
        }
        Ok(sheet)
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
    fn captions_stand_below_and_lose_their_beginning() {
        let layout = ContactSheet { columns: 2, side: 16, frame: 1 };
        let cell = |caption: &[&str]| SheetCell {
            image: Image::new(1, 1, 1, vec![0]).unwrap(),
            frame: GRAY,
            caption: caption.iter().map(|&line| line.to_owned()).collect(),
        };
        let lines = |caption: &[&str]| {
            let sheet = layout.draw_captioned(vec![cell(caption), cell(&[])]).unwrap();
            assert_eq!((sheet.width(), sheet.height()), (36, 18 + caption.len() * drawing::LINE));
            sheet.data()[18 * 36 * 3..].to_vec()
        };
        // Two letters have room, of longer lines the last two.
        assert_eq!(lines(&["path/to/ab"]), lines(&["ab"]));
        assert_eq!(lines(&["xy", "ab"])[drawing::LINE * 36 * 3..], lines(&["ab"]));
        assert_ne!(lines(&["ab"]), lines(&["ba"]));
        let right = |pixels: Vec<u8>| pixels.chunks(36 * 3).any(|row| row[18 * 3..].iter().any(|&v| v != 255));
        assert!(!right(lines(&["a long caption"])), "it reaches into the cell on its right");
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
