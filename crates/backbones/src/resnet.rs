//! Residual networks (He et al., 2016), with torchvision's parameter names.

use sconce_core::{
    Error, Init, Result, Scope, Tensor,
    nn::{BatchNorm2d, Conv2d, Conv2dConfig, Linear, Mode},
    ops::{self, MaxPool2dParams},
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
    /// Residual blocks of each stage.
    pub blocks: [usize; 4],
    /// Channels of the first stage as a multiple of 64; each later stage doubles them.
    pub width: f64,
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
        Self { in_channels: 3, stem: Stem::ImageNet, blocks: [2, 2, 2, 2], width: 1.0 }
    }

    /// Channels of the four stages.
    pub fn channels(&self) -> [usize; 4] {
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
    layers: [Vec<BasicBlock>; 4],
    channels: [usize; 4],
}

impl ResNet {
    /// Builds or finds the network's parameters in `scope`: `conv1.weight`, `bn1.*`, `layer1.0.conv1.weight`, …
    ///
    /// # Errors
    /// [`Error::Argument`] for a configuration without sense, else as [`Scope::param`].
    pub fn new(scope: &Scope, config: &ResNetConfig) -> Result<Self> {
        config.check()?;
        let channels = config.channels();
        let stem = match config.stem {
            Stem::ImageNet => Conv2dConfig::same(7).stride(2),
            Stem::Cifar => Conv2dConfig::same(3),
        };
        let conv1 = Conv2d::new(&scope.pp("conv1"), (config.in_channels, channels[0]), &weight(stem))?;
        let bn1 = BatchNorm2d::new(&scope.pp("bn1"), channels[0])?;
        let layer = |stage: usize| -> Result<Vec<BasicBlock>> {
            let scope = scope.pp(format_args!("layer{}", stage + 1));
            (0..config.blocks[stage])
                .map(|i| {
                    let (c_in, stride) = match (stage, i) {
                        (0, 0) => (channels[0], 1),
                        (_, 0) => (channels[stage - 1], 2),
                        _ => (channels[stage], 1),
                    };
                    BasicBlock::new(&scope.pp(i), c_in, channels[stage], stride)
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
        let mut y = self.bn1.forward_relu(&self.conv1.forward(x)?, mode)?;
        if self.stem == Stem::ImageNet {
            y = ops::max_pool2d(&y, &MaxPool2dParams::square(3, 2, 1))?;
        }
        let mut stage = |blocks: &[BasicBlock]| -> Result<Tensor> {
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

/// Two 3×3 convolutions and a short cut.
#[derive(Clone, Debug)]
struct BasicBlock {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    conv2: Conv2d,
    bn2: BatchNorm2d,
    downsample: Option<(Conv2d, BatchNorm2d)>,
}

impl BasicBlock {
    fn new(scope: &Scope, c_in: usize, c_out: usize, stride: usize) -> Result<Self> {
        let conv = |name, c_in, config| Conv2d::new(&scope.pp(name), (c_in, c_out), &weight(config));
        let norm = |name| BatchNorm2d::new(&scope.pp(name), c_out);
        let downsample = (stride != 1 || c_in != c_out)
            .then(|| -> Result<_> {
                let conv = conv("downsample.0", c_in, Conv2dConfig::square(1).stride(stride))?;
                Ok((conv, norm("downsample.1")?))
            })
            .transpose()?;
        Ok(Self {
            conv1: conv("conv1", c_in, Conv2dConfig::same(3).stride(stride))?,
            bn1: norm("bn1")?,
            conv2: conv("conv2", c_out, Conv2dConfig::same(3))?,
            bn2: norm("bn2")?,
            downsample,
        })
    }

    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let y = self.bn1.forward_relu(&self.conv1.forward(x)?, mode)?;
        let y = self.bn2.forward(&self.conv2.forward(&y)?, mode)?;
        match &self.downsample {
            None => ops::add_relu(&y, x),
            Some((conv, norm)) => ops::add_relu(&y, &norm.forward(&conv.forward(x)?, mode)?),
        }
    }
}
