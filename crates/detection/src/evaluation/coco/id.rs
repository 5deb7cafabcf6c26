//! What files call images, categories and annotations.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Unexpected, Visitor},
};

use super::fields::stood_for;

/// What a file calls an image, a category or an annotation.
///
/// Ids are equal as they are in Python: `1.0` is 1, but `"1"` is not, and `"001"` is not `"1"`.
/// They have the order of pycocotools: numbers by size, text by its characters. Numbers are before text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CocoId {
    /// A whole number, from −2⁶³ to 2⁶⁴ − 1.
    Number(i128),
    /// Text, as it stands there.
    Text(String),
}

impl CocoId {
    /// Whether NumPy makes the number 0 of it.
    pub(super) fn is_zero(&self) -> bool {
        match self {
            Self::Number(number) => *number == 0,
            Self::Text(text) => text.trim().parse::<f64>().is_ok_and(|number| number == 0.0),
        }
    }
}

impl From<i64> for CocoId {
    fn from(number: i64) -> Self {
        Self::Number(number.into())
    }
}

impl From<&str> for CocoId {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl fmt::Display for CocoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

impl Serialize for CocoId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(number), _) => serializer.serialize_i64(number),
                (_, Ok(number)) => serializer.serialize_u64(number),
                _ => serializer.serialize_i128(*number),
            },
        }
    }
}

impl<'de> Deserialize<'de> for CocoId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IdVisitor)
    }
}

struct IdVisitor;

impl Visitor<'_> for IdVisitor {
    type Value = CocoId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number from -2^63 to 2^64 - 1, or text")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<CocoId, E> {
        Ok(CocoId::Number(number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<CocoId, E> {
        Ok(CocoId::Number(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<CocoId, E> {
        // The parser makes such numbers of whole ones beyond these bounds too, of which several become the same.
        let is_exact = number.fract() == 0.0 && (-(2f64.powi(63))..2f64.powi(64)).contains(&number);
        if is_exact {
            Ok(CocoId::Number(number as i128))
        } else {
            Err(E::invalid_value(Unexpected::Float(number), &self))
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<CocoId, E> {
        match stood_for(text) {
            Some(number) => Err(E::invalid_value(Unexpected::Float(number), &self)),
            None => Ok(CocoId::Text(text.to_owned())),
        }
    }
}

/// An id as records hold it, of which there are many: nearly all are small numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum RecordId {
    Number(i64),
    Other(Box<CocoId>),
}

impl RecordId {
    /// Whether NumPy makes the number 0 of it.
    pub(super) fn is_zero(&self) -> bool {
        match self {
            Self::Number(number) => *number == 0,
            Self::Other(id) => id.is_zero(),
        }
    }
}

impl From<CocoId> for RecordId {
    fn from(id: CocoId) -> Self {
        match id {
            CocoId::Number(number) if i64::try_from(number).is_ok() => Self::Number(number as i64),
            other => Self::Other(Box::new(other)),
        }
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Other(id) => write!(f, "{id}"),
        }
    }
}

impl<'de> Deserialize<'de> for RecordId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RecordIdVisitor)
    }
}

struct RecordIdVisitor;

impl Visitor<'_> for RecordIdVisitor {
    type Value = RecordId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        IdVisitor.expecting(f)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<RecordId, E> {
        Ok(RecordId::Number(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<RecordId, E> {
        i64::try_from(number).map_or_else(|_| IdVisitor.visit_u64(number).map(Into::into), |n| Ok(RecordId::Number(n)))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<RecordId, E> {
        IdVisitor.visit_f64(number).map(Into::into)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<RecordId, E> {
        IdVisitor.visit_str(text).map(Into::into)
    }
}
