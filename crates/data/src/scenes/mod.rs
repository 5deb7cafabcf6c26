//! Scenes composed of cut-outs: exact boxes and masks without a download.

mod canvas;
mod config;
mod cut_out;
#[cfg(feature = "embedded")]
mod embedded;
mod generator;
mod sprite;

pub use config::{Background, SceneConfig, Weather};
pub use cut_out::{CutOut, CutOuts, read_cut_outs};
#[cfg(feature = "embedded")]
pub use embedded::{CUT_OUT_CLASSES, CutOutStyle, cut_outs};
pub use generator::{Scene, Scenes};
