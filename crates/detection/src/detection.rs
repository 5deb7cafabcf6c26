//! What a detector says.

use sconce_core::geometry::BBox;
use serde::{Deserialize, Serialize};

/// An object that a detector has found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Where it is, in pixels of its image.
    pub bbox: BBox,
    /// Its class, counted from 0; the background is no class.
    pub label: u32,
    /// How sure the detector is, 0 to 1; detections are ranked by it.
    pub score: f64,
}
