//! COCO's files of objects, as `instances_val2017.json`.

use std::{collections::HashMap, path::Path};

use sconce_core::geometry::{BBox, Object};
use serde::Deserialize;

use super::{
    super::{Result, error::RecordAt},
    boxes::{Truth, Xywh},
    json::{Places, Unknown, check_unique, flag, parse, read},
};

/// The images, categories and annotations of a file, of which only what boxes need is read.
#[derive(Clone, Debug)]
pub struct CocoGroundTruth {
    images: Vec<CocoImage>,
    categories: Vec<CocoCategory>,
    truths: Vec<Truth>,
    zero_id: Option<usize>,
    n_skipped: usize,
}

/// An image of a file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CocoImage {
    /// What annotations and detections call it.
    pub id: i64,
    /// The name of its file, if that is told.
    pub file_name: Option<String>,
}

/// A category of a file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CocoCategory {
    /// What annotations and detections call it.
    pub id: i64,
    /// Its name: the id where it has none, and with the id behind it where another category has the same.
    #[serde(default)]
    pub name: String,
}

#[derive(Deserialize)]
struct Document {
    images: Vec<CocoImage>,
    categories: Vec<CocoCategory>,
    annotations: Vec<Annotation>,
}

#[derive(Deserialize)]
struct Annotation {
    id: i64,
    image_id: i64,
    category_id: i64,
    bbox: Xywh,
    area: Option<f64>,
    #[serde(default, deserialize_with = "flag")]
    iscrowd: bool,
}

impl CocoGroundTruth {
    /// Reads a file.
    ///
    /// An annotation without an `area` is as large as its box, one without `iscrowd` is no crowd.
    ///
    /// # Errors
    /// [`EvaluationError::Io`](super::super::EvaluationError::Io),
    /// [`Json`](super::super::EvaluationError::Json) for what is not as the format has it, and
    /// [`Record`](super::super::EvaluationError::Record) for an id that stands there twice, and with
    /// [`Unknown::Refuse`] for an annotation of an image or a category that is not listed; pycocotools skips those.
    pub fn read(path: &Path, unknown: Unknown) -> Result<Self> {
        Self::parse(&read(path)?, path, unknown)
    }

    /// [`CocoGroundTruth::read`] from a file's bytes; `origin` names it in errors.
    ///
    /// # Errors
    /// As [`CocoGroundTruth::read`].
    pub fn parse(bytes: &[u8], origin: &Path, unknown: Unknown) -> Result<Self> {
        let Document { mut images, mut categories, annotations } = parse(bytes, origin)?;
        check_unique(images.iter().map(|image| image.id), "images", origin)?;
        check_unique(categories.iter().map(|category| category.id), "categories", origin)?;
        check_unique(annotations.iter().map(|annotation| annotation.id), "annotations", origin)?;
        name(&mut categories);
        images.sort_by_key(|image| image.id);
        categories.sort_by_key(|category| category.id);
        let image_places = Places::new(images.iter().map(|image| image.id));
        let class_places = Places::new(categories.iter().map(|category| category.id));
        let zero_id = annotations.iter().position(|annotation| annotation.id == 0);
        let mut truths = Vec::with_capacity(annotations.len());
        let mut n_skipped = 0;
        for (index, annotation) in annotations.into_iter().enumerate() {
            let at = RecordAt { origin: &origin.display(), list: "annotations", index };
            let image = image_places.find(annotation.image_id, "image_id", unknown, at)?;
            let class = class_places.find(annotation.category_id, "category_id", unknown, at)?;
            let Some((image, class)) = image.zip(class) else {
                n_skipped += 1;
                continue;
            };
            let Annotation { id, bbox, area, iscrowd: is_crowd, .. } = annotation;
            let area = area.unwrap_or(bbox[2] * bbox[3]);
            truths.push(Truth { image, class, bbox, area, is_crowd, confirms: id != 0 });
        }
        Ok(Self { images, categories, truths, zero_id, n_skipped })
    }

    /// The images, by rising ids.
    pub fn images(&self) -> &[CocoImage] {
        &self.images
    }

    /// The categories, by rising ids: class 0 is the first.
    pub fn categories(&self) -> &[CocoCategory] {
        &self.categories
    }

    /// The number of annotations of these images and categories.
    pub fn n_annotations(&self) -> usize {
        self.truths.len()
    }

    /// The number of annotations of others, which were skipped.
    pub fn n_skipped(&self) -> usize {
        self.n_skipped
    }

    /// Which annotation has the id 0, counted from 0, if one has: what takes it counts as wrong, in pycocotools and so here.
    pub fn zero_id(&self) -> Option<usize> {
        self.zero_id
    }

    /// The objects of every image, in the images' order; labels are places of [`CocoGroundTruth::categories`].
    pub fn objects(&self) -> Vec<Vec<Object>> {
        let mut objects = vec![Vec::new(); self.images.len()];
        for truth in &self.truths {
            let [x, y, width, height] = truth.bbox;
            objects[truth.image as usize].push(Object {
                is_crowd: truth.is_crowd,
                area: Some(truth.area),
                ..Object::new(BBox::from_xywh(x, y, width, height), truth.class)
            });
        }
        objects
    }

    pub(super) fn truths(&self) -> &[Truth] {
        &self.truths
    }

    pub(super) fn image_places(&self) -> Places {
        Places::new(self.images.iter().map(|image| image.id))
    }

    pub(super) fn class_places(&self) -> Places {
        Places::new(self.categories.iter().map(|category| category.id))
    }
}

/// Makes every name mean one category: nothing but the listing by name needs them.
fn name(categories: &mut [CocoCategory]) {
    for category in categories.iter_mut().filter(|category| category.name.is_empty()) {
        category.name = category.id.to_string();
    }
    loop {
        let mut uses: HashMap<String, usize> = HashMap::new();
        for category in &*categories {
            *uses.entry(category.name.clone()).or_default() += 1;
        }
        let mut shared = categories.iter_mut().filter(|category| uses[&category.name] > 1).peekable();
        // What becomes of a name may be another's; it grows, and so ends.
        if shared.peek().is_none() {
            return;
        }
        shared.for_each(|category| category.name = format!("{} ({})", category.name, category.id));
    }
}
