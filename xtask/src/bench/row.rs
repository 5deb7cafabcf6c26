//! One line of the table.

use std::fmt;

use serde_json::{Value, json};

/// How far the checks of the two sides may be apart, relatively.
const AGREEMENT: f64 = 1e-3;

/// What both sides gave.
#[derive(Default)]
pub(super) struct Measured {
    pub(super) ours_ms: Vec<f64>,
    pub(super) peer_ms: Vec<f64>,
    pub(super) ours_peak_mb: Option<f64>,
    pub(super) peer_peak_mb: Option<f64>,
    pub(super) ours_check: Vec<f64>,
    pub(super) peer_check: Option<Vec<f64>>,
    pub(super) peer_variant: Option<String>,
}

/// A workload on a number of threads, timed.
pub(super) struct Row {
    pub(super) workload: String,
    pub(super) threads: usize,
    ours: Option<Spread>,
    peer: Option<Spread>,
    ours_peak_mb: Option<f64>,
    peer_peak_mb: Option<f64>,
    peer_variant: Option<String>,
    /// Why the sides do not compute the same.
    pub(super) disagreement: Option<String>,
}

/// The median of times, and half the distance between their quartiles.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    median: f64,
    half_quartiles: f64,
}

impl Row {
    pub(super) const HEADER: &str =
        "workload                                      threads       ours ms       peer ms  ratio  ours MB  peer MB";

    pub(super) fn new(workload: &str, threads: usize, measured: Measured) -> Self {
        let disagreement = measured.peer_check.as_ref().and_then(|peer| disagreement(&measured.ours_check, peer));
        Self {
            workload: workload.to_owned(),
            threads,
            ours: Spread::of(measured.ours_ms),
            peer: Spread::of(measured.peer_ms),
            ours_peak_mb: measured.ours_peak_mb,
            peer_peak_mb: measured.peer_peak_mb,
            peer_variant: measured.peer_variant,
            disagreement,
        }
    }

    /// Ours over the peer's.
    fn ratio(&self) -> Option<f64> {
        Some(self.ours?.median / self.peer?.median)
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "workload": self.workload,
            "threads": self.threads,
            "ours_ms": self.ours.map(|s| s.median),
            "peer_ms": self.peer.map(|s| s.median),
            "ratio": self.ratio(),
            "ours_peak_mb": self.ours_peak_mb,
            "peer_peak_mb": self.peer_peak_mb,
        })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spread = |s: Option<Spread>| {
            s.map_or_else(|| "-".to_owned(), |s| format!("{:.1} ±{:.1}", s.median, s.half_quartiles))
        };
        let number = |n: Option<f64>, digits: usize| n.map_or_else(|| "-".to_owned(), |n| format!("{n:.digits$}"));
        write!(
            f,
            "{:<46}{:>7}{:>14}{:>14}{:>7}{:>9}{:>9}",
            self.workload,
            self.threads,
            spread(self.ours),
            spread(self.peer),
            number(self.ratio(), 2),
            number(self.ours_peak_mb, 0),
            number(self.peer_peak_mb, 0),
        )?;
        if let Some(variant) = &self.peer_variant {
            write!(f, "  peer: {variant}")?;
        }
        if self.disagreement.is_some() {
            write!(f, "  FAILED")?;
        }
        Ok(())
    }
}

impl Spread {
    fn of(mut times: Vec<f64>) -> Option<Self> {
        times.sort_by(f64::total_cmp);
        // Linear between the two nearest ranks.
        let quantile = |q: f64| {
            let at = q * (times.len() - 1) as f64;
            let (low, high) = (times[at.floor() as usize], times[at.ceil() as usize]);
            low + (high - low) * at.fract()
        };
        let half = |quantile: &dyn Fn(f64) -> f64| (quantile(0.75) - quantile(0.25)) / 2.0;
        (!times.is_empty()).then(|| Self { median: quantile(0.5), half_quartiles: half(&quantile) })
    }
}

fn disagreement(ours: &[f64], peer: &[f64]) -> Option<String> {
    let agree = |a: f64, b: f64| (a - b).abs() <= AGREEMENT * b.abs();
    let same = ours.len() == peer.len() && ours.iter().zip(peer).all(|(&a, &b)| agree(a, b));
    (!same).then(|| format!("ours gives {ours:?}, the peer {peer:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_is_median_and_half_the_quartile_distance() {
        let spread = Spread::of(vec![5.0, 1.0, 2.0, 4.0, 3.0]);
        assert_eq!(spread, Some(Spread { median: 3.0, half_quartiles: 1.0 }));
        assert_eq!(Spread::of(vec![1.0, 2.0]).map(|s| s.median), Some(1.5));
        assert_eq!(Spread::of(vec![]), None);
    }

    #[test]
    fn sides_that_compute_something_else_disagree() {
        assert_eq!(disagreement(&[2.3, 2.2], &[2.3005, 2.1995]), None);
        assert!(disagreement(&[2.3, 2.2], &[2.3, 2.21]).is_some());
        assert!(disagreement(&[2.3], &[2.3, 2.2]).is_some());
        assert!(disagreement(&[f64::NAN], &[f64::NAN]).is_some());
    }

    #[test]
    fn the_json_has_the_ratio_only_with_a_peer() {
        let measured = |peer_ms| Measured { ours_ms: vec![3.0], peer_ms, ..Measured::default() };
        let row = Row::new("w", 2, measured(vec![4.0])).to_json();
        assert_eq!((&row["threads"], &row["ours_ms"], &row["ratio"]), (&json!(2), &json!(3.0), &json!(0.75)));
        let row = Row::new("w", 2, measured(vec![])).to_json();
        assert_eq!((&row["peer_ms"], &row["ratio"]), (&Value::Null, &Value::Null));
    }
}
