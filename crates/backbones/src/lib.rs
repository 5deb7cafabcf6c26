//! Vision backbones with the parameter names of torchvision, so that its checkpoints load as they are.
//!
//! - [`ResNet`] and [`ResNetClassifier`]: ResNet-18 to 152, ResNeXt, dilated ones, and the layout of the models for Caffe.
//! - [`Vgg`] and [`VggClassifier`]: VGG-11 to 19, with and without batch normalisation.
//! - [`weights`]: safetensors and both forms of `.pth` into them.
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
//!
//! With weights from a file, whichever form it has:
//!
//! ```
//! use sconce_backbones::{ResNet, ResNetConfig, weights::{load_backbone, read_weights}};
//! use sconce_core::{DType, Device, Params, nn::BatchNormKind};
//!
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/basic-legacy.pth");
//! // A small relative of ResNet-18, as a detector has it: the stem and `layer1` frozen, and all batch normalisations.
//! let config = ResNetConfig {
//!     width: 0.0625,
//!     blocks: [1, 2, 1, 1],
//!     frozen_stages: 2,
//!     batch_norm: BatchNormKind::Frozen,
//!     ..ResNetConfig::resnet18()
//! };
//! let params = Params::new(0, DType::F32, &Device::Cpu);
//! let backbone = ResNet::new(&params.scope(), &config)?;
//! // The file's own classifier is left out; anything else that is missing or has another shape is an error.
//! let report = load_backbone(&params, &read_weights(path.as_ref())?, &["fc."])?;
//! assert_eq!(report.loaded.len(), params.names().len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod resnet;
mod vgg;
pub mod weights;

pub use resnet::{Block, ResNet, ResNetClassifier, ResNetConfig, Stem, StrideIn};
pub use vgg::{Vgg, VggClassifier, VggConfig, VggHead, VggHeadConfig, VggNorm};
