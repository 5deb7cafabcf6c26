//! COCO's files of instances.

use std::{borrow::Cow, collections::HashSet, hash::Hash, path::Path};

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::value::RawValue;

use super::CocoId;
use crate::{
    DataError, OnInvalid, Result,
    detection::rules::Annotations,
    line::{Line, quoted, stays_below},
};

/// What an `instances_….json` says. Other keys are passed over, segmentations among them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
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
    pub id: CocoId,
    /// Its file below the folder of the images, with `/` between the parts.
    #[serde(deserialize_with = "path")]
    pub file_name: String,
    /// Rows, if that is known.
    #[serde(default, deserialize_with = "pixels", skip_serializing_if = "Option::is_none")]
    pub height: Option<usize>,
    /// Pixels in a row, if that is known.
    #[serde(default, deserialize_with = "pixels", skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
}

/// An object in [`CocoInstances`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CocoAnnotation {
    /// Its number, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CocoId>,
    /// The image on which it is.
    pub image_id: CocoId,
    /// Its class.
    pub category_id: CocoId,
    /// `x`, `y`, width and height in pixels, the corner counted from 0.
    #[serde(deserialize_with = "bbox")]
    pub bbox: [f64; 4],
    /// Whether it is a group that is not told apart; `0` and `1` in the file.
    #[serde(default, deserialize_with = "flag", serialize_with = "number")]
    pub iscrowd: bool,
    /// The pixels of the object itself, where they are known.
    #[serde(default, deserialize_with = "area")]
    pub area: Option<f64>,
}

/// A class in [`CocoInstances`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CocoCategory {
    /// By which annotations and results name it; COCO's ids have gaps.
    pub id: CocoId,
    /// Its name.
    pub name: String,
}

/// Records that can be read, each with its place in the list, and what is wrong with the others.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) images: Vec<CocoImage>,
    pub(super) annotations: Vec<(usize, CocoAnnotation)>,
    pub(super) categories: Vec<CocoCategory>,
    pub(super) broken_images: Vec<DataError>,
    pub(super) broken_annotations: Vec<DataError>,
    pub(super) broken_categories: Vec<DataError>,
}

/// Reads the bytes of a JSON file of instances in COCO's format; `origin` names them in errors.
///
/// Ids may be numbers or texts ([`CocoId`]). What Python writes beside JSON (`NaN`, `Infinity`) may stand where nothing is
/// read. Sizes of images may be missing. Boxes are not compared with their images here.
///
/// # Errors
/// [`DataError::Line`] for what is no JSON, or has no such lists; [`DataError::Record`] for a record that is not of this form, an
/// id or a file that is there twice, a file that leaves its folder. Whether annotations are of these images and categories is for
/// [`super::read_coco`] to say.
pub fn parse_coco(bytes: &[u8], origin: &Path) -> Result<CocoInstances> {
    let records = parse_records(bytes, origin, Annotations::Read, OnInvalid::Fail)?;
    let Records { images, annotations, categories, .. } = records;
    Ok(CocoInstances {
        images,
        annotations: annotations.into_iter().map(|(_, annotation)| annotation).collect(),
        categories,
    })
}

