//! An encoder: a backbone and a projection to the unit sphere.

use sconce_backbones::{ResNet, ResNetConfig};
use sconce_core::{
    Scope, Tensor,
    nn::{BatchNormKind, Linear, Mode},
    ops,
};

use crate::{
    config::{EncoderConfig, Head},
    error::Result,
};

/// A ResNet and its projection head. Parameter names are torchvision's, with the head in the place of `fc`: `fc.weight` in v1,
/// `fc.0.weight` and `fc.2.weight` in v2, as in the official checkpoints.
#[derive(Clone, Debug)]
pub struct Encoder {
    backbone: ResNet,
    head: Projection,
    features: usize,
}

#[derive(Clone, Debug)]
enum Projection {
    Linear(Linear),
    Mlp(Linear, Linear),
}

/// The `eps` of `torch.nn.functional.normalize`.
pub(crate) const EPS: f64 = 1e-12;

impl Encoder {
    /// Builds or finds the parameters in `scope`, with batch normalisations of this kind.
    ///
    /// # Errors
    /// If the configuration of the backbone has no sense, or as [`Scope::param`].
    pub fn new(scope: &Scope, config: &EncoderConfig, batch_norm: BatchNormKind) -> Result<Self> {
        let backbone = ResNet::new(scope, &ResNetConfig { batch_norm, ..config.backbone })?;
        let features = backbone.channels()[3];
        let fc = scope.pp("fc");
        let head = match config.head {
            Head::Linear => Projection::Linear(Linear::new(&fc, (features, config.dim))?),
            Head::Mlp => {
                let hidden = Linear::new(&fc.pp(0), (features, features))?;
                Projection::Mlp(hidden, Linear::new(&fc.pp(2), (features, config.dim))?)
            }
        };
        Ok(Self { backbone, head, features })
    }

    /// The pooled features, which is what downstream tasks use.
    ///
    /// # Shapes
    /// - `images`: `(B, in_channels, H, W)`
    /// - output: `(B, features)`
    ///
    /// # Errors
    /// If `images` do not fit the backbone.
    pub fn features(&self, images: &Tensor, mode: Mode) -> Result<Tensor> {
        Ok(self.backbone.pooled(images, mode)?)
    }

    /// Queries or keys: projected features of length 1.
    ///
    /// # Shapes
    /// - `images`: `(B, in_channels, H, W)`
    /// - output: `(B, dim)`
    ///
    /// # Errors
    /// If `images` do not fit the backbone.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<Tensor> {
        let x = self.features(images, mode)?;
        let x = match &self.head {
            Projection::Linear(fc) => fc.forward(&x)?,
            Projection::Mlp(hidden, fc) => fc.forward(&ops::relu(&hidden.forward(&x)?)?)?,
        };
        unit_rows(&x)
    }

    /// The length of [`Encoder::features`].
    pub fn n_features(&self) -> usize {
        self.features
    }
}

/// `x` with rows of length 1.
pub(crate) fn unit_rows(x: &Tensor) -> Result<Tensor> {
    Ok(ops::normalize(x, 1, EPS)?)
}
