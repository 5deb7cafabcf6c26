//! By which a COCO file names things.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Deserializer, Serialize, de};

/// The largest real number below which every whole number is one too.
const LARGEST: f64 = 9_007_199_254_740_992.0;

/// By which a COCO file names an image, a category or an annotation.
///
/// Ids are equal as they are in Python: `1.0` is 1, but `"1"` is not. Numbers come before texts, in the order of pycocotools.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CocoId {
    /// A whole number, from −2⁶³ to 2⁶⁴ − 1.
    Number(i128),
    /// A text as it stands there, `seq001_d`.
    Text(String),
}

impl From<i64> for CocoId {
    fn from(number: i64) -> Self {
        Self::Number(number.into())
    }
}

impl Display for CocoId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

impl Serialize for CocoId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => match u64::try_from(*number) {
                Ok(number) => serializer.serialize_u64(number),
                Err(_) => serializer.serialize_i128(*number),
            },
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for CocoId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = CocoId;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("an id, a whole number or a text")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<CocoId, E> {
                Ok(CocoId::Number(number.into()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<CocoId, E> {
                Ok(CocoId::Number(number.into()))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<CocoId, E> {
                if number.fract() == 0.0 && number.abs() < LARGEST {
                    return Ok(CocoId::Number(number as i128));
                }
                Err(E::invalid_value(de::Unexpected::Float(number), &self))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<CocoId, E> {
                Ok(CocoId::Text(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_equal_and_in_order_as_in_python() {
        let id = |json: &str| serde_json::from_str::<CocoId>(json).unwrap();
        let same: HashSet<CocoId> = ["7", "7.0", "7e0"].map(id).into();
        assert_eq!(same.len(), 1);
        let others: HashSet<CocoId> = ["7", "\"7\"", "\"007\"", "-7", "\"\"", "0"].map(id).into();
        assert_eq!(others.len(), 6);
        let mut sorted = ["\"b\"", "10", "\"a\"", "9", "-1", "18446744073709551615"].map(id);
        sorted.sort();
        let written = sorted.map(|id| serde_json::to_string(&id).unwrap());
        assert_eq!(written, ["-1", "9", "10", "18446744073709551615", "\"a\"", "\"b\""]);
        for bad in ["1.5", "null", "true", "[1]", "1e300"] {
            assert!(serde_json::from_str::<CocoId>(bad).is_err(), "{bad}");
        }
    }
}
