//! Parts of both readers.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
    fs,
    path::Path,
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    super::{EvaluationError, Result, error::RecordAt},
    fields::{readable, with_stand_ins},
    id::{CocoId, RecordId},
};

/// What becomes of a record that is not as the format has it, or whose image or category the ground truth does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// It is an error.
    #[default]
    Refuse,
    /// It is left out, and counted.
    Skip,
}

/// Records that were left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// How many.
    pub n: usize,
    /// The error that the first would have been; it names file, record and field.
    pub first: Option<String>,
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(EvaluationError::io(path))
}

/// The records of a list, each with its place in the file.
pub(super) type Records<T> = Vec<(usize, T)>;

pub(super) fn numbered<T>(records: Vec<T>) -> Records<T> {
    records.into_iter().enumerate().collect()
}

/// A file that is being read, and what was left out of it.
pub(super) struct Reader<'a> {
    pub(super) origin: &'a Path,
    pub(super) unknown: Unknown,
    pub(super) skipped: Skipped,
}

impl<'a> Reader<'a> {
    pub(super) fn new(origin: &'a Path, unknown: Unknown) -> Self {
        Self { origin, unknown, skipped: Skipped::default() }
    }

    /// A document: as `T`, if every record is good, and else as `V`, whose records are values that are looked at one by one.
    pub(super) fn document<T: DeserializeOwned, V: DeserializeOwned>(
        &self,
        bytes: &[u8],
    ) -> Result<std::result::Result<T, V>> {
        match (parse(bytes, self.origin), self.unknown) {
            (Ok(document), _) => Ok(Ok(document)),
            (Err(error), Unknown::Refuse) => Err(error),
            // What is not even JSON has no records.
            (Err(_), Unknown::Skip) => parse(bytes, self.origin).map(Err),
        }
    }

    /// The good ones of `values`.
    pub(super) fn records<T: DeserializeOwned>(&mut self, list: &str, values: Vec<Value>) -> Result<Records<T>> {
        let mut records = Vec::with_capacity(values.len());
        for (index, value) in values.into_iter().enumerate() {
            match serde_path_to_error::deserialize(value) {
                Ok(record) => records.push((index, record)),
                Err(error) => {
                    let at = match error.path().to_string().as_str() {
                        "." => format!("{list}[{index}]"),
                        field => format!("{list}[{index}].{field}"),
                    };
                    self.skip(self.fail(at, error.into_inner().to_string()))?;
                }
            }
        }
        Ok(records)
    }

    /// Counts a record that is left out, or refuses it.
    pub(super) fn skip(&mut self, error: EvaluationError) -> Result<()> {
        if self.unknown == Unknown::Refuse {
            return Err(error);
        }
        self.skipped.n += 1;
        self.skipped.first.get_or_insert_with(|| error.to_string());
        Ok(())
    }

    /// Leaves the first record of every id.
    pub(super) fn unique<T>(
        &mut self,
        list: &'static str,
        records: Records<T>,
        id_of: impl Fn(&T) -> RecordId,
    ) -> Result<Records<T>> {
        let mut seen = HashMap::new();
        let mut is_first = |index: usize, record: &T| match seen.entry(id_of(record)) {
            Entry::Vacant(place) => {
                place.insert(index);
                Ok(true)
            }
            Entry::Occupied(first) => {
                let at = RecordAt { origin: &self.origin.display(), list, index };
                let expected = format_args!("another than that of {list}[{}]", first.get());
                self.skip(at.fail("id", first.key(), expected)).map(|()| false)
            }
        };
        let kept = |(index, record): (usize, T)| match is_first(index, &record) {
            Ok(true) => Some(Ok((index, record))),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        };
        records.into_iter().filter_map(kept).collect()
    }

