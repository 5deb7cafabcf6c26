//! Datasets in VOC's layout, from a folder.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use rayon::prelude::*;

use super::{
    VocAnnotation, VocConfig, VocListed, VocPart, VocPresence, VocSizes,
    names::{Folders, IMAGES, path},
    parse_voc_list, parse_voc_xml_bytes,
    samples::{Annotated, Read, Rules},
};
use crate::{
    DataError, Result,
    detection::{
        DetectionCounts, DetectionDataset, WrongImage,
        dataset::check_size,
        rules::{Annotations, checked_size, skip},
    },
    files::stem,
    line::Line,
    listed::{UniqueNames, not_empty},
};

/// Reads a dataset in VOC's layout: the images of the lists of `config`, in their order.
///
/// ```text
/// root/FOLDER/ImageSets/Main/trainval.txt     000005
/// root/FOLDER/Annotations/000005.xml
/// root/FOLDER/JPEGImages/000005.jpg           or .JPG, .png, .jpeg, …
/// ```
///
/// An image that several lists name is read once. An id may have the extension of its image, as in Sim10k's lists, and may hold
/// blanks; where a list could have a second column as well, the files say which it is. Of a list about one class (`dog_trainval`),
/// the images without it are left out. Class names are compared without regard to case; where the configuration has none, they are
/// the sorted names in the annotations. A size that is not annotated is the image's. A box that sticks out of its image by at most
/// `max_overhang` pixels is clipped; with columns that count from 1 where [`VocCoordinates`](super::VocCoordinates) says so, that
/// is what becomes of an `xmin` of 0. A sample's name is its image's path below the root.
///
/// Images are decoded when they are asked for, and once before where those that cannot be decoded are skipped. Annotations are
/// read by all threads; what is read does not depend on them.
///
/// # Errors
/// [`DataError::Io`] for a list, [`DataError::Empty`] for one without images or if no image is left, [`DataError::Argument`]
/// for classes that are none. Where invalid annotations are errors: [`DataError::Line`] with the line of the list for a missing
/// file, [`DataError::Line`] or [`DataError::Object`] as [`parse_voc_xml_bytes`], [`DataError::Object`] for an unknown class or a
/// box that is wrong, [`DataError::Decode`] for what is no image, [`DataError::ImageSize`] for an image of another size.
pub fn read_voc(root: &Path, config: &VocConfig) -> Result<(DetectionDataset, DetectionCounts)> {
    let rules = config.rules();
    rules.check_classes()?;
    rules.dataset(root, VocReader { root, config, annotations: Annotations::Read }.read()?)
}

/// [`read_voc`] without a look at what is on the images: the folder of the annotations may be missing, and whether an image has
/// an object is not known. What adaptation may see of a target domain. A list about one class still says which images to leave out.
///
/// # Errors
/// As [`read_voc`] for lists and images.
pub fn read_voc_unlabelled(root: &Path, config: &VocConfig) -> Result<(DetectionDataset, DetectionCounts)> {
    let rules = config.rules();
    rules.check_classes()?;
    rules.unlabelled(root, VocReader { root, config, annotations: Annotations::Ignore }.read()?)
}

impl VocConfig {
    fn rules(&self) -> Rules<'_> {
        Rules {
            classes: &self.classes,
            other_classes: self.other_classes,
            difficult: self.difficult,
            coordinates: self.coordinates,
            max_overhang: self.max_overhang,
            empty_images: self.empty_images,
            orientation: self.orientation,
            on_invalid: self.on_invalid,
        }
    }
}

struct VocReader<'a> {
    root: &'a Path,
    config: &'a VocConfig,
    annotations: Annotations,
}

/// An image that a list names.
struct VocImage<'a> {
    part: &'a VocPart,
    listed: VocListed,
    list: PathBuf,
    /// Its path below the root, if it is there.
    name: Option<String>,
    /// The file of its annotation, which may be missing.
    annotation: PathBuf,
}

impl VocImage<'_> {
    /// The path below the root that the image has in VOC itself.
    fn usual_name(&self) -> String {
        path(self.part, IMAGES, &format!("{}.jpg", stem(&self.listed.id)))
    }

    /// What is wrong with the line that names the image: `path` is missing.
    fn missing(&self, what: &str, path: &Path) -> DataError {
        let line = Line { path: &self.list, number: self.listed.line };
        line.fail(format!("no file {}", path.display()), what)
    }
}

