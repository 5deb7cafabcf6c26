//! Where images of a domain come from (feature `cli`).

use std::path::{Path, PathBuf};

use sconce_data::{
    Background, CUT_OUT_CLASSES, CityscapesConfig, CocoConfig, CocoId, CutOutStyle, DetectionCounts, DetectionDataset,
    EmptyImages, FolderConfig, OnInvalid, Orientation, SceneConfig, Scenes, Split, VocConfig, VocFlatConfig, Weather,
    cut_outs, read_cityscapes, read_cityscapes_unlabelled, read_coco, read_coco_unlabelled, read_cut_outs,
    read_image_folder, read_unlabelled_as, read_voc, read_voc_flat, read_voc_unlabelled,
};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Result, SwdaError},
    eval::other,
    layout::{Role, VocLayout, find_coco, find_voc},
};

/// Where images of a domain come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
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
    /// Annotations in Pascal VOC's XML: VOC itself, Clipart1k, Watercolor2k, Sim10k, converted Cityscapes, your own; in VOC's
    /// layout, or as LabelImg leaves them.
    Voc {
        /// The folder.
        root: PathBuf,
        /// Which lists, which classes, and what becomes of the rest. If absent, lists and classes are those that are found: to
        /// train on `trainval` or `train`, to measure on `test` or `val`; without lists, annotations beside their images or in a
        /// folder of their own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        config: Option<VocConfig>,
    },
    /// Annotations in Pascal VOC's XML without lists, beside their images or in a folder of their own, as LabelImg leaves them.
    VocFlat {
        /// The folder.
        root: PathBuf,
        /// The folders of images and annotations, which classes, and what becomes of the rest.
        #[serde(default)]
        config: VocFlatConfig,
    },
    /// A file of annotations in COCO's format, and a folder of images.
    Coco {
        /// The folder that both are in, or the file.
        root: PathBuf,
        /// The file and the folder of the images below the root, which classes, and what becomes of the rest. If absent, both are
        /// looked for: the one file of JSON in the folder or in `annotations`, or the one for the purpose by its name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        config: Option<CocoConfig>,
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
        /// What becomes of files that cannot be decoded, and of the orientation that a camera noted.
        #[serde(default)]
        config: FolderConfig,
    },
}

/// How images are read, beside what they say themselves.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// What for.
    pub role: Role,
    /// What becomes of what is wrong: with [`OnInvalid::Skip`] it is left out, else what becomes of it is as they say.
    pub on_invalid: OnInvalid,
    /// What becomes of the orientation that a camera noted; `None` leaves it to what they say.
    pub orientation: Option<Orientation>,
    /// The classes where they say none; none for those that are found.
    pub classes: &'a [String],
}

/// Images that were read.
#[derive(Clone, Debug)]
pub struct ReadImages {
    /// The images.
    pub dataset: DetectionDataset,
    /// What the reader kept and left out, where there is one.
    pub counts: Option<DetectionCounts>,
    /// By which ids a file in COCO's format calls the classes.
    pub category_ids: Option<Vec<Option<CocoId>>>,
    /// Which files of the folder were read, where that was found out.
    pub found: Option<String>,
}

