//! COCO's files of objects, as `instances_val2017.json`.

use std::{collections::HashMap, path::Path};

use sconce_core::geometry::{BBox, Object};
use serde::Deserialize;
use serde_json::Value;

use super::{
    super::Result,
    boxes::Truth,
    fields::{Corners, Real, flag, name},
    id::{CocoId, RecordId},
    json::{Places, Reader, Records, Skipped, Unknown, begins_with, numbered, read},
};

/// The images, categories and annotations of a file, of which only what boxes need is read.
#[derive(Clone, Debug)]
pub struct CocoGroundTruth {
    images: Vec<CocoImage>,
    categories: Vec<CocoCategory>,
    truths: Vec<Truth>,
    zero_id: Option<usize>,
    skipped: Skipped,
}

/// An image of a file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CocoImage {
    /// What annotations and detections call it.
    pub id: CocoId,
    /// The name of its file, if that is told.
    #[serde(default, deserialize_with = "name")]
    pub file_name: Option<String>,
}

/// A category of a file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CocoCategory {
    /// What annotations and detections call it.
    pub id: CocoId,
    /// Its name: the id where it has none, and with the id behind it where another category has the same. Names that differ by
    /// case alone differ.
    pub name: String,
}

#[derive(Deserialize)]
struct Document<I, C, A> {
    images: Vec<I>,
    categories: Vec<C>,
    annotations: Vec<A>,
}

type Typed = Document<CocoImage, Category, Annotation>;
type Untyped = Document<Value, Value, Value>;

#[derive(Deserialize)]
struct Category {
    id: CocoId,
    #[serde(default, deserialize_with = "name")]
    name: Option<String>,
}

#[derive(Deserialize)]
struct Annotation {
    id: RecordId,
    image_id: RecordId,
    category_id: RecordId,
    bbox: Corners,
    area: Option<Real>,
    #[serde(default, deserialize_with = "flag")]
    iscrowd: bool,
}

impl CocoGroundTruth {
    /// Reads a file.
    ///
    /// An annotation without an `area` is as large as its box, one without `iscrowd` is no crowd; an `area` of NaN is in every
    /// range of sizes, as in pycocotools. What boxes do not need is not looked at. `NaN` and `Infinity` are read as Python does,
    /// and a byte order mark is passed over.
    ///
    /// # Errors
    /// [`EvaluationError::Io`](super::super::EvaluationError::Io),
    /// [`Json`](super::super::EvaluationError::Json) for a file that is not JSON or not such a document, and with
    /// [`Unknown::Refuse`] for a record that is not as the format has it, or
    /// [`Record`](super::super::EvaluationError::Record) for one whose id stands there twice, and for an annotation of an
    /// image or a category that is not listed; pycocotools skips the last.
    pub fn read(path: &Path, unknown: Unknown) -> Result<Self> {
        Self::parse(&read(path)?, path, unknown)
    }

    /// [`CocoGroundTruth::read`] from a file's bytes; `origin` names it in errors.
    ///
    /// # Errors
    /// As [`CocoGroundTruth::read`].
    pub fn parse(bytes: &[u8], origin: &Path, unknown: Unknown) -> Result<Self> {
        let mut reader = Reader::new(origin, unknown);
        if begins_with(bytes, b'[') {
            return Err(reader.fail(
                ".".to_owned(),
                "found a list, expected an object with images, categories and annotations".to_owned(),
            ));
        }
        let (images, categories, annotations) = records(&mut reader, bytes)?;
        let images = reader.unique("images", images, |image| image.id.clone().into())?;
        let categories = reader.unique("categories", categories, |category| category.id.clone().into())?;
        let annotations = reader.unique("annotations", annotations, |annotation| annotation.id.clone())?;
        let mut images: Vec<CocoImage> = images.into_iter().map(|(_, image)| image).collect();
        let mut categories = named(categories);
        images.sort_by(|a, b| a.id.cmp(&b.id));
        categories.sort_by(|a, b| a.id.cmp(&b.id));
        let mut ground_truth =
            Self { images, categories, truths: Vec::new(), zero_id: None, skipped: Skipped::default() };
        ground_truth.add(annotations, &mut reader)?;
        ground_truth.skipped = reader.skipped;
        Ok(ground_truth)
    }

    fn add(&mut self, annotations: Records<Annotation>, reader: &mut Reader<'_>) -> Result<()> {
        let (images, classes) = (self.image_places(), self.class_places());
        self.truths.reserve(annotations.len());
        for (index, annotation) in annotations {
            let Annotation { id, image_id, category_id, bbox, area, iscrowd: is_crowd } = annotation;
            let Some(image) = reader.find(&images, &image_id, ("image_id", "annotations", index))? else { continue };
            let Some(class) = reader.find(&classes, &category_id, ("category_id", "annotations", index))? else {
                continue;
            };
            let Corners(bbox) = bbox;
            let area = area.map_or(bbox[2] * bbox[3], |Real(area)| area);
            if id.is_zero() {
                self.zero_id.get_or_insert(index);
            }
            self.truths.push(Truth { image, class, bbox, area, is_crowd, confirms: !id.is_zero() });
        }
        Ok(())
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

    /// The number of records that were skipped.
    pub fn n_skipped(&self) -> usize {
        self.skipped.n
    }

    /// The records that were skipped.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
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
                // One that is not a number says nothing.
                area: Some(truth.area).filter(|area| area.is_finite()),
                ..Object::new(BBox::from_xywh(x, y, width, height), truth.class)
            });
        }
        objects
    }

    pub(super) fn truths(&self) -> &[Truth] {
        &self.truths
    }

    pub(super) fn image_places(&self) -> Places {
        Places::new(self.images.iter().map(|image| &image.id))
    }

    pub(super) fn class_places(&self) -> Places {
        Places::new(self.categories.iter().map(|category| &category.id))
    }
}

fn records(
    reader: &mut Reader<'_>,
    bytes: &[u8],
) -> Result<(Records<CocoImage>, Records<Category>, Records<Annotation>)> {
    Ok(match reader.document::<Typed, Untyped>(bytes)? {
        Ok(Document { images, categories, annotations }) => {
            (numbered(images), numbered(categories), numbered(annotations))
        }
        Err(Document { images, categories, annotations }) => (
            reader.records("images", images)?,
            reader.records("categories", categories)?,
            reader.records("annotations", annotations)?,
        ),
    })
}

/// The categories, each with a name of its own: nothing but the listing by name needs them.
fn named(categories: Records<Category>) -> Vec<CocoCategory> {
    let categories = categories.into_iter().map(|(_, category)| {
        let name = category.name.filter(|name| !name.is_empty());
        CocoCategory { name: name.unwrap_or_else(|| plain(&category.id)), id: category.id }
    });
    let mut categories: Vec<CocoCategory> = categories.collect();
    loop {
        let mut uses: HashMap<String, usize> = HashMap::new();
        for category in &categories {
            *uses.entry(category.name.clone()).or_default() += 1;
        }
        let mut shared = categories.iter_mut().filter(|category| uses[&category.name] > 1).peekable();
        // What becomes of a name may be another's; it grows, and so ends.
        if shared.peek().is_none() {
            return categories;
        }
        shared.for_each(|category| category.name = format!("{} ({})", category.name, plain(&category.id)));
    }
}

/// An id as a name.
fn plain(id: &CocoId) -> String {
    match id {
        CocoId::Number(number) => number.to_string(),
        CocoId::Text(text) => text.clone(),
    }
}
