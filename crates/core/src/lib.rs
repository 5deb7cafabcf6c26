//! The ground of Sconce: operations, layers, losses, parameters and random streams for training vision models on Candle.
//!
//! - [`ops`] has the operations whose gradients, speed or repeatability Candle 0.11 lacks: `ops::conv2d(&x, …)` and so on.
//! - [`nn`] has layers over them, which take their parameters from a [`Scope`] by PyTorch's names.
//! - [`geometry`] has boxes and what is known of an object.
//! - [`Params`] owns what a model learns; [`Rng`] is where every random number comes from.
//!
//! ```
//! use sconce_core::{DType, Device, Params, Rng, nn, nn::Mode, ops};
//!
//! let params = Params::new(0, DType::F32, &Device::Cpu);
//! let conv = nn::Conv2d::new(&params.scope().pp("conv1"), (3, 8), &nn::Conv2dConfig::same(3))?;
//! let norm = nn::BatchNorm2d::new(&params.scope().pp("bn1"), 8)?;
//!
//! let x = Rng::new(0, "example").normal_tensor((0.0, 1.0), (2, 3, 16, 16), DType::F32, &Device::Cpu)?;
//! let y = ops::relu(&norm.forward(&conv.forward(&x)?, Mode::Train)?)?; // (2, 8, 16, 16)
//! let gradients = y.sum_all()?.backward()?;
//! assert_eq!(params.trainable().iter().filter(|(_, v)| gradients.get(v).is_some()).count(), 4);
//! # Ok::<(), sconce_core::Error>(())
//! ```

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

#[cfg(feature = "allocator")]
pub mod allocator;
mod backward;
mod batches;
pub mod communicator;
mod cpu;
mod error;
mod exp;
pub mod files;
mod finite;
pub mod geometry;
mod init;
pub mod nn;
mod node;
pub mod ops;
mod params;
mod process;
mod rng;
mod tensor_file;
#[cfg(feature = "testing")]
pub mod testing;

pub use backward::backward;
pub use batches::{Batches, Paired, Position, Rounds};
pub use candle_core::{DType, Device, Shape, Tensor, Var, backprop::GradStore};
pub use communicator::Communicator;
pub use cpu::vectorised;
pub use error::{Error, Result};
pub use finite::first_not_finite;
pub use init::{Distribution, Fan, Init};
pub use params::{LoadReport, Params, Scope, Tolerance, WrongShape};
pub use process::keep_candle_on_its_thread;
pub use rng::{Rng, RngState};
pub use tensor_file::{read_tensors, write_tensors};
