//! Where images are, and how they are read.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use sconce_data::{
    AffectNetConfig, DataError, EMOJI_EXPRESSION_CLASSES, EmojiVendor, FASHION_MNIST_CLASSES, FER_PLUS_CLASSES,
    FerPlusConfig, FerPlusSplit, ImageDataset, RAF_DB_CLASSES, Split, emoji_expressions, fashion_mnist_subset,
    read_affect_net, read_fashion_mnist, read_fer_plus, read_fer_plus_folders, read_image_folder, read_raf_db,
};
use serde::{Deserialize, Serialize};

/// Where images are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// RAF-DB, the basic expressions: see [`read_raf_db`].
    RafDb {
        /// The folder that has `EmoLabel` and `Image`.
        root: PathBuf,
    },
    /// FERPlus, trained on `Training`, chosen by `PublicTest`, tested on `PrivateTest`: see [`read_fer_plus`] and
    /// [`read_fer_plus_folders`].
    FerPlus {
        /// The folder of `fer2013.csv` and `fer2013new.csv`, or of `FER2013Train` and its like.
        root: PathBuf,
        /// How votes become labels.
        #[serde(default)]
        votes: FerPlusConfig,
    },
    /// AffectNet, tested on its validation images: see [`read_affect_net`].
    AffectNet {
        /// The folder of the lists and of the images' folder.
        root: PathBuf,
        /// Their names, which classes, and what is seen of an image.
        #[serde(default)]
        layout: AffectNetConfig,
    },
    /// A folder of images for each class.
    ImageFolder {
        /// The folder of the training classes.
        train: PathBuf,
        /// The folder of the test classes, named as the training ones.
        test: PathBuf,
    },
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
    fn name(self) -> &'static str {
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
            Self::ImageFolder { train, test } => read_image_folder(folder(part, train, test)),
        }
    }

    /// The names of the classes.
    pub(crate) fn classes(&self) -> Result<Vec<String>, DataError> {
        let names: &[&str] = match self {
            Self::FashionMnistSubset | Self::FashionMnist { .. } => &FASHION_MNIST_CLASSES,
            Self::EmojiExpressions { .. } => &EMOJI_EXPRESSION_CLASSES,
            Self::RafDb { .. } => &RAF_DB_CLASSES,
            Self::FerPlus { .. } => &FER_PLUS_CLASSES,
            Self::AffectNet { layout, .. } => layout.classes.names(),
            Self::ImageFolder { test, .. } => return Ok(read_image_folder(test)?.classes().to_vec()),
        };
        Ok(names.iter().map(|&name| name.to_owned()).collect())
    }
}

fn folder<'a>(part: Part, train: &'a Path, test: &'a Path) -> &'a Path {
    if part == Part::Test { test } else { train }
}
