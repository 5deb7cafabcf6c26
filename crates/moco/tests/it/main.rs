//! What the method promises.

mod fixtures;
mod steps;
mod weights;
