//! Which images of a dataset in VOC's layout are read, and how.

use serde::{Deserialize, Serialize};

use super::super::{
    cityscapes::{CITYSCAPES_CLASSES, FogDensity},
    rules::{Difficult, EmptyImages, MAX_OVERHANG, OtherClasses, max_overhang},
};
use crate::{OnInvalid, Orientation};

/// The classes of Pascal VOC, in the usual order: that of their names but for `tvmonitor`.
pub const VOC_CLASSES: [&str; 20] = [
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
];

/// The classes of Watercolor2k, which are also Comic2k's.
pub const WATERCOLOR_CLASSES: [&str; 6] = ["bicycle", "bird", "car", "cat", "dog", "person"];

/// Which images of a dataset in VOC's layout are read, and how: see [`super::read_voc`].
///
/// The functions give the datasets that papers use; a field can be changed in what they give.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct VocConfig {
    /// The lists, one after the other: several for a union, as of VOC2007 and VOC2012.
    pub parts: Vec<VocPart>,
    /// The names of the classes in lower case, in the order of the labels; none for the sorted names in the annotations. A set to
    /// test on needs those of the set that was trained on.
    #[serde(default)]
    pub classes: Vec<String>,
    /// What becomes of objects of other classes.
    #[serde(default)]
    pub other_classes: OtherClasses,
    /// Images whose id contains one of these texts belong to another domain that shares the folders; they are left out and
    /// counted.
    #[serde(default)]
    pub skip_ids_with: Vec<String>,
    /// What becomes of objects that are hard to recognise.
    #[serde(default)]
    pub difficult: Difficult,
    /// How the boxes are written down.
    #[serde(default)]
    pub coordinates: VocCoordinates,
    /// By how many pixels a box may stick out of its image: it is clipped then, and counted. 0 clips none, a large number all that
    /// overlap their image.
    #[serde(default = "max_overhang")]
    pub max_overhang: u32,
    /// Whether the sizes that annotations note are compared with the images'.
    #[serde(default)]
    pub sizes: VocSizes,
    /// What becomes of the orientation that a camera noted: annotations are of the stored pixels, unless this says otherwise.
    #[serde(default)]
    pub orientation: Orientation,
    /// What becomes of images on which no object is left.
    #[serde(default)]
    pub empty_images: EmptyImages,
    /// What becomes of annotations that are wrong, and of images that cannot be decoded.
    #[serde(default)]
    pub on_invalid: OnInvalid,
}

/// A list of images in a dataset of VOC's layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct VocPart {
    /// The folder of `Annotations`, `ImageSets` and `JPEGImages` below the root, as `VOC2007`; empty where they lie in the root.
    #[serde(default)]
    pub folder: String,
    /// The list's name without its folder and `.txt`, as `trainval`.
    pub split: String,
    /// The lists that together make this one, where it is missing.
    #[serde(default)]
    pub otherwise: Vec<String>,
}

/// What the numbers of a box mean. Both ends are in the box.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum VocCoordinates {
    /// Columns and rows count from 1, as Pascal VOC's do.
    #[default]
    OneBased,
    /// They count from 0, as some tools have it.
    ZeroBased,
}

/// Whether the sizes that annotations note are compared with the images'.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum VocSizes {
    /// Of every image the head is read; one of another size than annotated is invalid.
    #[default]
    Compared,
    /// An annotated size is believed, and its image not opened: it need not be there. To evaluate, which needs no pixels.
    Annotated,
}

impl VocPart {
    /// The list `split` of the datasets in `folder`.
    pub fn new(folder: &str, split: &str) -> Self {
        Self { folder: folder.to_owned(), split: split.to_owned(), otherwise: Vec::new() }
    }
}

impl VocConfig {
    /// The lists `parts` with all objects of `classes`; other classes are invalid, and so is everything that is wrong.
    pub fn new(parts: Vec<VocPart>, classes: &[&str]) -> Self {
        Self {
            parts,
            classes: classes.iter().map(|&class| class.to_owned()).collect(),
            other_classes: OtherClasses::default(),
            skip_ids_with: Vec::new(),
            difficult: Difficult::default(),
            coordinates: VocCoordinates::default(),
            max_overhang: MAX_OVERHANG,
            sizes: VocSizes::default(),
            orientation: Orientation::default(),
            empty_images: EmptyImages::default(),
            on_invalid: OnInvalid::default(),
        }
    }

    /// Pascal VOC: `years` with their lists, below the root `VOCdevkit`; `[("2007", "trainval"), ("2012", "trainval")]` is the
    /// usual union, 16,551 images.
    pub fn voc(years: &[(&str, &str)]) -> Self {
        let parts = years.iter().map(|(year, split)| VocPart::new(&format!("VOC{year}"), split)).collect();
        Self::new(parts, &VOC_CLASSES)
    }

    /// Clipart1k (Inoue et al., 2018): 500 images each in the lists `train` and `test`, with VOC's classes. `trainval`, all
    /// 1,000, on which domain adaptation is usually both trained and tested, is a list that some copies have; elsewhere it is
    /// those two.
    pub fn clipart1k(split: &str) -> Self {
        let mut part = VocPart::new("", split);
        if split == "trainval" {
            part.otherwise = vec!["train".to_owned(), "test".to_owned()];
        }
        Self::new(vec![part], &VOC_CLASSES)
    }

    /// Watercolor2k (Inoue et al., 2018): 1,000 images each in `train` and `test`, with six of VOC's classes.
    pub fn watercolor2k(split: &str) -> Self {
        Self::new(vec![VocPart::new("", split)], &WATERCOLOR_CLASSES)
    }

    /// Cityscapes as a dataset in VOC's layout below the folder `VOC2007`, as DA-Faster's conversion writes it; see
    /// [`crate::read_cityscapes`] for the original. The list `trainval` is that of the 2,975 training images, `test` or `val`
    /// of the 500 validation images. Foggy twins in the same lists are left out.
    pub fn cityscapes(split: &str) -> Self {
        Self {
            skip_ids_with: vec!["target_".to_owned(), "_foggy_".to_owned()],
            ..Self::new(vec![VocPart::new("VOC2007", split)], &CITYSCAPES_CLASSES)
        }
    }

    /// Foggy Cityscapes in the same layout. Images of the clear source in the same lists, which would be labelled images of the
    /// target domain's places, are left out, and so are other densities.
    pub fn foggy_cityscapes(split: &str, density: FogDensity) -> Self {
        let others = FogDensity::ALL.into_iter().filter(|&other| other != density).map(|other| other.suffix());
        Self { skip_ids_with: std::iter::once("source_".to_owned()).chain(others).collect(), ..Self::cityscapes(split) }
    }

    /// Sim10k, "Driving in the Matrix" (Johnson-Roberson et al., 2017): 10,000 rendered images, of which the cars count, below
    /// the folder `VOC2012`. Its lists name the files of the images, with their extension.
    pub fn sim10k(split: &str) -> Self {
        Self::new(vec![VocPart::new("VOC2012", split)], &["car"]).only(&["car"])
    }

    /// The same with `classes` alone: objects of others are left out and counted.
    #[must_use]
    pub fn only(self, classes: &[&str]) -> Self {
        let classes = classes.iter().map(|&class| class.to_owned()).collect();
        Self { classes, other_classes: OtherClasses::Drop, ..self }
    }

    /// The same without the images on which no object is left.
    #[must_use]
    pub fn without_empty_images(self) -> Self {
        Self { empty_images: EmptyImages::Drop, ..self }
    }
}
