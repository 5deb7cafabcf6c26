//! Residual networks (He et al., 2016; Xie et al., 2017), with torchvision's parameter names.

mod block;
mod config;

use sconce_core::{
    Result, Scope, Tensor,
    nn::{Conv2dConfig, Linear, Mode},
    ops::{self, Activation, MaxPool2dParams},
};

use block::{BlockPlace, ConvNorm, ResidualBlock, Training};
pub use config::{Block, ResNetConfig, Stem, StrideIn};

/// A residual network without its classifier.
#[derive(Clone, Debug)]
pub struct ResNet {
    conv1: ConvNorm,
    pool: Option<MaxPool2dParams>,
    layers: [Vec<ResidualBlock>; 4],
    channels: [usize; 4],
}

impl ResNet {
    /// Builds or finds the network's parameters in `scope`: `conv1.weight`, `bn1.*`, `layer1.0.conv1.weight`, …
    ///
    /// # Errors
    /// [`Error::Argument`](sconce_core::Error::Argument) for a configuration without sense, else as [`Scope::param`].
    pub fn new(scope: &Scope, config: &ResNetConfig) -> Result<Self> {
        config.validate()?;
        let training = |stage| Training { is_frozen: stage < config.frozen_stages, norm: config.batch_norm };
        let (kernel, pool) = match config.stem {
            Stem::ImageNet => (Conv2dConfig::same(7).stride(2), Some(MaxPool2dParams::square(3, 2, 1))),
            Stem::Caffe => {
                let pool = MaxPool2dParams { ceil_mode: true, ..MaxPool2dParams::square(3, 2, 0) };
                (Conv2dConfig::same(7).stride(2), Some(pool))
            }
            Stem::Cifar => (Conv2dConfig::same(3), None),
        };
        let (first, channels) = (config.widths()[0], config.channels());
        let conv1 = ConvNorm::new(scope, ("conv1", "bn1"), (config.in_channels, first), kernel, training(0))?;

        let layer = |stage: usize| -> Result<Vec<ResidualBlock>> {
            let scope = scope.pp(format_args!("layer{}", stage + 1));
            let block = |i| ResidualBlock::new(&scope.pp(i), config, place(config, stage, i), training(stage + 1));
            (0..config.blocks[stage]).map(block).collect()
        };
        let layers = [layer(0)?, layer(1)?, layer(2)?, layer(3)?];
        Ok(Self { conv1, pool, layers, channels })
    }

    /// Channels of the four stages.
    pub fn channels(&self) -> [usize; 4] {
        self.channels
    }

    /// The output of each stage.
    ///
    /// # Shapes
    /// - `x`: `(N, in_channels, H, W)`
    /// - output `i`: `(N, channels[i], H / sᵢ, W / sᵢ)`, rounded up, with `s` = 4, 8, 16, 32, or 1, 2, 4, 8 for the CIFAR stem;
    ///   a stage that is dilated instead has the size of the one before it, and the Caffe stem may have one row less
    ///
    /// # Errors
    /// If `x` does not fit.
    pub fn features(&self, x: &Tensor, mode: Mode) -> Result<[Tensor; 4]> {
        let mut y = self.stem(x, mode)?;
        let mut stage = |i: usize| -> Result<Tensor> {
            y = self.layer(i, &y, mode)?;
            Ok(y.clone())
        };
        Ok([stage(0)?, stage(1)?, stage(2)?, stage(3)?])
    }

    /// What comes before the first stage: `(N, in_channels, H, W)` → `(N, C, H / 4, W / 4)`, or of the same size for CIFAR.
    ///
    /// # Errors
    /// If `x` does not fit.
    pub fn stem(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let y = self.conv1.forward(x, mode, Activation::Relu)?;
        self.pool.as_ref().map_or(Ok(y.clone()), |pool| ops::max_pool2d(&y, pool))
    }

    /// Stage `i` alone, 0 for `layer1`; detectors run the last one on regions.
    ///
    /// # Shapes
    /// - `x`: the output of the stage before it, or of [`ResNet::stem`]
    /// - output: `(N, channels[i], H / s, W / s)`, rounded up, with a stride `s` of 1 or 2
    ///
    /// # Errors
    /// If there is no such stage or `x` does not fit.
    pub fn layer(&self, i: usize, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let Some(blocks) = self.layers.get(i) else {
            return Err(sconce_core::Error::argument("ResNet::layer", "i", i, "0 to 3"));
        };
        blocks.iter().try_fold(x.clone(), |y, block| block.forward(&y, mode))
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

/// Channels, stride and dilation of block `i` of a stage.
fn place(config: &ResNetConfig, stage: usize, i: usize) -> BlockPlace {
    let (channels, dilates) = (config.channels(), config.replace_stride_with_dilation);
    // The dilation after the stages up to `end`: each that dilates doubles it.
    let dilation_after = |end: usize| 1 << dilates[..end].iter().filter(|&&d| d).count();
    let (c_in, stride) = match (stage, i) {
        (0, 0) => (config.widths()[0], 1),
        (_, 0) => (channels[stage - 1], if dilates[stage - 1] { 1 } else { 2 }),
        _ => (channels[stage], 1),
    };
    let dilation = dilation_after(if i == 0 { stage.saturating_sub(1) } else { stage });
    BlockPlace { c_in, inner: config.inner_widths()[stage], c_out: channels[stage], stride, dilation }
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
