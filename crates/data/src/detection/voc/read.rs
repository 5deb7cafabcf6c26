//! Datasets in VOC's layout, from a folder.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use sconce_core::geometry::{BBox, Object};

use super::{
    VocAnnotation, VocConfig, VocCoordinates, VocListed, VocObject, VocPart, VocPresence, parse_voc_list, parse_voc_xml,
};
use crate::{
    DataError, Result,
    detection::{
        DetectionCounts, DetectionDataset, DetectionSample, Difficult, EmptyImages, OnInvalid, OtherClasses,
        classes::{ClassIndex, lower},
        rules::{Annotations, skip},
    },
    image::read_size,
    line::{Line, quoted},
    listed::{UniqueNames, not_empty},
};

/// The folder of the images.
const IMAGES: &str = "JPEGImages";

/// What an image's extension may be.
const EXTENSIONS: [&str; 3] = ["jpg", "png", "jpeg"];

/// Reads a dataset in VOC's layout: the images of the lists of `config`, in their order.
///
/// ```text
/// root/FOLDER/ImageSets/Main/trainval.txt     000005
/// root/FOLDER/Annotations/000005.xml
/// root/FOLDER/JPEGImages/000005.jpg           or .png, .jpeg
/// ```
///
/// An image that several lists name is read once. An id may have the extension of its image, as in Sim10k's lists. Of a list about one class (`dog_trainval`), the images
/// without it are left out. Class names are compared without regard to case. A size that is not annotated is the image's. A box
/// that sticks out of its image by at most a pixel is clipped; with columns that count from 1 where [`VocCoordinates`] says so,
/// that is what becomes of an `xmin` of 0. A sample's name is its image's path below the root.
///
/// Images are decoded when they are asked for. Annotations are read by all threads; what is read does not depend on them.
///
/// # Errors
/// [`DataError::Io`] for a list, [`DataError::Empty`] for one without images or if no image is left, [`DataError::Argument`]
/// for classes that are none. Where invalid annotations are errors: [`DataError::Line`] with the line of the list for a missing
/// file, [`DataError::Line`] or [`DataError::Object`] as [`parse_voc_xml`], [`DataError::Object`] for an unknown class or a box
/// that is wrong, [`DataError::Decode`] for what is no image, [`DataError::ImageSize`] for an image of another size.
pub fn read_voc(root: &Path, config: &VocConfig) -> Result<(DetectionDataset, DetectionCounts)> {
    VocReader { root, config, classes: ClassIndex::new(&config.classes)?, annotations: Annotations::Read }.read()
}

/// [`read_voc`] without a look at what is on the images: the folder of the annotations may be missing, and whether an image has
/// an object is not known. What adaptation may see of a target domain. A list about one class still says which images to leave out.
///
/// # Errors
/// As [`read_voc`] for lists and images.
pub fn read_voc_unlabelled(root: &Path, config: &VocConfig) -> Result<(DetectionDataset, DetectionCounts)> {
    VocReader { root, config, classes: ClassIndex::new(&config.classes)?, annotations: Annotations::Ignore }.read()
}

struct VocReader<'a> {
    root: &'a Path,
    config: &'a VocConfig,
    classes: ClassIndex,
    annotations: Annotations,
}

/// An image that a list names.
struct VocImage<'a> {
    folder: &'a str,
    listed: VocListed,
    list: PathBuf,
}

impl VocImage<'_> {
    /// The id without an extension. It may hold other dots: `…_beta_0.02`.
    fn stem(&self) -> &str {
        let id = self.listed.id.as_str();
        let is_known = |end: &str| EXTENSIONS.iter().any(|extension| extension.eq_ignore_ascii_case(end));
        id.rsplit_once('.').filter(|(_, end)| is_known(end)).map_or(id, |(stem, _)| stem)
    }

    /// The path below the root of a file of `kind`.
    fn path(&self, kind: &str, file: &str) -> String {
        if self.folder.is_empty() { format!("{kind}/{file}") } else { format!("{}/{kind}/{file}", self.folder) }
    }

    /// The paths below the root that the image may have.
    fn candidates(&self) -> impl Iterator<Item = String> {
        let with = |extension| self.path(IMAGES, &format!("{}.{extension}", self.stem()));
        std::iter::once(self.path(IMAGES, &self.listed.id)).chain(EXTENSIONS.into_iter().map(with))
    }
}

