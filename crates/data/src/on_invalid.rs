//! What becomes of what is wrong.

use serde::{Deserialize, Serialize};

/// What becomes of what is wrong in a dataset: an image that cannot be decoded; an annotation that is missing, broken, or
/// contradicts its image; a box outside its image, without an extent or inverted; an unknown class.
///
/// To know which images cannot be decoded, [`OnInvalid::Skip`] decodes all of them once before training, on all cores: that
/// takes about as long as an epoch of decoding alone. [`OnInvalid::Fail`] decodes each when it is asked for, so that a broken one
/// ends training in the first epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OnInvalid {
    /// It is an error that names file and object.
    #[default]
    Fail,
    /// The object is left out, or the image where it is about the image; counted, and images are named in the dataset's
    /// summary.
    Skip,
}