/// [`parse_coco`] that leaves out records that are wrong, where `on_invalid` says so, and annotations, where they are not to be
/// looked at: there need not be any.
pub(super) fn parse_records(
    bytes: &[u8],
    origin: &Path,
    annotations: Annotations,
    on_invalid: OnInvalid,
) -> Result<Records> {
    #[derive(Deserialize)]
    struct Lists<'a> {
        #[serde(borrow)]
        images: Vec<&'a RawValue>,
        #[serde(borrow, default)]
        annotations: Option<Vec<&'a RawValue>>,
        #[serde(borrow)]
        categories: Vec<&'a RawValue>,
    }
    if let Some(found) = no_text(bytes) {
        let line = Line { path: origin, number: 1 };
        return Err(line.fail(found.to_owned(), "JSON in UTF-8"));
    }
    let bytes = without_not_a_number(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes));
    let lists: Lists<'_> = serde_json::from_slice(&bytes).map_err(|e| {
        let line = Line { path: origin, number: e.line() };
        line.fail(quoted(&e.to_string()), "`images`, `annotations` and `categories` as in COCO's instances")
    })?;
    let raw_annotations = match (annotations, lists.annotations) {
        (Annotations::Ignore, _) => Vec::new(),
        (Annotations::Read, Some(annotations)) => annotations,
        (Annotations::Read, None) => {
            let line = Line { path: origin, number: 1 };
            return Err(
                line.fail("no `annotations`", "`images`, `annotations` and `categories` as in COCO's instances")
            );
        }
    };
    let list = |what: &'static str| List { what, origin, on_invalid };
    let (mut ids, mut files) = (HashSet::new(), HashSet::new());
    let images = list("an image").read(&lists.images, |image: &CocoImage| {
        if !stays_below(&image.file_name) {
            let found = format!("an image in {}", quoted(&image.file_name));
            return Some((found, "a path below the folder of the images"));
        }
        twice(&mut ids, &image.id, || format!("an image with the id {} once more", image.id), "every id once").or_else(
            || {
                let found = || format!("an image in {} once more", quoted(&image.file_name));
                twice(&mut files, &image.file_name, found, "every file once")
            },
        )
    })?;
    let mut ids = HashSet::new();
    let categories = list("a category").read(&lists.categories, |category: &CocoCategory| {
        twice(&mut ids, &category.id, || format!("a category with the id {} once more", category.id), "every id once")
    })?;
    let mut ids = HashSet::new();
    let annotations = list("an annotation").read(&raw_annotations, |annotation: &CocoAnnotation| {
        let id = annotation.id.as_ref()?;
        twice(&mut ids, id, || format!("an annotation with the id {id} once more"), "every id once")
    })?;
    Ok(Records {
        images: images.kept.into_iter().map(|(_, image)| image).collect(),
        annotations: annotations.kept,
        categories: categories.kept.into_iter().map(|(_, category)| category).collect(),
        broken_images: images.broken,
        broken_annotations: annotations.broken,
        broken_categories: categories.broken,
    })
}

/// What is no text in UTF-8 by its first bytes, but is often mistaken for it.
fn no_text(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x1F, 0x8B, ..] => Some("a file that is compressed by gzip"),
        [b'P', b'K', 3, 4, ..] => Some("a zip archive"),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [_, 0, _, 0, ..] | [0, _, 0, _, ..] => Some("text in UTF-16"),
        _ => None,
    }
}

/// A list of a file.
#[derive(Clone, Copy)]
struct List<'a> {
    /// What a record of it is.
    what: &'static str,
    origin: &'a Path,
    on_invalid: OnInvalid,
}

/// Records with their places, and what is wrong with the others.
struct ReadList<T> {
    kept: Vec<(usize, T)>,
    broken: Vec<DataError>,
}

