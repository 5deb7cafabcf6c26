//! Datasets in COCO's format, from a folder.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use sconce_core::geometry::{BBox, Object};
use serde::{Deserialize, Serialize};

use super::{
    CocoAnnotation, CocoCategory, CocoId, CocoImage,
    json::{Records, parse_records},
};
use crate::{
    DataError, LeftOut, OnInvalid, Orientation, Result,
    detection::{
        DetectionCounts, DetectionDataset, DetectionSample, EmptyImages, OtherClasses, WrongImage,
        dataset::check_size,
        rules::{Annotations, MAX_OVERHANG, checked_size, max_overhang, skip},
    },
    listed::not_empty,
};

/// Which images of a dataset in COCO's format are read, and how: see [`read_coco`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CocoConfig {
    /// The file of the instances below the root.
    pub annotations: PathBuf,
    /// The folder of the images below the root, below which the file's names lie; empty for the root itself.
    pub images: PathBuf,
    /// The names of the classes, in the order of the labels; none for the file's categories in the order of their ids. A set to test
    /// on needs those of the set that was trained on.
    #[serde(default)]
    pub classes: Vec<String>,
    /// What becomes of objects of other classes.
    #[serde(default)]
    pub other_classes: OtherClasses,
    /// By how many pixels a box may stick out of its image: it is clipped then, and counted. 0 clips none, a large number all that
    /// overlap their image.
    #[serde(default = "max_overhang")]
    pub max_overhang: u32,
    /// What becomes of images on which no object is left.
    #[serde(default)]
    pub empty_images: EmptyImages,
    /// What becomes of the orientation that a camera noted: annotations are of the stored pixels, unless this says otherwise.
    #[serde(default)]
    pub orientation: Orientation,
    /// What becomes of records that are wrong, and of images that cannot be decoded.
    #[serde(default)]
    pub on_invalid: OnInvalid,
}

/// A dataset, and the ids by which COCO's results name images and categories.
#[derive(Clone, Debug)]
pub struct CocoDataset {
    /// The images in the order of their ids, with the categories in the order of theirs.
    pub dataset: DetectionDataset,
    /// The id of each sample.
    pub image_ids: Vec<CocoId>,
    /// The id of each class; none of a class that the file does not have.
    pub category_ids: Vec<Option<CocoId>>,
    /// What was kept, and what was not.
    pub counts: DetectionCounts,
}

impl CocoConfig {
    /// The file `annotations` and the folder `images` below a root, with the classes that the file has; everything that is wrong is
    /// an error.
    pub fn new(annotations: impl Into<PathBuf>, images: impl Into<PathBuf>) -> Self {
        Self {
            annotations: annotations.into(),
            images: images.into(),
            classes: Vec::new(),
            other_classes: OtherClasses::default(),
            max_overhang: MAX_OVERHANG,
            empty_images: EmptyImages::default(),
            orientation: Orientation::default(),
            on_invalid: OnInvalid::default(),
        }
    }

    /// COCO (Lin et al., 2014): `train2017`, 118,287 images, or `val2017`, 5,000. A few boxes of its training images have no
    /// extent: they are skipped.
    pub fn coco(split: &str) -> Self {
        let annotations = format!("annotations/instances_{split}.json");
        Self { on_invalid: OnInvalid::Skip, ..Self::new(annotations, split) }
    }
}

