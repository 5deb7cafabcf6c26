//! Images, their labels, and the order in which a network sees them.
//!
//! - [`ImageDataset`] is a list of images with names, and with labels or without: from a folder ([`read_image_folder`] for one a
//!   class, [`read_flat_folder`] for pictures alone), from IDX files ([`idx`], [`read_fashion_mnist`]), from CIFAR's binary files
//!   ([`read_cifar10`], [`read_cifar100`]), or from the binary itself (`fashion_mnist_subset` and `emoji_expressions`, with the
//!   feature `embedded`). [`Image::read`] decodes PNG, JPEG, WebP, BMP and PNM files, upright.
//! - [`DatasetSummary`] says what a dataset holds, and what its reader left out and why. [`OnInvalid`] says whether what is wrong
//!   is an error or left out.
//! - Faces with expressions are read in the layouts that their authors publish: [`read_raf_db`]; [`read_fer_plus`] and
//!   [`read_fer_plus_folders`], with a policy that makes one label of ten votes; [`read_affect_net`]. What a reader drops, it
//!   counts; what it cannot use, it names by file and line.
//! - [`Pipeline`] turns an [`Image`] of 8-bit pixels into a [`FloatImage`], with torchvision's transforms: those of pixels
//!   ([`PixelTransform`]), then those of values in [0, 1] ([`FloatTransform`]), then normalisation and erasing.
//! - [`DetectionDataset`] is a list of images with the objects on them; [`DetectionSource`] gives them through a
//!   [`DetectionPipeline`], whose transforms take the boxes along. [`draw_boxes`] shows them.
//! - Detection datasets are read in their layouts: [`read_voc`] for that of Pascal VOC, in which most sets for domain adaptation
//!   come; [`read_voc_flat`] for images and annotations side by side, as LabelImg leaves them; [`read_cityscapes`] for the original
//!   with its foggy twins; [`read_coco`]. A target domain needs no labels: [`read_unlabelled`], [`read_voc_unlabelled`],
//!   [`read_cityscapes_unlabelled`], [`read_coco_unlabelled`].
//! - [`Scenes`] composes images of [`CutOuts`], with exact boxes and masks, in any number; `cut_outs` has some inside the binary,
//!   with the feature `embedded`.
//! - [`LabelNoise`] makes labels wrong on purpose; [`NoisyLabels`] remembers which, and can be a file. Lists of others, with
//!   the paths of their machines, are read by [`NoisyLabels::read_rerooted`].
//! - [`Loader`] draws batches from a [`Source`]: decoded ahead by threads of its own, in an order that depends on the seed
//!   alone, and from any place in any epoch. [`ImageSource`] gives images with labels, [`TwoCropSource`] two random views of
//!   each image.
//!
//! All randomness comes from [`sconce_core::Rng`]: a seed gives the same bytes whatever the number of threads.
//!
//! ```
//! # fn main() -> Result<(), sconce_data::DataError> {
//! # #[cfg(feature = "embedded")] {
//! use sconce_core::{Batches as _, Position};
//! use sconce_data::{
//!     HorizontalFlip, ImageSource, LabelNoise, Loader, LoaderConfig, Normalize, Pipeline, PixelTransform, Split,
//!     fashion_mnist_subset,
//! };
//!
//! let train = fashion_mnist_subset(Split::Train)?; // 6,000 images, 28×28, grey
//! let (train, val) = train.split_off(0.1, 0)?;     // the same share of every class
//! assert_eq!((train.len(), val.len()), (5400, 600));
//!
//! let noise = LabelNoise::Symmetric { rate: 0.3 };
//! let labels = noise.apply(train.labels(), train.classes().len(), 0)?;
//! assert!((labels.realised_rate() - 0.3).abs() < 0.03);
//! let train = train.with_labels(labels.noisy().to_vec())?;
//!
//! let pipeline = Pipeline {
//!     pixels: vec![PixelTransform::HorizontalFlip(HorizontalFlip { p: 0.5 })],
//!     floats: Vec::new(),
//!     normalize: Normalize { mean: vec![0.286], std: vec![0.353] },
//!     erasing: None,
//! };
//! let mut batches = Loader::new(ImageSource::new(train, pipeline)?, LoaderConfig::default())?;
//! let batch = batches.next_batch()?;
//! assert_eq!(batch.images.dims(), [64, 1, 28, 28]);
//!
//! batches.seek(Position { epoch: 0, batch: 0 })?; // the same again
//! assert_eq!(batches.next_batch()?.indices, batch.indices);
//! # }
//! # Ok(())
//! # }
//! ```

