//! What annotators say of an object.

use serde::{Deserialize, Serialize};

use super::BBox;

/// An object in an image: where it is, what it is, and how far it counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// Where it is, in pixels of its image.
    pub bbox: BBox,
    /// Its class, counted from 0; a detector's background is no class.
    pub label: u32,
    /// Whether annotators found it hard to recognise: Pascal VOC trains with it, and leaves it out of an evaluation.
    pub is_difficult: bool,
    /// Whether the box is around many objects, not told apart: COCO's `iscrowd`. Detectors are not trained on it.
    pub is_crowd: bool,
    /// Pixels of the object itself, where a mask told: what COCO calls small and large by. Otherwise the box's area counts.
    pub area: Option<f64>,
}

impl Object {
    /// An ordinary object.
    pub fn new(bbox: BBox, label: u32) -> Self {
        Self { bbox, label, is_difficult: false, is_crowd: false, area: None }
    }
}
