//! Parts of both readers.

use std::{collections::HashMap, fmt, fs, path::Path};

use serde::{
    Deserializer,
    de::{DeserializeOwned, Error, Unexpected, Visitor},
};

use super::super::{EvaluationError, Result, error::RecordAt};

/// What becomes of a record whose image or category the ground truth does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// It is an error.
    #[default]
    Refuse,
    /// It is left out, and counted.
    Skip,
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(EvaluationError::io(path))
}

/// A document. Where it is wrong is looked for only then, which takes longer than reading does.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8], origin: &Path) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        let mut track = serde_path_to_error::Track::new();
        let mut document = serde_json::Deserializer::from_slice(bytes);
        let again = T::deserialize(serde_path_to_error::Deserializer::new(&mut document, &mut track));
        let at = if again.is_err() { track.path().to_string() } else { "after the document".to_owned() };
        EvaluationError::Json { path: origin.to_owned(), at, reason: error.to_string() }
    })
}

/// Where the images, or the categories, stand in the order of their ids.
pub(super) struct Places(HashMap<i64, u32>);

impl Places {
    pub(super) fn new(sorted: impl Iterator<Item = i64>) -> Self {
        Self(sorted.zip(0..).collect())
    }

    /// The place of an id, or `None` if records with others are skipped.
    pub(super) fn find(&self, id: i64, field: &'static str, unknown: Unknown, at: RecordAt<'_>) -> Result<Option<u32>> {
        match (self.0.get(&id), unknown) {
            (Some(&place), _) => Ok(Some(place)),
            (None, Unknown::Skip) => Ok(None),
            (None, Unknown::Refuse) => Err(at.fail(field, id, "an id that the ground truth has")),
        }
    }
}

/// Checks that no id stands in a list twice.
pub(super) fn check_unique(ids: impl Iterator<Item = i64>, list: &'static str, origin: &Path) -> Result<()> {
    let mut seen = HashMap::new();
    for (index, id) in ids.enumerate() {
        if let Some(first) = seen.insert(id, index) {
            let at = RecordAt { origin: &origin.display(), list, index };
            return Err(at.fail("id", id, format_args!("another than that of {list}[{first}]")));
        }
    }
    Ok(())
}

/// 0 or 1, which some write as `false` or `true`, as `0.0` or `1.0`, or not at all: `null`.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<bool, D::Error> {
    deserializer.deserialize_any(Flag)
}

struct Flag;

impl Visitor<'_> for Flag {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0 or 1")
    }

    fn visit_bool<E: Error>(self, flag: bool) -> std::result::Result<bool, E> {
        Ok(flag)
    }

    fn visit_unit<E: Error>(self) -> std::result::Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E: Error>(self, number: f64) -> std::result::Result<bool, E> {
        match number {
            0.0 => Ok(false),
            1.0 => Ok(true),
            _ => Err(E::invalid_value(Unexpected::Float(number), &self)),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> std::result::Result<bool, E> {
        match number {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }
}
