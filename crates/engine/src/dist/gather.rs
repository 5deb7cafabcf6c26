//! Samples of all ranks.

use safetensors::View as _;
use sconce_core::{DType, Tensor};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Communicator;
use crate::{EngineError, Result};

/// A tensor on its way: a line of JSON, then the elements as they are.
#[derive(Serialize, Deserialize)]
struct Head {
    dtype: String,
    dims: Vec<usize>,
}

/// The samples of all ranks in the order of the global batch, in which rank r of R has those with n ≡ r (mod R). They have
/// no gradient.
///
/// # Shapes
/// - `own`: `(N / R, …)` of this rank; where R does not divide N, the first N mod R ranks have one more
/// - output: `(N, …)`, on every rank
///
/// # Errors
/// [`EngineError::Mismatch`] on all ranks if the samples do not fit together.
pub fn gather_samples(ranks: &dyn Communicator, own: &Tensor) -> Result<Tensor> {
    let own = own.detach();
    if ranks.is_alone() {
        return Ok(own);
    }
    let messages = ranks.all_gather(&encode(&own)?)?;
    let parts = messages.iter().map(|message| decode(message)).collect::<Result<Vec<_>>>()?;
    let (first, _) = &parts[0];
    for (rank, (head, _)) in parts.iter().enumerate() {
        if head.dtype != first.dtype || head.dims.is_empty() || head.dims[1..] != first.dims[1..] {
            let found = format!("{:?} of {} on rank {rank}", head.dims, head.dtype);
            let expected = format!("samples like {:?} of {} on rank 0", first.dims, first.dtype);
            return Err(EngineError::mismatch("samples to gather", found, expected));
        }
    }
    let counts: Vec<usize> = parts.iter().map(|(head, _)| head.dims[0]).collect();
    let order = deal(&counts)?;
    let row = parts.iter().find(|(head, _)| head.dims[0] > 0).map_or(0, |(head, data)| data.len() / head.dims[0]);
    let mut all = Vec::with_capacity(row * order.len());
    for (rank, i) in order {
        all.extend_from_slice(&parts[rank].1[i * row..(i + 1) * row]);
    }
    let dims: Vec<usize> = std::iter::once(counts.iter().sum()).chain(first.dims[1..].iter().copied()).collect();
    Ok(Tensor::from_raw_buffer(&all, own.dtype(), &dims, own.device())?)
}

/// What this rank has of the samples of a global batch: those with n ≡ r (mod R).
///
/// # Shapes
/// - `all`: `(N, …)`
/// - output: `(N / R, …)`, one more on the first N mod R ranks
///
/// # Errors
/// [`EngineError::Mismatch`] if there are fewer samples than ranks.
pub fn own_samples(ranks: &dyn Communicator, all: &Tensor) -> Result<Tensor> {
    if ranks.is_alone() {
        return Ok(all.clone());
    }
    let n = all.dims().first().copied().unwrap_or(0);
    if n < ranks.size() {
        return Err(EngineError::mismatch(
            "samples to deal",
            n,
            format!("at least one for each of {} ranks", ranks.size()),
        ));
    }
    let own: Vec<u32> = (ranks.rank()..n).step_by(ranks.size()).map(|i| i as u32).collect();
    Ok(all.index_select(&Tensor::new(own, all.device())?, 0)?)
}

/// The entries of all ranks in the order of the global batch, as [`gather_samples`] has them.
///
/// # Errors
/// [`EngineError::Mismatch`] on all ranks if they do not have as many as they should.
pub fn gather_list<T: Clone + Serialize + DeserializeOwned>(ranks: &dyn Communicator, own: &[T]) -> Result<Vec<T>> {
    if ranks.is_alone() {
        return Ok(own.to_vec());
    }
    let format = |e| EngineError::format("a list to gather", e);
    let messages = ranks.all_gather(&serde_json::to_vec(own).map_err(format)?)?;
    let lists: Vec<Vec<T>> = messages
        .iter()
        .map(|bytes| serde_json::from_slice(bytes))
        .collect::<std::result::Result<_, _>>()
        .map_err(format)?;
    let counts: Vec<usize> = lists.iter().map(Vec::len).collect();
    Ok(deal(&counts)?.into_iter().map(|(rank, i)| lists[rank][i].clone()).collect())
}

/// The tensor of the rank `root`, on this rank's device; what the others bring is forgotten. It has no gradient.
///
/// # Errors
/// [`EngineError::Core`] if a rank is gone.
pub fn broadcast_tensor(ranks: &dyn Communicator, root: usize, tensor: &Tensor) -> Result<Tensor> {
    if ranks.is_alone() {
        return Ok(tensor.detach());
    }
    let own = if ranks.rank() == root { encode(tensor)? } else { Vec::new() };
    let message = ranks.broadcast(root, own)?;
    let (head, data) = decode(&message)?;
    let dtype: DType =
        head.dtype.parse().map_err(|_| EngineError::mismatch("type of a tensor", &head.dtype, "a known one"))?;
    Ok(Tensor::from_raw_buffer(data, dtype, &head.dims, tensor.device())?)
}

/// Rank and place of every sample of a global batch of which the ranks have so many.
fn deal(counts: &[usize]) -> Result<Vec<(usize, usize)>> {
    let (n, size) = (counts.iter().sum::<usize>(), counts.len());
    match (0..size).find(|&rank| counts[rank] != (n + size - 1 - rank) / size) {
        Some(rank) => {
            let found = format!("{} on rank {rank} of {size}", counts[rank]);
            let expected = format!("{}, its share of {n}", (n + size - 1 - rank) / size);
            Err(EngineError::mismatch("samples to gather", found, expected))
        }
        None => Ok((0..n).map(|i| (i % size, i / size)).collect()),
    }
}

fn encode(tensor: &Tensor) -> Result<Vec<u8>> {
    let tensor = tensor.contiguous()?;
    let head = Head { dtype: tensor.dtype().as_str().to_owned(), dims: tensor.dims().to_vec() };
    let mut bytes = serde_json::to_vec(&head).map_err(|e| EngineError::format("a tensor to send", e))?;
    bytes.push(b'\n');
    bytes.extend_from_slice(&tensor.data());
    Ok(bytes)
}

fn decode(message: &[u8]) -> Result<(Head, &[u8])> {
    let end = message.iter().position(|&b| b == b'\n').unwrap_or(message.len());
    let head = serde_json::from_slice(&message[..end]).map_err(|e| EngineError::format("a tensor that came", e))?;
    Ok((head, message.get(end + 1..).unwrap_or_default()))
}
