//! Boxes with names on pictures: what a detector found, to look at.

mod font;

use sconce_core::geometry::BBox;

use crate::Image;

/// Colours that are told apart, and read on light and on dark: those of `tab10`, one a class, from the start again.
const COLOURS: [[u8; 3]; 10] = [
    [31, 119, 180],
    [255, 127, 14],
    [44, 160, 44],
    [214, 39, 40],
    [148, 103, 189],
    [140, 86, 75],
    [227, 119, 194],
    [127, 127, 127],
    [188, 189, 34],
    [23, 190, 207],
];

/// A box to be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct DrawnBox {
    /// Where, in pixels of the picture; what lies outside is not drawn, nor the text of a box that does.
    pub bbox: BBox,
    /// The class, which has a colour of its own.
    pub label: u32,
    /// What is written above it, such as `bird 0.97`: letters look like capitals, and none but ASCII are known.
    pub text: String,
}

/// The picture with `boxes` on it, in RGB: the first ones lie below the later ones. Frame and text grow with the picture, from
/// one pixel a stroke on.
///
/// ```
/// use sconce_core::geometry::BBox;
/// use sconce_data::{DrawnBox, Image, draw_boxes};
///
/// let picture = Image::new(80, 60, 1, vec![0; 4800])?;
/// let bbox = BBox::new(10.0, 20.0, 50.0, 50.0);
/// let drawn = draw_boxes(picture, &[DrawnBox { bbox, label: 3, text: "bird 0.97".to_owned() }]);
/// assert_eq!(drawn.data()[(20 * 80 + 49) * 3..][..3], [214, 39, 40]);
/// # Ok::<(), sconce_data::DataError>(())
/// ```
#[must_use]
pub fn draw_boxes(picture: Image, boxes: &[DrawnBox]) -> Image {
    let mut picture = picture.into_rgb();
    let stroke = (picture.width().min(picture.height()) / 300).max(1) as i64;
    for DrawnBox { bbox, label, text } in boxes {
        let colour = COLOURS[*label as usize % COLOURS.len()];
        // Saturating, and 0 for what is no number. Far outside is as good as outside, and leaves room for sums.
        let [x1, y1, x2, y2] = bbox.xyxy().map(|edge| (edge.round() as i64).clamp(-(1 << 30), 1 << 30));
        if x1.max(x2) <= 0
            || y1.max(y2) <= 0
            || x1.min(x2) >= picture.width() as i64
            || y1.min(y2) >= picture.height() as i64
        {
            continue;
        }
        let mut pen = Pen { picture: &mut picture, colour };
        pen.fill([x1, y1, x2, y1 + stroke]);
        pen.fill([x1, y2 - stroke, x2, y2]);
        pen.fill([x1, y1, x1 + stroke, y2]);
        pen.fill([x2 - stroke, y1, x2, y2]);
        pen.write(text, (x1, y1), stroke);
    }
    picture
}

/// Rows of a line of [`write_line`].
pub(crate) const LINE: usize = font::HEIGHT + 3;

/// Writes the end of `text`, as much as has room in `width` columns, in black from the place (`x`, `y`) on.
pub(crate) fn write_line(picture: &mut Image, text: &str, (x, y): (usize, usize), width: usize) {
    let room = width.saturating_sub(2) / (font::WIDTH + 1);
    let letters: Vec<char> = text.chars().collect();
    let end = &letters[letters.len().saturating_sub(room)..];
    let mut pen = Pen { picture, colour: [0; 3] };
    pen.letters(end, (x as i64 + 1, y as i64 + 1), 1);
}

struct Pen<'a> {
    picture: &'a mut Image,
    colour: [u8; 3],
}