    /// The place of the image or category of a record, or `None` if the record is skipped.
    pub(super) fn find(
        &mut self,
        places: &Places,
        id: &RecordId,
        (field, list, index): (&'static str, &'static str, usize),
    ) -> Result<Option<u32>> {
        let place = places.get(id);
        if place.is_none() {
            let at = RecordAt { origin: &self.origin.display(), list, index };
            self.skip(at.fail(field, id, "an id that the ground truth has"))?;
        }
        Ok(place)
    }

    pub(super) fn fail(&self, at: String, reason: String) -> EvaluationError {
        EvaluationError::Json { path: self.origin.to_owned(), at, reason: readable(&reason) }
    }
}

/// No place.
const NOWHERE: u32 = u32::MAX;

/// Where the images, or the categories, stand in the order of their ids.
#[derive(Default)]
pub(super) struct Places {
    /// Of small numbers, by them; [`NOWHERE`] for those that none has.
    dense: Vec<u32>,
    numbers: HashMap<i64, u32>,
    others: HashMap<CocoId, u32>,
}

impl Places {
    pub(super) fn new<'a>(sorted: impl Iterator<Item = &'a CocoId>) -> Self {
        let ids: Vec<RecordId> = sorted.cloned().map(RecordId::from).collect();
        // A table of a few times as many places as there are ids is quicker than any hash.
        let small = 16 * ids.len() + 1024;
        let mut places = Self::default();
        for (id, place) in ids.into_iter().zip(0..) {
            match id {
                RecordId::Number(number) => match usize::try_from(number) {
                    Ok(number) if number < small => {
                        places.dense.resize(places.dense.len().max(number + 1), NOWHERE);
                        places.dense[number] = place;
                    }
                    _ => drop(places.numbers.insert(number, place)),
                },
                RecordId::Other(id) => drop(places.others.insert(*id, place)),
            }
        }
        places
    }

    fn get(&self, id: &RecordId) -> Option<u32> {
        match id {
            RecordId::Number(number) => {
                let dense = usize::try_from(*number).ok().and_then(|number| self.dense.get(number));
                match dense {
                    Some(&place) => Some(place).filter(|&place| place != NOWHERE),
                    None => self.numbers.get(number).copied(),
                }
            }
            RecordId::Other(id) => self.others.get(id).copied(),
        }
    }
}

/// What a document begins with, behind a byte order mark.
pub(super) fn begins_with(bytes: &[u8], bracket: u8) -> bool {
    without_mark(bytes).trim_ascii_start().first() == Some(&bracket)
}

fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// What is no text in UTF-8 by its first bytes, but is often mistaken for it.
fn no_text(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x1F, 0x8B, ..] => Some("a file that is compressed by gzip, expected JSON"),
        [b'P', b'K', 3, 4, ..] => Some("a zip archive, expected JSON"),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [_, 0, _, 0, ..] | [0, _, 0, _, ..] => {
            Some("text in UTF-16, expected JSON in UTF-8")
        }
        _ => None,
    }
}

/// A document. Numbers that JSON has not, and where it is wrong, are looked for only then, which takes longer than reading does.
fn parse<T: DeserializeOwned>(bytes: &[u8], origin: &Path) -> Result<T> {
    let bytes = without_mark(bytes);
    let mut error = match serde_json::from_slice(bytes) {
        Ok(document) => return Ok(document),
        Err(error) => error,
    };
    let bytes = with_stand_ins(bytes);
    if let Cow::Owned(bytes) = &bytes {
        error = match serde_json::from_slice(bytes) {
            Ok(document) => return Ok(document),
            Err(error) => error,
        };
    }
    let mut track = serde_path_to_error::Track::new();
    let mut document = serde_json::Deserializer::from_slice(&bytes);
    let again = T::deserialize(serde_path_to_error::Deserializer::new(&mut document, &mut track));
    let at = if again.is_err() { track.path().to_string() } else { "after the document".to_owned() };
    let reason = no_text(bytes.as_ref()).map_or_else(|| readable(&error.to_string()), str::to_owned);
    Err(EvaluationError::Json { path: origin.to_owned(), at, reason })
}
