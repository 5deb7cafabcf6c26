//! `bench`: times fixed workloads, on request interleaved with the same workload in PyTorch and at another commit.

mod against;
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
use against::Against;
use process::{Side, Task};
use row::{Measured, Row};

const BENCH: Binary<'_> = Binary { name: "bench", features: &["cli"] };

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
    /// A commit to compare the working tree with; it is built in target/against.
    #[arg(long, value_name = "COMMIT")]
    against: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let against = args.against.as_deref().map(|commit| Against::build(commit, &BENCH)).transpose()?;
    let binary = BENCH.build()?;
    let all = workloads(&binary)?;
    let sides = Sides { binary, peer: args.peer.clone(), against, exchange: Exchange::new()? };
    let rows = measure(&sides, &select(&all, args.filter.as_deref())?, args.threads)?;
    if let Some(path) = &args.json {
        write_json(path, &rows, sides.against.as_ref())?;
    }
    let mut why = disagreements(&rows);
    if let Some(against) = &sides.against {
        for name in against.only_there(&all, args.filter.as_deref()) {
            println!("{} has `{name}` too, which is not there any more", against.name);
        }
        why.extend(compare(&rows, &against.name));
    }
    why.iter().for_each(|why| eprintln!("error: {why}"));
    ensure!(why.is_empty(), "{} rows are not as they should be", why.len());
    Ok(())
}

/// What does not compute what the peer computes.
fn disagreements(rows: &[Row]) -> Vec<String> {
    let of_row = |row: &Row| Some(format!("{row:#}: {}", row.disagreement()?));
    rows.iter().filter_map(of_row).collect()
}

/// What is slower or larger than at the commit `name`. Says so where nothing is.
fn compare(rows: &[Row], name: &str) -> Vec<String> {
    let of_row = |row: &Row| Some(format!("{row:#} is not as it was at {name}: {}", row.slower()?));
    let slower: Vec<String> = rows.iter().filter_map(of_row).collect();
    let n_compared = rows.iter().filter(|row| row.has_against()).count();
    if slower.is_empty() && n_compared > 0 {
        println!("no slower than {name}: {n_compared} rows, time and memory");
    }
    if n_compared < rows.len() {
        println!("{} rows are not there at {name}", rows.len() - n_compared);
    }
    slower
}

/// What takes part.
struct Sides {
    binary: PathBuf,
    peer: Option<PathBuf>,
    against: Option<Against>,
    exchange: Exchange,
}

/// A folder for the tensors that the sides start from, which goes when it is no longer needed.
struct Exchange(PathBuf);

