//! Training on Candle: optimisers, schedules, the trainer, checkpoints, logs and the run folder.
//!
//! The loop belongs to the method. A [`Run`] is a folder with one owner; a [`Trainer`] is a value that draws batches, steps,
//! logs and writes checkpoints, so that a run that was killed goes on as if nothing had happened:
//!
//! ```
//! use std::collections::BTreeMap;
//! # use sconce_core::{Batches, Position};
//! use sconce_core::{DType, Device, Init, Params, Tensor};
//! use sconce_engine::{
//!     Loss, Metrics, OptimizerConfig, Run, RunOptions, ScheduleConfig, Trainer, TrainerConfig,
//! };
//! # /// The same point for ever.
//! # struct Points;
//! # impl Batches for Points {
//! #     type Batch = BTreeMap<String, Tensor>;
//! #     type Error = sconce_core::Error;
//! #     fn batches_per_epoch(&self) -> usize { 10 }
//! #     fn seek(&mut self, _: Position) -> sconce_core::Result<()> { Ok(()) }
//! #     fn next_batch(&mut self) -> sconce_core::Result<Self::Batch> {
//! #         Ok(BTreeMap::from([("y".to_owned(), Tensor::new(3f32, &Device::Cpu)?)]))
//! #     }
//! # }
//! # let (dir, mut batches) = (tempfile::tempdir()?, Points);
//!
//! let mut run = Run::open(RunOptions::new(dir.path(), "mean", "epochs = 3\n"))?;
//! let config = TrainerConfig {
//!     lr: 0.5,
//!     epochs: 3,
//!     accumulate: 1,
//!     clip_norm: None,
//!     ema: None,
//!     log_every: 10,
//!     checkpoint_every: 0,
//!     optimizer: OptimizerConfig::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 },
//!     schedule: ScheduleConfig::CONSTANT,
//! };
//!
//! let params = Params::new(run.seed(), DType::F32, run.device());
//! let mean = params.scope().param("mean", (), Init::Constant(0.0))?;
//!
//! let mut trainer = Trainer::new(&params, &config, &mut run)?;
//! while let Some(batch) = trainer.next(&mut batches)? { // checkpoints; resumes in the middle of an epoch; stops at the end
//!     let loss = (&mean - &batch["y"])?.sqr()?;         // ()
//!     trainer.step(&Loss::new(loss), &batch)?;          // backward, accumulation, clip, update, schedule, EMA, log
//!     if trainer.finished_epoch().is_some() {
//!         trainer.evaluated("test", &Metrics::from([("mean".into(), mean.to_scalar::<f32>()?.into())]))?;
//!     }
//! }
//! let metrics = Metrics::from([("mean".into(), mean.to_scalar::<f32>()?.into())]);
//! let summary = run.finish(metrics)?;
//! assert_eq!((summary.steps, summary.metrics["mean"]), (30, 3.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Everything here works without the feature `cli`, which adds progress bars, reports and the parts of a method's binary.

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod checkpoint;
mod class_names;
#[cfg(feature = "cli")]
pub mod cli;
mod clip;
pub mod config;
pub mod dist;
mod ema;
mod error;
mod json;
mod log;
mod loss;
pub mod metrics;
mod optim;
#[cfg(feature = "cli")]
mod predictions;
mod progress;
#[cfg(feature = "cli")]
mod recipe;
#[cfg(feature = "cli")]
pub mod report;
mod run;
mod schedule;
pub mod signals;
#[cfg(feature = "cli")]
pub mod study;
mod summary;
mod threads;
mod trainer;

pub use checkpoint::{Checkpoint, CheckpointState, Stateful, Window};
pub use class_names::ClassNames;
pub use clip::{clip_coefficient, global_norm};
pub use ema::{Ema, blend};
pub use error::{EngineError, Result, Source};
pub use log::{Metrics, Record};
pub use loss::Loss;
pub use optim::{Optimizer, OptimizerConfig, ParamGroup};
#[cfg(feature = "cli")]
pub use predictions::Predictions;
#[cfg(feature = "cli")]
pub use recipe::{
    Arm, ClaimSpec, ComparisonSpec, EVALUATED_DATA, Evaluation, InitialWeights, PredictRequest, Preset, Profile,
    Recipe, Study, Weights, preset,
};
pub use run::{ChangeRule, ConfigChange, MayChange, Run, RunFile, RunOptions, RunPlan, Start, WeightFile, run_config};
pub use schedule::{Clock, Decay, ScheduleConfig, Unit, Warmup};
pub use summary::Summary;
pub use threads::with_threads;
pub use trainer::{BatchTensors, Trainer, TrainerConfig};
