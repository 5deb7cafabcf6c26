//! The crate from outside: what a loader promises, what its sources do to it, and what the readers make of datasets in their
//! real layouts.

mod affect_net;
mod arbitrary;
mod cifar;
mod cityscapes;
mod coco;
mod detection;
#[cfg(feature = "embedded")]
mod emoji;
mod fer_plus;
mod folders;
mod image_net;
mod images;
mod jpegs;
mod loader;
mod raf_db;
mod scenes;
mod source;
mod two_crop;
mod voc;
mod voc_flat;
mod voc_own;
