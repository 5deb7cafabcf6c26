//! Ranks that are threads of one process.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Communicator, from_bytes};
use crate::{Error, Result};

/// As many ranks, each for a thread of its own.
///
/// A rank that is dropped, by a thread that has returned or panicked, is gone for the others: who waits for it gets
/// [`Error::Rank`]. A rank's own parallel work should run in a pool of its own, as a thread that waits for another rank does
/// nothing else.
///
/// ```
/// let sums = std::thread::scope(|scope| {
///     let ranks = sconce_core::communicator::local(2).into_iter();
///     let threads = ranks.map(|rank| {
///         scope.spawn(move || {
///             let mut values = [1.0, rank.rank() as f64];
///             rank.all_reduce_sum_f64(&mut values).map(|()| values)
///         })
///     });
///     threads.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect::<Result<Vec<_>, _>>()
/// })?;
/// assert_eq!(sums, [[2.0, 1.0], [2.0, 1.0]]);
/// # Ok::<(), sconce_core::Error>(())
/// ```
pub fn local(size: usize) -> Vec<Arc<dyn Communicator>> {
    let room = Arc::new(Room { size, state: Mutex::default(), changed: Condvar::new() });
    (0..size).map(|rank| Arc::new(Local { rank, room: room.clone() }) as Arc<dyn Communicator>).collect()
}

#[derive(Debug)]
struct Local {
    rank: usize,
    room: Arc<Room>,
}

/// Where the ranks meet.
#[derive(Debug)]
struct Room {
    size: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Collectives that are complete.
    round: usize,
    /// What has been brought to the next one, with the rank.
    brought: Vec<(usize, Message)>,
    /// What was brought to the last one, by rank. It stays until all have come again, and so have taken it.
    complete: Arc<Vec<Message>>,
    /// The rank that is gone, and why.
    gone: Option<(usize, String)>,
}

#[derive(Clone, Debug)]
struct Message {
    /// What the rank believes this to be: ranks that are at different places would exchange nonsense.
    what: String,
    bytes: Vec<u8>,
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is a single step, so that a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, rank: usize, why: &str) {
        self.lock().gone.get_or_insert_with(|| (rank, why.to_owned()));
        self.changed.notify_all();
    }
}

impl Local {
    /// What all ranks have brought, by rank.
    fn meet(&self, what: String, bytes: Vec<u8>) -> Result<Arc<Vec<Message>>> {
        let size = self.room.size;
        let mut state = self.room.lock();
        let round = state.round;
        state.brought.push((self.rank, Message { what, bytes }));
        if state.brought.len() == size {
            let mut brought = std::mem::take(&mut state.brought);
            brought.sort_by_key(|(rank, _)| *rank);
            state.complete = Arc::new(brought.into_iter().map(|(_, message)| message).collect());
            state.round += 1;
            self.room.changed.notify_all();
        }
        while state.round == round {
            if let Some((rank, why)) = &state.gone {
                return Err(Error::Rank { rank: *rank, size, what: why.clone() });
            }
            state = self.room.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let messages = state.complete.clone();
        match messages.iter().position(|message| message.what != messages[0].what) {
            Some(rank) => {
                let what = format!("is at {}, where rank 0 is at {}", messages[rank].what, messages[0].what);
                Err(Error::Rank { rank, size, what })
            }
            None => Ok(messages),
        }
    }

    /// The sum of all ranks' values, in the order of the ranks.
    fn sum<T: Copy + std::iter::Sum, const N: usize>(&self, values: &mut [T], (to, from): Bytes<T, N>) -> Result<()> {
        let bytes = values.iter().flat_map(|&v| to(v)).collect();
        let messages = self.meet(format!("a sum of {} values", values.len()), bytes)?;
        let of_ranks: Vec<Vec<T>> = messages.iter().map(|message| from_bytes(&message.bytes, from)).collect();
        for (i, value) in values.iter_mut().enumerate() {
            *value = of_ranks.iter().map(|of_rank| of_rank[i]).sum();
        }
        Ok(())
    }
}

/// From a number to its bytes, and back.
type Bytes<T, const N: usize> = (fn(T) -> [u8; N], fn([u8; N]) -> T);

impl Communicator for Local {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.room.size
    }

