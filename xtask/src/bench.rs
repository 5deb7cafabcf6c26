//! `bench`: times fixed workloads, on request interleaved with the same workload in PyTorch.

mod process;
mod row;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;

use crate::workspace::{self, Binary};
use process::Side;
use row::{Measured, Row};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only workloads that have all of these words in their names.
    #[arg(long, value_name = "WORDS")]
    filter: Option<String>,
    /// Threads [default: one pinned thread, then all cores].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Where to write the rows as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A Python with torch and torchvision to compare with.
    #[arg(long, value_name = "PYTHON")]
    peer: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let binary = Binary { name: "bench", features: &["cli"] }.build()?;
    let workloads = select(&workloads(&binary)?, args.filter.as_deref())?;
    let folder = std::env::temp_dir().join(format!("sconce-bench-{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let result = measure(&binary, &workloads, args, &folder);
    // What the rows say is worth more than a folder that could not be removed.
    let _ = fs::remove_dir_all(&folder);
    let rows = result?;
    if let Some(path) = &args.json {
        write_json(path, &rows)?;
    }
    let failed: Vec<_> = rows.iter().filter(|row| row.disagreement.is_some()).collect();
    for row in &failed {
        let why = row.disagreement.as_deref().unwrap_or_default();
        eprintln!("error: {} on {} threads: {why}", row.workload, row.threads);
    }
    ensure!(failed.is_empty(), "{} rows do not compute what the peer computes", failed.len());
    Ok(())
}

fn measure(binary: &Path, workloads: &[String], args: &Args, folder: &Path) -> Result<Vec<Row>> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = match args.threads {
        Some(0) => bail!("--threads must be at least 1"),
        Some(n) => vec![n],
        None if cores == 1 => vec![1],
        None => vec![1, cores],
    };
    let pin = pin();
    if threads.contains(&1) && pin.is_none() {
        eprintln!("taskset is not on the search path: single threads are not pinned");
    }
    let mut rows = Vec::new();
    println!("{}", Row::HEADER);
    for &threads in &threads {
        for workload in workloads {
            let pin = if threads == 1 { pin.as_deref() } else { None };
            let mut ours = Side::start(Command::new(binary), workload, threads, folder, pin)?;
            let peer = args.peer.as_ref().map(|python| {
                let mut command = Command::new(python);
                command.arg(workspace::root().join("xtask/peers/bench.py"));
                Side::start(command, workload, threads, folder, pin)
            });
            let mut peer = peer.transpose().context("the peer")?;
            let row = Row::new(workload, threads, interleave(&mut ours, peer.as_mut())?);
            println!("{row}");
            rows.push(row);
        }
    }
    Ok(rows)
}

/// Times both sides in turn, so that whatever slows the machine down slows both.
fn interleave(ours: &mut Side, mut peer: Option<&mut Side>) -> Result<Measured> {
    /// Milliseconds that a row may take, beside starting and checking.
    const BUDGET: f64 = 15_000.0;
    /// A repetition of more milliseconds is not repeated.
    const LONG: f64 = 5_000.0;

    let mut measured = Measured { ours_ms: ours.turn()?, ..Measured::default() };
    if let Some(peer) = &mut peer {
        measured.peer_ms = peer.turn()?;
    }
    let first: f64 = measured.ours_ms.iter().chain(&measured.peer_ms).sum();
    let n = if first > LONG { 0 } else { ((BUDGET / first) as usize).clamp(5, 25) };
    if n > 0 {
        // The first one was to warm up and to tell how long it takes.
        measured.ours_ms.clear();
        measured.peer_ms.clear();
    }
    for _ in 0..n {
        measured.ours_ms.extend(ours.turn()?);
        if let Some(peer) = &mut peer {
            measured.peer_ms.extend(peer.turn()?);
        }
    }
    measured.ours_peak_mb = ours.peak_mb()?;
    measured.ours_check = ours.check.clone();
    if let Some(peer) = peer {
        measured.peer_peak_mb = peer.peak_mb()?;
        measured.peer_check = Some(peer.check.clone());
        measured.peer_variant = peer.variant.clone();
    }
    Ok(measured)
}

/// The names of all workloads.
fn workloads(binary: &Path) -> Result<Vec<String>> {
    let output = Command::new(binary).output().with_context(|| format!("cannot run {}", binary.display()))?;
    ensure!(output.status.success(), "{} failed: {}", binary.display(), output.status);
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}

/// Those whose names have every word of `filter`.
fn select(all: &[String], filter: Option<&str>) -> Result<Vec<String>> {
    let words = filter.unwrap_or("");
    let has_all = |name: &&String| words.split_whitespace().all(|word| name.contains(word));
    let chosen: Vec<String> = all.iter().filter(has_all).cloned().collect();
    ensure!(!chosen.is_empty(), "no workload has the words `{words}`; there is {}", all.join(", "));
    Ok(chosen)
}

/// The words before a command that pin it to the first processor that we may use.
fn pin() -> Option<Vec<String>> {
    let taskset = workspace::which("taskset")?;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or("0");
    let first: String = allowed.trim().chars().take_while(char::is_ascii_digit).collect();
    Some(vec![taskset.display().to_string(), "-c".to_owned(), first])
}

fn write_json(path: &Path, rows: &[Row]) -> Result<()> {
    let rows: Vec<_> = rows.iter().map(Row::to_json).collect();
    let text = serde_json::to_string_pretty(&json!({ "rows": rows }))?;
    // Beside it and then renamed, so that nobody reads half of it.
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    fs::write(&beside, text + "\n").and_then(|()| fs::rename(&beside, path)).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_wants_all_of_its_words() {
        let all: Vec<_> = ["train a", "train b", "eval a"].map(str::to_owned).to_vec();
        assert_eq!(select(&all, None).unwrap(), all);
        assert_eq!(select(&all, Some("b train")).unwrap(), ["train b"]);
        assert_eq!(select(&all, Some("eval")).unwrap(), ["eval a"]);
        assert!(select(&all, Some("train c")).is_err());
    }
}
