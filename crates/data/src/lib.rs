//! Images, their labels, and the order in which a network sees them.
//!
//! - [`ImageDataset`] is a list of images with labels and names: from a folder ([`read_image_folder`]), from IDX files
//!   ([`idx`], [`read_fashion_mnist`]), or from the binary itself (`fashion_mnist_subset`, with the feature `embedded`).
//! - [`Pipeline`] turns an [`Image`] of 8-bit pixels into a [`FloatImage`], with torchvision's transforms.
//! - [`LabelNoise`] makes labels wrong on purpose; [`NoisyLabels`] remembers which, and can be a file.
//! - [`Loader`] draws batches from a [`Source`]: decoded ahead by threads of its own, in an order that depends on the seed
//!   alone, and from any place in any epoch.
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

mod dataset;
#[cfg(feature = "embedded")]
mod embedded;
mod error;
mod fashion_mnist;
mod float_image;
mod folder;
pub mod idx;
mod image;
mod loader;
mod noise;
mod noise_list;
mod source;
mod split;
mod transform;

pub use dataset::ImageDataset;
#[cfg(feature = "embedded")]
pub use embedded::fashion_mnist_subset;
pub use error::{DataError, Result};
pub use fashion_mnist::{FASHION_MNIST_CLASSES, read_fashion_mnist};
pub use float_image::FloatImage;
pub use folder::read_image_folder;
pub use image::Image;
pub use loader::{Loader, LoaderConfig};
pub use noise::{ClassMap, LabelNoise, Made, NoisyLabels};
pub use source::{ImageBatch, ImageSource, Source};
pub use split::Split;
pub use transform::{
    AspectDraw, GaussianNoise, HorizontalFlip, Normalize, OneOf, Pipeline, PixelTransform, RandomCrop, RandomErasing,
    Resize,
};
