//! Object detectors on Candle, and how good they are.
//!
//! - [`FasterRcnn`] on VGG or ResNet, with torchvision's parts ([`FasterRcnnConfig::torchvision`]) or those of
//!   faster-rcnn.pytorch, which detectors across domains start from ([`FasterRcnnConfig::faster_rcnn_pytorch`]).
//! - Its parts by themselves: [`AnchorConfig`], [`BoxCoder`], [`MatcherConfig`], [`SamplerConfig`], [`Rpn`], [`RoiPoolConfig`],
//!   [`RoiHeads`].
//!
//! Boxes are [`sconce_core::geometry::BBox`]es: continuous, in pixels of the image that a network is given. Labels count from
//! 0, without the background.

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod anchor_fit;
mod anchors;
mod backbone;
mod coder;
mod detection;
pub mod evaluation;
mod faster_rcnn;
mod loading;
mod matcher;
mod presets;
mod proposals;
mod roi_heads;
mod roi_pool;
mod rpn;
mod sampler;
mod target;

pub use anchor_fit::{AnchorCounts, AnchorFit};
pub use anchors::{AnchorConfig, AnchorRule};
pub use backbone::{Backbone, BackboneConfig, VggRegionHead};
pub use coder::{BoxCoder, BoxConvention};
pub use detection::Detection;
pub use faster_rcnn::{DetectionLosses, FasterRcnn, FasterRcnnConfig, TrainingPass};
pub use loading::{LeftOutPart, Predictors, StartReport, load_backbone, load_start};
pub use matcher::{Match, MatcherConfig};
pub use proposals::{ProposalConfig, ScoredBox};
pub use roi_heads::{PredictorInit, RoiHeads, RoiHeadsConfig, RoiLosses, RoiOutput, SampledRois};
pub use roi_pool::{RoiOperation, RoiPoolConfig};
pub use rpn::{Objectness, Rpn, RpnConfig, RpnLosses, RpnOutput, Straddling};
pub use sampler::{Sample, SamplerConfig, Shortage};
pub use target::Targets;
