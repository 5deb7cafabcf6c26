//! The claims as a table for a terminal.

use super::{Claim, Statistic};

const HEADS: [&str; 7] = ["claim", "paper", "baseline", "ours", "difference", "verdict", "scaled"];

/// One line a claim, below a line of heads and a rule; columns two spaces apart.
pub(super) fn text(claims: &[Claim]) -> String {
    let rows: Vec<[String; 7]> = std::iter::once(HEADS.map(str::to_owned)).chain(claims.iter().map(cells)).collect();
    let widths: Vec<usize> =
        (0..HEADS.len()).map(|i| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0)).collect();
    let line = |row: &[String; 7]| {
        let padded: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    lines.insert(1, "-".repeat(widths.iter().sum::<usize>() + 2 * (widths.len() - 1)));
    lines.join("\n") + "\n"
}

fn cells(claim: &Claim) -> [String; 7] {
    [
        claim.claim.clone(),
        format!("{} ({})", claim.paper, claim.source),
        statistic(&claim.baseline, false),
        statistic(&claim.ours, false),
        statistic(&claim.difference, true),
        claim.verdict.text().to_owned(),
        if claim.scaled { "yes" } else { "no" }.to_owned(),
    ]
}

/// `mean ± std`, with the same decimals for both; a sign where it is a difference.
pub(crate) fn statistic(statistic: &Statistic, is_difference: bool) -> String {
    let Statistic { mean, std, n } = *statistic;
    if !mean.is_finite() {
        return "not defined".to_owned();
    }
    let decimals = if mean.abs() < 10.0 { 4 } else { 2 };
    let mean = if is_difference { format!("{mean:+.decimals$}") } else { format!("{mean:.decimals$}") };
    if std.is_finite() { format!("{mean} ± {std:.decimals$} (n={n})") } else { format!("{mean} (n={n})") }
}
