//! Ranks that are processes under MPI.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use mpi::{
    Threading,
    collective::SystemOperation,
    datatype::PartitionMut,
    environment::Universe,
    topology::SimpleCommunicator,
    traits::{Communicator as _, CommunicatorCollectives as _, Equivalence, Root as _},
};
use sconce_core::{Communicator, Result};

use crate::EngineError;

/// Elements of one message: MPI counts them in 32 bits.
const MOST: usize = 1 << 28;

/// The processes that `mpirun` started, seen from one of them.
#[derive(Debug)]
pub(super) struct Mpi {
    rank: usize,
    size: usize,
    /// Collectives come from several threads, but MPI may want to see one at a time.
    turn: Mutex<()>,
}

/// MPI from its start to its end, on the thread that started it.
pub(super) struct World {
    /// Of its own, so that ranks can meet here while some of them are in the middle of a collective.
    at_the_end: SimpleCommunicator,
    _universe: Universe,
}

impl Mpi {
    /// Starts MPI.
    ///
    /// # Errors
    /// [`EngineError::Ranks`] if it has been started before, or is not made for programs with threads.
    pub(super) fn start() -> crate::Result<(Self, World)> {
        let (universe, level) = mpi::initialize_with_threading(Threading::Multiple)
            .ok_or_else(|| EngineError::Ranks { what: "MPI has been started before".to_owned() })?;
        if level < Threading::Serialized {
            let what = format!(
                "the MPI of this machine gives threads the level {level:?}, expected Serialized or Multiple: steps are \
                 computed by threads"
            );
            return Err(EngineError::Ranks { what });
        }
        let world = universe.world();
        let index = |i: i32| usize::try_from(i).unwrap_or_default();
        let this = Self { rank: index(world.rank()), size: index(world.size()), turn: Mutex::new(()) };
        Ok((this, World { at_the_end: world.duplicate(), _universe: universe }))
    }

    fn world(&self) -> (SimpleCommunicator, MutexGuard<'_, ()>) {
        (SimpleCommunicator::world(), self.turn.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn sum<T: Equivalence + Copy>(&self, values: &mut [T]) {
        let (world, _turn) = self.world();
        for part in values.chunks_mut(MOST) {
            let own = part.to_vec();
            world.all_reduce_into(&own[..], part, SystemOperation::sum());
        }
    }
}

/// A rank that is lost ends them all: MPI reports no errors here, it stops the job.
impl Communicator for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn all_gather(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
        let (world, turn) = self.world();
        Ok(gather(&world, bytes, self.size).unwrap_or_else(|lengths| {
            // More than MPI can count: rank by rank.
            drop(turn);
            let of_rank = |(root, &length): (usize, &usize)| {
                let mut message = if root == self.rank { bytes.to_vec() } else { vec![0; length] };
                self.send(root, &mut message);
                message
            };
            lengths.iter().enumerate().map(of_rank).collect()
        }))
    }

    fn broadcast(&self, root: usize, bytes: Vec<u8>) -> Result<Vec<u8>> {
        if root >= self.size {
            let expected = format!("less than {} ranks", self.size);
            return Err(sconce_core::Error::argument("broadcast", "the root", root, expected));
        }
        let mut message = bytes;
        let mut length = message.len() as u64;
        {
            let (world, _turn) = self.world();
            world.process_at_rank(root as i32).broadcast_into(&mut length);
        }
        message.resize(length as usize, 0);
        self.send(root, &mut message);
        Ok(message)
    }

    fn all_reduce_sum_f32(&self, values: &mut [f32]) -> Result<()> {
        self.sum(values);
        Ok(())
    }

    fn all_reduce_sum_f64(&self, values: &mut [f64]) -> Result<()> {
        self.sum(values);
        Ok(())
    }

    fn barrier(&self) -> Result<()> {
        let (world, _turn) = self.world();
        world.barrier();
        Ok(())
    }

    fn abort(&self, message: &str) {
        eprintln!("error: rank {} of {}: {message}", self.rank, self.size);
        SimpleCommunicator::world().abort(1);
    }
}

impl Mpi {
    /// Makes `message`, which has its length on all ranks, that of `root`.
    fn send(&self, root: usize, message: &mut [u8]) {
        let (world, _turn) = self.world();
        for part in message.chunks_mut(MOST) {
            world.process_at_rank(root as i32).broadcast_into(part);
        }
    }
}

impl World {
    /// Whether all ranks come here before `patience` is over; then what they say, by rank.
    pub(super) fn meet(&self, message: &str, patience: Duration) -> Option<Vec<String>> {
        let begin = Instant::now();
        let mut request = self.at_the_end.immediate_barrier();
        loop {
            match request.test() {
                Ok(_) => break,
                Err(pending) if begin.elapsed() < patience => request = pending,
                Err(pending) => {
                    // Nobody waits for it any more: the caller ends all ranks.
                    std::mem::forget(pending);
                    return None;
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let size = usize::try_from(self.at_the_end.size()).unwrap_or_default();
        let messages = gather(&self.at_the_end, message.as_bytes(), size).ok()?;
        Some(messages.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect())
    }
}

/// The bytes of every rank, by rank; if those are more than MPI can count, their lengths.
fn gather(world: &SimpleCommunicator, bytes: &[u8], size: usize) -> std::result::Result<Vec<Vec<u8>>, Vec<usize>> {
    let mut lengths = vec![0u64; size];
    world.all_gather_into(&(bytes.len() as u64), &mut lengths[..]);
    let lengths: Vec<usize> = lengths.iter().map(|&n| n as usize).collect();
    let total: usize = lengths.iter().sum();
    if total > MOST {
        return Err(lengths);
    }
    let mut all = vec![0u8; total];
    let counts: Vec<i32> = lengths.iter().map(|&n| n as i32).collect();
    let starts: Vec<i32> = lengths.iter().scan(0, |end, &n| Some(std::mem::replace(end, *end + n) as i32)).collect();
    world.all_gather_varcount_into(bytes, &mut PartitionMut::new(&mut all[..], counts, starts));
    let mut rest = all.as_slice();
    let cut = |&n: &usize| {
        let (own, others) = rest.split_at(n);
        rest = others;
        own.to_vec()
    };
    Ok(lengths.iter().map(cut).collect())
}