impl List<'_> {
    /// The records that can be read, and of which `check` finds nothing that is wrong, with what would be right.
    fn read<'a, T: Deserialize<'a>>(
        self,
        records: &[&'a RawValue],
        mut check: impl FnMut(&T) -> Option<(String, &'static str)>,
    ) -> Result<ReadList<T>> {
        let (mut kept, mut broken) = (Vec::with_capacity(records.len()), Vec::new());
        for (record, raw) in records.iter().enumerate() {
            let wrong = match serde_json::from_str::<T>(raw.get()) {
                Ok(read) => match check(&read) {
                    None => {
                        kept.push((record, read));
                        continue;
                    }
                    Some((found, expected)) => (found, expected.to_owned()),
                },
                Err(e) => (
                    format!("{} with {}", self.what, quoted(&e.to_string())),
                    "a record as in COCO's instances".to_owned(),
                ),
            };
            let error = DataError::Record { path: self.origin.to_owned(), record, found: wrong.0, expected: wrong.1 };
            match self.on_invalid {
                OnInvalid::Fail => return Err(error),
                OnInvalid::Skip => broken.push(error),
            }
        }
        Ok(ReadList { kept, broken })
    }
}

/// What is wrong with a record whose `key` was there before.
fn twice<K: Eq + Hash + Clone>(
    seen: &mut HashSet<K>,
    key: &K,
    found: impl FnOnce() -> String,
    expected: &'static str,
) -> Option<(String, &'static str)> {
    (!seen.insert(key.clone())).then(|| (found(), expected))
}

/// The same with `null` for each `NaN`, `Infinity` and `-Infinity` outside of texts: Python writes them, and JSON has none. Lines
/// stay where they are.
fn without_not_a_number(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut replaced: Option<Vec<u8>> = None;
    let (mut at, mut copied, mut is_text) = (0, 0, false);
    while at < bytes.len() {
        let word: &[u8] = match (is_text, bytes[at]) {
            (false, b'N') => b"NaN",
            (false, b'I') => b"Infinity",
            (false, b'-') => b"-Infinity",
            (true, b'\\') => {
                at += 2;
                continue;
            }
            (_, b'"') => {
                is_text = !is_text;
                b""
            }
            _ => b"",
        };
        if !word.is_empty() && bytes[at..].starts_with(word) {
            let replaced = replaced.get_or_insert_default();
            replaced.extend_from_slice(&bytes[copied..at]);
            replaced.extend_from_slice(b"null");
            at += word.len();
            copied = at;
        } else {
            at += 1;
        }
    }
    match replaced {
        Some(mut replaced) => {
            replaced.extend_from_slice(&bytes[copied..]);
            Cow::Owned(replaced)
        }
        None => Cow::Borrowed(bytes),
    }
}

/// A path as systems write it: with `\` on Windows, and with `./` in front.
fn path<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<String, D::Error> {
    let path = String::deserialize(deserializer)?.replace('\\', "/");
    Ok(path.trim_start_matches("./").to_owned())
}

/// A side in pixels, which some tools write as `640.0`; 0 and `null` are none.
fn pixels<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<usize>, D::Error> {
    /// More than any image has.
    const LARGEST: f64 = 1e9;
    match Option::<f64>::deserialize(deserializer)? {
        None | Some(0.0) => Ok(None),
        Some(n) if n.fract() == 0.0 && (1.0..=LARGEST).contains(&n) => Ok(Some(n as usize)),
        Some(n) => Err(de::Error::invalid_value(de::Unexpected::Float(n), &"a number of pixels")),
    }
}

/// Four numbers; a fifth, an angle, would be another box.
fn bbox<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<[f64; 4], D::Error> {
    let bbox = Vec::<Option<f64>>::deserialize(deserializer)?;
    let n = bbox.len();
    let numbers: Option<Vec<f64>> = bbox.into_iter().collect();
    let numbers = numbers.filter(|numbers| numbers.iter().all(|number| number.is_finite()));
    let numbers = numbers.ok_or_else(|| de::Error::custom("`bbox` with what is no number"))?;
    numbers.try_into().map_err(|_| de::Error::custom(format!("`bbox` of {n} numbers, expected x, y, width and height")))
}

/// The area of a mask; what is no area is not known.
fn area<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<f64>, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.filter(|area| area.is_finite() && *area >= 0.0))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_writes_beside_json_becomes_null_outside_of_texts() {
        let replaced = |text: &str| String::from_utf8(without_not_a_number(text.as_bytes()).into_owned()).unwrap();
        assert_eq!(replaced(r#"{"a": NaN, "b": [-Infinity, Infinity]}"#), r#"{"a": null, "b": [null, null]}"#);
        for same in [r#"{"NaN": "NaN \" NaN \\"}"#, r#"["-Infinity", -1]"#, "\"NaN", ""] {
            assert_eq!(replaced(same), same);
            assert!(matches!(without_not_a_number(same.as_bytes()), Cow::Borrowed(_)), "{same}");
        }
        assert_eq!(replaced(r#"["\\", NaN]"#), r#"["\\", null]"#);
    }
}
