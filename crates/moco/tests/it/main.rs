//! What the method promises.

mod fixtures;
mod ranks;
mod steps;
mod weights;