impl Exchange {
    fn new() -> Result<Self> {
        let exchange = Self(std::env::temp_dir().join(format!("sconce-bench-{}", std::process::id())));
        for folder in [exchange.ours(), exchange.against()] {
            fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        Ok(exchange)
    }

    /// For ours, which writes them, and the peer.
    fn ours(&self) -> PathBuf {
        self.0.join("ours")
    }

    /// For the other commit, whose tensors may be others.
    fn against(&self) -> PathBuf {
        self.0.join("against")
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // What the rows say is worth more than a folder that could not be removed.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn measure(sides: &Sides, workloads: &[String], threads: Option<usize>) -> Result<Vec<Row>> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = match threads {
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
    println!("{}", Row::header(sides.against.is_some()));
    for &threads in &threads {
        for workload in workloads {
            let pin = if threads == 1 { pin.as_deref() } else { None };
            let row = sides.row(Task { workload, threads, pin })?;
            println!("{row}");
            rows.push(row);
        }
    }
    Ok(rows)
}

impl Sides {
    /// Measures a row, and again where it seems slower than at the other commit.
    fn row(&self, task: Task<'_>) -> Result<Row> {
        /// Repeats before a row is called slower.
        const REPEATS: usize = 3;

        let mut row = self.once(task, self.peer.as_deref())?;
        for _ in 0..REPEATS {
            if row.slower().is_none() {
                break;
            }
            row.merge(self.once(task, None)?);
        }
        Ok(row)
    }

    /// Starts a process a side, and times them.
    fn once(&self, task: Task<'_>, peer: Option<&Path>) -> Result<Row> {
        let mut sides = vec![Side::start("ours", Command::new(&self.binary), task, &self.exchange.ours())?];
        if let Some(python) = peer {
            let mut command = Command::new(python);
            command.arg(workspace::root().join("xtask/peers/bench.py"));
            sides.push(Side::start("the peer", command, task, &self.exchange.ours())?);
        }
        let against = self.against.as_ref().filter(|against| against.has(task.workload));
        if let Some(against) = against {
            let name = format!("the bench of {}", against.name);
            sides.push(Side::start(&name, Command::new(&against.binary), task, &self.exchange.against())?);
        }
        let mut measured = interleave(&mut sides)?.into_iter();
        let mut row = Row::new(task.workload, task.threads, measured.next().unwrap_or_default());
        row.peer = peer.and_then(|_| measured.next());
        row.against = against.and_then(|_| measured.next());
        Ok(row)
    }
}

/// Times all sides in turn, so that whatever slows the machine down slows all of them.
fn interleave(sides: &mut [Side]) -> Result<Vec<Measured>> {
    /// Milliseconds that a row may take, beside starting and checking.
    const BUDGET: f64 = 15_000.0;
    /// A repetition of more milliseconds is not repeated.
    const LONG: f64 = 5_000.0;

    let mut times = sides.iter_mut().map(Side::turn).collect::<Result<Vec<_>>>()?;
    let first: f64 = times.iter().flatten().sum();
    let n = if first > LONG { 0 } else { ((BUDGET / first) as usize).clamp(5, 25) };
    if n > 0 {
        // The first one was to warm up and to tell how long it takes.
        times.iter_mut().for_each(Vec::clear);
    }
    for repetition in 0..n {
        for turn in 0..sides.len() {
            // To and fro: nobody has always the same one before it, and what that one has left in the caches.
            let i = if repetition % 2 == 0 { turn } else { sides.len() - 1 - turn };
            times[i].extend(sides[i].turn()?);
        }
    }
    sides.iter_mut().zip(times).map(|(side, ms)| side.measured(ms)).collect()
}

/// The names of all workloads.
fn workloads(binary: &Path) -> Result<Vec<String>> {
    let output = Command::new(binary).output().with_context(|| format!("cannot run {}", binary.display()))?;
    ensure!(output.status.success(), "{} failed: {}", binary.display(), output.status);
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}

/// Those whose names have every word of `filter`.
fn select(all: &[String], filter: Option<&str>) -> Result<Vec<String>> {
    let chosen: Vec<String> = all.iter().filter(|name| has_words(name, filter)).cloned().collect();
    let words = filter.unwrap_or("");
    ensure!(!chosen.is_empty(), "no workload has the words `{words}`; there is {}", all.join(", "));
    Ok(chosen)
}

/// Whether `name` has every word of `filter`.
fn has_words(name: &str, filter: Option<&str>) -> bool {
    filter.unwrap_or("").split_whitespace().all(|word| name.contains(word))
}

/// The words before a command that pin it to the first processor that we may use.
fn pin() -> Option<Vec<String>> {
    let taskset = workspace::which("taskset")?;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or("0");
    let first: String = allowed.trim().chars().take_while(char::is_ascii_digit).collect();
    Some(vec![taskset.display().to_string(), "-c".to_owned(), first])
}

fn write_json(path: &Path, rows: &[Row], against: Option<&Against>) -> Result<()> {
    let rows: Vec<_> = rows.iter().map(Row::to_json).collect();
    let mut document = json!({ "rows": rows });
    if let Some(against) = against {
        document["against"] = json!(against.hash);
    }
    let text = serde_json::to_string_pretty(&document)?;
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

    #[test]
    fn workloads_that_are_gone_are_named() {
        let there = ["train a", "train b", "eval b"].map(str::to_owned).to_vec();
        let against = Against { name: "c".to_owned(), hash: "c".to_owned(), binary: PathBuf::new(), workloads: there };
        let ours = ["train a".to_owned(), "train new".to_owned()];
        assert_eq!(against.only_there(&ours, None), ["train b", "eval b"]);
        assert_eq!(against.only_there(&ours, Some("train")), ["train b"]);
    }
}