/// Reads a dataset in COCO's format.
///
/// ```text
/// root/annotations/instances_val2017.json
/// root/val2017/000000000139.jpg
/// ```
///
/// Labels count the categories in the order of their ids, and images are in the order of theirs, as in pycocotools; or labels are
/// those of the configuration's classes, whose names are compared with the categories' as they stand, and without regard to case
/// where that leads to one. Classes are called as the categories; of several that have one name, the later ones have their ids
/// behind it. A sample's name is its `file_name`. A size that the file does not have is the image's. Groups stay and are marked
/// ([`Object::is_crowd`]); an object's area is that of its mask; segmentations are not read. A box that sticks out of its image by
/// at most `max_overhang` pixels is clipped. Images are decoded when they are asked for, and once before where those that cannot
/// be decoded are skipped.
///
/// # Errors
/// [`DataError::Io`] for the file, [`DataError::Line`] or [`DataError::Record`] as [`super::parse_coco`], [`DataError::Empty`]
/// without images or categories, or if no image is left. Where invalid annotations are errors: [`DataError::Record`] for one of an
/// unknown image or category, or with a box that is wrong, with its place in the list of annotations; [`DataError::Io`] or
/// [`DataError::Decode`] for an image, [`DataError::ImageSize`] for one of another size.
pub fn read_coco(root: &Path, config: &CocoConfig) -> Result<CocoDataset> {
    read(root, config, Annotations::Read)
}

/// [`read_coco`] without a look at what is on the images: a target domain to adapt to.
///
/// # Errors
/// As [`read_coco`] for the file and its images.
pub fn read_coco_unlabelled(root: &Path, config: &CocoConfig) -> Result<CocoDataset> {
    read(root, config, Annotations::Ignore)
}

fn read(root: &Path, config: &CocoConfig, annotations: Annotations) -> Result<CocoDataset> {
    let path = root.join(&config.annotations);
    let bytes = fs::read(&path).map_err(DataError::io(&path))?;
    let records = parse_records(&bytes, &path, annotations, config.on_invalid)?;
    let before = counted_before(&records, config, &path)?;
    let Records { mut images, annotations: objects, categories, broken_categories, .. } = records;
    images.sort_by(|a, b| a.id.cmp(&b.id));
    let broken = LeftOut {
        details: broken_categories.iter().map(ToString::to_string).collect(),
        ..LeftOut::new("of categories that cannot be read", broken_categories.len())
    };
    let classes = Classes::new(categories, broken, config, &path)?;
    let reader = CocoReader::new(root, config, path, &objects, &classes.labels);
    let read: Vec<_> = images.into_par_iter().map(|image| reader.image(image)).collect();
    let read = read.into_iter().collect::<Result<Vec<_>>>()?;
    let (samples, of_images): (Vec<_>, Vec<_>) = read.into_iter().unzip();
    let (image_ids, samples): (Vec<_>, Vec<_>) = samples.into_iter().flatten().unzip();
    let counts: DetectionCounts = of_images.into_iter().chain([before]).sum();
    let samples =
        not_empty(samples, &reader.path, "images that can be used").map_err(|e| e.because_of(&counts.left_out()))?;
    let mut dataset = DetectionDataset::from_files(&reader.images, classes.names, samples)?;
    if annotations == Annotations::Ignore {
        dataset = dataset.without_objects();
    }
    let dataset = dataset.with_orientation(config.orientation).with_counts(&counts, config.on_invalid);
    Ok(CocoDataset { dataset, image_ids, category_ids: classes.ids, counts })
}

/// What is wrong with records before an image is looked at, where that is no error: those that cannot be read, and annotations of
/// images that the file does not have.
fn counted_before(records: &Records, config: &CocoConfig, path: &Path) -> Result<DetectionCounts> {
    let mut counts = DetectionCounts::default();
    for error in &records.broken_images {
        counts.images.listed += 1;
        counts.images.note(WrongImage::BrokenAnnotation, error.to_string());
    }
    let ids: HashSet<&CocoId> = records.images.iter().map(|image| &image.id).collect();
    let unknown = records.annotations.iter().filter(|(_, annotation)| !ids.contains(&annotation.image_id));
    for (record, annotation) in unknown {
        if config.on_invalid == OnInvalid::Fail {
            let found = format!("an annotation of image {}", annotation.image_id);
            let (path, expected) = (path.to_owned(), "the id of an image".to_owned());
            return Err(DataError::Record { path, record: *record, found, expected });
        }
        counts.objects.unknown_image += 1;
    }
    counts.objects.broken = records.broken_annotations.len();
    counts.objects.first_broken = records.broken_annotations.first().map(ToString::to_string);
    counts.objects.listed = counts.objects.unknown_image + counts.objects.broken;
    Ok(counts)
}

