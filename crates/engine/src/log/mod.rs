//! What a run writes while it goes: `metrics.jsonl`, TensorBoard events, and logs of the method's own.

mod append;
mod record;
mod tensorboard;

pub(crate) use append::AppendLog;
pub(crate) use record::null_for_nan;
pub use record::{Metrics, Record};
pub(crate) use tensorboard::{file_version, scalar};
