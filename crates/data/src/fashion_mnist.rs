//! Fashion-MNIST (Xiao et al., 2017): 28×28 grey pictures of clothes in ten balanced classes.

use std::path::{Path, PathBuf};

use crate::{ImageDataset, Result, Split, idx};

/// The class names, in the order of the labels.
pub const FASHION_MNIST_CLASSES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

/// Reads a split of Fashion-MNIST from a folder with the four original files, gzip (`train-images-idx3-ubyte.gz`) or unpacked
/// (`train-images-idx3-ubyte`): 60,000 images for training, 10,000 for testing.
///
/// # Errors
/// As [`idx::read_images`], and [`crate::DataError::Label`] or [`crate::DataError::Argument`] if labels and images do not fit.
pub fn read_fashion_mnist(folder: &Path, split: Split) -> Result<ImageDataset> {
    let images = idx::read_images(&file(folder, split, "images-idx3-ubyte"))?;
    let labels = idx::read_labels(&file(folder, split, "labels-idx1-ubyte"))?;
    ImageDataset::from_images(split.name(), classes(), images, labels)
}

/// The unpacked file if it is there, else the one in gzip, which the error will name if that is missing too.
fn file(folder: &Path, split: Split, kind: &str) -> PathBuf {
    let prefix = match split {
        Split::Train => "train",
        Split::Test => "t10k",
    };
    let plain = folder.join(format!("{prefix}-{kind}"));
    if plain.is_file() { plain } else { folder.join(format!("{prefix}-{kind}.gz")) }
}

pub(crate) fn classes() -> Vec<String> {
    FASHION_MNIST_CLASSES.map(str::to_owned).into()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::DataError;

    fn write(folder: &Path, prefix: &str, n_images: u8, labels: &[u8]) {
        let images = [&[0, 0, 8, 3, 0, 0, 0, n_images, 0, 0, 0, 1, 0, 0, 0, 1][..], &vec![9; n_images.into()]].concat();
        fs::write(folder.join(format!("{prefix}-images-idx3-ubyte")), images).unwrap();
        let labels = [&[0, 0, 8, 1, 0, 0, 0, labels.len() as u8][..], labels].concat();
        fs::write(folder.join(format!("{prefix}-labels-idx1-ubyte")), labels).unwrap();
    }

    #[test]
    fn splits_are_read_by_their_files_names() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "train", 2, &[9, 0]);
        write(folder.path(), "t10k", 1, &[4]);
        let train = read_fashion_mnist(folder.path(), Split::Train).unwrap();
        assert_eq!(train.labels(), [9, 0]);
        assert_eq!(train.name(1), "train/00001");
        assert_eq!(train.classes()[9], "Ankle boot");
        assert_eq!(read_fashion_mnist(folder.path(), Split::Test).unwrap().labels(), [4]);
    }

    #[test]
    fn labels_that_do_not_fit_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "train", 2, &[9, 10]);
        let error = read_fashion_mnist(folder.path(), Split::Train).unwrap_err();
        assert!(matches!(error, DataError::Label { found: 10, classes: 10, .. }), "{error}");
        write(folder.path(), "train", 2, &[9]);
        assert!(matches!(read_fashion_mnist(folder.path(), Split::Train), Err(DataError::Argument { .. })));
    }

    #[test]
    fn a_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = read_fashion_mnist(folder.path(), Split::Test).unwrap_err();
        assert!(error.to_string().contains("t10k-images-idx3-ubyte.gz"), "{error}");
    }
}
