//! Reproduction: every arm of a study with every seed, and what follows for the paper's claims.
//!
//! `DIR/runs/ARM-seedN` is a run's folder, `DIR/study.json` says whose folder it is, `DIR/report.json` and `DIR/report.html`
//! are the result. A run that is finished is not repeated, one that was interrupted goes on.

mod claims;
mod comparisons;
mod progress;
mod record;
mod runs;
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use sconce_core::{Communicator, Device, files::write_atomic};
use serde::{Deserialize, Serialize};

pub(crate) use self::table::statistic;
pub use self::{
    claims::{Claim, Statistic, Verdict},
    comparisons::{Comparison, ComparisonRow},
};
use self::{record::StudyRecord, runs::Plan};
use crate::{Profile, Recipe, Study, Summary, config, dist::on_root, json::write_json, report};

/// What to reproduce, and where.
#[derive(Clone, Debug)]
pub struct StudyOptions {
    /// How much of the paper.
    pub profile: Profile,
    /// Seeds `0..seeds`; `None` for the study's own number.
    pub seeds: Option<usize>,
    /// The folder, created if need be.
    pub out: PathBuf,
    /// Where to compute.
    pub device: Device,
    /// Threads in all; `None` for one a core. On the CPU, as many runs as there are threads go side by side.
    pub threads: Option<usize>,
    /// The ranks that share every run; [`alone`](crate::dist::alone) for a process by itself. Several go through the runs one
    /// after the other, each with its own threads.
    pub communicator: Arc<dyn Communicator>,
}

/// The content of `report.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StudyReport {
    /// The method.
    pub method: String,
    /// The profile.
    pub profile: Profile,
    /// Wall-clock seconds of training and evaluation, of all processes that took part; without the build.
    pub seconds: f64,
    /// The claims of this profile.
    pub claims: Vec<Claim>,
    /// Its sweeps and ablations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comparisons: Vec<Comparison>,
}

impl StudyReport {
    /// The claims and comparisons as tables for a terminal, each with a line of heads.
    pub fn table(&self) -> String {
        let mut text = table::claims(&self.claims);
        for comparison in &self.comparisons {
            let (heads, rows) = comparison.cells();
            text += &format!("\n{}\n\n{}", comparison.title, table::text(&heads, &rows));
        }
        text
    }
}

/// Runs the study of a method, or what is missing of it, and writes its report.
///
/// A folder of the same study with fewer seeds is carried on. Results do not depend on the number of threads or the order of
/// the runs. Of several ranks rank 0 decides what is missing, writes the report, and tells the others.
///
/// # Errors
/// If the method has no such profile, the folder holds something else, or a run fails: the error names its arm and seed. Runs
/// that were side by side with it end first.
pub fn reproduce<R: Recipe>(options: &StudyOptions) -> anyhow::Result<StudyReport> {
    let mut study = R::study(options.profile)
        .with_context(|| format!("{} has nothing to reproduce at the profile {}", R::METHOD, options.profile))?;
    study.seeds = options.seeds.unwrap_or(study.seeds);
    study.validate()?;
    let plan = Plan::new::<R>(&study, options)?;
    let mut record = None;
    on_root(&*options.communicator, || -> anyhow::Result<()> {
        record = Some(StudyRecord::open(&options.out, plan.record())?);
        Ok(())
    })?;
    let seconds = runs::run_missing::<R>(&study, &plan, record)?;
    on_root(&*options.communicator, || write_report::<R>(&study, options, &plan, seconds))
}

/// Judges the runs, which took so many seconds, and writes the report.
fn write_report<R: Recipe>(
    study: &Study<R::Config>,
    options: &StudyOptions,
    plan: &Plan,
    seconds: f64,
) -> anyhow::Result<StudyReport> {
    let summaries = plan.summaries()?;
    let claims = study.claims.iter().map(|spec| {
        let baseline = summaries.metric(&spec.baseline, &spec.metric)?;
        let ours = summaries.metric(&spec.ours, &spec.metric)?;
        Ok(Claim::test(spec, &baseline, &ours))
    });
    let claims = claims.collect::<anyhow::Result<Vec<Claim>>>()?;
    let comparisons = study.comparisons.iter().map(|spec| Comparison::of(spec, study, &summaries.runs));
    let comparisons = comparisons.collect::<anyhow::Result<_>>()?;
    let report = StudyReport { method: R::METHOD.to_owned(), profile: options.profile, seconds, claims, comparisons };
    write_json(&options.out.join("report.json"), &report)?;
    let html = report::study_html::<R>(study, &report, &summaries.runs)?;
    write_atomic(&options.out.join("report.html"), html.as_bytes())?;
    Ok(report)
}

/// A run that is finished.
pub(crate) struct FinishedRun {
    pub(crate) arm: String,
    pub(crate) dir: PathBuf,
    pub(crate) summary: Summary,
}

/// What came out of all runs, arm by arm and seed by seed.
struct Summaries {
    runs: Vec<FinishedRun>,
}

impl Summaries {
    /// The metric of every seed of an arm, in the order of the seeds.
    fn metric(&self, arm: &str, metric: &str) -> anyhow::Result<Vec<f64>> {
        let runs = self.runs.iter().filter(|run| run.arm == arm);
        let value = |run: &FinishedRun| {
            let metrics = &run.summary.metrics;
            metrics.get(metric).copied().with_context(|| {
                let names: Vec<String> = metrics.keys().cloned().collect();
                let hint =
                    config::nearest(metric, &names).map(|n| format!("; the nearest is `{n}`")).unwrap_or_default();
                format!("arm `{arm}`, seed {}: no metric `{metric}`{hint}", run.summary.seed)
            })
        };
        runs.map(value).collect()
    }
}

/// The folders in `dir/runs`, made if need be.
fn runs_folder(dir: &Path) -> crate::Result<PathBuf> {
    let runs = dir.join("runs");
    fs::create_dir_all(&runs).map_err(crate::EngineError::io(&runs))?;
    Ok(runs)
}

#[cfg(test)]
mod tests;
