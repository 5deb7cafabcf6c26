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
    CocoAnnotation, CocoCategory, CocoConfig, CocoDataset, CocoId, CocoImage, CocoInstances, coco_class_ids,
    parse_coco, read_coco, read_coco_unlabelled,
};
pub use crop::{FixedSizeCrop, RandomIouCrop};
pub use dataset::{DetectionDataset, DetectionSample};
pub use mask::ObjectMask;
pub use pipeline::{DetectionPipeline, DetectorInput};
pub use resize::{ResizeSides, ScaleJitter};
pub use rules::{
    DetectionCounts, Difficult, EmptyImages, ImageCounts, ObjectCounts, OtherClasses, SkippedImage, WrongImage,
};
pub use source::{DetectionBatch, DetectionSource};
pub use transform::DetectionTransform;
pub use unlabelled::{read_unlabelled, read_unlabelled_as};
pub use voc::{
    Unannotated, VOC_CLASSES, VocAnnotation, VocConfig, VocCoordinates, VocFlatConfig, VocListed, VocObject, VocPart,
    VocPresence, VocSizes, WATERCOLOR_CLASSES, parse_voc_list, parse_voc_xml, parse_voc_xml_bytes, read_voc,
    read_voc_flat, read_voc_unlabelled,
};
