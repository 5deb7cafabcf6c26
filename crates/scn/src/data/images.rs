//! Where images are, and how they are read.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use sconce_data::{
    AffectNetConfig, DataError, EMOJI_EXPRESSION_CLASSES, EmojiVendor, FASHION_MNIST_CLASSES, FER_PLUS_CLASSES,
    FerPlusConfig, FerPlusSplit, FolderConfig, ImageDataset, OnInvalid, Orientation, RAF_DB_CLASSES, Split,
    emoji_expressions, fashion_mnist_subset, read_affect_net, read_fashion_mnist, read_fer_plus, read_fer_plus_folders,
    read_raf_db,
};
use serde::{Deserialize, Serialize};

use super::folder::{self, Decoding};

/// Where images are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Images {
    /// The subset of Fashion-MNIST inside the binary: 6,000 and 1,000 images of ten classes.
    FashionMnistSubset,
    /// All of Fashion-MNIST, in its four files.
    FashionMnist {
        /// Their folder.
        root: PathBuf,
    },
    /// Emoji of seven expressions inside the binary, each vendor in a style of its own.
    EmojiExpressions {
        /// Whose drawings are trained on.
        train: Vec<EmojiVendor>,
        /// Whose drawings are tested on; none of the above.
        test: Vec<EmojiVendor>,
    },
    /// RAF-DB, the basic expressions.
    ///
    /// See [`read_raf_db`].
    RafDb {
        /// The folder that has `EmoLabel` and `Image`.
        root: PathBuf,
    },
    /// FERPlus, trained on `Training`, chosen by `PublicTest`, tested on `PrivateTest`.
    ///
    /// See [`read_fer_plus`] and [`read_fer_plus_folders`].
    FerPlus {
        /// The folder of `fer2013.csv` and `fer2013new.csv`, or of `FER2013Train` and its like.
        root: PathBuf,
        /// How votes become labels.
        #[serde(default)]
        votes: FerPlusConfig,
    },
    /// AffectNet, tested on its validation images.
    ///
    /// See [`read_affect_net`].
    AffectNet {
        /// The folder of the lists and of the images' folder.
        root: PathBuf,
        /// Their names, which classes, and what is seen of an image.
        #[serde(default)]
        layout: AffectNetConfig,
    },
    /// A folder of images for each class: PNG, JPEG, WebP, BMP or PNM files, in grey or colour, of any size.
    ImageFolder {
        /// The folder of the training classes.
        train: PathBuf,
        /// The folder of the test classes, named as the training ones; some may be missing. Absent: a part of the training images
        /// is held out to test on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        test: Option<PathBuf>,
        /// The share of each class that is held out to test on where there is no folder `test`; drawn by the run's seed.
        #[serde(default = "a_fifth")]
        test_share: f64,
        /// What becomes of a file that cannot be decoded: `fail` ends the run, `skip` leaves it out and says so.
        #[serde(default)]
        on_invalid: OnInvalid,
        /// What becomes of the orientation that a camera noted.
        #[serde(default = "upright")]
        orientation: Orientation,
        /// The shorter side, in pixels, to which larger images are scaled when they are read, once, to be kept in memory: large
        /// photos are then not decoded anew in every epoch. Absent: images are decoded whenever they are needed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shrink_to: Option<usize>,
    },
}

/// The default of `test_share`.
fn a_fifth() -> f64 {
    0.2
}

/// The default of `orientation`.
fn upright() -> Orientation {
    FolderConfig::default().orientation
}

/// What images are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// To train on.
    Train,
    /// To choose a checkpoint by, where the dataset has images for that.
    Validation,
    /// To measure on.
    Test,
}

impl Part {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    /// The part for datasets of two: whoever has no validation images cuts them off the training ones.
    fn split(self) -> Split {
        match self {
            Self::Train | Self::Validation => Split::Train,
            Self::Test => Split::Test,
        }
    }

    fn fer_plus(self) -> FerPlusSplit {
        match self {
            Self::Train => FerPlusSplit::Training,
            Self::Validation => FerPlusSplit::PublicTest,
            Self::Test => FerPlusSplit::PrivateTest,
        }
    }
}

impl Images {
    /// RAF-DB where the official code looks for it.
    pub fn raf_db() -> Self {
        Self::RafDb { root: "datasets/raf-basic".into() }
    }

    /// FERPlus beside it.
    pub fn fer_plus() -> Self {
        Self::FerPlus { root: "datasets/fer-plus".into(), votes: FerPlusConfig::default() }
    }

    /// AffectNet beside it.
    pub fn affect_net() -> Self {
        Self::AffectNet { root: "datasets/affect-net".into(), layout: AffectNetConfig::default() }
    }

    /// The emoji, tested on Google's.
    pub fn emoji_expressions() -> Self {
        let test = EmojiVendor::Google;
        Self::EmojiExpressions {
            train: EmojiVendor::ALL.into_iter().filter(|v| *v != test).collect(),
            test: vec![test],
        }
    }

