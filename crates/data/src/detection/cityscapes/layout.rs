//! What the files of Cityscapes are called.

use serde::{Deserialize, Serialize};

/// The classes of Cityscapes whose instances are told apart, in the order of the domain adaptation literature's code.
pub const CITYSCAPES_CLASSES: [&str; 8] = ["bus", "bicycle", "car", "motorcycle", "person", "rider", "train", "truck"];

/// How dense the fog of Foggy Cityscapes (Sakaridis et al., 2018) is: the attenuation coefficient β per metre. Results are
/// published for the densest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum FogDensity {
    /// β = 0.005: one sees 600 m far.
    #[serde(rename = "0.005")]
    Light,
    /// β = 0.01: 300 m.
    #[serde(rename = "0.01")]
    Medium,
    /// β = 0.02: 150 m.
    #[default]
    #[serde(rename = "0.02")]
    Dense,
}

impl FogDensity {
    /// All, from light to dense.
    pub const ALL: [Self; 3] = [Self::Light, Self::Medium, Self::Dense];

    /// β as the files' names have it.
    pub fn beta(self) -> &'static str {
        match self {
            Self::Light => "0.005",
            Self::Medium => "0.01",
            Self::Dense => "0.02",
        }
    }

    /// What a foggy image's name ends in, without its extension: `_foggy_beta_0.02`.
    pub(in super::super) fn suffix(self) -> String {
        format!("_foggy_beta_{}", self.beta())
    }
}

/// The ids of the classes whose instances are told apart, with their names.
const IDS: [(u16, &str); 10] = [
    (24, "person"),
    (25, "rider"),
    (26, "car"),
    (27, "truck"),
    (28, "bus"),
    (29, "caravan"),
    (30, "trailer"),
    (31, "train"),
    (32, "motorcycle"),
    (33, "bicycle"),
];

/// The name of the class with this id, if its instances are told apart.
pub(super) fn class_name(id: u16) -> Option<&'static str> {
    IDS.iter().find(|&&(known, _)| known == id).map(|&(_, name)| name)
}

/// Whether the instances of the class `name` are told apart.
pub(super) fn has_instances(name: &str) -> bool {
    IDS.iter().any(|&(_, known)| known == name)
}

/// A part of Cityscapes with annotations: those of the test images are not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CityscapesSplit {
    /// 2,975 images of 18 cities.
    Train,
    /// 500 images of three other cities, on which results are published.
    Val,
}

impl CityscapesSplit {
    /// The name of the folders.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
        }
    }
}

/// In which weather.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CityscapesImages {
    /// As photographed.
    #[default]
    Clear,
    /// With fog that was put into the same images: the same annotations hold.
    Foggy(FogDensity),
}

impl CityscapesImages {
    /// The folder of the images below the root.
    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::Clear => "leftImg8bit",
            Self::Foggy(_) => "leftImg8bit_foggy",
        }
    }

    /// What an image's file has behind its city, sequence and frame.
    pub(super) fn file_end(self) -> String {
        match self {
            Self::Clear => "_leftImg8bit.png".to_owned(),
            Self::Foggy(density) => format!("_leftImg8bit{}.png", density.suffix()),
        }
    }
}
