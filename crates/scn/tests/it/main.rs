//! The method against the fixtures of its paper and code.

mod fixture;
mod labels;
mod network;
mod training;
mod weights;
