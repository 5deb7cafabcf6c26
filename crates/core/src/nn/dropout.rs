//! Dropout layer.

use super::Mode;
use crate::{Result, Rng, Tensor, ops};

/// Dropout with probability `p`; the stream it draws from is the caller's, who can store it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    p: f64,
}

impl Dropout {
    /// Drops each element with probability `p`, `0 ≤ p < 1`, which the first use checks.
    pub fn new(p: f64) -> Self {
        Self { p }
    }

    /// Any shape → the same.
    ///
    /// # Errors
    /// As [`ops::dropout`].
    pub fn forward(&self, x: &Tensor, mode: Mode, rng: &mut Rng) -> Result<Tensor> {
        match mode {
            Mode::Train => ops::dropout(x, self.p, rng),
            Mode::Eval => Ok(x.clone()),
        }
    }
}
