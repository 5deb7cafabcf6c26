//! Operations with gradients that can be trusted, each a free function.
//!
//! They take the place of Candle's where those are wrong, slow or missing. An operation enters Candle's graph through
//! `CustomOp1/2/3`, so that Candle's own arithmetic can stand before and after it. f32 is for training, f64 for checking
//! gradients by finite differences. No result depends on the number of threads.

mod activation;
mod arguments;
mod avg_pool2d;
mod batch_norm;
mod bilinear;
mod binary_cross_entropy;
mod boxes;
mod conv2d;
mod cross_entropy;
mod deform_conv2d;
mod dropout;
mod focal_loss;
mod gradient_reversal;
mod grid_sample;
mod group_norm;
mod info_nce;
mod interpolate;
mod linear;
mod log_softmax;
mod max_pool2d;
mod nms;
mod normalize;
mod pair_loss;
mod pooling;
mod reduction;
mod reflection_pad2d;
mod roi;
mod roi_align;
mod roi_pool;
mod smooth_l1_loss;
mod ssim_loss;
mod topk;
mod weight_norm;

pub use activation::{add_relu, elu, leaky_relu, relu};
pub use avg_pool2d::{AvgPool2dParams, adaptive_avg_pool2d, avg_pool2d};
pub use batch_norm::{Activation, BatchNormParams, RunningStats, Statistics, batch_norm_eval, batch_norm_train};
pub use binary_cross_entropy::{BinaryCrossEntropyParams, binary_cross_entropy_with_logits};
pub use boxes::{box_iou, generalized_box_iou};
pub use conv2d::{
    Conv2dParams, ConvTranspose2dParams, FrozenBatchNorm, conv_transpose2d, conv2d, conv2d_batch_norm_eval,
};
pub use cross_entropy::{CrossEntropyParams, cross_entropy, soft_cross_entropy};
pub use deform_conv2d::{DeformConv2dParams, deform_conv2d};
pub use dropout::dropout;
pub use focal_loss::{SigmoidFocalLossParams, SoftmaxFocalLossParams, sigmoid_focal_loss, softmax_focal_loss};
pub use gradient_reversal::gradient_reversal;
pub use grid_sample::{GridPadding, GridSampleParams, grid_sample};
pub use group_norm::group_norm;
pub use info_nce::{info_nce, info_nce_logits};
pub use interpolate::{InterpolateMode, interpolate};
pub use linear::linear;
pub use log_softmax::log_softmax;
pub use max_pool2d::{MaxPool2dParams, max_pool2d};
pub use nms::{batched_nms, nms};
pub use normalize::normalize;
pub use reduction::Reduction;
pub use reflection_pad2d::{Padding2d, reflection_pad2d};
pub use roi_align::{RoiAlignAvgParams, RoiAlignParams, roi_align, roi_align_avg};
pub use roi_pool::{RoiPoolParams, roi_pool};
pub use smooth_l1_loss::{SmoothL1LossParams, smooth_l1_loss};
pub use ssim_loss::{SsimParams, ssim_loss};
pub use topk::topk;
pub use weight_norm::weight_norm;
