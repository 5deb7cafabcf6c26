//! The network of figure 2: a backbone, an importance weight and a classifier.

use sconce_backbones::ResNet;
use sconce_core::{
    Error, Init, Result, Rng, Scope, Tensor,
    nn::{Dropout, Linear, Mode},
};

use crate::config::{DropoutWhen, Margin, ScnConfig, Weighting};

/// A Self-Cure Network. Its parameters are torchvision's for the backbone, and `alpha.0.*`, `fc.*`, and `margin` where that
/// is learned.
#[derive(Clone, Debug)]
pub struct Scn {
    backbone: ResNet,
    dropout: Dropout,
    dropout_when: DropoutWhen,
    alpha: Linear,
    fc: Linear,
    weighting: Weighting,
    margin: Option<Tensor>,
}

/// What a [`Scn`] says of a batch of `B` images and `C` classes.
#[derive(Clone, Debug)]
pub struct Output {
    /// `(B)`: the importance weights α in (0, 1); high for certain samples.
    pub alpha: Tensor,
    /// `(B, C)`: the logits, scaled by α where the configuration says so.
    pub logits: Tensor,
}

impl Scn {
    /// Builds or finds the network's parameters in `scope`.
    ///
    /// # Errors
    /// If the configuration of the backbone is invalid or does not say how many classes there are
    /// ([`ScnConfig::for_classes`]), or as [`Scope::param`].
    pub fn new(scope: &Scope, config: &ScnConfig) -> Result<Self> {
        let n_classes = config.model.n_classes;
        let n_classes =
            n_classes.ok_or_else(|| Error::argument("scn", "n_classes", "absent", "a number of classes"))?;
        let backbone = ResNet::new(scope, &config.model.backbone)?;
        let features = backbone.channels()[3];
        let margin = match config.rank.margin {
            Margin::Learnable { initial } => Some(scope.param("margin", (), Init::Constant(initial))?),
            Margin::Fixed { .. } | Margin::Off => None,
        };
        Ok(Self {
            backbone,
            dropout: Dropout::new(config.model.dropout),
            dropout_when: config.model.dropout_when,
            alpha: Linear::new(&scope.pp("alpha.0"), (features, 1))?,
            fc: Linear::new(&scope.pp("fc"), (features, n_classes))?,
            weighting: config.weighting,
            margin,
        })
    }

    /// Weights and logits for `images`; dropout draws from `rng`.
    ///
    /// # Shapes
    /// - `images`: `(B, in_channels, H, W)`
    ///
    /// # Errors
    /// If `images` do not fit the backbone.
    pub fn forward(&self, images: &Tensor, mode: Mode, rng: &mut Rng) -> Result<Output> {
        let x = self.backbone.pooled(images, mode)?; // (B, features)
        let dropout_mode = match self.dropout_when {
            DropoutWhen::Training => mode,
            DropoutWhen::Always => Mode::Train,
        };
        let x = self.dropout.forward(&x, dropout_mode, rng)?;
        let alpha = sigmoid(&self.alpha.forward(&x)?)?; // (B, 1)
        let logits = self.fc.forward(&x)?; // (B, C)
        let logits = match self.weighting {
            Weighting::Logits => logits.broadcast_mul(&alpha)?,
            Weighting::Off => logits,
        };
        Ok(Output { alpha: alpha.squeeze(1)?, logits })
    }

    /// δ₁ where it is learned, `()`.
    pub fn margin(&self) -> Option<&Tensor> {
        self.margin.as_ref()
    }
}

/// `1 / (1 + exp(−x))`, by way of tanh, which overflows nowhere.
fn sigmoid(x: &Tensor) -> Result<Tensor> {
    Ok((x * 0.5)?.tanh()?.affine(0.5, 0.5)?)
}
