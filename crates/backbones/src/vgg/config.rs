//! Which VGG network.

use sconce_core::{Error, Result, nn::BatchNormKind};
use serde::{Deserialize, Serialize};

/// How a [`Vgg`](super::Vgg) is built.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct VggConfig {
    /// Channels of the input: 3 for colour.
    pub in_channels: usize,
    /// 3×3 convolutions of each stage; a 2×2 max-pool stands between stages. Zeros at the end leave the last stages out.
    pub convolutions: [usize; 5],
    /// Stages, counted from the input, whose weights have no gradient; detectors freeze two (Girshick, 2015, §4.5).
    pub frozen_stages: usize,
    /// Whether each convolution is followed by a batch normalisation.
    #[serde(default)]
    pub batch_norm: VggNorm,
    /// Channels of the stages as a multiple of 64, 128, 256, 512, 512.
    #[serde(default = "whole")]
    pub width: f64,
}

/// What stands between a convolution of a [`Vgg`](super::Vgg) and its ReLU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum VggNorm {
    /// Nothing.
    #[default]
    None,
    /// A batch normalisation, as in torchvision's `vgg16_bn`.
    Learning,
    /// A batch normalisation whose weights and statistics stay as they are.
    Frozen,
}

impl VggNorm {
    pub(super) fn kind(self) -> Option<BatchNormKind> {
        match self {
            Self::None => None,
            Self::Learning => Some(BatchNormKind::Learning),
            Self::Frozen => Some(BatchNormKind::Frozen),
        }
    }
}

fn whole() -> f64 {
    1.0
}

impl VggConfig {
    /// VGG-11 for colour images (Simonyan & Zisserman, 2015, table 1, A), all of it trained.
    pub fn vgg11() -> Self {
        let convolutions = [1, 1, 2, 2, 2];
        Self { in_channels: 3, convolutions, frozen_stages: 0, batch_norm: VggNorm::None, width: 1.0 }
    }

    /// VGG-13 (Simonyan & Zisserman, 2015, table 1, B).
    pub fn vgg13() -> Self {
        Self { convolutions: [2, 2, 2, 2, 2], ..Self::vgg11() }
    }

    /// VGG-16 (Simonyan & Zisserman, 2015, table 1, D).
    pub fn vgg16() -> Self {
        Self { convolutions: [2, 2, 3, 3, 3], ..Self::vgg11() }
    }

    /// VGG-19 (Simonyan & Zisserman, 2015, table 1, E).
    pub fn vgg19() -> Self {
        Self { convolutions: [2, 2, 4, 4, 4], ..Self::vgg11() }
    }

    /// The same network with batch normalisations: torchvision's `vgg11_bn` and its kin.
    #[must_use]
    pub fn with_batch_norm(self) -> Self {
        Self { batch_norm: VggNorm::Learning, ..self }
    }

    /// Channels of the five stages.
    pub fn channels(&self) -> [usize; 5] {
        [64.0, 128.0, 256.0, 512.0, 512.0].map(|n: f64| (n * self.width).round().max(1.0) as usize)
    }

    /// The stages that have convolutions.
    pub fn stages(&self) -> usize {
        self.convolutions.iter().take_while(|&&n| n > 0).count()
    }

    pub(super) fn check(&self) -> Result<()> {
        const OP: &str = "VggConfig";
        let (stages, found) = (self.stages(), (self.in_channels, self.convolutions));
        if self.in_channels == 0 || stages == 0 || self.convolutions[stages..] != [0; 5][stages..] {
            let expected = "at least 1, and no stage after one without convolutions";
            return Err(Error::argument(OP, "in_channels and convolutions", found, expected));
        }
        if self.frozen_stages > self.convolutions.len() {
            return Err(Error::argument(OP, "frozen_stages", self.frozen_stages, "at most 5"));
        }
        if !(self.width > 0.0 && self.width <= 64.0) {
            return Err(Error::argument(OP, "width", self.width, "more than 0 and at most 64"));
        }
        Ok(())
    }
}