impl VocReader<'_> {
    fn read(&self) -> Result<(DetectionDataset, DetectionCounts)> {
        let mut images = Vec::new();
        for part in &self.config.parts {
            images.extend(self.list(part)?);
        }
        // A union has an image once, though several lists name it.
        let mut kept = HashSet::new();
        images.retain(|image| {
            image.listed.presence == Some(VocPresence::Absent) || kept.insert(image.path(IMAGES, image.stem()))
        });
        let read: Vec<_> = images.par_iter().map(|image| self.image(image)).collect();
        // The first error in the order of the lists, whichever thread was faster.
        let read = read.into_iter().collect::<Result<Vec<_>>>()?;
        let (samples, counts): (Vec<_>, Vec<_>) = read.into_iter().unzip();
        let samples = not_empty(samples.into_iter().flatten().collect(), self.root, "images of the lists")?;
        let dataset = DetectionDataset::from_files(self.root, self.classes.names().to_vec(), samples)?;
        Ok((dataset, counts.into_iter().sum()))
    }

    /// The images of the lists of `part`.
    fn list<'p>(&self, part: &'p VocPart) -> Result<Vec<VocImage<'p>>> {
        let path_of = |split: &str| self.root.join(&part.folder).join("ImageSets/Main").join(format!("{split}.txt"));
        let path = path_of(&part.split);
        let instead = !part.otherwise.is_empty() && !path.is_file();
        let paths = if instead { part.otherwise.iter().map(|split| path_of(split)).collect() } else { vec![path] };
        let mut names = UniqueNames::default();
        let mut images = Vec::new();
        for path in paths {
            let text = fs::read_to_string(&path).map_err(DataError::io(&path))?;
            for listed in not_empty(parse_voc_list(&text, &path)?, &path, "ids of images")? {
                names.add(&listed.id, Line { path: &path, number: listed.line })?;
                images.push(VocImage { folder: &part.folder, listed, list: path.clone() });
            }
        }
        Ok(images)
    }

    /// An image with its objects, unless it is left out.
    fn image(&self, image: &VocImage<'_>) -> Result<(Option<DetectionSample>, DetectionCounts)> {
        let mut counts = DetectionCounts::default();
        counts.images.listed = 1;
        let sample = self.sample(image, &mut counts)?;
        counts.images.kept = usize::from(sample.is_some());
        Ok((sample, counts))
    }

    fn sample(&self, image: &VocImage<'_>, counts: &mut DetectionCounts) -> Result<Option<DetectionSample>> {
        let listed = &image.listed;
        let images = &mut counts.images;
        if self.config.skip_ids_with.iter().any(|text| listed.id.contains(text)) {
            return skip(&mut images.other_domain);
        }
        if listed.presence == Some(VocPresence::Absent) {
            return skip(&mut images.absent);
        }
        let line = Line { path: &image.list, number: listed.line };
        let missing = |what: &str, path: &Path| line.fail(format!("no file {}", path.display()), what);
        let Some(name) = image.candidates().find(|name| self.root.join(name).is_file()) else {
            let path = self.root.join(image.path(IMAGES, &format!("{}.{}", image.stem(), EXTENSIONS[0])));
            return self
                .config
                .on_invalid
                .skip_image(missing("the image of this line", &path), &mut images.missing_image);
        };
        let size = match read_size(&self.root.join(&name)) {
            Ok(size) => size,
            Err(error) => return self.config.on_invalid.skip_image(error, &mut images.broken_image),
        };
        if self.annotations == Annotations::Ignore {
            return Ok(Some(DetectionSample { name, size, objects: Vec::new() }));
        }
        let path = self.root.join(image.path("Annotations", &format!("{}.xml", image.stem())));
        if !path.is_file() {
            return self
                .config
                .on_invalid
                .skip_image(missing("the annotation of this line", &path), &mut images.missing_annotation);
        }
        let text = fs::read_to_string(&path).map_err(DataError::io(&path));
        let annotation = match text.and_then(|text| parse_voc_xml(&text, &path)) {
            Ok(annotation) => annotation,
            Err(error) => return self.config.on_invalid.skip_image(error, &mut images.broken_annotation),
        };
        if let Some(expected) = annotation.size.filter(|&annotated| annotated != size) {
            let error = DataError::ImageSize { path: self.root.join(&name), found: size, expected };
            return self.config.on_invalid.skip_image(error, &mut images.wrong_size);
        }
        let objects = self.objects(&annotation, size, &path, counts)?;
        if objects.is_empty() && self.config.empty_images == EmptyImages::Drop {
            return skip(&mut counts.images.empty);
        }
        Ok(Some(DetectionSample { name, size, objects }))
    }

    fn objects(
        &self,
        annotation: &VocAnnotation,
        size: (usize, usize),
        path: &Path,
        counts: &mut DetectionCounts,
    ) -> Result<Vec<Object>> {
        let counts = &mut counts.objects;
        let mut objects = Vec::new();
        for (index, object) in annotation.objects.iter().enumerate() {
            counts.listed += 1;
            let fail = |found: String, expected: String| DataError::Object {
                record: path.display().to_string(),
                index,
                found: format!("{} with {found}", quoted(&object.name)),
                expected,
            };
            let Some(label) = self.classes.label(&object.name) else {
                if self.config.on_invalid == OnInvalid::Fail && self.config.other_classes == OtherClasses::Invalid {
                    return Err(fail(
                        "an unknown class".to_owned(),
                        format!("one of {}", self.classes.names().join(", ")),
                    ));
                }
                *counts.other_classes.entry(lower(&object.name)).or_default() += 1;
                continue;
            };
            if object.is_difficult && self.config.difficult == Difficult::Drop {
                counts.difficult += 1;
                continue;
            }
            if let Some(bbox) = counts.fit(self.bbox(object), size, self.config.on_invalid, fail)? {
                objects.push(Object { is_difficult: object.is_difficult, ..Object::new(bbox, label) });
            }
        }
        counts.kept += objects.len();
        Ok(objects)
    }

    fn bbox(&self, object: &VocObject) -> BBox {
        let first = match self.config.coordinates {
            VocCoordinates::OneBased => 1.0,
            VocCoordinates::ZeroBased => 0.0,
        };
        let [x1, y1, x2, y2] = object.bndbox.map(|edge| edge - first);
        BBox::from_inclusive(x1, y1, x2, y2)
    }
}
