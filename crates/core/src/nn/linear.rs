//! Fully connected layer.

use crate::{Init, Result, Scope, Tensor, ops};

/// A linear map with its `weight` and `bias`, which begin as PyTorch's.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// From `n_in` to `n_out` features.
    ///
    /// # Errors
    /// As [`Scope::param`].
    pub fn new(scope: &Scope, (n_in, n_out): (usize, usize)) -> Result<Self> {
        Self::with_init(scope, (n_in, n_out), (Init::KAIMING_UNIFORM, Init::Bias { fan_in: n_in }))
    }

    /// From `n_in` to `n_out` features, with a weight and a bias that begin so.
    ///
    /// # Errors
    /// As [`Scope::param`].
    pub fn with_init(scope: &Scope, (n_in, n_out): (usize, usize), (weight, bias): (Init, Init)) -> Result<Self> {
        Ok(Self { weight: scope.param("weight", (n_out, n_in), weight)?, bias: scope.param("bias", n_out, bias)? })
    }

    /// `(…, n_in)` → `(…, n_out)`.
    ///
    /// # Errors
    /// As [`ops::linear`].
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::linear(x, &self.weight, Some(&self.bias))
    }
}
