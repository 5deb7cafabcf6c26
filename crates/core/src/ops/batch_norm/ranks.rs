//! Batch normalisation over the batches of several ranks: what they tell each other.
//!
//! Sums are taken in the order of the ranks and in f64, so that all have the same bits.

use candle_core::Tensor;

use super::{NAME, Stats};
use crate::{
    Communicator, Error, Result,
    cpu::{formula::mean_and_variance, planes::Planes, slices, with_real},
};

/// Of a channel, with `g` the gradient of the normalised output: the sums of `g` and of `g · (x − mean)`.
#[derive(Clone, Copy)]
pub(super) struct Sums {
    /// Over this rank's batch.
    pub(super) own: [f64; 2],
    /// Over all that the statistics are of.
    pub(super) shared: [f64; 2],
}

impl Sums {
    pub(super) fn own(sums: [f64; 2]) -> Self {
        Self { own: sums, shared: sums }
    }
}

/// Mean and variance of each channel over the batches of all ranks (Chan et al., 1979), of which `x` is this one's.
pub(super) fn stats(ranks: &dyn Communicator, x: &Tensor, planes: Planes) -> Result<Stats> {
    let own: Vec<(f64, f64)> = with_real!(NAME, x.dtype(), T => {
        slices!(NAME, T, xs = x);
        candle_core::Result::Ok(planes.map(|c| mean_and_variance(planes.of(c), xs)))
    })?;
    let count = (planes.n * planes.plane) as f64;
    let message: Vec<f64> = std::iter::once(count).chain(own.iter().flat_map(|&(mean, var)| [mean, var])).collect();
    let mut all = Stats { mean: vec![0.0; own.len()], var: vec![0.0; own.len()], count: 0.0 };
    for message in gather(ranks, &message)? {
        let total = all.count + message[0];
        for (c, of_rank) in message[1..].as_chunks::<2>().0.iter().enumerate() {
            let [mean, var] = *of_rank;
            let (delta, share) = (mean - all.mean[c], message[0] / total);
            all.mean[c] += delta * share;
            all.var[c] += (var - all.var[c] + delta * delta * (1.0 - share)) * share;
        }
        all.count = total;
    }
    Ok(all)
}

/// This rank's sums beside those of all ranks.
pub(super) fn sums(ranks: &dyn Communicator, own: Vec<[f64; 2]>) -> Result<Vec<Sums>> {
    let mut all: Vec<Sums> = own.iter().map(|&own| Sums { own, shared: [0.0; 2] }).collect();
    for message in gather(ranks, own.as_flattened())? {
        for (sums, of_rank) in all.iter_mut().zip(message.as_chunks::<2>().0) {
            sums.shared.iter_mut().zip(of_rank).for_each(|(sum, v)| *sum += v);
        }
    }
    Ok(all)
}

/// The messages of all ranks, which are as long as this one's.
fn gather(ranks: &dyn Communicator, own: &[f64]) -> Result<Vec<Vec<f64>>> {
    let messages = ranks.all_gather_f64(own)?;
    match messages.iter().position(|message| message.len() != own.len()) {
        Some(rank) => {
            let what =
                format!("normalises {} values, where rank {} has {}", messages[rank].len(), ranks.rank(), own.len());
            Err(Error::Rank { rank, size: ranks.size(), what })
        }
        None => Ok(messages),
    }
}
