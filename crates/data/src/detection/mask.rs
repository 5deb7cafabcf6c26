//! Which pixels an object covers.

use sconce_core::geometry::BBox;

use crate::{DataError, Result};

/// The pixels of an object in an image of `width` × `height`, kept as a bitmap of the box around them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectMask {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    pixels: Vec<bool>,
}

impl ObjectMask {
    /// The mask of the pixels of an image, row by row, for which `covers(x, y)` is true; none if there are no such pixels.
    pub fn from_fn(width: usize, height: usize, covers: impl Fn(usize, usize) -> bool) -> Option<Self> {
        let (mut left, mut top, mut right, mut bottom) = (width, height, 0, 0);
        for y in 0..height {
            for x in (0..width).filter(|&x| covers(x, y)) {
                (left, top) = (left.min(x), top.min(y));
                (right, bottom) = (right.max(x + 1), bottom.max(y + 1));
            }
        }
        if right == 0 {
            return None;
        }
        let pixels =
            (top..bottom).flat_map(|y| (left..right).map(move |x| (x, y))).map(|(x, y)| covers(x, y)).collect();
        Some(Self { left, top, width: right - left, height: bottom - top, pixels })
    }

    /// The box around the covered pixels: from the first column's left edge to the last one's right edge.
    pub fn bbox(&self) -> BBox {
        let [x, y, width, height] = [self.left, self.top, self.width, self.height].map(|n| n as f64);
        BBox::from_xywh(x, y, width, height)
    }

    /// The number of covered pixels.
    pub fn area(&self) -> usize {
        self.pixels.iter().filter(|&&covered| covered).count()
    }

    /// Whether the pixel in column `x` and row `y` of the image is covered.
    pub fn covers(&self, x: usize, y: usize) -> bool {
        let inside = |v: usize, first: usize, n: usize| v.checked_sub(first).filter(|&v| v < n);
        let place = inside(x, self.left, self.width).zip(inside(y, self.top, self.height));
        place.is_some_and(|(x, y)| self.pixels[y * self.width + x])
    }

    /// The mask as a grey image of `width` × `height` pixels: 255 where it covers, else 0.
    ///
    /// # Errors
    /// [`DataError::Argument`] if the image is too small for the mask.
    pub fn to_image(&self, width: usize, height: usize) -> Result<crate::Image> {
        if self.left + self.width > width || self.top + self.height > height {
            let expected = format!("at least {}×{}", self.left + self.width, self.top + self.height);
            return Err(DataError::argument("mask: image size", format!("{width}×{height}"), expected));
        }
        let mut data = vec![0; width * height];
        for (y, row) in self.pixels.chunks_exact(self.width).enumerate() {
            let first = (self.top + y) * width + self.left;
            for (value, &covered) in data[first..first + self.width].iter_mut().zip(row) {
                *value = if covered { 255 } else { 0 };
            }
        }
        crate::Image::new(width, height, 1, data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_box_is_tight_and_its_far_edges_lie_behind_the_last_pixels() {
        let covered = [(3, 1), (5, 1), (4, 2)];
        let mask = ObjectMask::from_fn(8, 4, |x, y| covered.contains(&(x, y))).unwrap();
        assert_eq!(mask.bbox(), BBox::new(3.0, 1.0, 6.0, 3.0));
        assert_eq!(mask.area(), 3);
        let image = mask.to_image(8, 4).unwrap();
        for y in 0..4 {
            for x in 0..8 {
                assert_eq!(mask.covers(x, y), covered.contains(&(x, y)));
                assert_eq!(image.data()[y * 8 + x] == 255, mask.covers(x, y));
            }
        }
        assert!(!mask.covers(usize::MAX, 1));
    }

    #[test]
    fn nothing_has_no_mask_and_a_mask_needs_its_image() {
        assert!(ObjectMask::from_fn(3, 3, |_, _| false).is_none());
        let corner = ObjectMask::from_fn(3, 2, |x, y| (x, y) == (2, 1)).unwrap();
        assert!(corner.to_image(3, 2).is_ok());
        assert!(matches!(corner.to_image(2, 2), Err(DataError::Argument { .. })));
    }
}
