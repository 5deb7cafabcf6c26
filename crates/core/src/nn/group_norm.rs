//! Group normalisation layer.

use crate::{Init, Result, Scope, Tensor, ops};

/// Group normalisation with `weight` and `bias`; eps 1e-5.
#[derive(Clone, Debug)]
pub struct GroupNorm {
    num_groups: usize,
    weight: Tensor,
    bias: Tensor,
}

const EPS: f64 = 1e-5;

impl GroupNorm {
    /// Over `num_groups` groups of `channels` channels, which they have to divide; the first use checks it.
    ///
    /// # Errors
    /// As [`Scope::param`].
    pub fn new(scope: &Scope, num_groups: usize, channels: usize) -> Result<Self> {
        let weight = scope.param("weight", channels, Init::ONES)?;
        Ok(Self { num_groups, weight, bias: scope.param("bias", channels, Init::ZEROS)? })
    }

    /// `(N, C, …)` → the same; see [`ops::group_norm`].
    ///
    /// # Errors
    /// As [`ops::group_norm`].
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::group_norm(x, self.num_groups, &self.weight, &self.bias, EPS)
    }
}
