//! Object detectors, and how good they are.

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod detection;

pub use detection::Detection;
