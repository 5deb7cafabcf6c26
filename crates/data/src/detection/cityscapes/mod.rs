//! Cityscapes and its foggy twin as detection datasets.

mod instances;
mod layout;
mod read;

pub use instances::{CityscapesInstance, CityscapesInstances, parse_cityscapes_instances};
pub use layout::{CITYSCAPES_CLASSES, CityscapesImages, CityscapesSplit, FogDensity};
pub use read::{CityscapesConfig, CityscapesGroups, read_cityscapes, read_cityscapes_unlabelled};
