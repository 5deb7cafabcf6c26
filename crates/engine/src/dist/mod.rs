//! Training by several ranks: processes, or threads, that share the work of every step.
//!
//! A batch of the configuration is the *global* batch. Rank r of R has its samples n ≡ r (mod R), as PyTorch's
//! `DistributedSampler` deals them: so R ranks with plain batch normalisation compute what one with
//! [`Split`](sconce_core::nn::BatchNormKind::Split) in R parts does, and with
//! [`Sync`](sconce_core::nn::BatchNormKind::Sync) what one alone does, whatever R. Positions in checkpoints are of global
//! batches, and a checkpoint of any number of ranks goes on with any other.
//!
//! All ranks run the same program. [`Run`](crate::Run) and [`Trainer`](crate::Trainer) see to it that rank 0 alone writes and
//! speaks, that all start from the same parameters and take the same steps, that a signal to one stops all, and that what is
//! logged is of all. To the method falls what only it knows:
//!
//! - its loader gives each rank its samples, and its [`Loss`](crate::Loss) says how many they were if shares can differ;
//! - its parameters know the ranks ([`Params::with_communicator`](sconce_core::Params::with_communicator));
//! - what a sample's result is needed for on all ranks goes there by [`gather_samples`] or [`gather_list`]: keys for a queue,
//!   new labels for a table. Tracked states are the same on all ranks, as rank 0's are what a checkpoint holds;
//! - what it draws for a batch as a whole (a permutation) comes from a stream of the seed, and so is the same on all ranks.
//!
//! Ranks are told apart by a [`Communicator`]: [`alone`], [`local`], and with the feature `mpi` the processes that `mpirun`
//! started ([`Session::start`]).

mod gather;
#[cfg(feature = "mpi")]
mod mpi;
mod note;
mod params;
mod reduce;
mod root;
mod session;

#[cfg(test)]
mod tests;

pub use sconce_core::{
    Communicator,
    communicator::{alone, local},
};

#[cfg(feature = "cli")]
pub(crate) use self::session::speaks_for_all;
pub use self::{
    gather::{broadcast_tensor, gather_list, gather_samples, own_samples},
    params::{average_statistics, broadcast_params},
    root::on_root,
    session::Session,
};
pub(crate) use self::{note::Note, params::require_equal, reduce::sum_gradients, root::greatest};
