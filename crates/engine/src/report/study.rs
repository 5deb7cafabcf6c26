//! The report of a study.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    chart::{Series, figure},
    curves::{Axis, Quantity, curve, last, quantities},
    html::{Cell, Page, number},
    records,
};
use crate::{
    Arm, ComparisonSpec, Recipe, Record, Study, config,
    study::{Claim, FinishedRun, StudyReport, Verdict, statistic},
};

/// Charts beyond so many are folded away.
const N_OPEN_CHARTS: usize = 4;

/// Studies up to this size show the pictures of every arm.
const N_ARMS_WITH_PICTURES: usize = 6;

/// The page of a study whose runs are all finished.
pub(crate) fn study_html<R: Recipe>(
    study: &Study<R::Config>,
    report: &StudyReport,
    runs: &[FinishedRun],
) -> anyhow::Result<String> {
    let mut page = Page::new(&format!("{}: reproduction", report.method), R::ABOUT);
    page.paragraph(&format!(
        "Profile {}: {} arms, each with the seeds 0 to {}, {} claims. {:.0} seconds.",
        report.profile,
        study.arms.len(),
        study.seeds - 1,
        report.claims.len(),
        report.seconds
    ));
    claims(&mut page, &report.claims);
    if !study.notes.is_empty() {
        page.head("Notes");
        page.list(&study.notes);
    }
    page.paragraph(
        "In charts, a curve is the mean over the seeds; its band reaches from the lowest seed to the highest.",
    );
    for (spec, comparison) in study.comparisons.iter().zip(&report.comparisons) {
        page.head(&comparison.title);
        let (heads, rows) = comparison.cells();
        page.table(&heads, &rows);
        let arms: Vec<_> = spec.arms.iter().filter_map(|id| study.arms.iter().find(|arm| arm.id == *id)).collect();
        comparison_curves(&mut page, &arms, runs, spec)?;
    }
    let main: Vec<&str> = study.claims.iter().map(|claim| claim.metric.as_str()).collect();
    if study.comparisons.is_empty() {
        page.head("Curves");
        curves(&mut page, study, runs, &main)?;
    }
    page.head("Arms");
    let arms: Vec<_> = study.arms.iter().map(|arm| vec![arm.id.clone(), arm.label.clone()]).collect();
    page.table(&["arm", "what it is"], &arms);
    differences(&mut page, study)?;
    page.head("Every run");
    every_run(&mut page, runs, &main);
    if runs.iter().any(|run| run.summary.seed == 0 && run.dir.join("pictures").is_dir()) {
        page.head("Pictures of seed 0");
        // Of a study with many arms: those of the claims.
        let claimed = |id: &str| study.claims.iter().any(|claim| claim.ours == id || claim.baseline == id);
        let shown = |run: &&FinishedRun| {
            run.summary.seed == 0 && (study.arms.len() <= N_ARMS_WITH_PICTURES || claimed(&run.arm))
        };
        for run in runs.iter().filter(shown) {
            page.pictures(&run.dir.join("pictures"), &run.arm)?;
        }
    }
    Ok(page.finish())
}

fn claims(page: &mut Page, claims: &[Claim]) {
    page.head("Claims");
    page.paragraph(
        "A claim is reproduced if the difference, paired by seed, has the paper's direction and exceeds its own sample \
         standard deviation. Numbers are mean ± sample standard deviation over seeds.",
    );
    let row = |claim: &Claim| {
        let verdict = match claim.verdict {
            Verdict::Reproduced => "good",
            Verdict::NotReproduced => "bad",
            Verdict::NotTested => "open",
        };
        vec![
            Cell::text(&claim.claim),
            Cell::text(&claim.paper),
            Cell::text(&claim.source),
            Cell::text(&statistic(&claim.baseline, false)),
            Cell::text(&statistic(&claim.ours, false)),
            Cell::text(&statistic(&claim.difference, true)),
            Cell::badge(claim.verdict.text(), verdict),
            Cell::text(if claim.scaled { "yes" } else { "no" }),
        ]
    };
    let heads = ["claim", "paper", "source", "baseline", "ours", "difference", "verdict", "scaled"];
    page.table_of_cells(&heads, &claims.iter().map(row).collect::<Vec<_>>());
    if claims.iter().any(|claim| claim.scaled) {
        page.paragraph("Scaled: data or size differ from the paper's, so that only the direction can be compared.");
    }
}

/// The logs of some arms.
struct Logs<'a>(Vec<(&'a str, Vec<Vec<Record>>)>);

impl<'a> Logs<'a> {
    fn read<C>(arms: &[&'a Arm<C>], runs: &[FinishedRun]) -> crate::Result<Self> {
        let of_arm = |arm: &&'a Arm<C>| {
            let own = runs.iter().filter(|run| run.arm == arm.id).map(|run| records(&run.dir));
            Ok((arm.label.as_str(), own.collect::<crate::Result<_>>()?))
        };
        Ok(Self(arms.iter().map(of_arm).collect::<crate::Result<_>>()?))
    }

