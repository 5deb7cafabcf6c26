//! The ranks that a process was started with.

use std::sync::Arc;
#[cfg(feature = "mpi")]
use std::time::Duration;

#[cfg(feature = "mpi")]
use super::mpi::{Mpi, World};
use super::{Communicator, alone};
#[cfg(not(feature = "mpi"))]
use crate::EngineError;
use crate::Result;

/// The ranks that this process was started with, from the beginning of a program to its end.
///
/// A program has one, on its first thread, and drops it when it is done.
pub struct Session {
    ranks: Arc<dyn Communicator>,
    #[cfg(feature = "mpi")]
    world: Option<World>,
}

/// How launchers say how many processes they have started: Open MPI; MPICH, Intel MPI and others.
const SIZES: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];
/// How they say how many of those are on this machine.
const LOCAL_SIZES: [&str; 2] = ["OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"];

impl Session {
    /// Joins the processes that `mpirun` has started together with this one; a process that was started by itself is alone.
    ///
    /// # Errors
    /// [`EngineError::Ranks`](crate::EngineError::Ranks) if they are several and this build lacks the feature `mpi`, or MPI cannot be used.
    pub fn start() -> Result<Self> {
        Self::join(number(&SIZES))
    }

    #[cfg(feature = "mpi")]
    fn join(size: Option<usize>) -> Result<Self> {
        if size.is_none() {
            return Ok(Self { ranks: alone(), world: None });
        }
        let (ranks, world) = Mpi::start()?;
        Ok(Self { ranks: Arc::new(ranks), world: Some(world) })
    }

    #[cfg(not(feature = "mpi"))]
    fn join(size: Option<usize>) -> Result<Self> {
        match size {
            Some(size) if size > 1 => {
                let what = format!(
                    "this is one of {size} processes, but the program was built without the feature `mpi`: build it with \
                     --features cli,mpi, or start it without mpirun"
                );
                Err(EngineError::Ranks { what })
            }
            _ => Ok(Self { ranks: alone() }),
        }
    }

    /// The ranks.
    pub fn ranks(&self) -> &Arc<dyn Communicator> {
        &self.ranks
    }

    /// The number of them on this machine, who share its cores.
    pub fn on_this_machine(&self) -> usize {
        if self.ranks.is_alone() { 1 } else { number(&LOCAL_SIZES).unwrap_or(self.ranks.size()) }
    }

    /// The threads of this process: as many as asked for, else its part of the machine's cores; `None` for all of them.
    #[cfg(feature = "cli")]
    pub(crate) fn threads(&self, asked: Option<usize>) -> Option<usize> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        match self.on_this_machine() {
            1 => asked,
            n => asked.or_else(|| Some((cores() / n).max(1))),
        }
    }

    /// Says on stderr that this rank has failed, once for all if all have, and else ends the others, who would wait for ever.
    ///
    /// All ranks have, if each comes here within seconds: a configuration is wrong for all of them, as is a file that is
    /// missing. Rank 0 then speaks for those who say the same.
    pub fn fail(&self, message: &str) {
        let (rank, size) = (self.ranks.rank(), self.ranks.size());
        if self.ranks.is_alone() {
            eprintln!("error: {message}");
            return;
        }
        #[cfg(feature = "mpi")]
        if let Some(world) = &self.world {
            match world.meet(message, PATIENCE) {
                Some(messages) if rank == 0 => {
                    eprintln!("error: {message}");
                    for (rank, other) in messages.iter().enumerate().filter(|(_, other)| !other.ends_with(message)) {
                        eprintln!("error: rank {rank} of {size}: {other}");
                    }
                }
                Some(_) => {}
                None => self.ranks.abort(message),
            }
            return;
        }
        eprintln!("error: rank {rank} of {size}: {message}");
    }
}

/// How long a rank that has failed waits for the others to do so too.
#[cfg(feature = "mpi")]
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether it is this process that tells of an error that all of them have.
#[cfg(feature = "cli")]
pub(crate) fn speaks_for_all() -> bool {
    number(&["OMPI_COMM_WORLD_RANK", "PMI_RANK"]).is_none_or(|rank| rank == 0)
}

fn number(names: &[&str]) -> Option<usize> {
    names.iter().find_map(|name| std::env::var(name).ok()?.parse().ok())
}
