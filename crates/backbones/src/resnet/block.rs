//! Residual blocks.

use sconce_core::{
    Init, Result, Scope, Tensor,
    nn::{BatchNorm2d, BatchNormKind, Conv2d, Conv2dConfig, Mode},
    ops::Activation,
};

use super::config::{Block, ResNetConfig, StrideIn};

/// A convolution and the batch normalisation behind it.
#[derive(Clone, Debug)]
pub(super) struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm2d,
}

/// Whether a stage is trained.
#[derive(Clone, Copy, Debug)]
pub(super) struct Training {
    pub(super) is_frozen: bool,
    /// The kind of batch normalisation.
    pub(super) norm: BatchNormKind,
}

impl ConvNorm {
    /// Without a bias, with a weight that begins as torchvision's.
    pub(super) fn new(
        scope: &Scope,
        (conv, norm): (&str, &str),
        (c_in, c_out): (usize, usize),
        config: Conv2dConfig,
        training: Training,
    ) -> Result<Self> {
        let config = config.without_bias().init(Init::KAIMING_NORMAL_FAN_OUT);
        let conv = Conv2d::new(&scope.pp(conv), (c_in, c_out), &config)?;
        let norm = BatchNorm2d::new(&scope.pp(norm), c_out)?;
        Ok(if training.is_frozen {
            Self { conv: conv.frozen(), norm: norm.kind(BatchNormKind::Frozen) }
        } else {
            Self { conv, norm: norm.kind(training.norm) }
        })
    }

    pub(super) fn forward(&self, x: &Tensor, mode: Mode, activation: Activation<'_>) -> Result<Tensor> {
        self.conv.forward_norm(x, &self.norm, mode, activation)
    }
}

/// Where a block stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockPlace {
    pub(super) c_in: usize,
    /// Channels of the 3×3 convolution.
    pub(super) inner: usize,
    pub(super) c_out: usize,
    pub(super) stride: usize,
    pub(super) dilation: usize,
}

/// Some convolutions and a short cut.
#[derive(Clone, Debug)]
pub(super) struct ResidualBlock {
    layers: Vec<ConvNorm>,
    downsample: Option<ConvNorm>,
}

impl ResidualBlock {
    pub(super) fn new(scope: &Scope, config: &ResNetConfig, place: BlockPlace, training: Training) -> Result<Self> {
        let BlockPlace { c_in, inner, c_out, stride, dilation } = place;
        let layer = |names, channels, config| ConvNorm::new(scope, names, channels, config, training);
        let (same, point) = (Conv2dConfig::same(3), Conv2dConfig::square(1));
        let layers = match config.block {
            Block::Basic => vec![
                layer(("conv1", "bn1"), (c_in, inner), same.stride(stride))?,
                layer(("conv2", "bn2"), (inner, c_out), same)?,
            ],
            Block::Bottleneck => {
                let (first, second) = match config.stride_in {
                    StrideIn::Conv1x1 => (stride, 1),
                    StrideIn::Conv3x3 => (1, stride),
                };
                let wide = same.stride(second).padding(dilation).dilation(dilation).groups(config.groups);
                vec![
                    layer(("conv1", "bn1"), (c_in, inner), point.stride(first))?,
                    layer(("conv2", "bn2"), (inner, inner), wide)?,
                    layer(("conv3", "bn3"), (inner, c_out), point)?,
                ]
            }
        };
        let downsample = (stride != 1 || c_in != c_out)
            .then(|| layer(("downsample.0", "downsample.1"), (c_in, c_out), point.stride(stride)))
            .transpose()?;
        Ok(Self { layers, downsample })
    }

    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let short_cut = match &self.downsample {
            None => x.clone(),
            Some(layer) => layer.forward(x, mode, Activation::None)?,
        };
        let mut y = x.clone();
        for (i, layer) in self.layers.iter().enumerate() {
            let is_last = i + 1 == self.layers.len();
            y = layer.forward(&y, mode, if is_last { Activation::AddRelu(&short_cut) } else { Activation::Relu })?;
        }
        Ok(y)
    }
}
