//! The fully connected layers of a VGG network.

use sconce_core::{
    Error, Init, Result, Rng, Scope, Tensor,
    nn::{Dropout, Linear, Mode},
    ops,
};
use serde::{Deserialize, Serialize};

use super::{Vgg, VggConfig, pool};

/// Positions of the map that the head takes, in both directions.
const POSITIONS: usize = 7;

/// How weights and biases begin, as in torchvision.
const INIT: (Init, Init) = (Init::Normal { mean: 0.0, std: 0.01 }, Init::ZEROS);

/// The size of a [`VggHead`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct VggHeadConfig {
    /// Channels of the two hidden layers.
    pub hidden: usize,
    /// With which probability dropout drops.
    pub dropout: f64,
}

impl Default for VggHeadConfig {
    /// As in Simonyan & Zisserman (2015, §2.1, §3.1): 4096 channels, half of them dropped.
    fn default() -> Self {
        Self { hidden: 4096, dropout: 0.5 }
    }
}

/// Two linear layers, each with ReLU and dropout: torchvision's `classifier.0` to `classifier.5`, which detectors run on regions.
#[derive(Clone, Debug)]
pub struct VggHead {
    layers: [Linear; 2],
    dropout: Dropout,
}

impl VggHead {
    /// Builds or finds `classifier.0.*` and `classifier.3.*` in `scope`, for maps of `channels` channels.
    ///
    /// # Errors
    /// [`Error::Argument`] for a layer without channels, else as [`Scope::param`].
    pub fn new(scope: &Scope, channels: usize, config: &VggHeadConfig) -> Result<Self> {
        let hidden = config.hidden;
        if channels == 0 || hidden == 0 {
            return Err(Error::argument("VggHead", "channels and hidden", (channels, hidden), "at least 1"));
        }
        let scope = scope.pp("classifier");
        let layers = [
            Linear::with_init(&scope.pp(0), (channels * POSITIONS * POSITIONS, hidden), INIT)?,
            Linear::with_init(&scope.pp(3), (hidden, hidden), INIT)?,
        ];
        Ok(Self { layers, dropout: Dropout::new(config.dropout) })
    }

    /// `(N, channels, 7, 7)` → `(N, hidden)`; dropout draws from `rng`.
    ///
    /// # Errors
    /// If `x` does not fit.
    pub fn forward(&self, x: &Tensor, mode: Mode, rng: &mut Rng) -> Result<Tensor> {
        let mut y = x.flatten_from(1)?;
        for layer in &self.layers {
            y = self.dropout.forward(&ops::relu(&layer.forward(&y)?)?, mode, rng)?;
        }
        Ok(y)
    }
}

/// A [`Vgg`] with its classifier: torchvision's `vgg16` and its kin, name for name.
#[derive(Clone, Debug)]
pub struct VggClassifier {
    backbone: Vgg,
    head: VggHead,
    last: Linear,
}

impl VggClassifier {
    /// Builds or finds the parameters in `scope`: `features.*`, `classifier.{0,3,6}.*`.
    ///
    /// # Errors
    /// As [`Vgg::new`] and [`VggHead::new`].
    pub fn new(scope: &Scope, config: &VggConfig, head: &VggHeadConfig, n_classes: usize) -> Result<Self> {
        let backbone = Vgg::new(scope, config)?;
        let channels = config.channels()[config.stages() - 1];
        let last = Linear::with_init(&scope.pp("classifier.6"), (head.hidden, n_classes), INIT)?;
        Ok(Self { backbone, head: VggHead::new(scope, channels, head)?, last })
    }

    /// `(N, in_channels, H, W)`, at least 32×32 → logits `(N, n_classes)`; dropout draws from `rng`.
    ///
    /// # Errors
    /// If `x` does not fit.
    pub fn forward(&self, x: &Tensor, mode: Mode, rng: &mut Rng) -> Result<Tensor> {
        let features = self.backbone.features(x, mode)?;
        let [.., last] = &features[..] else {
            return Err(Error::argument("VggClassifier", "stages", features.len(), "at least 1"));
        };
        let pooled = ops::adaptive_avg_pool2d(&pool(last)?, (POSITIONS, POSITIONS))?;
        self.last.forward(&self.head.forward(&pooled, mode, rng)?)
    }
}
