//! Residual networks (He et al., 2016), with torchvision's parameter names.

use sconce_core::{
    Error, Init, Result, Scope, Tensor,
    nn::{BatchNorm2d, Conv2d, Conv2dConfig, Linear, Mode},
    ops::{self, Activation, MaxPool2dParams},
};
use serde::{Deserialize, Serialize};

/// How a [`ResNet`] is built.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResNetConfig {
    /// Channels of the input: 3 for colour.
    pub in_channels: usize,
    /// What comes before the first stage.
    pub stem: Stem,
    /// What a residual block is made of.
    #[serde(default)]
    pub block: Block,
    /// Residual blocks of each stage.
    pub blocks: [usize; 4],
    /// Channels of the first stage, within its blocks, as a multiple of 64; each later stage doubles them.
    pub width: f64,
}

/// What a residual block is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Block {
    /// Two 3×3 convolutions.
    #[default]
    Basic,
    /// A 1×1, a 3×3 and a 1×1 convolution to four times the channels; the 3×3 one has the stride, as in torchvision
    /// (He et al. give it to the first).
    Bottleneck,
}

impl Block {
    /// Channels after a block over those within it.
    fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

/// What comes before the first stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stem {
    /// A 7×7 convolution with stride 2 and a 3×3 max-pool with stride 2: a quarter of the input's size.
    ImageNet,
    /// A 3×3 convolution at the input's size, for small images.
    Cifar,
}

impl ResNetConfig {
    /// ResNet-18 for colour images with the ImageNet stem (He et al., 2016, table 1).
    pub fn resnet18() -> Self {
        Self { in_channels: 3, stem: Stem::ImageNet, block: Block::Basic, blocks: [2, 2, 2, 2], width: 1.0 }
    }

    /// ResNet-50 for colour images with the ImageNet stem (He et al., 2016, table 1).
    pub fn resnet50() -> Self {
        Self { block: Block::Bottleneck, blocks: [3, 4, 6, 3], ..Self::resnet18() }
    }

    /// Channels of the four stages.
    pub fn channels(&self) -> [usize; 4] {
        self.widths().map(|width| width * self.block.expansion())
    }

    /// Channels within the blocks of the four stages.
    fn widths(&self) -> [usize; 4] {
        let first = (64.0 * self.width).round().max(1.0) as usize;
        [first, 2 * first, 4 * first, 8 * first]
    }

    fn check(&self) -> Result<()> {
        const OP: &str = "ResNetConfig";
        if self.in_channels == 0 || self.blocks.contains(&0) {
            return Err(Error::argument(OP, "in_channels and blocks", (self.in_channels, self.blocks), "at least 1"));
        }
        if !(self.width > 0.0 && self.width <= 64.0) {
            return Err(Error::argument(OP, "width", self.width, "more than 0 and at most 64"));
        }
        Ok(())
    }
}

/// A residual network without its classifier.
#[derive(Clone, Debug)]
pub struct ResNet {
    stem: Stem,
    conv1: Conv2d,
    bn1: BatchNorm2d,
    layers: [Vec<ResidualBlock>; 4],
    channels: [usize; 4],
}

impl ResNet {
    /// Builds or finds the network's parameters in `scope`: `conv1.weight`, `bn1.*`, `layer1.0.conv1.weight`, …
    ///
    /// # Errors
    /// [`Error::Argument`] for a configuration without sense, else as [`Scope::param`].
    pub fn new(scope: &Scope, config: &ResNetConfig) -> Result<Self> {
        config.check()?;
        let (widths, channels) = (config.widths(), config.channels());
        let stem = match config.stem {
            Stem::ImageNet => Conv2dConfig::same(7).stride(2),
            Stem::Cifar => Conv2dConfig::same(3),
        };
        let conv1 = Conv2d::new(&scope.pp("conv1"), (config.in_channels, widths[0]), &weight(stem))?;
        let bn1 = BatchNorm2d::new(&scope.pp("bn1"), widths[0])?;
        let layer = |stage: usize| -> Result<Vec<ResidualBlock>> {
            let scope = scope.pp(format_args!("layer{}", stage + 1));
            (0..config.blocks[stage])
                .map(|i| {
                    let (c_in, stride) = match (stage, i) {
                        (0, 0) => (widths[0], 1),
                        (_, 0) => (channels[stage - 1], 2),
                        _ => (channels[stage], 1),
                    };
                    ResidualBlock::new(&scope.pp(i), config.block, (c_in, widths[stage], channels[stage]), stride)
                })
                .collect()
        };
        let layers = [layer(0)?, layer(1)?, layer(2)?, layer(3)?];
        Ok(Self { stem: config.stem, conv1, bn1, layers, channels })
    }

