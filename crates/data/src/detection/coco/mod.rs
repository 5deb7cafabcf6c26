//! Datasets in the format of COCO.

mod id;
mod json;
mod read;

pub use id::CocoId;
pub use json::{CocoAnnotation, CocoCategory, CocoImage, CocoInstances, parse_coco};
pub use read::{CocoConfig, CocoDataset, coco_class_ids, read_coco, read_coco_unlabelled};
