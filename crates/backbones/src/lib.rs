//! Vision backbones with the parameter names of torchvision, so that its checkpoints load as they are.
//!
//! ```
//! use sconce_backbones::{ResNet, ResNetConfig, Stem};
//! use sconce_core::{DType, Device, Params, Tensor, nn::Mode};
//!
//! let params = Params::new(0, DType::F32, &Device::Cpu);
//! let config = ResNetConfig { stem: Stem::Cifar, width: 0.25, ..ResNetConfig::resnet18() };
//! let backbone = ResNet::new(&params.scope(), &config)?;
//!
//! let x = Tensor::zeros((2, 3, 32, 32), DType::F32, &Device::Cpu)?;
//! let features = backbone.features(&x, Mode::Eval)?;
//! assert_eq!(features[3].dims(), [2, 128, 4, 4]);
//! # Ok::<(), sconce_core::Error>(())
//! ```

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod resnet;
mod vgg;

pub use resnet::{Block, ResNet, ResNetClassifier, ResNetConfig, Stem, StrideIn};
pub use vgg::{Vgg, VggClassifier, VggConfig, VggHead, VggHeadConfig, VggNorm};
