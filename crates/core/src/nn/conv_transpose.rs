//! Transposed convolution layer.

use crate::{Init, Result, Scope, Tensor, ops, ops::ConvTranspose2dParams};

/// How a [`ConvTranspose2d`] is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConvTranspose2dConfig {
    /// (vertical, horizontal).
    pub kernel_size: (usize, usize),
    /// Stride, padding, output padding, dilation and groups.
    pub params: ConvTranspose2dParams,
    /// Whether a bias is added.
    pub bias: bool,
    /// How the weight begins.
    pub init: Init,
}

impl ConvTranspose2dConfig {
    /// A square kernel without padding, with PyTorch's defaults for the rest.
    pub fn square(kernel_size: usize) -> Self {
        Self {
            kernel_size: (kernel_size, kernel_size),
            params: ConvTranspose2dParams::default(),
            bias: true,
            init: Init::KAIMING_UNIFORM,
        }
    }

    /// With so much cut off on every side.
    #[must_use]
    pub fn padding(mut self, padding: usize) -> Self {
        self.params.padding = (padding, padding);
        self
    }

    /// With so much added at the end of both directions.
    #[must_use]
    pub fn output_padding(mut self, output_padding: usize) -> Self {
        self.params.output_padding = (output_padding, output_padding);
        self
    }

    /// With this stride in both directions.
    #[must_use]
    pub fn stride(mut self, stride: usize) -> Self {
        self.params.stride = (stride, stride);
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
}

/// A transposed convolution with its `weight` and `bias`.
#[derive(Clone, Debug)]
pub struct ConvTranspose2d {
    weight: Tensor,
    bias: Option<Tensor>,
    params: ConvTranspose2dParams,
}

impl ConvTranspose2d {
    /// From `c_in` to `c_out` channels.
    ///
    /// As in PyTorch the fan-in of the initial values is that of a weight `(out, in, …)`, although this one is `(in, out, …)`.
    ///
    /// # Errors
    /// As [`Scope::param`].
    pub fn new(scope: &Scope, (c_in, c_out): (usize, usize), config: &ConvTranspose2dConfig) -> Result<Self> {
        let (kh, kw) = config.kernel_size;
        let c_group = c_out / config.params.groups.max(1);
        let weight = scope.param("weight", (c_in, c_group, kh, kw), config.init)?;
        let bias = Init::Bias { fan_in: c_group * kh * kw };
        let bias = config.bias.then(|| scope.param("bias", c_out, bias)).transpose()?;
        Ok(Self { weight, bias, params: config.params })
    }

    /// `(N, C_in, H, W)` → `(N, C_out, H_out, W_out)`; see [`ops::conv_transpose2d`].
    ///
    /// # Errors
    /// As [`ops::conv_transpose2d`].
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::conv_transpose2d(x, &self.weight, self.bias.as_ref(), &self.params)
    }
}
