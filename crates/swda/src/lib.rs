//! Strong-Weak Distribution Alignment (Saito, Ushiku, Harada & Saenko, CVPR 2019): a detector that learns from labelled images of
//! one domain and unlabelled images of another.
//!
//! | paper | here |
//! |---|---|
//! | Faster R-CNN and its losses, eq. (8) | [`sconce_detection::FasterRcnn`] |
//! | weak global alignment, eq. (1)–(5), focal loss | [`GlobalClassifier`], [`global_loss`] |
//! | strong local alignment, eq. (6)–(7), least squares | [`LocalClassifier`], [`local_loss`] |
//! | context vectors, §3.3 | [`SwdaConfig::context`], [`ContextGradient`] |
//! | gradient reversal, eq. (9) | [`sconce_core::ops::gradient_reversal`], [`ReversalConfig`], [`EtaConfig`] |
//! | what it is compared with, §4 | [`SwdaConfig::source_only`], [`SwdaConfig::bdc_faster`], [`SwdaConfig::da_faster`] |
//!
//! ```
//! use sconce_swda::sconce_core::{self, DType, Device, Params, Rng, Tensor, geometry::{BBox, Object}};
//! use sconce_swda::sconce_detection::FasterRcnnConfig;
//! use sconce_swda::{Images, Swda, SwdaConfig};
//!
//! let mut config = SwdaConfig::swda(FasterRcnnConfig::small(5));
//! config.global.as_mut().unwrap().channels = [64, 32, 32];
//! let params = Params::new(0, DType::F32, &Device::Cpu);
//! let model = Swda::new(&params.scope(), &config)?;
//!
//! let images = || Rng::new(0, "example").normal_tensor((0.0, 1.0), (1, 3, 64, 96), DType::F32, &Device::Cpu);
//! let source = Images { images: images()?, sizes: vec![(64, 96)] };
//! let target = Images { images: images()?, sizes: vec![(64, 96)] };
//! let objects = [vec![Object::new(BBox::new(10.0, 10.0, 42.0, 40.0), 3)]];
//! let losses = model.train(&source, &objects, Some(&target), (0.0, &mut Rng::new(0, "sampling")))?;
//! let gradients = sconce_core::backward(&losses.total)?;
//!
//! let detections = Swda::new(&params.detached(), &config)?.detect(&target)?;
//! assert_eq!(detections.len(), 1);
//! # Ok::<(), sconce_core::Error>(())
//! ```

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod classifiers;
mod config;
#[cfg(feature = "cli")]
mod data;
#[cfg(feature = "cli")]
mod datasets;
mod error;
#[cfg(feature = "cli")]
mod eval;
#[cfg(feature = "cli")]
mod images;
#[cfg(feature = "cli")]
mod layout;
mod loss;
mod model;
#[cfg(feature = "cli")]
mod preload;
#[cfg(feature = "cli")]
mod recipe;
mod train;
pub mod weights;

pub use classifiers::{DaFasterClassifiers, GlobalClassifier, LocalClassifier};
pub use config::{
    ContextGradient, DaFasterConfig, EtaConfig, EtaScales, GlobalConfig, LambdaSchedule, LocalConfig, Modulation,
    ReversalConfig, SwdaConfig, TargetUse,
};
#[cfg(feature = "cli")]
pub use data::{DataConfig, Leak, TrainBatches};
#[cfg(feature = "cli")]
pub use datasets::Datasets;
pub use error::{Result, SwdaError};
#[cfg(feature = "cli")]
pub use eval::{Measure, Precision, Results, detect};
#[cfg(feature = "cli")]
pub use images::{Images as ImagesConfig, ReadImages, Reading, Scene};
#[cfg(feature = "cli")]
pub use layout::Role;
pub use loss::{Domain, Padding, binary_loss, consistency_loss, global_loss, local_loss};
pub use model::{Images, StepLosses, Swda};
#[cfg(feature = "cli")]
pub use recipe::{Config, EvaluationConfig, FitConfig, Recipe, Start, Taken, Task};
pub use train::{Batch, GroupsConfig, Trained, Trainee, Training, train};
pub use {sconce_core, sconce_detection, sconce_engine};
