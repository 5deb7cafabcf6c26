//! Datasets in COCO's format, from a folder.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use sconce_core::geometry::{BBox, Object};
use serde::{Deserialize, Serialize};

use super::{CocoAnnotation, CocoCategory, CocoImage, CocoInstances, parse_coco};
use crate::{
    DataError, Result,
    detection::{
        DetectionCounts, DetectionDataset, DetectionSample, EmptyImages, OnInvalid, classes::lower, rules::skip,
    },
    image::read_size,
    listed::not_empty,
};

/// Which images of a dataset in COCO's format are read, and how: see [`read_coco`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CocoConfig {
    /// The file of the instances below the root.
    pub annotations: PathBuf,
    /// The folder of the images below the root.
    pub images: PathBuf,
    /// What becomes of images on which no object is left.
    #[serde(default)]
    pub empty_images: EmptyImages,
    /// What becomes of annotations that are wrong.
    #[serde(default)]
    pub on_invalid: OnInvalid,
}

/// A dataset, and the ids by which COCO's results name images and categories.
#[derive(Clone, Debug)]
pub struct CocoDataset {
    /// The images in the order of their ids, with the categories in the order of theirs.
    pub dataset: DetectionDataset,
    /// The id of each sample.
    pub image_ids: Vec<u64>,
    /// The id of each class.
    pub category_ids: Vec<u64>,
    /// What was kept, and what was not.
    pub counts: DetectionCounts,
}

impl CocoConfig {
    /// COCO (Lin et al., 2014): `train2017`, 118,287 images, or `val2017`, 5,000. A few boxes of its training images have no
    /// extent: they are skipped.
    pub fn coco(split: &str) -> Self {
        Self {
            annotations: PathBuf::from(format!("annotations/instances_{split}.json")),
            images: PathBuf::from(split),
            empty_images: EmptyImages::default(),
            on_invalid: OnInvalid::Skip,
        }
    }
}

/// Reads a dataset in COCO's format.
///
/// ```text
/// root/annotations/instances_val2017.json
/// root/val2017/000000000139.jpg
/// ```
///
/// Labels count the categories in the order of their ids, and images are in the order of theirs, as in pycocotools. A sample's
/// name is its `file_name`. Groups stay and are marked ([`Object::is_crowd`]); an object's area is that of its mask. A box that
/// sticks out of its image by at most a pixel is clipped. Images are decoded when they are asked for.
///
/// # Errors
/// [`DataError::Io`] for the file, [`DataError::Line`] or [`DataError::Record`] as [`parse_coco`], [`DataError::Empty`] without
/// images, or if no image is left. Where invalid annotations are errors: [`DataError::Record`] for one of an unknown image or
/// category, or with a box that is wrong, with its place in the list of annotations; [`DataError::Io`] or [`DataError::Decode`]
/// for an image, [`DataError::ImageSize`] for one of another size.
pub fn read_coco(root: &Path, config: &CocoConfig) -> Result<CocoDataset> {
    let path = root.join(&config.annotations);
    let bytes = fs::read(&path).map_err(DataError::io(&path))?;
    let CocoInstances { mut images, annotations, mut categories } = parse_coco(&bytes, &path)?;
    let unknown_image = check_images(&images, &annotations, config, &path)?;
    images.sort_by_key(|image| image.id);
    categories.sort_by_key(|category| category.id);
    let reader = CocoReader::new(root, config, path, &annotations, &categories);
    let read: Vec<_> = images.into_par_iter().map(|image| reader.image(image)).collect();
    let read = read.into_iter().collect::<Result<Vec<_>>>()?;
    let (samples, counts): (Vec<_>, Vec<_>) = read.into_iter().unzip();
    let (image_ids, samples): (Vec<_>, Vec<_>) = samples.into_iter().flatten().unzip();
    let samples = not_empty(samples, &reader.path, "images")?;
    let classes = categories.iter().map(|category| lower(&category.name)).collect();
    let mut counts: DetectionCounts = counts.into_iter().sum();
    counts.objects.listed += unknown_image;
    counts.objects.unknown_image = unknown_image;
    Ok(CocoDataset {
        dataset: DetectionDataset::from_files(&reader.images, classes, samples)?,
        image_ids,
        category_ids: categories.iter().map(|category| category.id).collect(),
        counts,
    })
}

