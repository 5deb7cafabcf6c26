//! Polygons, and the pixels inside of them.

use serde::{Deserialize, Serialize};

use super::{BBox, Rle};
use crate::{Error, Result};

/// How far from the origin a corner may lie when a polygon is rasterised.
const FARTHEST: f64 = 1e6;

/// A closed line of straight edges, in pixels of its image; the last corner is joined to the first.
///
/// Coordinates are continuous, as those of a [`BBox`]. Edges may cross.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Polygon {
    /// The corners, `[x, y]` each.
    pub corners: Vec<[f64; 2]>,
}

impl Polygon {
    /// The polygon with these corners.
    pub fn new(corners: Vec<[f64; 2]>) -> Self {
        Self { corners }
    }

    /// The polygon of a list `x1, y1, x2, y2, …`: COCO's `segmentation` has such lists.
    ///
    /// # Errors
    /// [`Error::Argument`] for an odd number of coordinates, fewer than three corners, or a coordinate that is not finite.
    pub fn from_flat(coordinates: &[f64]) -> Result<Self> {
        let (corners, rest) = coordinates.as_chunks::<2>();
        if corners.len() < 3 || !rest.is_empty() {
            let expected = "an even number, of at least 6";
            return Err(Error::argument("polygon", "number of coordinates", coordinates.len(), expected));
        }
        if let Some(odd) = coordinates.iter().find(|coordinate| !coordinate.is_finite()) {
            return Err(Error::argument("polygon", "coordinate", odd, "a finite number"));
        }
        Ok(Self::new(corners.to_vec()))
    }

    /// The area inside, by the shoelace formula. Where edges cross, it is the difference of what lies to either side.
    pub fn area(&self) -> f64 {
        let twice: f64 = self.edges().map(|([x1, y1], [x2, y2])| x1 * y2 - x2 * y1).sum();
        twice.abs() / 2.0
    }

    /// The smallest box around the corners; of no extent if there are none.
    pub fn bbox(&self) -> BBox {
        let points = self.corners.iter().map(|&[x, y]| BBox::new(x, y, x, y));
        points.reduce(BBox::hull).unwrap_or_default()
    }

    /// The polygon in an image that was resized by the factors `x` and `y`.
    #[must_use]
    pub fn scaled(&self, x: f64, y: f64) -> Self {
        self.map(|[px, py]| [px * x, py * y])
    }

    /// The polygon moved by `x` and `y`.
    #[must_use]
    pub fn translated(&self, x: f64, y: f64) -> Self {
        self.map(|[px, py]| [px + x, py + y])
    }

    /// The polygon in an image of this `width` whose left and right are exchanged.
    #[must_use]
    pub fn flipped(&self, width: f64) -> Self {
        self.map(|[x, y]| [width - x, y])
    }

    /// The pixels inside, in an image of `height` × `width`, as COCO's `rleFrPoly` sees them.
    ///
    /// Edges are walked on a grid of a fifth of a pixel, and what lies between two of them in a column is inside; where edges
    /// cross, an area that is surrounded twice is outside. What lies outside of the image is cut off.
    ///
    /// # Errors
    /// [`Error::Argument`] for a corner that is not finite or farther away than a million pixels, and an image of more than
    /// `u32::MAX` pixels.
    pub fn rasterize(&self, height: u32, width: u32) -> Result<Rle> {
        let n_pixels = Rle::n_pixels(height, width)?;
        if let Some(far) = self.corners.iter().find(|corner| !corner.iter().all(|c| c.abs() <= FARTHEST)) {
            return Err(Error::argument("polygon", "corner", far, format_args!("coordinates up to {FARTHEST}")));
        }
        let mut crossings = self.crossings(height, width);
        crossings.push(n_pixels);
        crossings.sort_unstable();
        let runs = crossings.iter().scan(0, |before, &at| Some(at - std::mem::replace(before, at)));
        Rle::new(height, width, runs.collect())
    }

    /// Where the inside begins or ends, as places in columns that are laid one after the other.
    fn crossings(&self, height: u32, width: u32) -> Vec<u32> {
        let mut crossings = Vec::new();
        let mut before: Option<(i32, i32)> = None;
        let grid = |[x, y]: [f64; 2]| (to_int(FINER * x + 0.5), to_int(FINER * y + 0.5));
        for (start, end) in self.edges() {
            walk(grid(start), grid(end), |(u, v)| {
                if let Some((last_u, last_v)) = before
                    && u != last_u
                {
                    crossings.extend(crossing((last_u, last_v), (u, v), height, width));
                }
                before = Some((u, v));
            });
        }
        crossings
    }

    fn edges(&self) -> impl Iterator<Item = ([f64; 2], [f64; 2])> {
        self.corners.iter().copied().zip(self.corners.iter().copied().cycle().skip(1))
    }

    fn map(&self, f: impl Fn([f64; 2]) -> [f64; 2]) -> Self {
        Self::new(self.corners.iter().map(|&corner| f(corner)).collect())
    }
}

/// Points of the grid in a pixel's length.
const FINER: f64 = 5.0;

/// A float as C makes an integer of it: towards zero.
fn to_int(x: f64) -> i32 {
    x as i32
}

/// Visits the points of an edge on the grid, from `start` to `end`, a step at a time along its longer axis.
fn walk(start: (i32, i32), end: (i32, i32), mut visit: impl FnMut((i32, i32))) {
    let (dx, dy) = ((end.0 - start.0).abs(), (end.1 - start.1).abs());
    let is_flat = dx >= dy;
    // Computed from the same end in both directions, so that neighbours' edges have the same points.
    let is_turned = if is_flat { start.0 > end.0 } else { start.1 > end.1 };
    let (from, to) = if is_turned { (end, start) } else { (start, end) };
    let n = dx.max(dy);
    for step in 0..=n {
        let along = if is_turned { n - step } else { step };
        visit(if is_flat {
            let slope = f64::from(to.1 - from.1) / f64::from(dx);
            (along + from.0, to_int(f64::from(from.1) + slope * f64::from(along) + 0.5))
        } else {
            let slope = f64::from(to.0 - from.0) / f64::from(dy);
            (to_int(f64::from(from.0) + slope * f64::from(along) + 0.5), along + from.1)
        });
    }
}

/// The place in an image where an edge passes from a column of the grid to the next, if a pixel's centre lies between them.
fn crossing(last: (i32, i32), next: (i32, i32), height: u32, width: u32) -> Option<u32> {
    let column = f64::from(if next.0 < last.0 { next.0 } else { next.0 - 1 });
    let x = (column + 0.5) / FINER - 0.5;
    if x.floor() != x || x < 0.0 || x > f64::from(width) - 1.0 {
        return None;
    }
    let y = (f64::from(next.1.min(last.1)) + 0.5) / FINER - 0.5;
    let y = y.clamp(0.0, f64::from(height)).ceil();
    Some(x as u32 * height + y as u32)
}
