//! Momentum Contrast: features without labels (He et al., "Momentum Contrast for Unsupervised Visual Representation Learning",
//! CVPR 2020, arXiv 1911.05722; Chen et al., "Improved Baselines with Momentum Contrastive Learning", 2020, arXiv 2003.04297).
//!
//! Two views of an image, augmented each by itself, are to have features that are close to each other and far from those of all
//! other images. A *query* encoder is trained to tell the other view's *key* from many keys of other images. These come from a
//! *queue*, so that there can be many more than a batch holds, and are made by a *key* encoder that follows the query encoder
//! slowly, so that keys of different ages go together.
//!
//! | paper | here |
//! |---|---|
//! | eq. (1), InfoNCE | [`ops::info_nce`](sconce_core::ops::info_nce), in [`Moco::step`] |
//! | eq. (2), momentum update | [`Moco::step`], [`Mechanism::Queue`] |
//! | §3.1, dictionary as a queue | [`Queue`], [`Moco::remember`] |
//! | §3.3, shuffling BN | [`BatchNormGroups`] |
//! | figure 2, end-to-end and memory bank | [`Mechanism::EndToEnd`], [`batch_loss`]; [`Mechanism::MemoryBank`], [`MemoryBank`] |
//! | v2, MLP head | [`Head::Mlp`], [`MocoConfig::v2`] |
//! | the loop | [`train`](fn@train) |
//! | what features are worth | [`evaluation`] |
//! | the official code's weights | [`weights`] |
//!
//! Some steps of training on images of your own, one batch of two views again and again. This crate is the only dependency that
//! they need:
//!
//! ```
//! use sconce_moco::sconce_core::{self, DType, Device, Params, Rng};
//! use sconce_moco::sconce_engine::{Optimizer, OptimizerConfig, ParamGroup};
//! use sconce_moco::{
//!     BatchNormGroups, EncoderConfig, Head, Mechanism, Moco, MocoConfig, ResNetConfig, Stem, evaluation::diagnostics,
//! };
//!
//! let backbone = ResNetConfig { stem: Stem::Cifar, width: 0.125, blocks: [1, 1, 1, 1], ..ResNetConfig::resnet18() };
//! let config = MocoConfig {
//!     encoder: EncoderConfig { backbone, head: Head::Mlp, dim: 32 },
//!     mechanism: Mechanism::Queue { length: 100, momentum: 0.99 },
//!     batch_norm: BatchNormGroups::Groups { groups: 2, shuffle: true },
//!     ..MocoConfig::v2()
//! };
//! let params = Params::new(0, DType::F32, &Device::Cpu);
//! let samples: Vec<usize> = (0..8).collect();
//! let moco = Moco::new(&params, &config, samples.len())?;
//!
//! let sgd = OptimizerConfig::Sgd { momentum: 0.9, nesterov: false, weight_decay: 1e-4 };
//! let mut sgd = Optimizer::new(&sgd, vec![ParamGroup::new("encoder_q", moco.trainable())])?;
//! let rng = &mut Rng::new(0, "images");
//! let view = rng.normal_tensor((0.0, 1.0), (8, 3, 16, 16), DType::F32, &Device::Cpu)?; // (B, C, H, W)
//! let other = (&view + rng.normal_tensor((0.0, 0.1), view.shape(), DType::F32, &Device::Cpu)?)?;
//!
//! for i in 0..3 {
//!     let step = moco.step([&view, &other], &samples, i)?;                // momentum update, queries, keys, loss
//!     sgd.step(&sconce_core::backward(step.loss.total())?, 0.03)?;        // the query encoder learns
//!     moco.remember(&step)?;                                              // the keys go into the queue
//!     assert!(diagnostics(&step.queries, &step.keys)?["effective_rank"] > 1.0);
//! }
//! assert_eq!(moco.queue().map(|queue| queue.pointer()).transpose()?, Some(24));
//! # Ok::<(), sconce_moco::MocoError>(())
//! ```

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod bank;
mod config;
mod error;
pub mod evaluation;
mod moco;
mod model;
mod momentum;
mod queue;
mod train;
pub mod weights;

#[cfg(feature = "cli")]
mod data;
#[cfg(feature = "cli")]
mod recipe;

pub use bank::MemoryBank;
pub use config::{BatchNormGroups, EncoderConfig, Head, Mechanism, MocoConfig};
#[cfg(feature = "cli")]
pub use data::{DataConfig, Images};
pub use error::{MocoError, Result};
pub use moco::{Moco, Step, batch_loss};
pub use model::Encoder;
pub use queue::Queue;
#[cfg(feature = "cli")]
pub use recipe::{Config, EvaluationConfig, KnnFeatures, Recipe, Task};
pub use sconce_backbones::{ResNetConfig, Stem};
pub use train::{Batch, Trained, Training, train};
pub use {sconce_core, sconce_engine};
