//! Datasets in the layout of Pascal VOC.

mod annotation;
mod config;
mod encoding;
mod flat;
mod list;
mod names;
mod read;
mod samples;
mod xml;

pub use annotation::{VocAnnotation, VocObject};
pub use config::{VOC_CLASSES, VocConfig, VocCoordinates, VocPart, VocSizes, WATERCOLOR_CLASSES};
pub use flat::{Unannotated, VocFlatConfig, read_voc_flat};
pub use list::{VocListed, VocPresence, parse_voc_list};
pub use read::{read_voc, read_voc_unlabelled};
pub use xml::{parse_voc_xml, parse_voc_xml_bytes};