    /// Images in folders of classes: none is left out, and each is decoded whenever it is needed.
    pub fn image_folder(train: impl Into<PathBuf>, test: Option<&str>) -> Self {
        Self::ImageFolder {
            train: train.into(),
            test: test.map(Into::into),
            test_share: a_fifth(),
            on_invalid: OnInvalid::Fail,
            orientation: upright(),
            shrink_to: None,
        }
    }

    /// Checks what types cannot say.
    pub(crate) fn validate(&self) -> Result<(), DataError> {
        let Self::ImageFolder { test, test_share, shrink_to, .. } = self else { return Ok(()) };
        if test.is_none() && !(*test_share > 0.0 && *test_share < 1.0) {
            return Err(DataError::argument("data.images.test_share", test_share, "more than 0 and less than 1"));
        }
        match shrink_to {
            Some(0) => Err(DataError::argument("data.images.shrink_to", 0, "at least 1")),
            _ => Ok(()),
        }
    }

    /// The share of the training images that is held out to test on, if there are no others.
    pub(crate) fn test_share(&self) -> Option<f64> {
        match self {
            Self::ImageFolder { test: None, test_share, .. } => Some(*test_share),
            _ => None,
        }
    }

    /// What is done to an image before its pipeline.
    pub(crate) fn decoding(&self) -> Decoding {
        match self {
            Self::ImageFolder { on_invalid, orientation, shrink_to, .. } => {
                let folder = FolderConfig { on_invalid: *on_invalid, orientation: *orientation };
                Decoding { folder, shrink_to: *shrink_to }
            }
            _ => Decoding::default(),
        }
    }

    /// The file of an image, or its name where it is none.
    pub(crate) fn file(&self, dataset: &ImageDataset, index: usize) -> PathBuf {
        let name = dataset.name(index);
        match self {
            // Where images are kept in memory, the folder is known nevertheless.
            Self::ImageFolder { .. } => Path::new(dataset.origin()).join(name),
            _ => dataset.path(index).unwrap_or_else(|| name.into()),
        }
    }

    /// The training images that were held out to test on, by their names.
    pub(crate) fn read_held_out(&self, names: &[String]) -> Result<ImageDataset, DataError> {
        let Self::ImageFolder { train, .. } = self else {
            return Err(DataError::argument("data.images.kind", "another one", "image-folder, as it was in training"));
        };
        folder::read(train, &self.decoding(), Some(names))
    }

    /// Whether there are validation images of the dataset's own.
    pub(crate) fn has_validation(&self) -> bool {
        matches!(self, Self::FerPlus { .. })
    }

    /// The images of one part. What a reader counted goes into `counts`, by the name of the part.
    pub(crate) fn read(
        &self,
        part: Part,
        counts: &mut BTreeMap<&'static str, serde_json::Value>,
    ) -> Result<ImageDataset, DataError> {
        match self {
            Self::FashionMnistSubset => fashion_mnist_subset(part.split()),
            Self::FashionMnist { root } => read_fashion_mnist(root, part.split()),
            Self::EmojiExpressions { train, test } => {
                if let Some(vendor) = test.iter().find(|vendor| train.contains(vendor)) {
                    let found = format!("{} in both", vendor.name());
                    return Err(DataError::argument(
                        "data.images: train and test",
                        found,
                        "vendors of which none is in both",
                    ));
                }
                emoji_expressions(if part == Part::Test { test } else { train })
            }
            Self::RafDb { root } => read_raf_db(root, part.split()),
            Self::FerPlus { root, votes } => {
                let has_folders = root.join(FerPlusSplit::Training.folder()).is_dir();
                let read = if has_folders { read_fer_plus_folders } else { read_fer_plus };
                let (dataset, counted) = read(root, part.fer_plus(), votes)?;
                counts.insert(part.name(), serde_json::json!(counted));
                Ok(dataset)
            }
            Self::AffectNet { root, layout } => {
                let (dataset, counted) = read_affect_net(root, part.split(), layout)?;
                counts.insert(part.name(), serde_json::json!(counted));
                Ok(dataset)
            }
            Self::ImageFolder { train, test, .. } => {
                let root = match (part, test) {
                    (Part::Test, Some(test)) => test,
                    (Part::Test, None) => {
                        let expected =
                            "a folder of test images; those that a run held out are known to its checkpoints alone";
                        return Err(DataError::argument("data.images.test", "absent", expected));
                    }
                    _ => train,
                };
                folder::read(root, &self.decoding(), None)
            }
        }
    }

    /// The names of the classes, where they are known without reading data; `None` for folders of classes.
    pub(crate) fn classes(&self) -> Option<Vec<String>> {
        let names: &[&str] = match self {
            Self::FashionMnistSubset | Self::FashionMnist { .. } => &FASHION_MNIST_CLASSES,
            Self::EmojiExpressions { .. } => &EMOJI_EXPRESSION_CLASSES,
            Self::RafDb { .. } => &RAF_DB_CLASSES,
            Self::FerPlus { .. } => &FER_PLUS_CLASSES,
            Self::AffectNet { layout, .. } => layout.classes.names(),
            Self::ImageFolder { .. } => return None,
        };
        Some(names.iter().map(|&name| name.to_owned()).collect())
    }
}
