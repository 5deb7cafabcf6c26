//! Layers: parameters by PyTorch's names, and the operation that uses them.

mod batch_norm;
mod conv;
mod conv_transpose;
mod deform_conv;
mod dropout;
mod group_norm;
mod linear;

pub use batch_norm::{BatchNorm2d, BatchNormKind};
pub use conv::{Conv2d, Conv2dConfig};
pub use conv_transpose::{ConvTranspose2d, ConvTranspose2dConfig};
pub use deform_conv::{DeformConv2d, DeformConv2dConfig};
pub use dropout::Dropout;
pub use group_norm::GroupNorm;
pub use linear::Linear;

/// What a pass through a model is for. Gradients do not depend on it; see [`Params::detached`](crate::Params::detached).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Batch statistics, which also update the running ones; dropout drops.
    Train,
    /// Running statistics; dropout is the identity.
    Eval,
}
