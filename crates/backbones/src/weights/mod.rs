//! Pretrained weights: read, renamed, adapted and loaded into [`Params`](sconce_core::Params).
//!
//! [`read_weights`] reads safetensors and both forms of `.pth`, [`load_backbone`] puts them into a model and says what
//! matched, [`convert`] writes safetensors. [`KeyMap`] translates names, [`fold_input`] the order and scale of colours; with
//! the feature `hub`, `hub::fetch` brings a file from the Hugging Face hub.

mod colour;
mod convert;
mod element;
mod error;
mod holder;
#[cfg(feature = "hub")]
pub mod hub;
mod key_map;
mod load;
mod network;
mod prefix;
mod pth;
mod safetensors;
mod state_dict;

pub use colour::{ColourOrder, FoldOffset, FoldedInput, InputConvention, fold_input};
pub use convert::{Conversion, ConvertOptions, ConvertReport, convert, write_weights};
pub use error::WeightsError;
pub use holder::Holder;
pub use key_map::{KeyMap, Rule, Unmatched};
pub use load::{load_backbone, wanted_names};
pub use network::{KnownNetwork, known_network};
pub use prefix::Prefix;
pub use pth::{Extent, PthError, read_pth};
pub use state_dict::{PassedOver, StateDict, read_weights};
