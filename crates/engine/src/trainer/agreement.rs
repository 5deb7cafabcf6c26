//! What all ranks must see alike, so that none goes on where another stops.

use sconce_core::{first_not_finite, write_tensors};

use super::{BatchTensors, Trainer};
use crate::{EngineError, Result, dist};

impl Trainer<'_> {
    /// Checks that no parameter or buffer has overflowed, before a checkpoint would replace one that is whole.
    pub(super) fn require_finite_params(&self) -> Result<()> {
        let tensors = self.params.tensors();
        match first_not_finite(tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)))? {
            Some((name, value)) => {
                Err(EngineError::NonFinite { term: format!("`{name}`"), value, step: self.step, dump: None })
            }
            None => Ok(()),
        }
    }

    /// Checks that an epoch has as many batches on all ranks.
    pub(super) fn require_same_length(&self, n: usize) -> Result<()> {
        let all = self.ranks.all_gather_f64(&[n as f64])?;
        match all.into_iter().flatten().find(|&other| other != n as f64) {
            Some(other) => Err(EngineError::mismatch("batches in an epoch", n, format!("{other}, as on another rank"))),
            None => Ok(()),
        }
    }

    /// The signal to stop that any of the ranks had, on all of them.
    pub(super) fn signal(&self) -> Result<Option<i32>> {
        let own = self.run.interrupt().requested();
        let signal = dist::greatest(&*self.ranks, own.unwrap_or(0))?;
        if own.is_none() && signal != 0 {
            self.run.interrupt().request(signal);
        }
        Ok(self.run.interrupt().requested())
    }

    /// Checks a value that is the same on all ranks. If it is not finite, those who had part in that save their `batch`.
    pub(super) fn require_finite(
        &self,
        (term, value): (&str, f64),
        had_part: bool,
        batch: &impl BatchTensors,
    ) -> Result<()> {
        if value.is_finite() {
            return Ok(());
        }
        let step = self.step + 1;
        let (path, tensors) = (self.run.dump_file(step, self.ranks.rank()), batch.tensors());
        // That the loss is not finite matters more than that its batch could not be saved.
        let is_saved = had_part && !tensors.is_empty() && write_tensors(&path, &tensors).is_ok();
        let saved = self.ranks.all_gather(&[u8::from(is_saved)])?;
        let dump = saved.iter().position(|saved| saved == &[1]).map(|rank| self.run.dump_file(step, rank));
        Err(EngineError::NonFinite { term: term.to_owned(), value, step, dump })
    }
}
