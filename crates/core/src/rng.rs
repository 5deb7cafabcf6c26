//! Seeded streams of random numbers, one a purpose.

use rand::{Rng as _, SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{DType, Device, Result, Shape, Tensor};

/// A stream of random numbers that depends on its seed, its purpose and its keys alone.
///
/// Streams of different purposes are independent, so that one more draw for augmentation changes no initial weight.
/// [`Rng::keyed`] gives every sample of every epoch a stream of its own, whoever draws from it and in whatever order.
///
/// ```
/// use sconce_core::Rng;
/// let mut a = Rng::new(7, "dropout");
/// let mut b = Rng::new(7, "dropout");
/// assert_eq!(a.uniform(0.0, 1.0), b.uniform(0.0, 1.0));
/// assert_ne!(Rng::new(7, "shuffle").below(1 << 40), a.below(1 << 40));
/// ```
#[derive(Clone, Debug)]
pub struct Rng(ChaCha8Rng);

/// Where a stream stands, for a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RngState {
    key: [u8; 32],
    position: u64,
}

impl Rng {
    /// The stream of `seed` for `purpose`.
    pub fn new(seed: u64, purpose: &str) -> Self {
        Self::keyed(seed, purpose, [0, 0])
    }

    /// The stream of `seed` for `purpose` at `keys`, such as `[epoch, sample]`.
    pub fn keyed(seed: u64, purpose: &str, keys: [u64; 2]) -> Self {
        let words = [seed, fnv1a(purpose.as_bytes()), keys[0], keys[1]];
        let mut key = [0; 32];
        for (bytes, word) in key.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// A stream of its own for `purpose`, keyed by what this one draws next: however much is drawn from it, this one is shifted
    /// by the fork alone.
    #[must_use]
    pub fn fork(&mut self, purpose: &str) -> Self {
        let seed = self.0.random();
        Self::keyed(seed, purpose, [self.0.random(), 0])
    }

    /// Uniform in `[low, high)`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.random::<f64>()
    }

    /// Normal with mean 0 and variance 1.
    pub fn normal(&mut self) -> f64 {
        self.0.sample(rand_distr::StandardNormal)
    }

    /// Uniform among `0..n`; 0 for an empty range.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { self.0.random_range(0..n) }
    }

    /// True with probability `p`.
    pub fn bernoulli(&mut self, p: f64) -> bool {
        self.0.random::<f64>() < p
    }

    /// Puts `items` in a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        items.shuffle(&mut self.0);
    }

    /// `0..n` in a random order.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }

    /// A tensor of uniform draws from `[low, high)`, drawn on the host.
    pub fn uniform_tensor(
        &mut self,
        (low, high): (f64, f64),
        shape: impl Into<Shape>,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        self.tensor(shape.into(), dtype, device, |rng| rng.uniform(low, high))
    }

    /// A tensor of normal draws, drawn on the host.
    pub fn normal_tensor(
        &mut self,
        (mean, std): (f64, f64),
        shape: impl Into<Shape>,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        self.tensor(shape.into(), dtype, device, |rng| mean + std * rng.normal())
    }

    fn tensor(
        &mut self,
        shape: Shape,
        dtype: DType,
        device: &Device,
        mut draw: impl FnMut(&mut Self) -> f64,
    ) -> Result<Tensor> {
        let values: Vec<f64> = (0..shape.elem_count()).map(|_| draw(self)).collect();
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?.to_device(device)?)
    }

    /// Where the stream stands.
    pub fn state(&self) -> RngState {
        RngState { key: self.0.get_seed(), position: self.0.get_word_pos() as u64 }
    }
}

impl From<&RngState> for Rng {
    fn from(state: &RngState) -> Self {
        let mut rng = ChaCha8Rng::from_seed(state.key);
        rng.set_word_pos(state.position.into());
        Self(rng)
    }
}

/// The 64-bit FNV-1a hash, to turn the name of a purpose into a key.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_state_goes_on_where_it_stood() {
        let mut rng = Rng::new(3, "test");
        for _ in 0..17 {
            rng.normal();
        }
        let state = rng.state();
        let next = rng.uniform(0.0, 1.0);
        assert_eq!(Rng::from(&state).uniform(0.0, 1.0), next);
    }

    #[test]
    fn forks_differ_and_do_not_shift_what_they_come_from() {
        let next = |n_draws: usize| {
            let mut rng = Rng::new(3, "test");
            let mut fork = rng.fork("a");
            let drawn: Vec<usize> = (0..n_draws).map(|_| fork.below(usize::MAX)).collect();
            (drawn.first().copied(), rng.below(usize::MAX))
        };
        assert_eq!(next(0).1, next(17).1);
        assert_ne!(next(1).0, Some(next(1).1));
        let mut rng = Rng::new(3, "test");
        let first = |mut rng: Rng| rng.below(usize::MAX);
        assert_ne!(first(rng.clone().fork("a")), first(rng.clone().fork("b")));
        assert_ne!(first(rng.fork("a")), first(rng.fork("a")));
    }

    #[test]
    fn seed_purpose_and_each_key_select_the_stream() {
        let first = |mut rng: Rng| rng.below(usize::MAX);
        let base = first(Rng::keyed(1, "a", [2, 3]));
        for other in [
            Rng::keyed(2, "a", [2, 3]),
            Rng::keyed(1, "b", [2, 3]),
            Rng::keyed(1, "a", [3, 3]),
            Rng::keyed(1, "a", [2, 2]),
        ] {
            assert_ne!(first(other), base);
        }
    }
}