    fn all(&self) -> Vec<&[Record]> {
        self.0.iter().flat_map(|(_, runs)| runs.iter().map(Vec::as_slice)).collect()
    }

    /// A chart with a curve for every arm that logged the quantity.
    fn figure(&self, quantity: &Quantity, axis: Axis) -> anyhow::Result<Option<String>> {
        let series = self.0.iter().map(|(label, runs)| {
            let runs: Vec<&[Record]> = runs.iter().map(Vec::as_slice).collect();
            let points = curve(&runs, quantity, axis);
            Series { label: format!("{label} {}", last(&points)), points }
        });
        figure(&quantity.title(), axis.label(), &series.collect::<Vec<_>>())
    }
}

/// The curves that a comparison names, of its own arms.
fn comparison_curves<C>(
    page: &mut Page,
    arms: &[&Arm<C>],
    runs: &[FinishedRun],
    spec: &ComparisonSpec,
) -> anyhow::Result<()> {
    let logs = Logs::read(arms, runs)?;
    let all = logs.all();
    let axis = Axis::of(&all);
    let found = quantities(&all, &[]);
    let mut figures = String::new();
    for name in &spec.curves {
        let mut meant = found.iter().filter(|quantity| quantity.is_meant_by(name)).peekable();
        anyhow::ensure!(meant.peek().is_some(), "comparison \"{}\": no arm logs `{name}`", spec.title);
        for quantity in meant {
            figures.extend(logs.figure(quantity, axis)?);
        }
    }
    page.raw(&format!("<div class=\"charts\">{figures}</div>"));
    Ok(())
}

fn curves<C>(page: &mut Page, study: &Study<C>, runs: &[FinishedRun], main: &[&str]) -> anyhow::Result<()> {
    let logs = Logs::read(&study.arms.iter().collect::<Vec<_>>(), runs)?;
    let all = logs.all();
    let axis = Axis::of(&all);
    let mut figures = Vec::new();
    for quantity in quantities(&all, main) {
        figures.extend(logs.figure(&quantity, axis)?);
    }
    let (open, folded) = figures.split_at(figures.len().min(N_OPEN_CHARTS));
    page.raw(&format!("<div class=\"charts\">{}</div>", open.concat()));
    if !folded.is_empty() {
        let folded_charts = format!("<div class=\"charts\">{}</div>", folded.concat());
        page.raw(&format!("<details><summary>{} more</summary>{folded_charts}</details>", folded.len()));
    }
    Ok(())
}

/// The keys at which the arms' configurations differ, a column each.
fn differences<C: serde::Serialize>(page: &mut Page, study: &Study<C>) -> anyhow::Result<()> {
    let mut leaves: Vec<BTreeMap<String, String>> = Vec::new();
    for arm in &study.arms {
        leaves.push(config::leaves(&config::to_toml(&arm.config)?));
    }
    let keys: BTreeSet<&str> = leaves.iter().flat_map(BTreeMap::keys).map(String::as_str).collect();
    let differs = |key: &&str| leaves.iter().any(|arm| arm.get(*key) != leaves[0].get(*key));
    let keys: Vec<&str> = keys.into_iter().filter(differs).collect();
    if !keys.is_empty() {
        page.paragraph("All else being equal, the configurations differ in:");
        let row = |(arm, leaves): (&Arm<C>, &BTreeMap<String, String>)| {
            let values = keys.iter().map(|&key| leaves.get(key).map_or("absent", String::as_str).to_owned());
            std::iter::once(arm.id.clone()).chain(values).collect::<Vec<_>>()
        };
        let heads: Vec<&str> = std::iter::once("arm").chain(keys.iter().copied()).collect();
        page.table(&heads, &study.arms.iter().zip(&leaves).map(row).collect::<Vec<_>>());
    }
    Ok(())
}

fn every_run(page: &mut Page, runs: &[FinishedRun], main: &[&str]) {
    let all: BTreeSet<&str> = runs.iter().flat_map(|run| run.summary.metrics.keys().map(String::as_str)).collect();
    let mut metrics: Vec<&str> = Vec::new();
    for name in main.iter().copied().chain(all) {
        if !metrics.contains(&name) {
            metrics.push(name);
        }
    }
    let short = |hash: &str| hash.chars().take(12).collect::<String>();
    let row = |run: &FinishedRun| {
        let summary = &run.summary;
        let mut cells = vec![run.arm.clone(), summary.seed.to_string()];
        cells.extend(metrics.iter().map(|&name| number(summary.metrics.get(name).copied().unwrap_or(f64::NAN))));
        cells.extend([
            summary.steps.to_string(),
            format!("{:.1}", summary.seconds),
            short(&summary.config_hash),
            short(summary.data_hash.as_deref().unwrap_or("not given")),
            summary.version.clone(),
        ]);
        cells
    };
    let heads =
        [&["arm", "seed"], metrics.as_slice(), &["steps", "seconds", "configuration", "data", "version"]].concat();
    page.table(&heads, &runs.iter().map(row).collect::<Vec<_>>());
}
