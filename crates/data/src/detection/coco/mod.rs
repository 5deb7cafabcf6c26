//! Datasets in the format of COCO.

mod json;
mod read;

pub use json::{CocoAnnotation, CocoCategory, CocoImage, CocoInstances, parse_coco};
pub use read::{CocoConfig, CocoDataset, read_coco};
