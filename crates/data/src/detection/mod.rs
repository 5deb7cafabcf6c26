//! Images with objects on them.

mod dataset;

pub use dataset::{DetectionDataset, DetectionSample};
