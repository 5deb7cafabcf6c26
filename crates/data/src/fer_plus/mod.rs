//! FERPlus (Barsoum et al., 2016): the 48×48 grey faces of FER2013, with the votes of ten people each.

mod folders;
mod pair;
mod votes;

use serde::{Deserialize, Serialize};

pub use folders::{parse_fer_plus_labels, read_fer_plus_folders};
pub use pair::{parse_fer_plus, read_fer_plus};

use votes::Verdict;

use crate::LeftOut;

/// The class names, in the order of the columns of votes.
pub const FER_PLUS_CLASSES: [&str; 8] =
    ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"];

/// The width and the height of an image.
const SIZE: usize = 48;

/// The part of FERPlus that a sample belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum FerPlusSplit {
    /// `Training`: 28,709 rows, of which 28,561 have an image name. Microsoft's folder is `FER2013Train`.
    Training,
    /// `PublicTest`, to choose by: 3,589 rows, 3,579 with a name. Microsoft's folder is `FER2013Valid`.
    PublicTest,
    /// `PrivateTest`, to measure on: 3,589 rows, 3,574 with a name. Microsoft's folder is `FER2013Test`.
    PrivateTest,
}

/// How ten columns of votes (the eight classes, `unknown`, and `NF` for what is no face) become one label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum FerPlusLabel {
    /// The column with most votes of all ten. A sample where `unknown` or `NF` wins is dropped.
    #[default]
    ArgMax,
    /// The class with most votes of the eight, whatever `unknown` and `NF` have. A sample without a vote for a class is
    /// dropped.
    EmotionArgMax,
    /// Microsoft's `majority`: votes of one person alone do not count, and one column must have more than half of the other
    /// votes. A sample without such a column, or where it is `unknown` or `NF`, is dropped.
    Majority,
}

/// What happens where several columns have most votes: so it is in 1,366 + 143 + 159 of the samples, among the classes.
///
/// There is no tie where [`FerPlusLabel::Majority`] finds a label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Ties {
    /// The first of the columns wins.
    #[default]
    First,
    /// The sample is dropped.
    Drop,
}

/// How votes become labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct FerPlusConfig {
    /// Which column wins.
    pub label: FerPlusLabel,
    /// Which of several that have most votes.
    pub ties: Ties,
}

/// How many rows a split has, and why samples were dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FerPlusCounts {
    /// Rows of the split.
    pub rows: usize,
    /// Samples of the dataset.
    pub kept: usize,
    /// Rows without an image name, which the authors of FERPlus took out.
    pub unnamed: usize,
    /// Samples where `unknown` wins.
    pub unknown: usize,
    /// Samples where `NF` wins.
    pub not_a_face: usize,
    /// Samples without a vote in the columns that count.
    pub no_votes: usize,
    /// Samples where no column has more than half of the votes.
    pub no_majority: usize,
    /// Samples where several columns have most votes.
    pub tied: usize,
}

impl FerPlusSplit {
    /// All splits.
    pub const ALL: [Self; 3] = [Self::Training, Self::PublicTest, Self::PrivateTest];

    /// What the column `Usage` says.
    pub fn usage(self) -> &'static str {
        match self {
            Self::Training => "Training",
            Self::PublicTest => "PublicTest",
            Self::PrivateTest => "PrivateTest",
        }
    }

    /// The folder in Microsoft's layout.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Training => "FER2013Train",
            Self::PublicTest => "FER2013Valid",
            Self::PrivateTest => "FER2013Test",
        }
    }
}

impl FerPlusCounts {
    /// What was dropped, for a summary.
    fn left_out(&self) -> [LeftOut; 6] {
        [
            LeftOut::new("without a name", self.unnamed),
            LeftOut::new("of unknown expression", self.unknown),
            LeftOut::new("without a face", self.not_a_face),
            LeftOut::new("without a vote that counts", self.no_votes),
            LeftOut::new("without a majority", self.no_majority),
            LeftOut::new("with several winners", self.tied),
        ]
    }

    /// Counts a sample with a name; its label, if it is kept.
    fn count(&mut self, verdict: Verdict) -> Option<u32> {
        let reason = match verdict {
            Verdict::Class(label) => {
                self.kept += 1;
                return Some(label);
            }
            Verdict::Unknown => &mut self.unknown,
            Verdict::NotAFace => &mut self.not_a_face,
            Verdict::NoVotes => &mut self.no_votes,
            Verdict::NoMajority => &mut self.no_majority,
            Verdict::Tied => &mut self.tied,
        };
        *reason += 1;
        None
    }
}

fn classes() -> Vec<String> {
    FER_PLUS_CLASSES.map(str::to_owned).into()
}
