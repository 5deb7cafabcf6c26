//! One line of the table.

use std::fmt;

use serde_json::{Value, json};

/// How far the checks of the two sides may be apart, relatively.
const AGREEMENT: f64 = 1e-3;

/// What ours may take of the time and the memory at another commit, before it counts as slower.
const NO_SLOWER: f64 = 1.03;

/// MB that do not count: pages of stacks and of the allocator, which come and go from process to process.
const SLACK_MB: f64 = 2.0;

/// What a side gave, in one process or in several.
#[derive(Default)]
pub(super) struct Measured {
    pub(super) ms: Vec<f64>,
    /// The growth of memory of each process, where the system tells it.
    pub(super) peak_mb: Vec<f64>,
    /// The numbers on which sides have to agree.
    pub(super) check: Vec<f64>,
    /// How it does it, where it has a choice.
    pub(super) variant: Option<String>,
}

/// A workload on a number of threads, timed.
pub(super) struct Row {
    workload: String,
    threads: usize,
    ours: Measured,
    pub(super) peer: Option<Measured>,
    /// The same workload at another commit.
    pub(super) against: Option<Measured>,
    /// How often it was measured.
    n: usize,
}

/// The median of times, and half the distance between their quartiles.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    median: f64,
    half_quartiles: f64,
}

impl Measured {
    fn spread(&self) -> Option<Spread> {
        Spread::of(self.ms.clone())
    }

    fn median_ms(&self) -> Option<f64> {
        Some(self.spread()?.median)
    }

    fn median_mb(&self) -> Option<f64> {
        Some(Spread::of(self.peak_mb.clone())?.median)
    }

    fn merge(&mut self, other: Self) {
        self.ms.extend(other.ms);
        self.peak_mb.extend(other.peak_mb);
    }
}

impl Row {
    pub(super) fn new(workload: &str, threads: usize, ours: Measured) -> Self {
        Self { workload: workload.to_owned(), threads, ours, peer: None, against: None, n: 1 }
    }

    /// Adds what another measurement of the same row gave.
    pub(super) fn merge(&mut self, other: Self) {
        self.ours.merge(other.ours);
        for (mine, other) in [(&mut self.peer, other.peer), (&mut self.against, other.against)] {
            if let (Some(mine), Some(other)) = (mine, other) {
                mine.merge(other);
            }
        }
        self.n += other.n;
    }

    pub(super) fn has_against(&self) -> bool {
        self.against.is_some()
    }

    /// Ours over the peer's.
    fn ratio(&self) -> Option<f64> {
        Some(self.ours.median_ms()? / self.peer.as_ref()?.median_ms()?)
    }

    /// Ours over that of the other commit.
    fn against_ratio(&self) -> Option<f64> {
        Some(self.ours.median_ms()? / self.against.as_ref()?.median_ms()?)
    }

    /// Why the peer does not compute the same.
    pub(super) fn disagreement(&self) -> Option<String> {
        disagreement(&self.ours.check, &self.peer.as_ref()?.check)
    }

    /// In what ours is behind the other commit.
    pub(super) fn slower(&self) -> Option<String> {
        let against = self.against.as_ref()?;
        let mut what = Vec::new();
        if let (Some(ours), Some(theirs)) = (self.ours.median_ms(), against.median_ms())
            && ours > NO_SLOWER * theirs
        {
            what.push(format!("{ours:.1} ms, there {theirs:.1} ms ({:.2})", ours / theirs));
        }
        if let (Some(ours), Some(theirs)) = (self.ours.median_mb(), against.median_mb())
            && ours > NO_SLOWER * theirs + SLACK_MB
        {
            what.push(format!("{ours:.0} MB, there {theirs:.0} MB"));
        }
        (!what.is_empty()).then(|| what.join("; "))
    }

    pub(super) fn to_json(&self) -> Value {
        let peer = self.peer.as_ref();
        let against = self.against.as_ref();
        json!({
            "workload": self.workload,
            "threads": self.threads,
            "ours_ms": self.ours.median_ms(),
            "peer_ms": peer.and_then(Measured::median_ms),
            "ratio": self.ratio(),
            "ours_peak_mb": self.ours.median_mb(),
            "peer_peak_mb": peer.and_then(Measured::median_mb),
            "against_ms": against.and_then(Measured::median_ms),
            "against_ratio": self.against_ratio(),
            "against_peak_mb": against.and_then(Measured::median_mb),
        })
    }

    /// The names of the columns.
    pub(super) fn header(with_against: bool) -> String {
        let peer = "workload                                      threads       ours ms       peer ms  ratio  ours MB  peer MB";
        format!("{peer}{}", if with_against { "    against ms  ratio  against MB" } else { "" })
    }
}

