//! Axis-aligned boxes.

use serde::{Deserialize, Serialize};

/// An axis-aligned box in pixels, with the corners `(x1, y1)` and `(x2, y2)`: torchvision's `xyxy`.
///
/// Coordinates are continuous: the pixel in column 3 covers 3 to 4, so that a box around the columns 3 to 5 has `x1 = 3`,
/// `x2 = 6` and the width 3. Formats that name the last column instead (Pascal VOC, which also counts from 1) are converted
/// where they are read: [`BBox::from_inclusive`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BBox {
    /// The left edge.
    pub x1: f64,
    /// The upper edge.
    pub y1: f64,
    /// The right edge.
    pub x2: f64,
    /// The lower edge.
    pub y2: f64,
}

impl BBox {
    /// The box with these edges, in any order that the caller likes: nothing is checked.
    pub fn new(x1: f64, y1: f64, x2: f64, y2: f64) -> Self {
        Self { x1, y1, x2, y2 }
    }

    /// The box whose upper left corner is `(x, y)`: COCO's `xywh`.
    pub fn from_xywh(x: f64, y: f64, width: f64, height: f64) -> Self {
        Self::new(x, y, x + width, y + height)
    }

    /// The box around the columns `x1` to `x2` and the rows `y1` to `y2`, both ends included and counted from 0.
    pub fn from_inclusive(x1: f64, y1: f64, x2: f64, y2: f64) -> Self {
        Self::new(x1, y1, x2 + 1.0, y2 + 1.0)
    }

    /// `x`, `y`, width and height.
    pub fn xywh(self) -> [f64; 4] {
        [self.x1, self.y1, self.width(), self.height()]
    }

    /// `x1`, `y1`, `x2`, `y2`.
    pub fn xyxy(self) -> [f64; 4] {
        [self.x1, self.y1, self.x2, self.y2]
    }

    /// `x2 − x1`, negative for an inverted box.
    pub fn width(self) -> f64 {
        self.x2 - self.x1
    }

    /// `y2 − y1`, negative for an inverted box.
    pub fn height(self) -> f64 {
        self.y2 - self.y1
    }

    /// Width times height, and 0 for a box that is inverted along an axis or has no extent.
    pub fn area(self) -> f64 {
        self.width().max(0.0) * self.height().max(0.0)
    }

    /// Whether all edges are finite, and the box has an extent along both axes.
    pub fn has_extent(self) -> bool {
        self.xyxy().iter().all(|edge| edge.is_finite()) && self.x2 > self.x1 && self.y2 > self.y1
    }

    /// What both boxes cover; without an extent if that is nothing.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self::new(self.x1.max(other.x1), self.y1.max(other.y1), self.x2.min(other.x2), self.y2.min(other.y2))
    }

    /// The smallest box around both.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        Self::new(self.x1.min(other.x1), self.y1.min(other.y1), self.x2.max(other.x2), self.y2.max(other.y2))
    }

    /// The intersection over union, 0 to 1; 0 where neither box has an area.
    pub fn iou(self, other: Self) -> f64 {
        let inner = self.intersection(other).area();
        let union = self.area() + other.area() - inner;
        if union > 0.0 { inner / union } else { 0.0 }
    }

    /// The part inside an image of `width` × `height` pixels, which are none if they are negative.
    #[must_use]
    pub fn clipped(self, width: f64, height: f64) -> Self {
        let (width, height) = (width.max(0.0), height.max(0.0));
        Self::new(
            self.x1.clamp(0.0, width),
            self.y1.clamp(0.0, height),
            self.x2.clamp(0.0, width),
            self.y2.clamp(0.0, height),
        )
    }

    /// The box in an image that was resized by the factors `x` and `y`.
    #[must_use]
    pub fn scaled(self, x: f64, y: f64) -> Self {
        Self::new(self.x1 * x, self.y1 * y, self.x2 * x, self.y2 * y)
    }

    /// The box moved by `x` and `y`.
    #[must_use]
    pub fn translated(self, x: f64, y: f64) -> Self {
        Self::new(self.x1 + x, self.y1 + y, self.x2 + x, self.y2 + y)
    }

    /// The box in an image of this `width` whose left and right are exchanged.
    #[must_use]
    pub fn flipped(self, width: f64) -> Self {
        Self { x1: width - self.x2, x2: width - self.x1, ..self }
    }
}
