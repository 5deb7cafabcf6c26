//! Convolution layer.

use super::{BatchNorm2d, Mode};
use crate::{
    Init, Result, Scope, Tensor,
    ops::{self, Activation, Conv2dParams},
};

/// How a [`Conv2d`] is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv2dConfig {
    /// (vertical, horizontal).
    pub kernel_size: (usize, usize),
    /// Stride, padding, dilation and groups.
    pub params: Conv2dParams,
    /// Whether a bias is added.
    pub bias: bool,
    /// How the weight begins.
    pub init: Init,
    /// How the bias begins; PyTorch's default without it.
    pub bias_init: Option<Init>,
}

impl Conv2dConfig {
    /// A square kernel without padding, with PyTorch's defaults for the rest.
    pub fn square(kernel_size: usize) -> Self {
        Self {
            kernel_size: (kernel_size, kernel_size),
            params: Conv2dParams::default(),
            bias: true,
            init: Init::KAIMING_UNIFORM,
            bias_init: None,
        }
    }

    /// A square kernel of odd size, padded so that the map keeps its size.
    pub fn same(kernel_size: usize) -> Self {
        Self::square(kernel_size).padding(kernel_size / 2)
    }

    /// With this padding on every side.
    #[must_use]
    pub fn padding(mut self, padding: usize) -> Self {
        self.params.padding = (padding, padding);
        self
    }

    /// With this stride in both directions.
    #[must_use]
    pub fn stride(mut self, stride: usize) -> Self {
        self.params.stride = (stride, stride);
        self
    }

    /// With kernel elements this far apart in both directions.
    #[must_use]
    pub fn dilation(mut self, dilation: usize) -> Self {
        self.params.dilation = (dilation, dilation);
        self
    }

    /// With this many groups of channels, each convolved by itself.
    #[must_use]
    pub fn groups(mut self, groups: usize) -> Self {
        self.params.groups = groups;
        self
    }

    /// Without a bias, as before a batch normalisation.
    #[must_use]
    pub fn without_bias(mut self) -> Self {
        self.bias = false;
        self
    }

    /// With a weight that begins so.
    #[must_use]
    pub fn init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    /// With a bias that begins so.
    #[must_use]
    pub fn bias_init(mut self, init: Init) -> Self {
        self.bias_init = Some(init);
        self
    }
}

/// A convolution with its `weight` and `bias`.
#[derive(Clone, Debug)]
pub struct Conv2d {
    weight: Tensor,
    bias: Option<Tensor>,
    params: Conv2dParams,
}

impl Conv2d {
    /// From `c_in` to `c_out` channels.
    ///
    /// # Errors
    /// As [`Scope::param`].
    pub fn new(scope: &Scope, (c_in, c_out): (usize, usize), config: &Conv2dConfig) -> Result<Self> {
        let (kh, kw) = config.kernel_size;
        let c_group = c_in / config.params.groups.max(1);
        let weight = scope.param("weight", (c_out, c_group, kh, kw), config.init)?;
        let bias = config.bias_init.unwrap_or(Init::Bias { fan_in: c_group * kh * kw });
        let bias = config.bias.then(|| scope.param("bias", c_out, bias)).transpose()?;
        Ok(Self { weight, bias, params: config.params })
    }

    /// The same layer, whose weight and bias get no gradient.
    #[must_use]
    pub fn frozen(self) -> Self {
        Self { weight: self.weight.detach(), bias: self.bias.map(|bias| bias.detach()), ..self }
    }

    /// `(N, C_in, H, W)` → `(N, C_out, H_out, W_out)`; see [`ops::conv2d`].
    ///
    /// # Errors
    /// As [`ops::conv2d`].
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::conv2d(x, &self.weight, self.bias.as_ref(), &self.params)
    }

    /// The convolution and the batch normalisation behind it; in evaluation one pass where no gradient is asked for.
    ///
    /// # Errors
    /// As [`Self::forward`] and [`BatchNorm2d::forward`].
    pub fn forward_norm(
        &self,
        x: &Tensor,
        norm: &BatchNorm2d,
        mode: Mode,
        activation: Activation<'_>,
    ) -> Result<Tensor> {
        match (&self.bias, norm.frozen(mode)) {
            (None, Some(norm)) => ops::conv2d_batch_norm_eval(x, &self.weight, &self.params, &norm, activation),
            _ => norm.forward_with(&self.forward(x)?, mode, activation),
        }
    }
}
