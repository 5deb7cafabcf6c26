//! VGG networks (Simonyan & Zisserman, 2015), with torchvision's parameter names.

use sconce_core::{
    Error, Init, Result, Scope, Tensor,
    nn::{Conv2d, Conv2dConfig},
    ops::{self, MaxPool2dParams},
};
use serde::{Deserialize, Serialize};

/// How a [`Vgg`] is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VggConfig {
    /// Channels of the input: 3 for colour.
    pub in_channels: usize,
    /// 3×3 convolutions of each stage, which has 64, 128, 256, 512, 512 channels; a 2×2 max-pool stands between stages.
    pub convolutions: [usize; 5],
    /// Stages, counted from the input, whose weights have no gradient; detectors freeze two (Girshick, 2015, §4.5).
    pub frozen_stages: usize,
}

/// Channels of the five stages.
const CHANNELS: [usize; 5] = [64, 128, 256, 512, 512];

impl VggConfig {
    /// VGG-16 for colour images (Simonyan & Zisserman, 2015, table 1, D), all of it trained.
    pub fn vgg16() -> Self {
        Self { in_channels: 3, convolutions: [2, 2, 3, 3, 3], frozen_stages: 0 }
    }
}

/// The convolutions of a VGG network: torchvision's `features`, without the pooling after the last stage.
#[derive(Clone, Debug)]
pub struct Vgg {
    stages: Vec<Vec<Conv2d>>,
}

impl Vgg {
    /// Builds or finds the parameters in `scope`: `features.0.weight`, `features.0.bias`, `features.2.weight`, ….
    ///
    /// # Errors
    /// [`Error::Argument`] for a configuration without sense, else as [`Scope::param`].
    pub fn new(scope: &Scope, config: &VggConfig) -> Result<Self> {
        const OP: &str = "VggConfig";
        if config.in_channels == 0 || config.convolutions.contains(&0) {
            let found = (config.in_channels, config.convolutions);
            return Err(Error::argument(OP, "in_channels and convolutions", found, "at least 1"));
        }
        if config.frozen_stages > CHANNELS.len() {
            return Err(Error::argument(OP, "frozen_stages", config.frozen_stages, "at most 5"));
        }
        let (mut place, mut c_in) = (0, config.in_channels);
        let mut stages = Vec::new();
        for (stage, (&n, c_out)) in config.convolutions.iter().zip(CHANNELS).enumerate() {
            let mut convolutions = Vec::new();
            for _ in 0..n {
                let settings = Conv2dConfig::same(3).init(Init::KAIMING_NORMAL_FAN_OUT);
                let conv = Conv2d::new(&scope.pp("features").pp(place), (c_in, c_out), &settings)?;
                convolutions.push(if stage < config.frozen_stages { conv.frozen() } else { conv });
                // A ReLU has a place in torchvision's sequence too.
                (place, c_in) = (place + 2, c_out);
            }
            place += 1;
            stages.push(convolutions);
        }
        Ok(Self { stages })
    }

    /// Channels of the five stages.
    pub fn channels(&self) -> [usize; 5] {
        CHANNELS
    }

    /// The output of each stage after its last ReLU: conv1_2, conv2_2, conv3_3, conv4_3, conv5_3 of VGG-16.
    ///
    /// # Shapes
    /// - `x`: `(N, in_channels, H, W)`, at least 16×16
    /// - output `i`: `(N, channels[i], ⌊H / 2ⁱ⌋, ⌊W / 2ⁱ⌋)`
    ///
    /// # Errors
    /// If `x` does not fit.
    pub fn features(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        let mut features: Vec<Tensor> = Vec::new();
        for convolutions in &self.stages {
            let mut y = match features.last() {
                None => x.clone(),
                Some(last) => ops::max_pool2d(last, &MaxPool2dParams::square(2, 2, 0))?,
            };
            for conv in convolutions {
                y = ops::relu(&conv.forward(&y)?)?;
            }
            features.push(y);
        }
        Ok(features)
    }
}
