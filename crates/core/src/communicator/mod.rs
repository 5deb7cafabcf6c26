//! What processes that train one model together tell each other.

mod local;

use std::{fmt, sync::Arc};

use crate::Result;

pub use self::local::local;

/// The ranks that train one model together, seen from one of them.
///
/// Every method but the first two and [`Communicator::abort`] is a collective: all ranks call it, in the same order with
/// other collectives, and none returns before it has what it needs of the others. Sums are the same bits on all ranks.
///
/// This crate has [`alone`] and, for ranks that are threads of one process, [`local`]; others bring a network.
pub trait Communicator: fmt::Debug + Send + Sync {
    /// Which of the ranks this is, from 0.
    fn rank(&self) -> usize;

    /// The number of ranks, at least 1.
    fn size(&self) -> usize;

    /// The bytes of every rank, by rank. Their lengths may differ.
    ///
    /// # Errors
    /// [`Error::Rank`](crate::Error::Rank) if one of the ranks is gone.
    fn all_gather(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>>;

    /// The bytes of the rank `root`; what the others bring is forgotten.
    ///
    /// # Errors
    /// As [`Communicator::all_gather`].
    fn broadcast(&self, root: usize, bytes: Vec<u8>) -> Result<Vec<u8>>;

    /// Puts in place of every value the sum of what the ranks have there.
    ///
    /// # Errors
    /// As [`Communicator::all_gather`], and if the ranks differ in the number of values.
    fn all_reduce_sum_f32(&self, values: &mut [f32]) -> Result<()>;

    /// [`Communicator::all_reduce_sum_f32`] in double precision.
    ///
    /// # Errors
    /// The same.
    fn all_reduce_sum_f64(&self, values: &mut [f64]) -> Result<()>;

    /// Waits for all ranks.
    ///
    /// # Errors
    /// As [`Communicator::all_gather`].
    fn barrier(&self) -> Result<()>;

    /// Says that this rank cannot go on, and why, so that no other waits for it. Where ranks are processes it ends them all.
    fn abort(&self, message: &str);

    /// Whether this is the rank that writes files and speaks to the user: 0.
    fn is_root(&self) -> bool {
        self.rank() == 0
    }

    /// Whether there is no other rank.
    fn is_alone(&self) -> bool {
        self.size() == 1
    }

    /// The numbers of every rank, by rank.
    ///
    /// # Errors
    /// As [`Communicator::all_gather`].
    fn all_gather_f64(&self, values: &[f64]) -> Result<Vec<Vec<f64>>> {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Ok(self.all_gather(&bytes)?.iter().map(|bytes| from_bytes(bytes, f64::from_le_bytes)).collect())
    }
}

/// The communicator of a process that trains by itself.
pub fn alone() -> Arc<dyn Communicator> {
    Arc::new(Alone)
}

#[derive(Debug)]
struct Alone;

impl Communicator for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn all_gather(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
        Ok(vec![bytes.to_vec()])
    }

    fn broadcast(&self, _: usize, bytes: Vec<u8>) -> Result<Vec<u8>> {
        Ok(bytes)
    }

    fn all_reduce_sum_f32(&self, _: &mut [f32]) -> Result<()> {
        Ok(())
    }

    fn all_reduce_sum_f64(&self, _: &mut [f64]) -> Result<()> {
        Ok(())
    }

    fn barrier(&self) -> Result<()> {
        Ok(())
    }

    fn abort(&self, _: &str) {}
}

fn from_bytes<T, const N: usize>(bytes: &[u8], number: fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|&chunk| number(chunk)).collect()
}
