//! What `predict` says of files: a line of JSON each, and which of them could not be read.

use std::{fmt, io::Write, path::Path};

use anyhow::Context as _;
use serde::Serialize;

/// Takes the predictions for files, one after the other.
pub struct Predictions<'a> {
    lines: &'a mut dyn Write,
    n_predicted: usize,
    n_failed: usize,
}

impl<'a> Predictions<'a> {
    /// Predictions that go to `lines`.
    pub fn new(lines: &'a mut dyn Write) -> Self {
        Self { lines, n_predicted: 0, n_failed: 0 }
    }

    /// Writes the prediction for a file as a line of JSON.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn line(&mut self, prediction: &impl Serialize) -> anyhow::Result<()> {
        serde_json::to_writer(&mut *self.lines, prediction).map_err(std::io::Error::from)?;
        self.n_predicted += 1;
        self.lines.write_all(b"\n").context("standard output")
    }

    /// Says on stderr that there is no prediction for `file`. The command goes on, and fails at its end.
    pub fn failed(&mut self, file: &Path, error: impl fmt::Display) {
        let (name, text) = (file.display().to_string(), format!("{error:#}"));
        // Errors of readers name their file themselves.
        if text.contains(&name) {
            eprintln!("error: {text}")
        } else {
            eprintln!("error: {name}: {text}")
        }
        self.n_failed += 1;
    }

    /// Says on stderr what else is to be known of what lies at `path`: no failure.
    pub fn note(&self, path: &Path, text: impl fmt::Display) {
        eprintln!("{}: {text}", path.display());
    }

    /// # Errors
    /// If a file has failed.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let n = self.n_predicted + self.n_failed;
        anyhow::ensure!(self.n_failed == 0, "{} of {n} files could not be predicted", self.n_failed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_counted_and_the_rest_is_written() {
        let mut text = Vec::new();
        let mut predictions = Predictions::new(&mut text);
        predictions.line(&serde_json::json!({ "file": "a" })).unwrap();
        predictions.failed(Path::new("b"), "no image");
        predictions.line(&serde_json::json!({ "file": "c" })).unwrap();
        let error = predictions.finish().unwrap_err().to_string();
        assert_eq!(error, "1 of 3 files could not be predicted");
        assert_eq!(text, b"{\"file\":\"a\"}\n{\"file\":\"c\"}\n");
    }
}
