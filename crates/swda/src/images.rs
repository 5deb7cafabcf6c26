//! Where images of a domain come from (feature `cli`).

use std::path::{Path, PathBuf};

use sconce_data::{
    Background, CUT_OUT_CLASSES, CityscapesConfig, CutOutStyle, DetectionCounts, DetectionDataset, EmptyImages,
    SceneConfig, Scenes, Split, VocConfig, Weather, cut_outs, read_cityscapes, read_cityscapes_unlabelled,
    read_cut_outs, read_image_folder, read_unlabelled, read_voc, read_voc_unlabelled,
};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Result, SwdaError},
    eval::other,
};

/// Where images of a domain come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Images {
    /// Scenes composed of the embedded cut-outs, five classes: nothing to download.
    Scenes {
        /// How they look.
        scene: Scene,
        /// Which cut-outs they show: those that are trained on, or others.
        split: Split,
        /// Their number.
        n: usize,
        /// What they are drawn from: the domains to train on have seeds of their own, so that nobody sees one scene in both.
        seed: u64,
    },
    /// Scenes composed of photos that are cut out of theirs, on parts of photos, with the classes of the embedded ones.
    PhotoScenes {
        /// A folder of a class each, of pictures with alpha, as `cargo xtask data fetch photo-cut-outs` gets it.
        cut_outs: PathBuf,
        /// The folders `train` and `test` of photos, as `cargo xtask data fetch campus-photos` gets them.
        backgrounds: PathBuf,
        /// Which of both they show: those that are trained on, or others.
        split: Split,
        /// Their number.
        n: usize,
        /// What they are drawn from.
        seed: u64,
    },
    /// A dataset in Pascal VOC's layout: VOC itself, Clipart1k, Watercolor2k, Sim10k, converted Cityscapes, your own.
    Voc {
        /// Its folder.
        root: PathBuf,
        /// Which lists, which classes, and what becomes of the rest.
        config: VocConfig,
    },
    /// Cityscapes or Foggy Cityscapes in the layout in which they are published: boxes are made from the maps of instances.
    Cityscapes {
        /// Its folder.
        root: PathBuf,
        /// Which part, in which weather, which classes.
        config: CityscapesConfig,
    },
    /// All image files below a folder, of which nothing else is known: a target to adapt to.
    Unlabelled {
        /// The folder.
        root: PathBuf,
    },
}

/// How composed scenes look: a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scene {
    /// Clipart in clear weather.
    Clear,
    /// The same in fog: a white that takes 0.7 to 0.95 of the farthest pixels, and 0.7 of that of the nearest.
    Fog,
    /// Emoji in clear weather.
    Emoji,
}

impl Scene {
    fn style(self) -> CutOutStyle {
        match self {
            Self::Clear | Self::Fog => CutOutStyle::Clipart,
            Self::Emoji => CutOutStyle::Emoji,
        }
    }

    /// How scenes of it are composed.
    pub fn config(self) -> SceneConfig {
        let weather = match self {
            Self::Clear | Self::Emoji => Weather::Clear,
            Self::Fog => Weather::Fog { strength: [0.7, 0.95] },
        };
        SceneConfig { weather, background: Background::FlatOrGradient, ..SceneConfig::default() }
    }

    /// Any number of scenes.
    pub(crate) fn scenes(self, split: Split, seed: u64) -> Result<Scenes> {
        Scenes::new(self.config(), cut_outs(self.style(), split).map_err(other)?, seed).map_err(other)
    }

    /// Other scenes for each domain to train on.
    fn seed(self) -> u64 {
        match self {
            Self::Clear => 1,
            Self::Fog => 2,
            Self::Emoji => 3,
        }
    }
}

impl Images {
    /// `n` scenes to train on.
    pub fn scenes(scene: Scene, n: usize) -> Self {
        Self::Scenes { scene, split: Split::Train, n, seed: scene.seed() }
    }

    /// `n` scenes to measure on, of cut-outs that are not trained on. Those in clear weather and in fog are the same ones.
    pub fn test_scenes(scene: Scene, n: usize) -> Self {
        Self::Scenes { scene, split: Split::Test, n, seed: 4 }
    }