/// How many annotations are of images that the file does not have, where that is no error.
fn check_images(
    images: &[CocoImage],
    annotations: &[CocoAnnotation],
    config: &CocoConfig,
    path: &Path,
) -> Result<usize> {
    let ids: HashSet<u64> = images.iter().map(|image| image.id).collect();
    let mut unknown = annotations.iter().enumerate().filter(|(_, annotation)| !ids.contains(&annotation.image_id));
    if config.on_invalid == OnInvalid::Skip {
        return Ok(unknown.count());
    }
    unknown.next().map_or(Ok(0), |(record, annotation)| {
        let found = format!("an annotation of image {}", annotation.image_id);
        Err(DataError::Record { path: path.to_owned(), record, found, expected: "the id of an image".to_owned() })
    })
}

struct CocoReader<'a> {
    config: &'a CocoConfig,
    /// The file of the instances.
    path: PathBuf,
    /// The folder of the images.
    images: PathBuf,
    labels: HashMap<u64, u32>,
    /// The objects of each image, with their places in the file.
    objects: HashMap<u64, Vec<(usize, &'a CocoAnnotation)>>,
}

/// What has become of an image: its id and the sample, unless it is left out.
type Read = (Option<(u64, DetectionSample)>, DetectionCounts);

impl<'a> CocoReader<'a> {
    fn new(
        root: &Path,
        config: &'a CocoConfig,
        path: PathBuf,
        annotations: &'a [CocoAnnotation],
        categories: &[CocoCategory],
    ) -> Self {
        let labels = categories.iter().zip(0..).map(|(category, label)| (category.id, label)).collect();
        let mut objects: HashMap<u64, Vec<_>> = HashMap::new();
        for (i, annotation) in annotations.iter().enumerate() {
            objects.entry(annotation.image_id).or_default().push((i, annotation));
        }
        Self { config, path, images: root.join(&config.images), labels, objects }
    }

    fn image(&self, image: CocoImage) -> Result<Read> {
        let mut counts = DetectionCounts::default();
        counts.images.listed = 1;
        let id = image.id;
        let sample = self.sample(image, &mut counts)?;
        counts.images.kept = usize::from(sample.is_some());
        Ok((sample.map(|sample| (id, sample)), counts))
    }

    fn sample(&self, image: CocoImage, counts: &mut DetectionCounts) -> Result<Option<DetectionSample>> {
        let path = self.images.join(&image.file_name);
        let size = match read_size(&path) {
            Ok(size) => size,
            Err(error @ DataError::Io { .. }) => {
                return self.config.on_invalid.skip_image(error, &mut counts.images.missing_image);
            }
            Err(error) => return self.config.on_invalid.skip_image(error, &mut counts.images.broken_image),
        };
        let expected = (image.height, image.width);
        if size != expected {
            let error = DataError::ImageSize { path, found: size, expected };
            return self.config.on_invalid.skip_image(error, &mut counts.images.wrong_size);
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
        counts.listed += 1;
        let [x, y, width, height] = annotation.bbox;
        let bbox = BBox::from_xywh(x, y, width, height);
        let fail = |found: String, expected: String| DataError::Record {
            path: self.path.clone(),
            record,
            found: format!("annotation {} with {found}", annotation.id),
            expected,
        };
        let Some(&label) = self.labels.get(&annotation.category_id) else {
            let found = format!("category {}", annotation.category_id);
            if self.config.on_invalid == OnInvalid::Fail {
                let found = format!("an annotation of {found}");
                let (path, expected) = (self.path.clone(), "the id of a category".to_owned());
                return Err(DataError::Record { path, record, found, expected });
            }
            *counts.other_classes.entry(found).or_default() += 1;
            return Ok(None);
        };
        let Some(bbox) = counts.fit(bbox, size, self.config.on_invalid, fail)? else { return Ok(None) };
        counts.kept += 1;
        Ok(Some(Object { is_crowd: annotation.iscrowd, area: annotation.area, ..Object::new(bbox, label) }))
    }
}