/// How composed scenes look: a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
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

    /// Reads the images, or composes them.
    ///
    /// # Errors
    /// If a file cannot be read or says what cannot be.
    pub fn read(&self, reading: &Reading<'_>) -> Result<ReadImages> {
        match self {
            Self::Scenes { scene, split, n, seed } => {
                Ok(ReadImages::new(scene.scenes(*split, *seed)?.dataset(*n).map_err(other)?))
            }
            Self::PhotoScenes { cut_outs, backgrounds, split, n, seed } => {
                let scenes = photo_scenes(cut_outs, backgrounds, *split, *seed).map_err(other)?;
                Ok(ReadImages::new(scenes.dataset(*n).map_err(other)?))
            }
            Self::Voc { root, config: Some(config) } => reading.voc(root, config.clone()).map_err(other),
            Self::Voc { root, config: None } => match find_voc(root, reading.role).map_err(other)? {
                VocLayout::Lists(config) => {
                    let found = described(&config);
                    Ok(reading.voc(root, config).map_err(other)?.with_found(found))
                }
                VocLayout::Flat(config) => reading.voc_flat(root, config).map_err(other),
            },
            Self::VocFlat { root, config } => reading.voc_flat(root, config.clone()).map_err(other),
            Self::Coco { root, config: Some(config) } => reading.coco(root, config.clone()).map_err(other),
            Self::Coco { root, config: None } => {
                let (root, config) = find_coco(root, reading.role).map_err(other)?;
                let found =
                    format!("{} with the images in `{}`", config.annotations.display(), config.images.display());
                Ok(reading.coco(&root, config).map_err(other)?.with_found(found))
            }
            Self::Cityscapes { root, config } => {
                let config = CityscapesConfig { on_invalid: reading.rule(config.on_invalid), ..config.clone() };
                read_cityscapes(root, &config).map(ReadImages::counted).map_err(other)
            }
            Self::Unlabelled { root, .. } => Err(without_labels("kind of images", root)),
        }
    }

    /// Reads the images without a look at what is on them: there need not be annotations. The classes are the source's.
    ///
    /// # Errors
    /// As [`Images::read`], for the images alone.
    pub fn read_unlabelled(&self, reading: &Reading<'_>) -> Result<ReadImages> {
        match self {
            Self::Scenes { .. } | Self::PhotoScenes { .. } => {
                let read = self.read(reading)?;
                Ok(ReadImages { dataset: read.dataset.without_objects(), ..read })
            }
            Self::Voc { root, config: Some(config) } => reading.voc_unlabelled(root, config.clone()).map_err(other),
            Self::Voc { root, config: None } => match find_voc(root, reading.role).map_err(other)? {
                VocLayout::Lists(config) => {
                    let found = described(&config);
                    Ok(reading.voc_unlabelled(root, config).map_err(other)?.with_found(found))
                }
                VocLayout::Flat(config) => reading.flat_unlabelled(root, &config).map_err(other),
            },
            Self::VocFlat { root, config } => reading.flat_unlabelled(root, config).map_err(other),
            Self::Coco { root, config } => {
                let (root, config) = match config {
                    Some(config) => (root.clone(), config.clone()),
                    None => find_coco(root, reading.role).map_err(other)?,
                };
                let config = reading.of_coco(config);
                read_coco_unlabelled(&root, &config)
                    .map(|read| ReadImages::counted((read.dataset, read.counts)))
                    .map_err(other)
            }
            Self::Cityscapes { root, config } => {
                let config = CityscapesConfig { on_invalid: reading.rule(config.on_invalid), ..config.clone() };
                read_cityscapes_unlabelled(root, &config).map(ReadImages::counted).map_err(other)
            }
            Self::Unlabelled { root, config } => reading.folder(root, *config).map_err(other),
        }
    }

    /// Whether images without objects are left out, which only who knows their labels can tell.
    pub(crate) fn drops_empty(&self) -> bool {
        let policy = match self {
            Self::Voc { config: Some(config), .. } => config.empty_images,
            Self::VocFlat { config, .. } => config.empty_images,
            Self::Coco { config: Some(config), .. } => config.empty_images,
            Self::Cityscapes { config, .. } => config.empty_images,
            Self::Voc { config: None, .. } | Self::Coco { config: None, .. } => EmptyImages::Keep,
            Self::Scenes { .. } | Self::PhotoScenes { .. } | Self::Unlabelled { .. } => EmptyImages::Keep,
        };
        policy == EmptyImages::Drop
    }

    /// The names of the classes, where they are known without a look at the images.
    pub fn classes(&self) -> Option<Vec<String>> {
        let classes = match self {
            Self::Voc { config, .. } => config.as_ref()?.classes.clone(),
            Self::VocFlat { config, .. } => config.classes.clone(),
            Self::Coco { config, .. } => config.as_ref()?.classes.clone(),
            Self::Cityscapes { config, .. } => config.classes.clone(),
            Self::Unlabelled { .. } => return None,
            Self::PhotoScenes { .. } | Self::Scenes { .. } => CUT_OUT_CLASSES.map(str::to_owned).into(),
        };
        Some(classes).filter(|classes| !classes.is_empty())
    }

    /// Where files of one's own are: empty where nobody has said it yet.
    pub(crate) fn root(&self) -> Option<&Path> {
        match self {
            Self::Voc { root, .. }
            | Self::VocFlat { root, .. }
            | Self::Coco { root, .. }
            | Self::Cityscapes { root, .. }
            | Self::Unlabelled { root, .. } => Some(root),
            Self::PhotoScenes { .. } | Self::Scenes { .. } => None,
        }
    }
}