    /// Channels of the four stages.
    pub fn channels(&self) -> [usize; 4] {
        self.channels
    }

    /// The output of each stage.
    ///
    /// # Shapes
    /// - `x`: `(N, in_channels, H, W)`
    /// - output `i`: `(N, channels[i], H / sᵢ, W / sᵢ)`, rounded up, with `s` = 4, 8, 16, 32, or 1, 2, 4, 8 for the CIFAR stem
    ///
    /// # Errors
    /// If `x` does not fit.
    pub fn features(&self, x: &Tensor, mode: Mode) -> Result<[Tensor; 4]> {
        let mut y = self.conv1.forward_norm(x, &self.bn1, mode, Activation::Relu)?;
        if self.stem == Stem::ImageNet {
            y = ops::max_pool2d(&y, &MaxPool2dParams::square(3, 2, 1))?;
        }
        let mut stage = |blocks: &[ResidualBlock]| -> Result<Tensor> {
            for block in blocks {
                y = block.forward(&y, mode)?;
            }
            Ok(y.clone())
        };
        let [one, two, three, four] = &self.layers;
        Ok([stage(one)?, stage(two)?, stage(three)?, stage(four)?])
    }

    /// The mean of the last stage over all positions.
    ///
    /// # Shapes
    /// - `x`: `(N, in_channels, H, W)`
    /// - output: `(N, channels[3])`
    ///
    /// # Errors
    /// If `x` does not fit.
    pub fn pooled(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let [.., last] = self.features(x, mode)?;
        Ok(ops::adaptive_avg_pool2d(&last, (1, 1))?.flatten_from(1)?)
    }
}

/// A [`ResNet`] with a linear classifier `fc`: torchvision's `resnet18` and its kin, name for name.
#[derive(Clone, Debug)]
pub struct ResNetClassifier {
    backbone: ResNet,
    fc: Linear,
}

impl ResNetClassifier {
    /// Builds or finds the parameters in `scope`.
    ///
    /// # Errors
    /// As [`ResNet::new`].
    pub fn new(scope: &Scope, config: &ResNetConfig, n_classes: usize) -> Result<Self> {
        let backbone = ResNet::new(scope, config)?;
        let fc = Linear::new(&scope.pp("fc"), (backbone.channels()[3], n_classes))?;
        Ok(Self { backbone, fc })
    }

    /// `(N, in_channels, H, W)` → logits `(N, n_classes)`.
    ///
    /// # Errors
    /// If `x` does not fit.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.fc.forward(&self.backbone.pooled(x, mode)?)
    }
}

/// A convolution before a batch normalisation, which begins as torchvision's.
fn weight(config: Conv2dConfig) -> Conv2dConfig {
    config.without_bias().init(Init::KAIMING_NORMAL_FAN_OUT)
}

/// Some convolutions and a short cut.
#[derive(Clone, Debug)]
struct ResidualBlock {
    layers: Vec<(Conv2d, BatchNorm2d)>,
    downsample: Option<(Conv2d, BatchNorm2d)>,
}

impl ResidualBlock {
    fn new(scope: &Scope, block: Block, (c_in, width, c_out): (usize, usize, usize), stride: usize) -> Result<Self> {
        let layer = |conv: &str, norm: &str, (c_in, c_out), config| -> Result<_> {
            let conv = Conv2d::new(&scope.pp(conv), (c_in, c_out), &weight(config))?;
            Ok((conv, BatchNorm2d::new(&scope.pp(norm), c_out)?))
        };
        let (same, point) = (Conv2dConfig::same(3), Conv2dConfig::square(1));
        let layers = match block {
            Block::Basic => vec![
                layer("conv1", "bn1", (c_in, width), same.stride(stride))?,
                layer("conv2", "bn2", (width, c_out), same)?,
            ],
            Block::Bottleneck => vec![
                layer("conv1", "bn1", (c_in, width), point)?,
                layer("conv2", "bn2", (width, width), same.stride(stride))?,
                layer("conv3", "bn3", (width, c_out), point)?,
            ],
        };
        let downsample = (stride != 1 || c_in != c_out)
            .then(|| layer("downsample.0", "downsample.1", (c_in, c_out), point.stride(stride)))
            .transpose()?;
        Ok(Self { layers, downsample })
    }

    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let short_cut = match &self.downsample {
            None => x.clone(),
            Some((conv, norm)) => conv.forward_norm(x, norm, mode, Activation::None)?,
        };
        let mut y = x.clone();
        for (i, (conv, norm)) in self.layers.iter().enumerate() {
            let is_last = i + 1 == self.layers.len();
            let activation = if is_last { Activation::AddRelu(&short_cut) } else { Activation::Relu };
            y = conv.forward_norm(&y, norm, mode, activation)?;
        }
        Ok(y)
    }
}