mod affect_net;
mod cifar;
mod contact_sheet;
mod content_hash;
mod dataset;
mod detection;
mod drawing;
#[cfg(feature = "embedded")]
mod embedded;
#[cfg(feature = "embedded")]
mod emoji;
mod error;
mod face_box;
mod fashion_mnist;
mod fer_plus;
mod files;
mod float_image;
mod folder;
pub mod idx;
mod image;
mod line;
mod listed;
mod loader;
mod noise;
mod noise_list;
mod on_invalid;
mod raf_db;
mod rerooted;
mod resample;
mod rows;
mod scenes;
mod source;
mod split;
mod summary;
mod transform;
mod two_crop;

pub use affect_net::{
    AFFECT_NET_CLASSES, AffectNetClasses, AffectNetConfig, AffectNetCounts, AffectNetCrop, AffectNetList,
    parse_affect_net, read_affect_net,
};
pub use cifar::{CIFAR10_CLASSES, parse_cifar10, parse_cifar100, read_cifar10, read_cifar100};
pub use contact_sheet::{ContactSheet, SheetCell};
pub use dataset::ImageDataset;
pub use detection::{
    CITYSCAPES_CLASSES, CityscapesConfig, CityscapesGroups, CityscapesImages, CityscapesInstance, CityscapesInstances,
    CityscapesSplit, CocoAnnotation, CocoCategory, CocoConfig, CocoDataset, CocoId, CocoImage, CocoInstances,
    DetectionCounts, Difficult, EmptyImages, FogDensity, ImageCounts, ObjectCounts, OtherClasses, SkippedImage,
    Unannotated, VOC_CLASSES, VocAnnotation, VocConfig, VocCoordinates, VocFlatConfig, VocListed, VocObject, VocPart,
    VocPresence, VocSizes, WATERCOLOR_CLASSES, WrongImage, coco_class_ids, parse_cityscapes_instances, parse_coco,
    parse_voc_list, parse_voc_xml, parse_voc_xml_bytes, read_cityscapes, read_cityscapes_unlabelled, read_coco,
    read_coco_unlabelled, read_unlabelled, read_unlabelled_as, read_voc, read_voc_flat, read_voc_unlabelled,
};
pub use detection::{
    DetectionBatch, DetectionDataset, DetectionPipeline, DetectionSample, DetectionSource, DetectionTransform,
    DetectorInput, FixedSizeCrop, ObjectMask, RandomIouCrop, ResizeSides, ScaleJitter,
};
pub use drawing::{DrawnBox, draw_boxes};
#[cfg(feature = "embedded")]
pub use embedded::fashion_mnist_subset;
#[cfg(feature = "embedded")]
pub use emoji::{EMOJI_EXPRESSION_CLASSES, EmojiVendor, emoji_expressions};
pub use error::{DataError, Result};
pub use face_box::FaceBox;
pub use fashion_mnist::{FASHION_MNIST_CLASSES, read_fashion_mnist};
pub use fer_plus::{
    FER_PLUS_CLASSES, FerPlusConfig, FerPlusCounts, FerPlusLabel, FerPlusSplit, Ties, parse_fer_plus,
    parse_fer_plus_labels, read_fer_plus, read_fer_plus_folders,
};
pub use files::{FoundImages, find_images, image_files};
pub use float_image::FloatImage;
pub use folder::{FolderConfig, has_class_folders, read_flat_folder, read_image_folder, read_image_folder_as};
pub use image::{Image, Orientation};
pub use listed::ListedImage;
pub use loader::{Loader, LoaderConfig};
pub use noise::{ClassMap, LabelNoise, Made, NoisyLabels};
pub use on_invalid::OnInvalid;
pub use raf_db::{RAF_DB_CLASSES, parse_raf_db, read_raf_db};
pub use scenes::{Background, CutOut, CutOuts, Scene, SceneConfig, Scenes, Weather, read_cut_outs};
#[cfg(feature = "embedded")]
pub use scenes::{CUT_OUT_CLASSES, CutOutStyle, cut_outs};
pub use source::{ImageBatch, ImageSource, MapBatch, Source};
pub use split::Split;
pub use summary::{ClassCount, DatasetSummary, LeftOut};
pub use transform::{
    AspectDraw, CenterCrop, ColorJitter, FloatTransform, GaussianBlur, GaussianNoise, HorizontalFlip, JitterRange,
    Normalize, OneOf, Pipeline, PixelTransform, RandomApply, RandomCrop, RandomErasing, RandomGrayscale,
    RandomResizedCrop, Resize, ResizeShorterSide, VerticalFlip,
};
pub use two_crop::{TwoCropBatch, TwoCropSource};
