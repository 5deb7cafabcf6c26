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

use super::row::Measured;

/// One side of a comparison. `tests/src/bench.rs` describes what it says.
pub(super) struct Side {
    /// Who it is, for messages.
    name: String,
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    check: Vec<f64>,
    variant: Option<String>,
    /// What the last repetition took.
    last_ms: Option<f64>,
}

/// What every side of a row does.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) workload: &'a str,
    pub(super) threads: usize,
    /// Words before the command that pin it.
    pub(super) pin: Option<&'a [String]>,
}

/// Milliseconds that the repetitions of a turn take, if one does not take more.
const TURN_MS: f64 = 100.0;

impl Side {
    /// Starts `command`, called `name`, on `task`, and waits until it has run the check. Both use the folder `exchange`.
    pub(super) fn start(name: &str, command: Command, task: Task<'_>, exchange: &Path) -> Result<Self> {
        let Task { workload, threads, pin } = task;
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
            .with_context(|| format!("{name}: cannot run {}", command.get_program().to_string_lossy()))?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("a process without pipes");
        };
        let (answers, check) = (BufReader::new(answers), Vec::new());
        let name = name.to_owned();
        let mut side = Self { name, child, requests, answers, check, variant: None, last_ms: None };
        let hello = side.answer().with_context(|| format!("{}: `{workload}` does not start", side.name))?;
        let check = hello["check"].as_array();
        let check =
            check.with_context(|| format!("{}: another protocol: the first answer has no `check`", side.name))?;
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
        let answer = self.ask("run")?;
        let ms = answer["ms"].as_f64();
        let ms = ms.with_context(|| format!("{}: another protocol: `run` is answered by {answer}", self.name))?;
        self.last_ms = Some(ms);
        Ok(ms)
    }

    /// What it gave, with the times `ms` that it took.
    pub(super) fn measured(&mut self, ms: Vec<f64>) -> Result<Measured> {
        let peak_mb = self.ask("memory")?["peak_mb"].as_f64().into_iter().collect();
        Ok(Measured { ms, peak_mb, check: self.check.clone(), variant: self.variant.clone() })
    }

    fn ask(&mut self, request: &str) -> Result<Value> {
        let sent = writeln!(self.requests, "{request}").context("the process is gone");
        sent.and_then(|()| self.answer()).with_context(|| format!("{}: asked for `{request}`", self.name))
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// A side whose program prints these lines.
    fn start(lines: &str) -> Result<Side> {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("printf '{lines}'; cat >/dev/null"), "sh"]);
        let task = Task { workload: "w", threads: 1, pin: None };
        Side::start("the bench of c", command, task, Path::new("exchange"))
    }

    #[test]
    fn another_protocol_is_an_error_that_names_the_side() {
        let mut side = start(r#"{"check":[1,2]}\n{"ms":300}\n{"ms":200}\n{"peak_mb":3}\n"#).unwrap();
        let ms = side.turn().unwrap();
        let measured = side.measured(ms).unwrap();
        assert_eq!((measured.ms, measured.peak_mb, measured.check), (vec![200.0], vec![3.0], vec![1.0, 2.0]));

        let message = |result: Result<Side>| format!("{:#}", result.and_then(|mut side| side.turn()).unwrap_err());
        for (lines, expected) in [
            (r#"{"losses":[1]}\n"#, "no `check`"),
            (r#"{"check":[1]}\n{"seconds":1}\n"#, "`run` is answered by"),
            (r#"ready\n"#, "the answer is `ready`"),
        ] {
            let message = message(start(lines));
            assert!(message.starts_with("the bench of c: ") && message.contains(expected), "{message}");
        }
    }

    #[test]
    fn a_process_that_ends_is_an_error_that_names_the_side() {
        let task = Task { workload: "w", threads: 1, pin: None };
        let ended = Side::start("the peer", Command::new("false"), task, Path::new("exchange"));
        let message = ended.err().map(|error| format!("{error:#}")).unwrap();
        assert!(message.starts_with("the peer: `w` does not start") && message.contains("exit status: 1"), "{message}");
    }
}