    fn all_gather(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
        let messages = self.meet("a gathering".to_owned(), bytes.to_vec())?;
        Ok(messages.iter().map(|message| message.bytes.clone()).collect())
    }

    fn broadcast(&self, root: usize, bytes: Vec<u8>) -> Result<Vec<u8>> {
        let messages = self.meet(format!("a broadcast of rank {root}"), bytes)?;
        match messages.get(root) {
            Some(message) => Ok(message.bytes.clone()),
            None => Err(Error::argument("broadcast", "the root", root, format!("less than {} ranks", self.room.size))),
        }
    }

    fn all_reduce_sum_f32(&self, values: &mut [f32]) -> Result<()> {
        self.sum(values, (f32::to_le_bytes, f32::from_le_bytes))
    }

    fn all_reduce_sum_f64(&self, values: &mut [f64]) -> Result<()> {
        self.sum(values, (f64::to_le_bytes, f64::from_le_bytes))
    }

    fn barrier(&self) -> Result<()> {
        self.meet("a barrier".to_owned(), Vec::new()).map(drop)
    }

    fn abort(&self, message: &str) {
        self.room.leave(self.rank, message);
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.room.leave(self.rank, "has ended before the others");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `f` gives on every rank.
    fn on_each<R: Send>(n: usize, f: impl Fn(Arc<dyn Communicator>) -> R + Sync) -> Vec<std::thread::Result<R>> {
        std::thread::scope(|scope| {
            let threads: Vec<_> = local(n).into_iter().map(|rank| scope.spawn(|| f(rank))).collect();
            threads.into_iter().map(|thread| thread.join()).collect()
        })
    }

    #[test]
    fn ranks_exchange_what_they_bring_round_after_round() {
        let found = on_each(3, |rank| {
            let mut seen = Vec::new();
            for round in 0..50u8 {
                let own = vec![round; rank.rank()];
                let all = rank.all_gather(&own).unwrap();
                assert_eq!(all, [vec![], vec![round], vec![round; 2]]);
                assert_eq!(rank.broadcast(2, own).unwrap(), [round; 2]);
                rank.barrier().unwrap();
                let mut sums = [0.1 * rank.rank() as f64, 1e16];
                rank.all_reduce_sum_f64(&mut sums).unwrap();
                let mut single = [f32::from(round)];
                rank.all_reduce_sum_f32(&mut single).unwrap();
                seen.push((sums.map(f64::to_bits), single[0]));
            }
            seen
        });
        let found: Vec<_> = found.into_iter().map(|rank| rank.unwrap()).collect();
        assert_eq!(found[0], found[1]);
        assert_eq!(found[0], found[2]);
        assert_eq!(found[0][7], ([0.0 + 0.1 + 0.2, 3e16].map(f64::to_bits), 21.0));
    }

    #[test]
    fn nobody_waits_for_a_rank_that_is_gone() {
        for (how, expected) in [("panic", "has ended before"), ("return", "has ended before"), ("abort", "no disk")] {
            let found = on_each(3, |rank| {
                rank.barrier().unwrap();
                if rank.rank() == 1 {
                    match how {
                        "panic" => panic!("on purpose"),
                        "abort" => rank.abort("no disk"),
                        _ => {}
                    }
                    return Ok(());
                }
                rank.barrier()
            });
            for rank in [0, 2] {
                let error = found[rank].as_ref().unwrap().as_ref().unwrap_err();
                assert!(matches!(error, Error::Rank { rank: 1, size: 3, what } if what.contains(expected)), "{error}");
            }
        }
    }

    #[test]
    fn ranks_at_different_places_are_told_so() {
        let found = on_each(2, |rank| {
            let mut values = vec![0.0; rank.rank() + 1];
            rank.all_reduce_sum_f32(&mut values)
        });
        for error in found.into_iter().map(|result| result.unwrap().unwrap_err().to_string()) {
            assert_eq!(error, "rank 1 of 2 is at a sum of 2 values, where rank 0 is at a sum of 1 values");
        }
    }
}
