//! The report of one run.

use std::{fs, path::Path};

use super::{
    chart::{Series, figure},
    curves::{Axis, curve, last, quantities},
    html::{Page, number},
    records,
};
use crate::{EngineError, Record, Summary, config};

/// The page of the run in `dir`.
pub(super) fn run_html(dir: &Path, summary: &Summary) -> anyhow::Result<String> {
    let records = records(dir)?;
    let state = if summary.finished { "finished" } else { "not finished" };
    let subtitle = format!("Run with seed {}, {state} after {} steps", summary.seed, summary.steps);
    let mut page = Page::new(&summary.method, &subtitle);
    if !summary.metrics.is_empty() {
        page.head("Final metrics");
        let rows: Vec<_> = summary.metrics.iter().map(|(name, &value)| vec![name.clone(), number(value)]).collect();
        page.table(&["metric", "value"], &rows);
    }
    let data = data_lines(dir);
    if !data.is_empty() {
        page.head("Data");
        page.list(&data);
    }
    page.head("Curves");
    curves(&mut page, &records)?;
    if dir.join("pictures").is_dir() {
        page.head("Pictures");
        page.pictures(&dir.join("pictures"), "")?;
    }
    page.head("Run");
    page.table(&["", ""], &facts(summary));
    page.head("Configuration");
    let path = dir.join("config.toml");
    let text = fs::read_to_string(&path).map_err(EngineError::io(&path))?;
    let rows: Vec<_> = config::leaves(&text).into_iter().map(|(key, value)| vec![key, value]).collect();
    page.table(&["key", "value"], &rows);
    Ok(page.finish())
}

/// What the run's data are, a line each, if it says so.
fn data_lines(dir: &Path) -> Vec<String> {
    let text = fs::read(dir.join(crate::RunFile::Data.name())).unwrap_or_default();
    let content: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    let lines = content["summary"].as_array().cloned().unwrap_or_default();
    lines.iter().filter_map(|line| line.as_str().map(str::to_owned)).collect()
}

/// One chart a name, with a curve for each split that has it.
fn curves(page: &mut Page, records: &[Record]) -> anyhow::Result<()> {
    let all = quantities(&[records], &[]);
    let mut names: Vec<&str> = Vec::new();
    for quantity in &all {
        if !names.contains(&quantity.name.as_str()) {
            names.push(&quantity.name);
        }
    }
    page.raw("<div class=\"charts\">");
    for name in names {
        let of_name = all.iter().filter(|quantity| quantity.name == name);
        let series: Vec<Series> = of_name
            .map(|quantity| {
                let points = curve(&[records], quantity, Axis::Step);
                Series { label: format!("{} {}", quantity.split, last(&points)), points }
            })
            .collect();
        if let Some(figure) = figure(&name.replace('_', " "), Axis::Step.label(), &series)? {
            page.raw(&figure);
        }
    }
    page.raw("</div>");
    Ok(())
}

fn facts(summary: &Summary) -> Vec<Vec<String>> {
    let mebibytes = |bytes: u64| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20));
    let facts = [
        ("version", format!("{} of Sconce", summary.version)),
        ("seed", summary.seed.to_string()),
        ("device", format!("{}, {} threads", summary.device, summary.threads)),
        ("time", format!("{:.1} s, {:.2} steps/s in training", summary.seconds, summary.steps_per_second)),
        ("peak memory of the process", summary.peak_memory_bytes.map_or("unknown".to_owned(), mebibytes)),
        ("SHA-256 of the configuration", summary.config_hash.clone()),
        ("hash of the data", summary.data_hash.clone().unwrap_or_else(|| "not given".to_owned())),
    ];
    facts.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect()
}