impl VocReader<'_> {
    fn read(&self) -> Result<Vec<Read>> {
        let mut folders = Folders::new(self.root);
        let mut images = Vec::new();
        for part in &self.config.parts {
            images.extend(self.list(part, &mut folders)?);
        }
        // A union has an image once, though several lists name it.
        let mut kept = HashSet::new();
        images.retain(|image| image.listed.presence == Some(VocPresence::Absent) || kept.insert(image.usual_name()));
        let read: Vec<_> = images.par_iter().map(|image| self.image(image)).collect();
        // The first error in the order of the lists, whichever thread was faster.
        read.into_iter().collect()
    }

    /// The images of the lists of `part`.
    fn list<'p>(&self, part: &'p VocPart, folders: &mut Folders<'_>) -> Result<Vec<VocImage<'p>>> {
        let path_of = |split: &str| self.root.join(&part.folder).join("ImageSets/Main").join(format!("{split}.txt"));
        let usual = path_of(&part.split);
        let instead = !part.otherwise.is_empty() && !usual.is_file();
        let paths = if instead { part.otherwise.iter().map(|split| path_of(split)).collect() } else { vec![usual] };
        let mut names = UniqueNames::default();
        let mut images = Vec::new();
        for list in paths {
            let text = fs::read_to_string(&list).map_err(DataError::io(&list))?;
            let mut all = not_empty(parse_voc_list(&text, &list)?, &list, "ids of images")?;
            if folders.are_whole(part, &all, &self.config.classes) {
                for listed in &mut all {
                    listed.id = listed.whole_line().unwrap_or_default();
                    listed.presence = None;
                }
            }
            for listed in all {
                names.add(&listed.id, Line { path: &list, number: listed.line })?;
                let (name, annotation) = (folders.image(part, &listed.id), folders.annotation(part, &listed.id));
                images.push(VocImage { part, listed, list: list.clone(), name, annotation });
            }
        }
        Ok(images)
    }

    /// An image with its annotation, unless it is left out.
    fn image(&self, image: &VocImage<'_>) -> Result<Read> {
        let mut counts = DetectionCounts::default();
        counts.images.listed = 1;
        let annotated = self.annotated(image, &mut counts)?;
        Ok((annotated, counts))
    }

    fn annotated(&self, image: &VocImage<'_>, counts: &mut DetectionCounts) -> Result<Option<Annotated>> {
        let (listed, images, on_invalid) = (&image.listed, &mut counts.images, self.config.on_invalid);
        if self.config.skip_ids_with.iter().any(|text| listed.id.contains(text)) {
            return skip(&mut images.other_domain);
        }
        if listed.presence == Some(VocPresence::Absent) {
            return skip(&mut images.absent);
        }
        let path = image.annotation.clone();
        let (annotation, noted) = match self.annotations {
            Annotations::Ignore => (VocAnnotation::default(), None),
            Annotations::Read if !path.is_file() => {
                // An image that is missing too is what is wrong.
                let (wrong, error) = match &image.name {
                    Some(_) => (WrongImage::MissingAnnotation, image.missing("the annotation of this line", &path)),
                    None => (WrongImage::MissingImage, self.missing_image(image)),
                };
                return images.skip(wrong, error, on_invalid);
            }
            Annotations::Read => {
                let bytes = fs::read(&path).map_err(DataError::io(&path));
                match bytes.and_then(|bytes| parse_voc_xml_bytes(&bytes, &path)) {
                    Ok(annotation) => {
                        let noted = annotation.size;
                        (annotation, noted)
                    }
                    Err(error) => return images.skip(WrongImage::BrokenAnnotation, error, on_invalid),
                }
            }
        };
        if let (VocSizes::Annotated, Some(size)) = (self.config.sizes, noted) {
            let name = image.name.clone().unwrap_or_else(|| image.usual_name());
            return Ok(Some(Annotated { name, size, annotation, path }));
        }
        let Some(name) = image.name.clone() else {
            return images.skip(WrongImage::MissingImage, self.missing_image(image), on_invalid);
        };
        let file = self.root.join(&name);
        let size = match checked_size(&file, self.config.orientation, on_invalid, images) {
            Ok(size) => size,
            Err(error) => return images.skip(WrongImage::BrokenImage, error, on_invalid),
        };
        if let Err(error) = check_size(&file, size, noted.unwrap_or(size), self.config.orientation) {
            return images.skip(WrongImage::WrongSize, error, on_invalid);
        }
        Ok(Some(Annotated { name, size, annotation, path }))
    }

    fn missing_image(&self, image: &VocImage<'_>) -> DataError {
        image.missing("the image of this line", &self.root.join(image.usual_name()))
    }
}
