//! Self-Cure Network: training with uncertain labels (Wang et al., "Suppressing Uncertainties for Large-Scale Facial
//! Expression Recognition", CVPR 2020, arXiv 2002.10392).
//!
//! Faces are labelled by people who disagree. The network gives each image an importance weight α and scales its logits
//! by it, so that an uncertain image pulls less. A rank regularisation keeps the weights of the surer part of a batch above
//! those of the rest by a margin. Images whose label the network contradicts with confidence are relabelled.
//!
//! | paper | here |
//! |---|---|
//! | figure 2, the network | [`Scn`] |
//! | eq. (1), α = σ(W·x) | [`Output::alpha`] |
//! | eq. (2), logit-weighted cross-entropy | [`weighted_cross_entropy`] |
//! | eq. (3), (4), rank regularisation | [`rank_regularization`], [`Groups`] |
//! | total loss, γ | [`combine`], [`Combine`] |
//! | §3.4, relabelling | [`relabel`](fn@relabel), [`LabelTable`] |
//! | the loop | [`train`](fn@train) |
//! | the official code's weights | [`weights`] |
//!
//! Where the paper and the official code differ, [`ScnConfig`] has a switch; [`ScnConfig::paper`] and [`ScnConfig::code`]
//! are the two readings.
//!
//! A step of training, on images and labels of your own. This crate is the only dependency that it needs:
//!
//! ```
//! use sconce_scn::sconce_core::{self, DType, Device, Params, Rng, nn::Mode};
//! use sconce_scn::{LabelTable, ResNetConfig, Scn, ScnConfig, Stem, label_tensor, relabel, step_loss};
//!
//! let backbone = ResNetConfig { stem: Stem::Cifar, width: 0.125, ..ResNetConfig::resnet18() };
//! let config = ScnConfig::code(backbone, 7);
//! let params = Params::new(0, DType::F32, &Device::Cpu);
//! let model = Scn::new(&params.scope(), &config)?;
//!
//! let rng = &mut Rng::new(0, "images");
//! let images = rng.normal_tensor((0.0, 1.0), (10, 3, 24, 24), DType::F32, &Device::Cpu)?; // (B, C, H, W)
//! let table = LabelTable::new(vec![0, 1, 2, 3, 4, 5, 6, 0, 1, 2], 7)?;
//! let samples: Vec<usize> = (0..10).collect();
//!
//! let labels = table.of(&samples)?;
//! let output = model.forward(&images, Mode::Train, rng)?; // α (B), α·z (B, 7)
//! let step = step_loss(&model, &output, &label_tensor(&labels, &Device::Cpu)?, &config)?;
//! let gradients = sconce_core::backward(step.loss.total())?; // for an optimiser of sconce-engine, or your own
//! assert!(params.trainable().iter().all(|(_, var)| gradients.get(var).is_some()));
//!
//! let proposed = relabel(&output.logits, &labels, &step.groups, &config.relabel)?;
//! table.update(&samples, &proposed, 1)?;
//! # Ok::<(), sconce_scn::ScnError>(())
//! ```

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod config;
mod error;
mod eval;
mod loss;
mod model;
mod relabel;
mod train;
pub mod weights;

#[cfg(feature = "cli")]
mod data;
#[cfg(feature = "cli")]
mod recipe;

pub use config::{
    Combine, DropoutWhen, Margin, ModelConfig, RankConfig, RelabelConfig, RelabelScope, ScnConfig, Weighting,
};
#[cfg(feature = "cli")]
pub use data::{DataConfig, Images, NoiseList};
pub use error::{Result, ScnError};
pub use eval::{Predictions, predict};
pub use loss::{Groups, combine, rank_regularization, weighted_cross_entropy};
pub use model::{Output, Scn};
#[cfg(feature = "cli")]
pub use recipe::{Config, Prepared, Pretraining, Recipe};
pub use relabel::{Change, LabelTable, RelabelQuality, label_tensor, relabel};
pub use sconce_backbones::{ResNetConfig, Stem};
pub use train::{Batch, StepLoss, Trained, Training, label_metrics, step_loss, train};
pub use {sconce_core, sconce_engine};