impl ReadImages {
    fn new(dataset: DetectionDataset) -> Self {
        Self { dataset, counts: None, category_ids: None, found: None }
    }

    fn counted((dataset, counts): (DetectionDataset, DetectionCounts)) -> Self {
        Self { counts: Some(counts), ..Self::new(dataset) }
    }

    fn with_found(self, found: String) -> Self {
        Self { found: Some(found), ..self }
    }
}

/// The lists of a dataset in VOC's layout.
fn described(config: &VocConfig) -> String {
    let list = |part: &sconce_data::VocPart| match &part.folder[..] {
        "" => format!("the list `{}`", part.split),
        folder => format!("the list `{}` of {folder}", part.split),
    };
    config.parts.iter().map(list).collect::<Vec<_>>().join(" and ")
}

impl Reading<'_> {
    fn rule(&self, own: OnInvalid) -> OnInvalid {
        if self.on_invalid == OnInvalid::Skip { OnInvalid::Skip } else { own }
    }

    fn orientation(&self, own: Orientation) -> Orientation {
        self.orientation.unwrap_or(own)
    }

    fn classes(&self, own: Vec<String>) -> Vec<String> {
        if own.is_empty() { self.classes.to_vec() } else { own }
    }

    fn of_voc(&self, config: VocConfig) -> VocConfig {
        let (on_invalid, classes) = (self.rule(config.on_invalid), self.classes(config.classes));
        let orientation = self.orientation(config.orientation);
        VocConfig { on_invalid, orientation, classes, ..config }
    }

    fn of_coco(&self, config: CocoConfig) -> CocoConfig {
        let (on_invalid, classes) = (self.rule(config.on_invalid), self.classes(config.classes));
        let orientation = self.orientation(config.orientation);
        CocoConfig { on_invalid, orientation, classes, ..config }
    }

    fn voc(&self, root: &Path, config: VocConfig) -> sconce_data::Result<ReadImages> {
        read_voc(root, &self.of_voc(config)).map(ReadImages::counted)
    }

    fn voc_unlabelled(&self, root: &Path, config: VocConfig) -> sconce_data::Result<ReadImages> {
        read_voc_unlabelled(root, &self.of_voc(config)).map(ReadImages::counted)
    }

    fn voc_flat(&self, root: &Path, config: VocFlatConfig) -> sconce_data::Result<ReadImages> {
        let (on_invalid, classes) = (self.rule(config.on_invalid), self.classes(config.classes));
        let orientation = self.orientation(config.orientation);
        read_voc_flat(root, &VocFlatConfig { on_invalid, orientation, classes, ..config }).map(ReadImages::counted)
    }

    fn flat_unlabelled(&self, root: &Path, config: &VocFlatConfig) -> sconce_data::Result<ReadImages> {
        let folder = FolderConfig { on_invalid: config.on_invalid, orientation: config.orientation };
        self.folder(&root.join(&config.images), folder)
    }

    fn folder(&self, root: &Path, config: FolderConfig) -> sconce_data::Result<ReadImages> {
        let orientation = self.orientation(config.orientation);
        let config = FolderConfig { on_invalid: self.rule(config.on_invalid), orientation };
        read_unlabelled_as(root, self.classes, &config).map(ReadImages::counted)
    }

    fn coco(&self, root: &Path, config: CocoConfig) -> sconce_data::Result<ReadImages> {
        let read = read_coco(root, &self.of_coco(config))?;
        Ok(ReadImages { category_ids: Some(read.category_ids), ..ReadImages::counted((read.dataset, read.counts)) })
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
