//! Tables for a terminal.

use super::{Claim, Statistic};

/// The claims, a line each.
pub(super) fn claims(claims: &[Claim]) -> String {
    let heads = ["claim", "paper", "baseline", "ours", "difference", "verdict", "scaled"];
    text(&heads, &claims.iter().map(cells).collect::<Vec<_>>())
}

/// A line a row, below a line of heads and a rule; columns two spaces apart.
pub(super) fn text(heads: &[&str], rows: &[Vec<String>]) -> String {
    let heads = heads.iter().map(|&head| head.to_owned()).collect();
    let rows: Vec<&Vec<String>> = std::iter::once(&heads).chain(rows).collect();
    let width = |i: usize| rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |row: &&Vec<String>| {
        let padded: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    lines.insert(1, "-".repeat(widths.iter().sum::<usize>() + 2 * (widths.len() - 1)));
    lines.join("\n") + "\n"
}

fn cells(claim: &Claim) -> Vec<String> {
    vec![
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
