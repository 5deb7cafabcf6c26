//! Masks by run lengths, COCO's form of them.

use super::{BBox, Polygon};
use crate::{Error, Result};

/// A mask of an image: lengths of runs of pixels, down the columns one after the other, that are outside and inside by turns.
///
/// The first run is outside and may be empty; no other run is, and together they are all pixels. So two masks that are
/// equal have equal runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rle {
    height: u32,
    width: u32,
    runs: Vec<u32>,
}

impl Rle {
    /// The mask with these runs, in an image of `height` × `width`: COCO's uncompressed `counts`. Empty runs may stand anywhere.
    ///
    /// # Errors
    /// [`Error::Argument`] if the runs do not add up to the image, or it has more than `u32::MAX` pixels.
    pub fn new(height: u32, width: u32, runs: Vec<u32>) -> Result<Self> {
        let n_pixels = Self::n_pixels(height, width)?;
        let sum: u64 = runs.iter().map(|&run| u64::from(run)).sum();
        if sum != u64::from(n_pixels) {
            return Err(Error::argument("mask", "sum of the runs", sum, format_args!("{height} × {width} pixels")));
        }
        let mut joined = Runs::default();
        for (i, run) in runs.into_iter().enumerate() {
            joined.push(run, i % 2 == 1);
        }
        Ok(Self { height, width, runs: joined.0 })
    }

    /// The mask of pixels that are not 0, given row by row: `height` · `width` of them.
    ///
    /// # Errors
    /// [`Error::Argument`] for another number of pixels, or an image of more than `u32::MAX`.
    pub fn from_pixels(height: u32, width: u32, pixels: &[u8]) -> Result<Self> {
        let n_pixels = Self::n_pixels(height, width)?;
        if pixels.len() != n_pixels as usize {
            let expected = format_args!("{height} × {width}");
            return Err(Error::argument("mask", "number of pixels", pixels.len(), expected));
        }
        let mut runs = Runs::default();
        for column in 0..width as usize {
            for pixel in pixels.iter().skip(column).step_by(width as usize) {
                runs.push(1, *pixel != 0);
            }
        }
        Ok(Self { height, width, runs: runs.0 })
    }

    /// What is inside of any of these polygons, which are parts of one object, in an image of `height` × `width`.
    ///
    /// # Errors
    /// As [`Polygon::rasterize`].
    pub fn from_polygons(height: u32, width: u32, polygons: &[Polygon]) -> Result<Self> {
        let nothing = Self::new(height, width, vec![Self::n_pixels(height, width)?])?;
        polygons.iter().try_fold(nothing, |all, polygon| all.union(&polygon.rasterize(height, width)?))
    }

    /// Rows of the image.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Columns of the image.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// The lengths of the runs; those at odd places are inside.
    pub fn runs(&self) -> &[u32] {
        &self.runs
    }

    /// Row by row, 1 inside and 0 outside.
    pub fn to_pixels(&self) -> Vec<u8> {
        let (height, width) = (self.height as usize, self.width as usize);
        let mut pixels = vec![0; height * width];
        for (start, end) in self.inside() {
            for place in start as usize..end as usize {
                pixels[place % height * width + place / height] = 1;
            }
        }
        pixels
    }

    /// Pixels inside.
    pub fn area(&self) -> u32 {
        self.runs.iter().skip(1).step_by(2).sum()
    }

    /// The smallest box around all pixels inside; of no extent if there are none.
    pub fn bbox(&self) -> BBox {
        let boxes = self.inside().map(|(start, end)| {
            let (first, last) = (start / self.height, (end - 1) / self.height);
            // A run that goes on in another column reaches the lower edge and the upper one.
            let (top, bottom) =
                if first == last { (start % self.height, (end - 1) % self.height) } else { (0, self.height - 1) };
            BBox::from_inclusive(first.into(), top.into(), last.into(), bottom.into())
        });
        boxes.reduce(BBox::hull).unwrap_or_default()
    }

