//! Images and annotations in Pascal VOC's XML without lists, as LabelImg leaves them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    VocAnnotation, VocCoordinates, parse_voc_xml_bytes,
    samples::{Annotated, Read, Rules},
};
use crate::{
    DataError, OnInvalid, Orientation, Result,
    detection::{
        DetectionCounts, DetectionDataset, Difficult, EmptyImages, OtherClasses, WrongImage,
        dataset::check_size,
        rules::{MAX_OVERHANG, checked_size, skip},
    },
    files::{below, images_below, stem, walk},
};

/// Which images of a folder without lists are read, and how: see [`read_voc_flat`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct VocFlatConfig {
    /// The folder of the images below the root; empty for the root itself. Those in folders below it count too.
    pub images: String,
    /// The folder of the annotations below the root, the same one if they lie beside the images: `a/b.xml` there is of `a/b.jpg`
    /// among the images.
    pub annotations: String,
    /// The names of the classes, in the order of the labels; none for the sorted names in the annotations. A set to test on needs
    /// those of the set that was trained on.
    pub classes: Vec<String>,
    /// What becomes of objects of other classes.
    pub other_classes: OtherClasses,
    /// What becomes of images without an annotation.
    pub unannotated: Unannotated,
    /// What becomes of objects that are hard to recognise.
    pub difficult: Difficult,
    /// How the boxes are written down.
    pub coordinates: VocCoordinates,
    /// By how many pixels a box may stick out of its image: it is clipped then, and counted.
    pub max_overhang: u32,
    /// What becomes of images on which no object is left.
    pub empty_images: EmptyImages,
    /// What becomes of the orientation that a camera noted.
    pub orientation: Orientation,
    /// What becomes of annotations that are wrong, and of images that cannot be decoded.
    pub on_invalid: OnInvalid,
}

/// What becomes of images without an annotation file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Unannotated {
    /// They are left out and counted: nobody has looked at them yet.
    #[default]
    LeaveOut,
    /// They are images without objects, for whoever marked the others left these out because nothing is on them.
    Empty,
}

impl Default for VocFlatConfig {
    fn default() -> Self {
        Self {
            images: String::new(),
            annotations: String::new(),
            classes: Vec::new(),
            other_classes: OtherClasses::default(),
            unannotated: Unannotated::default(),
            difficult: Difficult::default(),
            coordinates: VocCoordinates::default(),
            max_overhang: MAX_OVERHANG,
            empty_images: EmptyImages::default(),
            orientation: Orientation::default(),
            on_invalid: OnInvalid::default(),
        }
    }
}

/// Reads images and their annotations in Pascal VOC's XML without a list, in the order of folders and files: side by side as
/// LabelImg leaves them, or in two folders.
///
/// ```text
/// root/photo 1.jpg      or    root/images/photo 1.jpg
/// root/photo 1.xml            root/labels/photo 1.xml    with images = "images", annotations = "labels"
/// ```
///
/// An annotation is of the image of the same name. A sample's name is its image's path below the root. Hidden files and folders
/// are ignored. Everything else is as for [`read_voc`](super::read_voc).
///
/// # Errors
/// [`DataError::Io`] for a folder, [`DataError::Empty`] without images or annotations, or if no image is left, [`DataError::Argument`]
/// for classes that are none. Where invalid annotations are errors: [`DataError::File`] for an annotation without an image or of
/// several images, and as [`read_voc`](super::read_voc) otherwise.
pub fn read_voc_flat(root: &Path, config: &VocFlatConfig) -> Result<(DetectionDataset, DetectionCounts)> {
    let reader = FlatReader { root, config };
    let rules = Rules {
        classes: &config.classes,
        other_classes: config.other_classes,
        difficult: config.difficult,
        coordinates: config.coordinates,
        max_overhang: config.max_overhang,
        empty_images: config.empty_images,
        orientation: config.orientation,
        on_invalid: config.on_invalid,
    };
    rules.check_classes()?;
    rules.dataset(root, reader.read()?)
}

struct FlatReader<'a> {
    root: &'a Path,
    config: &'a VocFlatConfig,
}

/// An image and the annotations of its name.
struct FlatImage {
    /// Its path below the root.
    name: String,
    annotation: Option<PathBuf>,
    /// Another image of the same name but for the extension, which stands before it.
    twin: Option<String>,
}

