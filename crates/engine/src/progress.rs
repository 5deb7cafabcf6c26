//! Progress on stderr: a bar on a terminal, a line now and then elsewhere. Silent without the feature `cli`.

use std::fmt;

/// What a user sees of a run while it goes.
pub(crate) struct Progress(#[cfg(feature = "cli")] Kind);

#[cfg(feature = "cli")]
enum Kind {
    Silent,
    Bar(indicatif::ProgressBar),
    Lines(Lines),
}

#[cfg(feature = "cli")]
struct Lines {
    first: usize,
    total: usize,
    started: std::time::Instant,
    shown: std::time::Instant,
}

#[cfg(not(feature = "cli"))]
impl Progress {
    pub(crate) fn new(_enabled: bool, _step: usize, _total: usize) -> Self {
        Self()
    }

    pub(crate) fn advance(&mut self, _step: usize, _loss: f64, _lr: f64) {}

    pub(crate) fn line(&self, _line: fmt::Arguments<'_>) {}

    pub(crate) fn finish(&self) {}
}

#[cfg(feature = "cli")]
impl Progress {
    /// Starts at `step` of `total`.
    pub(crate) fn new(enabled: bool, step: usize, total: usize) -> Self {
        use std::io::IsTerminal as _;
        if !enabled {
            return Self(Kind::Silent);
        }
        if !std::io::stderr().is_terminal() {
            let now = std::time::Instant::now();
            return Self(Kind::Lines(Lines { first: step, total, started: now, shown: now }));
        }
        let bar = indicatif::ProgressBar::new(total as u64).with_position(step as u64);
        let template = "{wide_bar} {pos}/{len} steps, {per_sec}, {eta} left, {msg}";
        if let Ok(style) = indicatif::ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.reset_eta();
        Self(Kind::Bar(bar))
    }

    /// `step` steps are done.
    pub(crate) fn advance(&mut self, step: usize, loss: f64, lr: f64) {
        match &mut self.0 {
            Kind::Silent => {}
            Kind::Bar(bar) => {
                bar.set_message(format!("loss {loss:.4}, lr {lr:.2e}"));
                bar.set_position(step as u64);
            }
            Kind::Lines(lines) => lines.advance(step, loss, lr),
        }
    }

    /// Says something without disturbing the bar.
    pub(crate) fn line(&self, line: fmt::Arguments<'_>) {
        match &self.0 {
            Kind::Silent => {}
            Kind::Bar(bar) => bar.println(line.to_string()),
            Kind::Lines(_) => eprintln!("{line}"),
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Kind::Bar(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

#[cfg(feature = "cli")]
impl Lines {
    /// Between two lines.
    const SECONDS: u64 = 10;

    fn advance(&mut self, step: usize, loss: f64, lr: f64) {
        if self.shown.elapsed().as_secs() < Self::SECONDS {
            return;
        }
        self.shown = std::time::Instant::now();
        let rate = (step - self.first) as f64 / self.started.elapsed().as_secs_f64();
        let left = self.total.saturating_sub(step) as f64 / rate;
        let total = self.total;
        eprintln!("step {step}/{total}, loss {loss:.4}, lr {lr:.2e}, {rate:.2} steps/s, {left:.0} s left");
    }
}
