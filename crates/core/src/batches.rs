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

/// Two sequences side by side, such as labelled and unlabelled images. An epoch is one of the first; the second goes round as
/// often as it takes.
#[derive(Clone, Debug)]
pub struct Paired<A, B> {
    first: A,
    second: B,
}

impl<A: Batches, B: Batches<Error = A::Error>> Paired<A, B> {
    /// `first`, with a batch of `second` beside each of its batches.
    pub fn new(first: A, second: B) -> Self {
        Self { first, second }
    }
}

impl<A: Batches, B: Batches<Error = A::Error>> Batches for Paired<A, B> {
    type Batch = (A::Batch, B::Batch);
    type Error = A::Error;

    fn batches_per_epoch(&self) -> usize {
        self.first.batches_per_epoch()
    }

    fn seek(&mut self, position: Position) -> Result<(), Self::Error> {
        self.second.seek(after(position, self.first.batches_per_epoch(), self.second.batches_per_epoch()))?;
        self.first.seek(position)
    }

    fn next_batch(&mut self) -> Result<Self::Batch, Self::Error> {
        Ok((self.first.next_batch()?, self.second.next_batch()?))
    }
}

/// A sequence in epochs of another length than its own: recipes count iterations, ten thousand to an epoch, say.
#[derive(Clone, Debug)]
pub struct Rounds<B> {
    batches: B,
    length: usize,
}

impl<B: Batches> Rounds<B> {
    /// `batches`, of which `length` are an epoch; at least 1.
    pub fn new(batches: B, length: usize) -> Self {
        Self { batches, length: length.max(1) }
    }
}

impl<B: Batches> Batches for Rounds<B> {
    type Batch = B::Batch;
    type Error = B::Error;

    fn batches_per_epoch(&self) -> usize {
        self.length
    }

    fn seek(&mut self, position: Position) -> Result<(), Self::Error> {
        self.batches.seek(after(position, self.length, self.batches.batches_per_epoch()))
    }

    fn next_batch(&mut self) -> Result<Self::Batch, Self::Error> {
        self.batches.next_batch()
    }
}

/// Where a sequence of `other` batches an epoch stands when one of `length` stands at `position`.
fn after(position: Position, length: usize, other: usize) -> Position {
    let (drawn, other) = (position.epoch * length + position.batch, other.max(1));
    Position { epoch: drawn / other, batch: drawn % other }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts up to `round`, again and again.
    struct Count {
        round: usize,
        at: Position,
    }

    impl Batches for Count {
        type Batch = Position;
        type Error = std::convert::Infallible;

        fn batches_per_epoch(&self) -> usize {
            self.round
        }

        fn seek(&mut self, position: Position) -> Result<(), Self::Error> {
            self.at = position;
            Ok(())
        }

        fn next_batch(&mut self) -> Result<Position, Self::Error> {
            let now = self.at;
            let is_last = now.batch + 1 == self.round;
            self.at = match is_last {
                true => Position { epoch: now.epoch + 1, batch: 0 },
                false => Position { batch: now.batch + 1, ..now },
            };
            Ok(now)
        }
    }

    #[test]
    fn a_pair_goes_on_from_any_place() {
        let count = |round| Count { round, at: Position::default() };
        for rounds in [(3, 2), (2, 3), (1, 5), (4, 4)] {
            let mut whole = Paired::new(count(rounds.0), count(rounds.1));
            let all: Vec<_> = (0..12).map(|_| whole.next_batch().unwrap()).collect();
            for (i, (first, _)) in all.iter().enumerate() {
                let mut part = Paired::new(count(rounds.0), count(rounds.1));
                part.seek(*first).unwrap();
                assert_eq!(part.next_batch().unwrap(), all[i], "{rounds:?}, {i}");
            }
        }
    }

    #[test]
    fn rounds_of_another_length_go_on_from_any_place() {
        let count = || Count { round: 3, at: Position::default() };
        for length in [1, 2, 3, 7] {
            let mut whole = Rounds::new(count(), length);
            for i in 0..10 {
                let mut part = Rounds::new(count(), length);
                part.seek(Position { epoch: i / length, batch: i % length }).unwrap();
                assert_eq!(part.next_batch().unwrap(), whole.next_batch().unwrap(), "{length}, {i}");
            }
        }
    }
}