/// The classes of a dataset, and the labels of the file's categories.
struct Classes {
    names: Vec<String>,
    ids: Vec<Option<CocoId>>,
    labels: HashMap<CocoId, u32>,
}

impl Classes {
    fn new(mut categories: Vec<CocoCategory>, broken: LeftOut, config: &CocoConfig, path: &Path) -> Result<Self> {
        categories.sort_by(|a, b| a.id.cmp(&b.id));
        if config.classes.is_empty() {
            let categories = not_empty(categories, path, "categories").map_err(|e| e.because_of(&[broken]))?;
            let names = names_of(&categories);
            let labels = categories.iter().zip(0..).map(|(category, label)| (category.id.clone(), label)).collect();
            return Ok(Self { names, ids: categories.into_iter().map(|category| Some(category.id)).collect(), labels });
        }
        let names: Vec<String> = config.classes.iter().map(|name| name.trim().to_owned()).collect();
        if let Some(i) = (0..names.len()).find(|&i| names[i].is_empty() || names[..i].contains(&names[i])) {
            return Err(DataError::argument("class", format!("`{}` as number {i}", names[i]), "names, each once"));
        }
        let (mut ids, mut labels) = (vec![None; names.len()], HashMap::new());
        for (category, label) in categories.iter().zip(labels_of(&categories, &names)) {
            if let Some(label) = label {
                ids[label].get_or_insert_with(|| category.id.clone());
                labels.insert(category.id.clone(), label as u32);
            }
        }
        Ok(Self { names, ids, labels })
    }
}

/// What the categories are called: of several that have one name, or none, the later ones have their ids behind it.
fn names_of(categories: &[CocoCategory]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(categories.len());
    for CocoCategory { id, name } in categories {
        let name = name.trim();
        let is_taken = name.is_empty() || names.iter().any(|other| other == name);
        names.push(if is_taken { format!("{name} (id {id})").trim().to_owned() } else { name.to_owned() });
    }
    names
}

/// By which id `categories` call each of `classes`, if they do: as [`read_coco`] finds them by their names.
pub fn coco_class_ids(categories: &[CocoCategory], classes: &[String]) -> Vec<Option<CocoId>> {
    let mut sorted: Vec<CocoCategory> = categories.to_vec();
    sorted.sort_by(|a, b| a.id.cmp(&b.id));
    let mut ids = vec![None; classes.len()];
    for (category, label) in sorted.iter().zip(labels_of(&sorted, classes)) {
        if let Some(label) = label {
            ids[label].get_or_insert_with(|| category.id.clone());
        }
    }
    ids
}

/// The place of each category, which are sorted, among `classes`.
fn labels_of(categories: &[CocoCategory], classes: &[String]) -> Vec<Option<usize>> {
    let label = |(category, called): (&CocoCategory, String)| {
        let name = category.name.trim();
        // Where classes that share a name are told apart, a category is that of its own, or none.
        let apart = format!("{name} (id ");
        let is_apart = called != name && classes.iter().any(|class| class.starts_with(&apart));
        label_of(if is_apart { &called } else { name }, classes)
    };
    categories.iter().zip(names_of(categories)).map(label).collect()
}

/// The class `name`, without regard to case where that leads to one alone.
fn label_of(name: &str, classes: &[String]) -> Option<usize> {
    let exact = classes.iter().position(|class| class == name);
    let lower = name.to_lowercase();
    let mut similar = (0..classes.len()).filter(|&i| classes[i].to_lowercase() == lower);
    exact.or_else(|| similar.next().filter(|_| similar.next().is_none()))
}

struct CocoReader<'a> {
    config: &'a CocoConfig,
    /// The file of the instances.
    path: PathBuf,
    /// The folder of the images.
    images: PathBuf,
    labels: &'a HashMap<CocoId, u32>,
    /// The objects of each image, with their places in the file.
    objects: HashMap<&'a CocoId, Vec<(usize, &'a CocoAnnotation)>>,
}

