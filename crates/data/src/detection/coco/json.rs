//! COCO's files of instances.

use std::{collections::HashSet, hash::Hash, path::Path};

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{
    DataError, Result,
    line::{Line, quoted, stays_below},
};

/// What an `instances_….json` says. Other keys are passed over, segmentations among them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CocoInstances {
    /// The images, in no order.
    pub images: Vec<CocoImage>,
    /// The objects, in no order.
    pub annotations: Vec<CocoAnnotation>,
    /// The classes, in no order.
    pub categories: Vec<CocoCategory>,
}

/// An image in [`CocoInstances`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CocoImage {
    /// By which annotations and results name it.
    pub id: u64,
    /// Its file below the folder of the images.
    pub file_name: String,
    /// Rows.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
}

/// An object in [`CocoInstances`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CocoAnnotation {
    /// Its number.
    pub id: u64,
    /// The image on which it is.
    pub image_id: u64,
    /// Its class.
    pub category_id: u64,
    /// `x`, `y`, width and height in pixels, the corner counted from 0.
    pub bbox: [f64; 4],
    /// Whether it is a group that is not told apart; `0` and `1` in the file.
    #[serde(default, deserialize_with = "flag", serialize_with = "number")]
    pub iscrowd: bool,
    /// The pixels of the object itself, where they are known.
    #[serde(default)]
    pub area: Option<f64>,
}

/// A class in [`CocoInstances`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CocoCategory {
    /// By which annotations and results name it; COCO's ids have gaps.
    pub id: u64,
    /// Its name.
    pub name: String,
}

/// Reads the bytes of a JSON file of instances in COCO's format; `origin` names them in errors.
///
/// Boxes are not compared with their images here.
///
/// # Errors
/// [`DataError::Line`] for what is no JSON, or not of this form; [`DataError::Record`] for an id or a file that is there twice, a
/// file that leaves its folder. Whether annotations are of these images and categories is for [`super::read_coco`] to say.
pub fn parse_coco(bytes: &[u8], origin: &Path) -> Result<CocoInstances> {
    let parsed: CocoInstances = serde_json::from_slice(bytes).map_err(|e| {
        let line = Line { path: origin, number: e.line() };
        line.fail(quoted(&e.to_string()), "`images`, `annotations` and `categories` as in COCO's instances")
    })?;
    let fail = |record: usize, found: String, expected: &str| {
        Err(DataError::Record { path: origin.to_owned(), record, found, expected: expected.to_owned() })
    };
    let CocoInstances { images, annotations, categories } = &parsed;
    for (i, image) in images.iter().enumerate() {
        if !stays_below(&image.file_name) {
            return fail(
                i,
                format!("an image in {}", quoted(&image.file_name)),
                "a path below the folder of the images",
            );
        }
    }
    if let Some(i) = repeated(images.iter().map(|image| image.id)) {
        return fail(i, format!("an image with the id {} once more", images[i].id), "every id once");
    }
    if let Some(i) = repeated(images.iter().map(|image| image.file_name.as_str())) {
        return fail(i, format!("an image in {} once more", quoted(&images[i].file_name)), "every file once");
    }
    if let Some(i) = repeated(categories.iter().map(|category| category.id)) {
        return fail(i, format!("a category with the id {} once more", categories[i].id), "every id once");
    }
    if let Some(i) = repeated(annotations.iter().map(|annotation| annotation.id)) {
        return fail(i, format!("an annotation with the id {} once more", annotations[i].id), "every id once");
    }
    Ok(parsed)
}

/// The first of `keys` that was there before.
fn repeated<K: Eq + Hash>(mut keys: impl Iterator<Item = K>) -> Option<usize> {
    let mut seen = HashSet::new();
    keys.position(|key| !seen.insert(key))
}

/// `iscrowd`, which some tools write as a truth value, as `0.0`, or as `null`.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Flag {
        Number(u64),
        Real(f64),
        Truth(bool),
    }
    match Option::deserialize(deserializer)? {
        None | Some(Flag::Number(0) | Flag::Real(0.0) | Flag::Truth(false)) => Ok(false),
        Some(Flag::Number(1) | Flag::Real(1.0) | Flag::Truth(true)) => Ok(true),
        Some(Flag::Real(x)) => Err(de::Error::invalid_value(de::Unexpected::Float(x), &"`iscrowd` of 0 or 1")),
        Some(Flag::Number(n)) => Err(de::Error::invalid_value(de::Unexpected::Unsigned(n), &"`iscrowd` of 0 or 1")),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn number<S: serde::Serializer>(flag: &bool, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_u8(u8::from(*flag))
}
