//! Datasets in the layout of Pascal VOC.

mod annotation;
mod config;
mod list;
mod read;
mod xml;

pub use annotation::{VocAnnotation, VocObject};
pub use config::{VOC_CLASSES, VocConfig, VocCoordinates, VocPart, WATERCOLOR_CLASSES};
pub use list::{VocListed, VocPresence, parse_voc_list};
pub use read::{read_voc, read_voc_unlabelled};
pub use xml::parse_voc_xml;
