//! Progress of a study on stderr: a bar on a terminal, lines elsewhere.

use std::{
    collections::BTreeMap,
    io::IsTerminal as _,
    path::PathBuf,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use super::runs::last_record;

/// What a worker tells.
pub(super) enum Event {
    /// It has begun a run.
    Started { index: usize, name: String, dir: PathBuf },
    /// The run is over.
    Ended { index: usize, seconds: f64, ok: bool },
}

/// Shows what the workers tell, until the last of them is gone.
pub(super) fn show(events: Receiver<Event>, n_runs: usize, n_workers: usize) {
    let bar = std::io::stderr().is_terminal().then(|| bar(n_runs));
    let pause = Duration::from_millis(if bar.is_some() { 500 } else { 30_000 });
    let mut state = State { running: BTreeMap::new(), seconds: Vec::new(), n_runs, n_workers, bar };
    let mut shown = Instant::now();
    loop {
        match events.recv_timeout(pause.saturating_sub(shown.elapsed())) {
            Ok(event) => state.note(event),
            Err(RecvTimeoutError::Timeout) => {
                state.tick();
                shown = Instant::now();
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if let Some(bar) = state.bar {
        bar.finish_and_clear();
    }
}

struct State {
    running: BTreeMap<usize, (String, PathBuf)>,
    /// Of the runs that are over.
    seconds: Vec<f64>,
    n_runs: usize,
    n_workers: usize,
    bar: Option<ProgressBar>,
}

impl State {
    fn note(&mut self, event: Event) {
        match event {
            Event::Started { index, name, dir } => {
                self.say(&format!("{name}: begun ({} of {})", index + 1, self.n_runs));
                self.running.insert(index, (name, dir));
            }
            Event::Ended { index, seconds, ok } => {
                let Some((name, _)) = self.running.remove(&index) else { return };
                self.seconds.push(seconds);
                self.say(&format!("{name}: {} after {seconds:.1} s", if ok { "done" } else { "stopped" }));
                if let Some(bar) = &self.bar {
                    bar.set_position(self.seconds.len() as u64);
                }
            }
        }
    }

    fn tick(&self) {
        let runs = self.running.values().map(|(name, dir)| match last_record(dir) {
            Some(record) => format!("{name}: epoch {}, step {}", record.epoch, record.step),
            None => format!("{name}: epoch 1"),
        });
        let mut line: Vec<String> = runs.collect();
        line.extend(self.seconds_left().map(|seconds| format!("about {:.0} min left", (seconds / 60.0).ceil())));
        match &self.bar {
            Some(bar) => bar.set_message(line.join("; ")),
            None => eprintln!("{}", line.join("; ")),
        }
    }

    /// By the mean of the runs that are over, as if all were alike.
    fn seconds_left(&self) -> Option<f64> {
        let mean = self.seconds.iter().sum::<f64>() / self.seconds.len() as f64;
        let n_left = self.n_runs - self.seconds.len();
        (!self.seconds.is_empty()).then(|| mean * n_left.div_ceil(self.n_workers) as f64)
    }

    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }
}

fn bar(n_runs: usize) -> ProgressBar {
    let bar = ProgressBar::new(n_runs as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} runs, {elapsed}, {wide_msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}
