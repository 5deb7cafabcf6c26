//! One line of `metrics.jsonl`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Named numbers. One that is not defined (an accuracy over nothing, say) is NaN here and `null` in JSON.
pub type Metrics = BTreeMap<String, f64>;

/// A line of `metrics.jsonl`: what was measured after a step. It has no clock, so that a seed gives the same bytes.
///
/// ```
/// use sconce_engine::{Metrics, Record};
/// let record = Record { step: 20, epoch: 1, split: "test".into(), values: Metrics::from([("accuracy".into(), 0.75)]) };
/// assert_eq!(serde_json::to_string(&record)?, r#"{"step":20,"epoch":1,"split":"test","values":{"accuracy":0.75}}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Steps done.
    pub step: usize,
    /// The epoch that the last of them belongs to, counted from 1.
    pub epoch: usize,
    /// What was measured: `train` for the trainer's own lines, else the split that was evaluated.
    pub split: String,
    /// The measurements. The trainer's own are `loss`, its terms, `lr`, and `grad_norm` where gradients are clipped.
    #[serde(with = "null_for_nan")]
    pub values: Metrics,
}

/// JSON has no NaN.
pub(crate) mod null_for_nan {
    use std::collections::BTreeMap;

    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::Metrics;

    pub(crate) fn serialize<S: Serializer>(values: &Metrics, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(values.iter().map(|(name, value)| (name, value.is_finite().then_some(value))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Metrics, D::Error> {
        let values = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
        Ok(values.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_undefined_value_is_null_and_comes_back_as_nan() {
        let values = Metrics::from([("auroc".into(), f64::NAN), ("loss".into(), 0.1)]);
        let line = serde_json::to_string(&Record { step: 1, epoch: 1, split: "test".into(), values }).unwrap();
        assert!(line.contains(r#""auroc":null,"loss":0.1"#), "{line}");
        let record: Record = serde_json::from_str(&line).unwrap();
        assert!(record.values["auroc"].is_nan());
        assert_eq!(record.values["loss"], 0.1);
    }
}
