//! What ranks tell each other of a step.

use serde::{Deserialize, Serialize};

use super::Communicator;
use crate::{EngineError, Result};

/// The values of a step's loss and its terms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// The samples that they are means over, if that is known.
    samples: Option<usize>,
    names: Vec<String>,
    /// Bits, as JSON has no NaN.
    values: Vec<u64>,
}

impl Note {
    pub(crate) fn new(samples: Option<usize>, values: &[(&'static str, f64)]) -> Self {
        Self {
            samples,
            names: values.iter().map(|(name, _)| (*name).to_owned()).collect(),
            values: values.iter().map(|(_, value)| value.to_bits()).collect(),
        }
    }

    /// What share of the step's batch this rank has, and the values as means over all samples.
    ///
    /// # Errors
    /// [`EngineError::Mismatch`] on all ranks if they have other terms, or only some know their samples.
    pub(crate) fn exchange(&self, ranks: &dyn Communicator) -> Result<(f64, Vec<f64>)> {
        let own = || self.values.iter().copied().map(f64::from_bits);
        if ranks.is_alone() {
            return Ok((1.0, own().collect()));
        }
        let bytes = serde_json::to_vec(self).map_err(|e| EngineError::format("what ranks tell of a step", e))?;
        let notes: Vec<Self> = ranks
            .all_gather(&bytes)?
            .iter()
            .map(|bytes| serde_json::from_slice(bytes))
            .collect::<std::result::Result<_, _>>()
            .map_err(|e| EngineError::format("what ranks tell of a step", e))?;
        for (rank, note) in notes.iter().enumerate() {
            if note.names != notes[0].names {
                let found = format!("{} on rank {rank}", note.names.join(", "));
                return Err(EngineError::mismatch("terms of a loss", found, notes[0].names.join(", ")));
            }
        }
        let shares = shares(&notes)?;
        let mut means = vec![0.0; self.values.len()];
        for (note, share) in notes.iter().zip(&shares) {
            for (mean, &value) in means.iter_mut().zip(&note.values) {
                *mean += share * f64::from_bits(value);
            }
        }
        Ok((shares[ranks.rank()], means))
    }
}

/// The share of each rank.
fn shares(notes: &[Note]) -> Result<Vec<f64>> {
    let known: Vec<usize> = notes.iter().filter_map(|note| note.samples).collect();
    if known.is_empty() {
        return Ok(vec![1.0 / notes.len() as f64; notes.len()]);
    }
    let total: usize = known.iter().sum();
    if known.len() < notes.len() || total == 0 {
        let found = format!("{} of {} ranks, {total} in all", known.len(), notes.len());
        return Err(EngineError::mismatch("samples of a loss", found, "`Loss::samples` on every rank, or on none"));
    }
    Ok(known.into_iter().map(|n| n as f64 / total as f64).collect())
}
