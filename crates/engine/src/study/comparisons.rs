//! Arms side by side: means and deviations over seeds, without a verdict.

use serde::{Deserialize, Serialize};

use super::{FinishedRun, Statistic};
use crate::{ComparisonSpec, Study};

/// A comparison with its numbers, as `report.json` has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// What is compared.
    pub title: String,
    /// The names of the columns.
    pub metrics: Vec<String>,
    /// A row an arm.
    pub rows: Vec<ComparisonRow>,
}

/// What came out of an arm.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ComparisonRow {
    /// The arm's id.
    pub arm: String,
    /// What it is, for a reader.
    pub label: String,
    /// A value a column, of the seeds that have it; `n` is 0 where none has.
    pub values: Vec<Statistic>,
}

impl Comparison {
    /// Fills `spec` with what the runs gave.
    ///
    /// # Errors
    /// If no arm has one of its metrics.
    pub(super) fn of<C>(spec: &ComparisonSpec, study: &Study<C>, runs: &[FinishedRun]) -> anyhow::Result<Self> {
        let row = |id: &String| {
            let own: Vec<_> = runs.iter().filter(|run| run.arm == *id).map(|run| &run.summary.metrics).collect();
            let values = spec.metrics.iter().map(|metric| {
                let seeds: Vec<f64> = own.iter().filter_map(|metrics| metrics.get(metric).copied()).collect();
                Statistic::of(&seeds)
            });
            let label = study.arms.iter().find(|arm| arm.id == *id).map_or(id, |arm| &arm.label);
            ComparisonRow { arm: id.clone(), label: label.clone(), values: values.collect() }
        };
        let rows: Vec<_> = spec.arms.iter().map(row).collect();
        for (i, metric) in spec.metrics.iter().enumerate() {
            let is_known = rows.iter().any(|row| row.values[i].n > 0);
            anyhow::ensure!(is_known, "comparison \"{}\": no arm has a metric `{metric}`", spec.title);
        }
        Ok(Self { title: spec.title.clone(), metrics: spec.metrics.clone(), rows })
    }

    /// The heads of its columns, and its rows as text.
    pub(crate) fn cells(&self) -> (Vec<&str>, Vec<Vec<String>>) {
        let heads = std::iter::once("arm").chain(self.metrics.iter().map(String::as_str)).collect();
        let n_seeds = self.rows.iter().flat_map(|row| &row.values).map(|value| value.n).max().unwrap_or(0);
        let row = |row: &ComparisonRow| {
            let values = row.values.iter().map(|statistic| value(statistic, n_seeds));
            std::iter::once(row.label.clone()).chain(values).collect::<Vec<_>>()
        };
        (heads, self.rows.iter().map(row).collect())
    }
}

/// `mean ± std`, and the number of seeds where some lack the value.
fn value(statistic: &Statistic, n_seeds: usize) -> String {
    let Statistic { mean, std, n } = *statistic;
    let decimals = if mean.abs() < 10.0 { 4 } else { 1 };
    let text = match (mean.is_finite(), std.is_finite()) {
        (false, _) => return "–".to_owned(),
        (true, false) => format!("{mean:.decimals$}"),
        (true, true) => format!("{mean:.decimals$} ± {std:.decimals$}"),
    };
    if n < n_seeds { format!("{text} (n={n})") } else { text }
}
