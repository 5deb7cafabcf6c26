//! Operations with gradients that can be trusted, each a free function.
//!
//! They take the place of Candle's where those are wrong, slow or missing. An operation enters Candle's graph through
//! `CustomOp1/2/3`, so that Candle's own arithmetic can stand before and after it. f32 is for training, f64 for checking
//! gradients by finite differences. No result depends on the number of threads.

mod activation;
mod avg_pool2d;
mod batch_norm;
mod conv2d;
mod cross_entropy;
mod dropout;
mod gradient_reversal;
mod linear;
mod log_softmax;
mod max_pool2d;
mod pooling;

pub use activation::{add_relu, relu};
pub use avg_pool2d::{AvgPool2dParams, adaptive_avg_pool2d, avg_pool2d};
pub use batch_norm::{Activation, RunningStats, batch_norm_eval, batch_norm_train};
pub use conv2d::{Conv2dParams, conv2d};
pub use cross_entropy::{CrossEntropyParams, Reduction, cross_entropy, soft_cross_entropy};
pub use dropout::dropout;
pub use gradient_reversal::gradient_reversal;
pub use linear::linear;
pub use log_softmax::log_softmax;
pub use max_pool2d::{MaxPool2dParams, max_pool2d};