impl Pen<'_> {
    /// Fills columns and rows from the first two to before the last two, as far as they are in the picture.
    fn fill(&mut self, [x1, y1, x2, y2]: [i64; 4]) {
        let width = self.picture.width();
        let within = |at: i64, side: usize| at.clamp(0, side as i64) as usize;
        let (left, right) = (within(x1, width), within(x2, width));
        for y in within(y1, self.picture.height())..within(y2, self.picture.height()) {
            for x in left..right {
                let at = (y * width + x) * 3;
                self.picture.data_mut()[at..at + 3].copy_from_slice(&self.colour);
            }
        }
    }

    /// Writes `text` on a field of the pen's colour above the corner at (`x`, `y`), or inside where there is no room above,
    /// and farther left where there is none on the right.
    fn write(&mut self, text: &str, (x, y): (i64, i64), stroke: i64) {
        if text.is_empty() {
            return;
        }
        let (advance, rows) = ((font::WIDTH as i64 + 1) * stroke, (font::HEIGHT as i64 + 2) * stroke);
        let top = if y >= rows { y - rows } else { y.max(0) };
        // No more letters than there may be in a picture, or their places would not be numbers any more.
        let letters: Vec<char> = text.chars().take(self.picture.width() + 1).collect();
        let columns = letters.len() as i64 * advance + stroke;
        let x = x.min(self.picture.width() as i64 - columns).max(0);
        self.fill([x, top, x + columns, top + rows]);
        let [red, green, blue] = self.colour.map(u32::from);
        // Black on light colours and white on dark ones, by the luma of ITU-R 601-2.
        let ink = if 299 * red + 587 * green + 114 * blue > 140_000 { [0; 3] } else { [255; 3] };
        let field = std::mem::replace(&mut self.colour, ink);
        self.letters(&letters, (x + stroke, top + stroke), stroke);
        self.colour = field;
    }

    /// Draws `letters` side by side, the first one's corner at (`x`, `y`).
    fn letters(&mut self, letters: &[char], (x, y): (i64, i64), stroke: i64) {
        let advance = (font::WIDTH as i64 + 1) * stroke;
        for (i, &letter) in letters.iter().enumerate() {
            for (row, bits) in font::glyph(letter).into_iter().enumerate() {
                for column in (0..font::WIDTH).filter(|column| bits >> (font::WIDTH - 1 - column) & 1 == 1) {
                    let left = x + i as i64 * advance + column as i64 * stroke;
                    let upper = y + row as i64 * stroke;
                    self.fill([left, upper, left + stroke, upper + stroke]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(bbox: [f64; 4], text: &str) -> Image {
        let picture = Image::new(30, 24, 1, vec![9; 720]).unwrap();
        let [x1, y1, x2, y2] = bbox;
        draw_boxes(picture, &[DrawnBox { bbox: BBox::new(x1, y1, x2, y2), label: 13, text: text.to_owned() }])
    }

    /// A letter for each pixel of some rows: `.` for the picture, `#` for the frame's colour, `o` for ink.
    fn sketch(image: &Image, rows: std::ops::Range<usize>) -> Vec<String> {
        let letter = |pixel: &[u8]| match pixel {
            [9, 9, 9] => '.',
            [214, 39, 40] => '#',
            [255, 255, 255] => 'o',
            other => panic!("{other:?}"),
        };
        rows.map(|y| image.data()[y * 90..][..90].chunks_exact(3).map(letter).collect()).collect()
    }

    #[test]
    fn the_frame_lies_inside_of_the_box() {
        let found = sketch(&drawn([2.0, 3.0, 7.0, 6.0], ""), 2..7);
        let blank = ".".repeat(30);
        let full = format!("..#####{}", ".".repeat(23));
        let sides = format!("..#...#{}", ".".repeat(23));
        assert_eq!(found, [blank.clone(), full.clone(), sides, full, blank]);
    }

    #[test]
    fn text_stands_above_or_inside_where_there_is_no_room() {
        let expected = [
            "#############",
            "##ooo####o###",
            "#o###o##oo###",
            "#o###o###o###",
            "#ooooo###o###",
            "#o###o###o###",
            "#o###o###o###",
            "#o###o##ooo##",
            "#############",
        ];
        for (y, top) in [(9.0, 0), (20.0, 11), (8.0, 8), (0.0, 0), (-3.0, 0)] {
            let found = sketch(&drawn([0.0, y, 20.0, 23.0], "a1"), top..top + 9);
            let field: Vec<&str> = found.iter().map(|row| &row[..13]).collect();
            assert_eq!(field, expected, "{y}");
        }
    }

    #[test]
    fn text_moves_to_the_left_where_it_would_be_cut_off() {
        let row = |x: f64| sketch(&drawn([x, 20.0, 30.0, 23.0], "a1"), 11..12).concat();
        assert_eq!(row(17.0), format!("{}{}", ".".repeat(17), "#".repeat(13)));
        assert_eq!(row(25.0), row(17.0));
        assert_eq!(sketch(&drawn([25.0, 20.0, 30.0, 23.0], "far too long"), 11..12).concat(), "#".repeat(30));
    }

    #[test]
    fn boxes_outside_and_numbers_that_are_none_draw_nothing_wrong() {
        let blank = Image::new(30, 24, 3, vec![9; 2160]).unwrap();
        for outside in
            [[40.0, 2.0, 50.0, 7.0], [f64::NEG_INFINITY, -20.0, -5.0, -9.0], [2.0, 24.0, 9.0, 30.0], [f64::NAN; 4]]
        {
            assert!(drawn(outside, "far") == blank, "{outside:?}");
        }
        let huge = drawn([f64::MIN, f64::MIN, f64::MAX, f64::MAX], &"x".repeat(1000));
        assert_eq!((huge.width(), huge.height()), (30, 24));
        let _ = drawn([9.0, 9.0, 2.0, 2.0], "ü, inverted");
    }

    #[test]
    fn every_glyph_is_another_one() {
        let known = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:-_+=/%() \u{fc}";
        for (i, a) in known.chars().enumerate() {
            assert!(known.chars().take(i).all(|b| font::glyph(a) != font::glyph(b)), "{a}");
            assert!(font::glyph(a).iter().all(|row| *row < 1 << font::WIDTH), "{a}");
        }
        assert_eq!(font::glyph('q'), font::glyph('Q'));
    }
}