    /// Reads the images, or composes them; with what the reader kept and left out, where there is one.
    ///
    /// # Errors
    /// If a file cannot be read or says what cannot be.
    pub fn read(&self) -> Result<(DetectionDataset, Option<DetectionCounts>)> {
        let counted = |(dataset, counts)| (dataset, Some(counts));
        match self {
            Self::Scenes { scene, split, n, seed } => {
                Ok((scene.scenes(*split, *seed)?.dataset(*n).map_err(other)?, None))
            }
            Self::PhotoScenes { cut_outs, backgrounds, split, n, seed } => {
                let scenes = photo_scenes(cut_outs, backgrounds, *split, *seed).map_err(other)?;
                Ok((scenes.dataset(*n).map_err(other)?, None))
            }
            Self::Voc { root, config } => read_voc(root, config).map(counted).map_err(other),
            Self::Cityscapes { root, config } => read_cityscapes(root, config).map(counted).map_err(other),
            Self::Unlabelled { root } => Err(without_labels("kind of images", root)),
        }
    }

    /// Reads the images without a look at what is on them: there need not be annotations. `classes` are the source's.
    ///
    /// # Errors
    /// As [`Images::read`], for the images alone.
    pub fn read_unlabelled(&self, classes: &[String]) -> Result<(DetectionDataset, Option<DetectionCounts>)> {
        let counted = |(dataset, counts)| (dataset, Some(counts));
        match self {
            Self::Scenes { .. } | Self::PhotoScenes { .. } => {
                self.read().map(|(dataset, counts)| (dataset.without_objects(), counts))
            }
            Self::Voc { root, config } => read_voc_unlabelled(root, config).map(counted).map_err(other),
            Self::Cityscapes { root, config } => read_cityscapes_unlabelled(root, config).map(counted).map_err(other),
            Self::Unlabelled { root } => read_unlabelled(root, classes).map(|dataset| (dataset, None)).map_err(other),
        }
    }

    /// Whether images without objects are left out, which only who knows their labels can tell.
    pub(crate) fn drops_empty(&self) -> bool {
        let policy = match self {
            Self::Voc { config, .. } => config.empty_images,
            Self::Cityscapes { config, .. } => config.empty_images,
            Self::Scenes { .. } | Self::PhotoScenes { .. } | Self::Unlabelled { .. } => EmptyImages::Keep,
        };
        policy == EmptyImages::Drop
    }

    /// The names of the classes.
    ///
    /// # Errors
    /// For images without labels. None with the embedded cut-outs.
    pub fn classes(&self) -> Result<Vec<String>> {
        match self {
            Self::Voc { config, .. } => Ok(config.classes.clone()),
            Self::Cityscapes { config, .. } => Ok(config.classes.clone()),
            Self::Unlabelled { root } => Err(without_labels("kind of images", root)),
            Self::PhotoScenes { .. } => Ok(CUT_OUT_CLASSES.map(str::to_owned).into()),
            Self::Scenes { scene, split, .. } => Ok(cut_outs(scene.style(), *split).map_err(other)?.classes().to_vec()),
        }
    }
}

/// That labels are wanted of images that have none.
pub(crate) fn without_labels(key: &'static str, root: &Path) -> SwdaError {
    SwdaError::config(key, format!("\"unlabelled\" for {}", root.display()), "images with labels")
}

/// Scenes of photos: of the cut-outs of each class 30 % are for testing alone, as of the embedded ones.
fn photo_scenes(cut_outs: &Path, backgrounds: &Path, split: Split, seed: u64) -> sconce_data::Result<Scenes> {
    let (train, test) = read_cut_outs(cut_outs)?.with_classes(&CUT_OUT_CLASSES)?.split_off(0.3, 0)?;
    let (cut_outs, name) = match split {
        Split::Train => (train, "train"),
        Split::Test => (test, "test"),
    };
    let photos = read_image_folder(backgrounds)?;
    let place = photos.classes().iter().position(|class| class == name);
    let of_split = |i: &usize| Some(photos.label(*i) as usize) == place;
    let photos = photos.subset(&(0..photos.len()).filter(of_split).collect::<Vec<_>>())?;
    Scenes::with_photos(Scene::Clear.config(), cut_outs, photos, seed)
}
