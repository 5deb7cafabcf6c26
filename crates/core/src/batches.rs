//! The seam between a loader and a trainer, which know nothing of each other.

use serde::{Deserialize, Serialize};

/// An endless sequence of batches, epoch after epoch, that can go on from any place.
///
/// What stands at a [`Position`] depends on the sequence's own seed alone, so that a resumed run sees what the
/// interrupted one would have seen.
pub trait Batches {
    /// What one training step consumes.
    type Batch;
    /// Why a batch could not be made.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The number of batches in one pass over the data, at least 1.
    fn batches_per_epoch(&self) -> usize;

    /// Makes the batch at `position` the next one.
    ///
    /// # Errors
    /// If the sequence has no such position.
    fn seek(&mut self, position: Position) -> Result<(), Self::Error>;

    /// The next batch. After the last one of an epoch comes the first one of the next.
    ///
    /// # Errors
    /// If a record of the batch cannot be read; the error names it.
    fn next_batch(&mut self) -> Result<Self::Batch, Self::Error>;
}

/// A place in a sequence of batches: `batch` counts from 0 within `epoch`, which counts from 0 too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Passes over the data that are complete.
    pub epoch: usize,
    /// Batches of this pass that are consumed.
    pub batch: usize,
}
