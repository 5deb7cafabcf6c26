//! VGG networks (Simonyan & Zisserman, 2015), with torchvision's parameter names.

mod classifier;
mod config;

use std::ops::Range;

use sconce_core::{
    Init, Result, Scope, Tensor,
    nn::{BatchNorm2d, BatchNormKind, Conv2d, Conv2dConfig, Mode},
    ops::{self, Activation, MaxPool2dParams},
};

pub use classifier::{VggClassifier, VggHead, VggHeadConfig};
pub use config::{VggConfig, VggNorm};

/// A convolution, perhaps a batch normalisation, and a ReLU.
#[derive(Clone, Debug)]
struct Layer {
    conv: Conv2d,
    norm: Option<BatchNorm2d>,
}

impl Layer {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let y = self.conv.forward(x)?;
        match &self.norm {
            None => ops::relu(&y),
            Some(norm) => norm.forward_with(&y, mode, Activation::Relu),
        }
    }
}

/// The convolutions of a VGG network: torchvision's `features`, without the pooling after the last stage.
#[derive(Clone, Debug)]
pub struct Vgg {
    stages: Vec<Vec<Layer>>,
    channels: [usize; 5],
}

impl Vgg {
    /// Builds or finds the parameters in `scope`: `features.0.weight`, `features.0.bias`, `features.2.weight`, ….
    ///
    /// # Errors
    /// [`Error::Argument`](sconce_core::Error::Argument) for a configuration without sense, else as [`Scope::param`].
    pub fn new(scope: &Scope, config: &VggConfig) -> Result<Self> {
        config.check()?;
        let scope = scope.pp("features");
        let (mut place, mut c_in) = (0, config.in_channels);
        let mut stages = Vec::new();
        for (stage, (&n, c_out)) in
            config.convolutions.iter().zip(config.channels()).take_while(|(n, _)| **n > 0).enumerate()
        {
            let is_frozen = stage < config.frozen_stages;
            let mut layers = Vec::new();
            for _ in 0..n {
                let settings = Conv2dConfig::same(3).init(Init::KAIMING_NORMAL_FAN_OUT).bias_init(Init::ZEROS);
                let conv = Conv2d::new(&scope.pp(place), (c_in, c_out), &settings)?;
                let conv = if is_frozen { conv.frozen() } else { conv };
                let norm = match config.batch_norm.kind() {
                    None => None,
                    Some(kind) => {
                        place += 1;
                        let kind = if is_frozen { BatchNormKind::Frozen } else { kind };
                        Some(BatchNorm2d::new(&scope.pp(place), c_out)?.kind(kind))
                    }
                };
                layers.push(Layer { conv, norm });
                // A ReLU has a place in torchvision's sequence too.
                (place, c_in) = (place + 2, c_out);
            }
            place += 1;
            stages.push(layers);
        }
        Ok(Self { stages, channels: config.channels() })
    }

    /// Channels of the five stages.
    pub fn channels(&self) -> [usize; 5] {
        self.channels
    }

    /// The output of each stage after its last ReLU: conv1_2, conv2_2, conv3_3, conv4_3, conv5_3 of VGG-16. Without batch
    /// normalisations [`Mode`] makes no difference.
    ///
    /// # Shapes
    /// - `x`: `(N, in_channels, H, W)`, at least 16×16
    /// - output `i`: `(N, channels[i], ⌊H / 2ⁱ⌋, ⌊W / 2ⁱ⌋)`
    ///
    /// # Errors
    /// If `x` does not fit.
    pub fn features(&self, x: &Tensor, mode: Mode) -> Result<Vec<Tensor>> {
        let mut features: Vec<Tensor> = Vec::new();
        for layers in &self.stages {
            let start = match features.last() {
                None => x.clone(),
                Some(last) => pool(last)?,
            };
            features.push(layers.iter().try_fold(start, |y, layer| layer.forward(&y, mode))?);
        }
        Ok(features)
    }

    /// The convolutions of `range` alone, counted from 0 through all stages, each with its ReLU, and the pooling before each
    /// that begins a stage: `0..6` of VGG-16 ends with conv3_2, and `6..13` goes on from there to conv5_3.
    ///
    /// # Shapes
    /// - `x`: the network's input, or what the convolution before the range gives
    /// - output: what its last convolution gives
    ///
    /// # Errors
    /// If there are no such convolutions or `x` does not fit.
    pub fn convolutions(&self, x: &Tensor, range: Range<usize>, mode: Mode) -> Result<Tensor> {
        let layers: Vec<(bool, &Layer)> = self
            .stages
            .iter()
            .enumerate()
            .flat_map(|(stage, layers)| layers.iter().enumerate().map(move |(i, layer)| (stage > 0 && i == 0, layer)))
            .collect();
        let Some(layers) = layers.get(range.clone()) else {
            let expected = format!("within the {} that there are", layers.len());
            return Err(sconce_core::Error::argument("Vgg", "a range of convolutions", range, expected));
        };
        layers.iter().try_fold(x.clone(), |y, (begins_stage, layer)| {
            layer.forward(&if *begins_stage { pool(&y)? } else { y }, mode)
        })
    }
}

/// The pooling after a stage.
fn pool(x: &Tensor) -> Result<Tensor> {
    ops::max_pool2d(x, &MaxPool2dParams::square(2, 2, 0))
}
