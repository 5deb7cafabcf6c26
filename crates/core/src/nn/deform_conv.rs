//! Deformable convolution layer.

use crate::{Init, Result, Scope, Tensor, ops, ops::DeformConv2dParams};

/// How a [`DeformConv2d`] is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeformConv2dConfig {
    /// (vertical, horizontal).
    pub kernel_size: (usize, usize),
    /// Stride, padding and dilation.
    pub params: DeformConv2dParams,
    /// Independent groups of channels.
    pub groups: usize,
    /// Whether a bias is added.
    pub bias: bool,
    /// How the weight begins.
    pub init: Init,
}

impl DeformConv2dConfig {
    /// A square kernel without padding, with torchvision's defaults for the rest.
    pub fn square(kernel_size: usize) -> Self {
        Self {
            kernel_size: (kernel_size, kernel_size),
            params: DeformConv2dParams::default(),
            groups: 1,
            bias: true,
            init: Init::KAIMING_UNIFORM,
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

/// A deformable convolution with its `weight` and `bias`; offsets and mask come from elsewhere.
#[derive(Clone, Debug)]
pub struct DeformConv2d {
    weight: Tensor,
    bias: Option<Tensor>,
    params: DeformConv2dParams,
}

impl DeformConv2d {
    /// From `c_in` to `c_out` channels.
    ///
    /// # Errors
    /// As [`Scope::param`].
    pub fn new(scope: &Scope, (c_in, c_out): (usize, usize), config: &DeformConv2dConfig) -> Result<Self> {
        let (kh, kw) = config.kernel_size;
        let c_group = c_in / config.groups.max(1);
        let weight = scope.param("weight", (c_out, c_group, kh, kw), config.init)?;
        let bias = Init::Bias { fan_in: c_group * kh * kw };
        let bias = config.bias.then(|| scope.param("bias", c_out, bias)).transpose()?;
        Ok(Self { weight, bias, params: config.params })
    }

    /// `(N, C_in, H, W)` with `offset` and perhaps a `mask` for every output → `(N, C_out, H_out, W_out)`; see
    /// [`ops::deform_conv2d`].
    ///
    /// # Errors
    /// As [`ops::deform_conv2d`].
    pub fn forward(&self, x: &Tensor, offset: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        ops::deform_conv2d(x, offset, &self.weight, self.bias.as_ref(), mask, &self.params)
    }
}
