//! Momentum Contrast.
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
pub use recipe::{Config, EvaluationConfig, Recipe, Task};
pub use sconce_backbones::{ResNetConfig, Stem};
pub use train::{Batch, Trained, Training, train};
pub use {sconce_core, sconce_engine};