    /// What is inside of either.
    ///
    /// # Errors
    /// [`Error::Argument`] if the images differ in size.
    pub fn union(&self, other: &Self) -> Result<Self> {
        self.combined(other, |a, b| a || b)
    }

    /// What is inside of both.
    ///
    /// # Errors
    /// [`Error::Argument`] if the images differ in size.
    pub fn intersection(&self, other: &Self) -> Result<Self> {
        self.combined(other, |a, b| a && b)
    }

    /// The intersection over union, 0 to 1; 0 where neither has a pixel.
    ///
    /// # Errors
    /// [`Error::Argument`] if the images differ in size.
    pub fn iou(&self, other: &Self) -> Result<f64> {
        let both = self.common_area(other)?;
        let either = u64::from(self.area()) + u64::from(other.area()) - u64::from(both);
        Ok(ratio(both.into(), either))
    }

    /// The part of this mask that is inside of a crowd, 0 to 1: the overlap by which COCO compares a detection with a crowd.
    ///
    /// # Errors
    /// [`Error::Argument`] if the images differ in size.
    pub fn share_in(&self, crowd: &Self) -> Result<f64> {
        Ok(ratio(self.common_area(crowd)?.into(), self.area().into()))
    }

    /// The pixels of an image, if they can be counted.
    pub(super) fn n_pixels(height: u32, width: u32) -> Result<u32> {
        let expected = format_args!("at most {} pixels", u32::MAX);
        height.checked_mul(width).ok_or_else(|| Error::argument("mask", "size", (height, width), expected))
    }

    fn common_area(&self, other: &Self) -> Result<u32> {
        let mut area = 0;
        self.walk(other, |n, a, b| area += if a && b { n } else { 0 })?;
        Ok(area)
    }

    fn combined(&self, other: &Self, is_inside: impl Fn(bool, bool) -> bool) -> Result<Self> {
        let mut runs = Runs::default();
        self.walk(other, |n, a, b| runs.push(n, is_inside(a, b)))?;
        Ok(Self { runs: runs.0, ..*self })
    }

    /// Visits stretches of pixels in which both masks stay as they are: their length, and whether each is inside.
    fn walk(&self, other: &Self, mut visit: impl FnMut(u32, bool, bool)) -> Result<()> {
        let (ours, theirs) = ((self.height, self.width), (other.height, other.width));
        if ours != theirs {
            return Err(Error::argument("masks", "size of the second", theirs, format_args!("{ours:?}")));
        }
        let (mut a, mut b) = (self.runs.iter().copied().enumerate(), other.runs.iter().copied().enumerate());
        let (mut left, mut right) = (a.next(), b.next());
        while let (Some((i, n)), Some((j, m))) = (left, right) {
            let common = n.min(m);
            visit(common, i % 2 == 1, j % 2 == 1);
            left = if n == common { a.next() } else { Some((i, n - common)) };
            right = if m == common { b.next() } else { Some((j, m - common)) };
        }
        Ok(())
    }

    /// Begin and end of each run inside, as places in the columns.
    fn inside(&self) -> impl Iterator<Item = (u32, u32)> {
        let mut place = 0;
        self.runs.chunks_exact(2).map(move |pair| {
            let start = place + pair[0];
            place = start + pair[1];
            (start, place)
        })
    }
}

/// Runs that grow at the end: no empty ones but the first.
#[derive(Debug)]
struct Runs(Vec<u32>);

impl Default for Runs {
    fn default() -> Self {
        Self(vec![0])
    }
}

impl Runs {
    fn push(&mut self, n: u32, is_inside: bool) {
        if n == 0 {
            return;
        }
        let ends_inside = self.0.len().is_multiple_of(2);
        match self.0.last_mut() {
            Some(last) if ends_inside == is_inside => *last += n,
            _ => self.0.push(n),
        }
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if part == 0 { 0.0 } else { part as f64 / whole as f64 }
}