/// What has become of an image: its id and the sample, unless it is left out.
type Read = (Option<(CocoId, DetectionSample)>, DetectionCounts);

impl<'a> CocoReader<'a> {
    fn new(
        root: &Path,
        config: &'a CocoConfig,
        path: PathBuf,
        annotations: &'a [(usize, CocoAnnotation)],
        labels: &'a HashMap<CocoId, u32>,
    ) -> Self {
        let mut objects: HashMap<_, Vec<_>> = HashMap::new();
        for (record, annotation) in annotations {
            objects.entry(&annotation.image_id).or_default().push((*record, annotation));
        }
        Self { config, path, images: root.join(&config.images), labels, objects }
    }

    fn image(&self, image: CocoImage) -> Result<Read> {
        let mut counts = DetectionCounts::default();
        counts.images.listed = 1;
        let id = image.id.clone();
        let sample = self.sample(image, &mut counts)?;
        counts.images.kept = usize::from(sample.is_some());
        Ok((sample.map(|sample| (id, sample)), counts))
    }

    fn sample(&self, image: CocoImage, counts: &mut DetectionCounts) -> Result<Option<DetectionSample>> {
        let path = self.images.join(&image.file_name);
        let CocoConfig { orientation, on_invalid, .. } = *self.config;
        let size = match checked_size(&path, orientation, on_invalid, &mut counts.images) {
            Ok(size) => size,
            Err(error @ DataError::Io { .. }) => {
                return counts.images.skip(WrongImage::MissingImage, error, on_invalid);
            }
            Err(error) => return counts.images.skip(WrongImage::BrokenImage, error, on_invalid),
        };
        let expected = (image.height.unwrap_or(size.0), image.width.unwrap_or(size.1));
        if let Err(error) = check_size(&path, size, expected, orientation) {
            return counts.images.skip(WrongImage::WrongSize, error, on_invalid);
        }
        let mut objects = Vec::new();
        for &(record, annotation) in self.objects.get(&image.id).map(Vec::as_slice).unwrap_or_default() {
            objects.extend(self.object(record, annotation, size, counts)?);
        }
        if objects.is_empty() && self.config.empty_images == EmptyImages::Drop {
            return skip(&mut counts.images.empty);
        }
        Ok(Some(DetectionSample { name: image.file_name, size, objects }))
    }

    fn object(
        &self,
        record: usize,
        annotation: &CocoAnnotation,
        size: (usize, usize),
        counts: &mut DetectionCounts,
    ) -> Result<Option<Object>> {
        let counts = &mut counts.objects;
        let CocoConfig { max_overhang, other_classes, on_invalid, .. } = *self.config;
        counts.listed += 1;
        let [x, y, width, height] = annotation.bbox;
        let bbox = BBox::from_xywh(x, y, width, height);
        let called = annotation.id.as_ref().map_or_else(|| "an annotation".to_owned(), |id| format!("annotation {id}"));
        let fail = |found: String, expected: String| DataError::Record {
            path: self.path.clone(),
            record,
            found: format!("{called} with {found}"),
            expected,
        };
        let Some(&label) = self.labels.get(&annotation.category_id) else {
            let found = format!("category {}", annotation.category_id);
            if on_invalid == OnInvalid::Fail && other_classes == OtherClasses::Invalid {
                let found = format!("an annotation of {found}");
                let (path, expected) = (self.path.clone(), "the id of a category".to_owned());
                return Err(DataError::Record { path, record, found, expected });
            }
            *counts.other_classes.entry(found).or_default() += 1;
            return Ok(None);
        };
        let Some(bbox) = counts.fit(bbox, size, (max_overhang, on_invalid), fail)? else { return Ok(None) };
        counts.kept += 1;
        Ok(Some(Object { is_crowd: annotation.iscrowd, area: annotation.area, ..Object::new(bbox, label) }))
    }
}
