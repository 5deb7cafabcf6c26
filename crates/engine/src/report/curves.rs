//! From the lines of `metrics.jsonl` to curves.

use std::collections::{BTreeMap, BTreeSet};

use super::{chart::Point, html::number};
use crate::Record;

/// What a curve shows: a split and a value, such as `test` and `accuracy`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Quantity {
    pub(super) split: String,
    pub(super) name: String,
}

impl Quantity {
    pub(super) fn title(&self) -> String {
        format!("{}, {}", self.name.replace('_', " "), self.split)
    }

    /// Whether a metric's name speaks of this one: `accuracy` or `test_accuracy` of `accuracy` on `test`.
    pub(super) fn is_meant_by(&self, metric: &str) -> bool {
        metric == self.name || ["_", ".", "/"].iter().any(|dot| metric == format!("{}{dot}{}", self.split, self.name))
    }
}

/// What the runs recorded: what `main` names first, then evaluations, then the trainer's own, each in alphabetical order.
pub(super) fn quantities(runs: &[&[Record]], main: &[&str]) -> Vec<Quantity> {
    let mut found = BTreeSet::new();
    for record in runs.iter().copied().flatten() {
        let quantity = |name: &String| Quantity { split: record.split.clone(), name: name.clone() };
        found.extend(record.values.keys().map(quantity));
    }
    let mut sorted: Vec<Quantity> = found.into_iter().collect();
    sorted.sort_by_cached_key(|q| {
        let is_main = main.iter().any(|metric| q.is_meant_by(metric));
        (!is_main, q.split == "train", q.name == "lr", q.clone())
    });
    sorted
}

/// Where a value stands on the x axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    Epoch,
    Step,
}

impl Axis {
    /// Epochs, unless there are too few for a curve.
    pub(super) fn of(runs: &[&[Record]]) -> Self {
        let last = runs.iter().copied().flatten().map(|record| record.epoch).max();
        if last.is_some_and(|epoch| epoch > 2) { Self::Epoch } else { Self::Step }
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Epoch => "epoch",
            Self::Step => "step",
        }
    }

    fn at(self, record: &Record) -> usize {
        match self {
            Self::Epoch => record.epoch,
            Self::Step => record.step,
        }
    }
}

/// The mean over runs with its range; several values of one run at one place (steps of an epoch) are averaged first.
pub(super) fn curve(runs: &[&[Record]], quantity: &Quantity, axis: Axis) -> Vec<Point> {
    let mut by_place: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for run in runs {
        let mut own: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for record in run.iter().filter(|record| record.split == quantity.split) {
            if let Some(value) = record.values.get(&quantity.name).filter(|value| value.is_finite()) {
                own.entry(axis.at(record)).or_default().push(*value);
            }
        }
        for (x, values) in own {
            by_place.entry(x).or_default().push(crate::metrics::mean(&values));
        }
    }
    let point = |(x, values): (usize, Vec<f64>)| Point {
        x: x as f64,
        y: crate::metrics::mean(&values),
        low: values.iter().copied().fold(f64::INFINITY, f64::min),
        high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    };
    by_place.into_iter().map(point).collect()
}

/// The last value of a curve, for its legend.
pub(super) fn last(points: &[Point]) -> String {
    points.last().map_or(String::new(), |point| number(point.y))
}
