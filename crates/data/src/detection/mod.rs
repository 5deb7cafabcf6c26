//! Images with objects on them.

mod cityscapes;
mod classes;
mod coco;
mod crop;
mod dataset;
mod mask;
mod pipeline;
mod resize;
mod rules;
mod source;
mod transform;
mod unlabelled;
mod voc;

pub use cityscapes::{
    CITYSCAPES_CLASSES, CityscapesConfig, CityscapesGroups, CityscapesImages, CityscapesInstance, CityscapesInstances,
    CityscapesSplit, FogDensity, parse_cityscapes_instances, read_cityscapes, read_cityscapes_unlabelled,
};
pub use coco::{
    CocoAnnotation, CocoCategory, CocoConfig, CocoDataset, CocoImage, CocoInstances, parse_coco, read_coco,
};
pub use crop::{FixedSizeCrop, RandomIouCrop};
pub use dataset::{DetectionDataset, DetectionSample};
pub use mask::ObjectMask;
pub use pipeline::{DetectionPipeline, DetectorInput};
pub use resize::{ResizeSides, ScaleJitter};
pub use rules::{DetectionCounts, Difficult, EmptyImages, ImageCounts, ObjectCounts, OnInvalid, OtherClasses};
pub use source::{DetectionBatch, DetectionSource};
pub use transform::DetectionTransform;
pub use unlabelled::read_unlabelled;
pub use voc::{
    VOC_CLASSES, VocAnnotation, VocConfig, VocCoordinates, VocListed, VocObject, VocPart, VocPresence,
    WATERCOLOR_CLASSES, parse_voc_list, parse_voc_xml, read_voc, read_voc_unlabelled,
};
