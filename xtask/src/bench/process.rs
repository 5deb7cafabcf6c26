//! A workload in a process of its own, which runs when it is asked to.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// One side of a comparison. `tests/src/bench.rs` describes what it says.
pub(super) struct Side {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// The numbers on which the sides have to agree.
    pub(super) check: Vec<f64>,
    /// How it does it, where it has a choice.
    pub(super) variant: Option<String>,
    /// What the last repetition took.
    last_ms: Option<f64>,
}

/// Milliseconds that the repetitions of a turn take, if one does not take more.
const TURN_MS: f64 = 100.0;

impl Side {
    /// Starts `command` on `workload` behind the words of `pin`, and waits until it has run the check.
    pub(super) fn start(
        command: Command,
        workload: &str,
        threads: usize,
        exchange: &Path,
        pin: Option<&[String]>,
    ) -> Result<Self> {
        let mut child = behind(pin, &command)
            .arg(workload)
            .arg("--exchange")
            .arg(exchange)
            .args(["--threads", &threads.to_string()])
            // Libraries with pools of their own size them by these.
            .env("RAYON_NUM_THREADS", threads.to_string())
            .env("OMP_NUM_THREADS", threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", command.get_program().to_string_lossy()))?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("a process without pipes");
        };
        let (answers, check) = (BufReader::new(answers), Vec::new());
        let mut side = Self { child, requests, answers, check, variant: None, last_ms: None };
        let hello = side.answer()?;
        let check = hello["check"].as_array().context("the first answer has no `check`")?;
        side.check = check.iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect();
        side.variant = hello["variant"]
            .as_array()
            .map(|words| words.iter().map(|w| w.as_str().unwrap_or("plain")).collect::<Vec<_>>().join(", "));
        Ok(side)
    }

    /// Milliseconds of some repetitions one after the other: one of what is long, more of what is short.
    pub(super) fn turn(&mut self) -> Result<Vec<f64>> {
        // The threads of the other side spin for a while after their last task; let them go to sleep.
        thread::sleep(Duration::from_millis(20));
        let n = self.last_ms.map_or(1, |ms| (TURN_MS / ms) as usize).min(40);
        // Processors and caches have gone to sleep too: what is short wakes them up first.
        for _ in 0..n {
            self.run()?;
        }
        (0..n.max(1)).map(|_| self.run()).collect()
    }

    fn run(&mut self) -> Result<f64> {
        let ms = self.ask("run")?["ms"].as_f64().context("the answer to `run` has no number `ms`")?;
        self.last_ms = Some(ms);
        Ok(ms)
    }

    /// The growth of its memory, where the system tells it.
    pub(super) fn peak_mb(&mut self) -> Result<Option<f64>> {
        Ok(self.ask("memory")?["peak_mb"].as_f64())
    }

    fn ask(&mut self, request: &str) -> Result<Value> {
        writeln!(self.requests, "{request}").context("the process is gone")?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("the process ended: {}", self.child.wait()?);
        }
        serde_json::from_str(&line).with_context(|| format!("the answer is `{}`, expected JSON", line.trim()))
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // It may be in the middle of something, or gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `command` behind the words that pin it.
fn behind(pin: Option<&[String]>, command: &Command) -> Command {
    let mut words = pin.into_iter().flatten();
    let Some(first) = words.next() else {
        let mut plain = Command::new(command.get_program());
        plain.args(command.get_args());
        return plain;
    };
    let mut pinned = Command::new(first);
    pinned.args(words).arg(command.get_program()).args(command.get_args());
    pinned
}
