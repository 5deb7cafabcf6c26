//! How a camera was held.

use serde::{Deserialize, Serialize};

/// What becomes of the orientation that a camera noted in a file (EXIF tag 274, in JPEG, PNG and WebP files).
///
/// A phone stores what its sensor saw and notes how it was held: people see the photo upright everywhere, while torchvision and
/// OpenCV's flag `IMREAD_IGNORE_ORIENTATION` show the stored pixels. Where somebody marked boxes, the annotation is of one of the
/// two; the annotated width and height often tell which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Orientation {
    /// The image is turned and mirrored as noted: upright, as people see it.
    Upright,
    /// The pixels stay as stored, as in torchvision.
    #[default]
    Stored,
}
