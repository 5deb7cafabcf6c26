//! Datasets inside the binary.

use std::path::Path;

use crate::{ImageDataset, Result, Split, fashion_mnist, idx};

/// A file's name and content.
type Asset = (&'static str, &'static [u8]);

macro_rules! asset {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../assets/fashion-mnist-subset/", $name)))
    };
}

const TRAIN: [Asset; 2] = [asset!("train-images-idx3-ubyte.gz"), asset!("train-labels-idx1-ubyte.gz")];
const TEST: [Asset; 2] = [asset!("t10k-images-idx3-ubyte.gz"), asset!("t10k-labels-idx1-ubyte.gz")];

/// The first 600 training and the first 100 test images of each class of Fashion-MNIST, in the order of the original files:
/// 6,000 and 1,000 images. It needs no download.
///
/// `examples/make_fashion_mnist_subset.rs` made the files from the originals.
///
/// # Errors
/// As [`idx::parse_images`]; none with the files of this crate.
pub fn fashion_mnist_subset(split: Split) -> Result<ImageDataset> {
    let [(images_name, images), (labels_name, labels)] = match split {
        Split::Train => TRAIN,
        Split::Test => TEST,
    };
    let images = idx::parse_images(images, Path::new(images_name))?;
    let labels = idx::parse_labels(labels, Path::new(labels_name))?;
    ImageDataset::from_images(split.name(), fashion_mnist::classes(), images, labels)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_subset_is_balanced_and_complete() {
        for (split, per_class) in [(Split::Train, 600), (Split::Test, 100)] {
            let dataset = fashion_mnist_subset(split).unwrap();
            assert_eq!(dataset.len(), 10 * per_class);
            for class in 0..10 {
                assert_eq!(dataset.labels().iter().filter(|&&label| label == class).count(), per_class);
            }
            let image = dataset.image(0).unwrap();
            assert_eq!((image.width(), image.height(), image.channels()), (28, 28, 1));
        }
    }

    #[test]
    fn the_first_labels_are_the_originals() {
        assert_eq!(fashion_mnist_subset(Split::Train).unwrap().labels()[..10], [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]);
        assert_eq!(fashion_mnist_subset(Split::Test).unwrap().labels()[..10], [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]);
    }

    #[test]
    fn the_vendored_files_are_the_ones_that_were_made() {
        let expected = [
            "787a2b0f60506e5267a519f4b4b806844f6472600e364e33e0877ca2648a6f50",
            "60bb6125389ec2cd12be83fb92a403ce8be8d5753ad16eb69ab1f510b4435747",
            "0de5da881a7d457bc8f678ddea31e43e58071dd11dd4befcd5f2fef57b4ed9f3",
            "540f63e62544edb8406d1292429a47e6cdb42e4fa2eaa233f072b34e1f6bc46c",
        ];
        for ((name, bytes), expected) in TRAIN.into_iter().chain(TEST).zip(expected) {
            assert_eq!(format!("{:x}", Sha256::digest(bytes)), expected, "{name}");
        }
    }
}
