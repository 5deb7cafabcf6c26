//! Fields of records that writers write in several ways.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, SeqAccess, Unexpected, Visitor},
};
use serde_json::Value;

/// What is no number in JSON, though Python writes and reads it, and text of the same length that stands for it, so that
/// errors tell the right column. No editor writes such text.
const STAND_INS: [(&str, &str, f64); 3] = [
    ("NaN", "\u{7f}", f64::NAN),
    ("Infinity", "\u{7f}+inf+", f64::INFINITY),
    ("-Infinity", "\u{7f}-inf--", f64::NEG_INFINITY),
];

/// A document in which text stands for `NaN`, `Infinity` and `-Infinity`.
pub(super) fn with_stand_ins(document: &[u8]) -> Cow<'_, [u8]> {
    let mut changed = Cow::Borrowed(document);
    let (mut place, mut in_text) = (0, false);
    while let Some(&byte) = document.get(place) {
        let found = STAND_INS.iter().find(|(name, ..)| !in_text && document[place..].starts_with(name.as_bytes()));
        match (byte, found) {
            (_, Some((name, text, _))) => {
                changed.to_mut()[place..place + name.len()].copy_from_slice(format!("\"{text}\"").as_bytes());
                place += name.len() - 1;
            }
            // What is escaped does not end a text.
            (b'\\', _) if in_text => place += 1,
            (b'"', _) => in_text = !in_text,
            _ => {}
        }
        place += 1;
    }
    changed
}

/// The number that a text stands for.
pub(super) fn stood_for(text: &str) -> Option<f64> {
    STAND_INS.iter().find(|(_, stand_in, _)| *stand_in == text).map(|(.., number)| *number)
}

/// A number, which may be NaN.
#[derive(Clone, Copy)]
pub(super) struct Real(pub(super) f64);

impl<'de> Deserialize<'de> for Real {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RealVisitor).map(Self)
    }
}

/// A number that is finite.
#[derive(Clone, Copy)]
pub(super) struct Finite(pub(super) f64);

impl<'de> Deserialize<'de> for Finite {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Of a number this asks less than `deserialize_any`, which takes a tenth of the time that reading detections does.
        deserializer.deserialize_f64(FiniteVisitor).map(Self)
    }
}

struct FiniteVisitor;

impl Visitor<'_> for FiniteVisitor {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a finite f64")
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<f64, E> {
        if number.is_finite() { Ok(number) } else { Err(E::invalid_value(Unexpected::Float(number), &self)) }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<f64, E> {
        Ok(number as f64)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<f64, E> {
        Ok(number as f64)
    }
}

/// `x, y, width, height`, which are finite.
#[derive(Clone, Copy)]
pub(super) struct Corners(pub(super) [f64; 4]);

impl<'de> Deserialize<'de> for Corners {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(CornersVisitor).map(Self)
    }
}

struct CornersVisitor;

impl<'de> Visitor<'de> for CornersVisitor {
    type Value = [f64; 4];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a box of four numbers: x, y, width, height")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<[f64; 4], A::Error> {
        let mut numbers = [0.0; 4];
        for (i, number) in numbers.iter_mut().enumerate() {
            *number = list.next_element::<Finite>()?.ok_or_else(|| A::Error::invalid_length(i, &self))?.0;
        }
        let mut more = 0;
        while list.next_element::<IgnoredAny>()?.is_some() {
            more += 1;
        }
        if more == 0 { Ok(numbers) } else { Err(A::Error::invalid_length(numbers.len() + more, &self)) }
    }
}

/// A message in which numbers that JSON has not are called as in the file.
pub(super) fn readable(message: &str) -> String {
    STAND_INS.iter().fold(message.to_owned(), |message, (name, text, _)| {
        let quoted = format!("string {text:?}");
        message.replace(&quoted, name)
    })
}

struct RealVisitor;

impl Visitor<'_> for RealVisitor {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("f64")
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<f64, E> {
        Ok(number)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<f64, E> {
        Ok(number as f64)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<f64, E> {
        Ok(number as f64)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<f64, E> {
        stood_for(text).ok_or_else(|| E::invalid_type(Unexpected::Str(text), &self))
    }
}

/// A name; one that is a number is its digits, and anything else is none: nothing is computed from names.
pub(super) fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) if stood_for(&text).is_none() => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// 0 or 1, which some write as `false` or `true`, as `0.0` or `1.0`, or not at all: `null`.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    deserializer.deserialize_any(Flag)
}

struct Flag;

impl Visitor<'_> for Flag {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0 or 1")
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<bool, E> {
        Ok(flag)
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<bool, E> {
        match number {
            0.0 => Ok(false),
            1.0 => Ok(true),
            _ => Err(E::invalid_value(Unexpected::Float(number), &self)),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<bool, E> {
        match number {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<bool, E> {
        match stood_for(text) {
            Some(number) => Err(E::invalid_value(Unexpected::Float(number), &self)),
            None => Err(E::invalid_type(Unexpected::Str(text), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stand_ins_keep_every_place_and_leave_text_alone() {
        let document = r#"{"a": NaN, "NaN \" NaN\\": [-Infinity, Infinity], "\\": NaN}"#;
        let changed = with_stand_ins(document.as_bytes());
        assert_eq!(changed.len(), document.len());
        let value: Value = serde_json::from_slice(&changed).unwrap();
        let number = |value: &Value| stood_for(value.as_str().unwrap()).unwrap();
        assert!(number(&value["a"]).is_nan() && number(&value["\\"]).is_nan());
        assert_eq!(number(&value["NaN \" NaN\\"][0]), f64::NEG_INFINITY);
        assert_eq!(number(&value["NaN \" NaN\\"][1]), f64::INFINITY);
        assert!(matches!(with_stand_ins(br#"{"NaN": "Infinity"}"#), Cow::Borrowed(_)));
    }
}
