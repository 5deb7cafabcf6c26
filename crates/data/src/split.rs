//! The parts of a dataset that its authors made.

use serde::{Deserialize, Serialize};

/// What a part of a dataset is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// To train on, and to cut a validation part from: [`crate::ImageDataset::split_off`].
    Train,
    /// To measure the final result on, once.
    Test,
}

impl Split {
    /// `train` or `test`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}
