//! `report.html`: one file, of a run or of a study, with curves and pictures inside.

mod chart;
mod curves;
mod html;
mod run;
mod study;

use std::{fs, path::Path};

use sconce_core::files::write_atomic;

use crate::{EngineError, Record, Summary};

pub(crate) use self::{html::number, study::study_html};

/// Writes `report.html` of the finished run in `dir`.
///
/// # Errors
/// If what the run wrote cannot be read, or the report cannot be written.
pub fn write_run(dir: &Path) -> anyhow::Result<()> {
    let summary = Summary::read(dir)?.ok_or_else(|| EngineError::format(dir.join(Summary::FILE), "missing"))?;
    let html = run::run_html(dir, &summary)?;
    Ok(write_atomic(&dir.join("report.html"), html.as_bytes())?)
}

/// The lines of a run's `metrics.jsonl`.
fn records(dir: &Path) -> crate::Result<Vec<Record>> {
    let path = dir.join("metrics.jsonl");
    let text = fs::read_to_string(&path).map_err(EngineError::io(&path))?;
    let line = |(i, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|e| EngineError::format(&path, format!("line {}: {e}", i + 1)))
    };
    text.lines().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests;