impl FlatReader<'_> {
    fn read(&self) -> Result<Vec<Read>> {
        let images = images_below(self.root, &self.config.images)?;
        let mut annotations = self.annotations()?;
        if annotations.is_empty() {
            let path = self.root.join(&self.config.annotations);
            return Err(DataError::empty(path, "annotations in Pascal VOC's XML"));
        }
        let mut used = BTreeSet::new();
        let mut first: BTreeMap<String, String> = BTreeMap::new();
        let mut flat = Vec::new();
        for name in images {
            let key = stem(self.relative(&name)).to_owned();
            let annotation = annotations.get(&key).cloned();
            let twin = first.get(&key).cloned().filter(|_| annotation.is_some());
            first.entry(key.clone()).or_insert_with(|| name.clone());
            used.insert(key);
            flat.push(FlatImage { name, annotation, twin });
        }
        annotations.retain(|key, _| !used.contains(key));
        let read: Vec<_> = flat.par_iter().map(|image| self.image(image)).collect();
        // The first error in the order of the files, whichever thread was faster.
        let mut read = read.into_iter().collect::<Result<Vec<_>>>()?;
        for path in annotations.into_values() {
            let mut counts = DetectionCounts::default();
            counts.images.listed = 1;
            let (found, expected) =
                ("an annotation without an image".to_owned(), "an image of the same name".to_owned());
            let error = DataError::File { path, found, expected };
            let left_out = counts.images.skip(WrongImage::MissingImage, error, self.config.on_invalid)?;
            read.push((left_out, counts));
        }
        Ok(read)
    }

    /// The annotations by their paths below their folder, without their extension.
    fn annotations(&self) -> Result<BTreeMap<String, PathBuf>> {
        let root = self.root.join(&self.config.annotations);
        let mut found = BTreeMap::new();
        for (folder, files) in walk(&root, "")? {
            for file in files {
                if let Some((stem, extension)) = file.rsplit_once('.')
                    && extension.eq_ignore_ascii_case("xml")
                {
                    found.insert(below(&folder, stem), root.join(below(&folder, &file)));
                }
            }
        }
        Ok(found)
    }

    /// The path of an image below the folder of the images.
    fn relative<'n>(&self, name: &'n str) -> &'n str {
        name.strip_prefix(&self.config.images).map_or(name, |name| name.trim_start_matches('/'))
    }

    fn image(&self, image: &FlatImage) -> Result<Read> {
        let mut counts = DetectionCounts::default();
        counts.images.listed = 1;
        let annotated = self.annotated(image, &mut counts)?;
        Ok((annotated, counts))
    }

    fn annotated(&self, image: &FlatImage, counts: &mut DetectionCounts) -> Result<Option<Annotated>> {
        let (images, on_invalid) = (&mut counts.images, self.config.on_invalid);
        let path = image.annotation.clone().unwrap_or_default();
        if let Some(twin) = &image.twin {
            let found = format!("an annotation of {twin} and of {}", image.name);
            let error = DataError::File { path, found, expected: "images whose names differ".to_owned() };
            return images.skip(WrongImage::MissingAnnotation, error, on_invalid);
        }
        let annotation = match &image.annotation {
            None if self.config.unannotated == Unannotated::LeaveOut => return skip(&mut images.unannotated),
            None => VocAnnotation::default(),
            Some(path) => {
                let bytes = fs::read(path).map_err(DataError::io(path));
                match bytes.and_then(|bytes| parse_voc_xml_bytes(&bytes, path)) {
                    Ok(annotation) => annotation,
                    Err(error) => return images.skip(WrongImage::BrokenAnnotation, error, on_invalid),
                }
            }
        };
        let file = self.root.join(&image.name);
        let size = match checked_size(&file, self.config.orientation, on_invalid, images) {
            Ok(size) => size,
            Err(error) => return images.skip(WrongImage::BrokenImage, error, on_invalid),
        };
        if let Err(error) = check_size(&file, size, annotation.size.unwrap_or(size), self.config.orientation) {
            return images.skip(WrongImage::WrongSize, error, on_invalid);
        }
        Ok(Some(Annotated { name: image.name.clone(), size, annotation, path }))
    }
}
