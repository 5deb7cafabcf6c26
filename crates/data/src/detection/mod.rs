//! Images with objects on them.

mod crop;
mod dataset;
mod mask;
mod pipeline;
mod resize;
mod source;
mod transform;

pub use crop::{FixedSizeCrop, RandomIouCrop};
pub use dataset::{DetectionDataset, DetectionSample};
pub use mask::ObjectMask;
pub use pipeline::{DetectionPipeline, DetectorInput};
pub use resize::{ResizeSides, ScaleJitter};
pub use source::{DetectionBatch, DetectionSource};
pub use transform::DetectionTransform;