/// As a line of the table; `{:#}` only says which row it is.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return write!(f, "{} on {} threads", self.workload, self.threads);
        }
        let spread = |side: Option<&Measured>| {
            let spread = side.and_then(Measured::spread);
            spread.map_or_else(|| "-".to_owned(), |s| format!("{:.1} ±{:.1}", s.median, s.half_quartiles))
        };
        let number = |n: Option<f64>, digits: usize| n.map_or_else(|| "-".to_owned(), |n| format!("{n:.digits$}"));
        let (peer, against) = (self.peer.as_ref(), self.against.as_ref());
        write!(
            f,
            "{:<46}{:>7}{:>14}{:>14}{:>7}{:>9}{:>9}",
            self.workload,
            self.threads,
            spread(Some(&self.ours)),
            spread(peer),
            number(self.ratio(), 2),
            number(self.ours.median_mb(), 0),
            number(peer.and_then(Measured::median_mb), 0),
        )?;
        if let Some(against) = against {
            let (ratio, mb) = (number(self.against_ratio(), 3), number(against.median_mb(), 0));
            write!(f, "{:>14}{ratio:>7}{mb:>12}", spread(Some(against)))?;
        }
        if let Some(variant) = peer.and_then(|peer| peer.variant.as_ref()) {
            write!(f, "  peer: {variant}")?;
        }
        if self.disagreement().is_some() {
            write!(f, "  FAILED")?;
        }
        if self.n > 1 {
            write!(f, "  measured {} times", self.n)?;
        }
        if self.slower().is_some() {
            write!(f, "  SLOWER")?;
        }
        // That may be right: the commit may have been wrong.
        if against.is_some_and(|against| disagreement(&self.ours.check, &against.check).is_some()) {
            write!(f, "  other numbers than at the commit")?;
        }
        Ok(())
    }
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        // Linear between the two nearest ranks.
        let quantile = |q: f64| {
            let at = q * (values.len() - 1) as f64;
            let (low, high) = (values[at.floor() as usize], values[at.ceil() as usize]);
            low + (high - low) * at.fract()
        };
        let half = |quantile: &dyn Fn(f64) -> f64| (quantile(0.75) - quantile(0.25)) / 2.0;
        (!values.is_empty()).then(|| Self { median: quantile(0.5), half_quartiles: half(&quantile) })
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

    fn measured(ms: &[f64], peak_mb: &[f64]) -> Measured {
        Measured { ms: ms.to_vec(), peak_mb: peak_mb.to_vec(), ..Measured::default() }
    }

    fn against(ours: Measured, against: Measured) -> Row {
        Row { against: Some(against), ..Row::new("w", 2, ours) }
    }

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
    fn the_json_has_ratios_only_with_the_other_side() {
        let row =
            Row { peer: Some(measured(&[4.0], &[])), ..against(measured(&[3.0], &[7.0]), measured(&[2.0], &[6.0])) };
        let row = row.to_json();
        assert_eq!((&row["threads"], &row["ours_ms"], &row["ratio"]), (&json!(2), &json!(3.0), &json!(0.75)));
        assert_eq!((&row["against_ms"], &row["against_ratio"]), (&json!(2.0), &json!(1.5)));
        assert_eq!((&row["ours_peak_mb"], &row["against_peak_mb"]), (&json!(7.0), &json!(6.0)));
        let alone = Row::new("w", 2, measured(&[3.0], &[])).to_json();
        for key in ["peer_ms", "ratio", "peer_peak_mb", "against_ms", "against_ratio", "against_peak_mb"] {
            assert_eq!(alone[key], Value::Null, "{key}");
        }
    }

    #[test]
    fn slower_is_more_than_three_hundredths_of_time_or_memory() {
        let is_slower = |ours: (f64, f64), theirs: (f64, f64)| {
            against(measured(&[ours.0], &[ours.1]), measured(&[theirs.0], &[theirs.1])).slower()
        };
        assert_eq!(is_slower((103.0, 103.0), (100.0, 100.0)), None);
        assert_eq!(is_slower((50.0, 1.5), (100.0, 0.0)), None, "pages come and go");
        assert!(is_slower((103.1, 100.0), (100.0, 100.0)).is_some_and(|what| what.contains("103.1 ms")));
        assert!(is_slower((50.0, 106.0), (100.0, 100.0)).is_some_and(|what| what.contains("106 MB")));
        assert_eq!(Row::new("new", 1, measured(&[1.0], &[])).slower(), None);
    }

    #[test]
    fn repeats_are_judged_together() {
        let mut row = against(measured(&[110.0], &[120.0]), measured(&[100.0], &[100.0]));
        assert!(row.slower().is_some());
        row.merge(against(measured(&[100.0, 101.0], &[100.0]), measured(&[101.0, 100.0], &[100.0])));
        row.merge(against(measured(&[101.0], &[100.0]), measured(&[100.0], &[100.0])));
        assert_eq!((row.slower(), row.n), (None, 3));
        assert!(row.to_string().ends_with("measured 3 times"), "{row}");
    }
}
