//! CIFAR-10 and CIFAR-100 (Krizhevsky, 2009) in their binary version: 32×32 pictures of things, in colour.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    DataError, Image, ImageDataset, Result, Split,
    line::{Line, lines, quoted},
};

/// The class names of CIFAR-10, in the order of the labels.
pub const CIFAR10_CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Pixels in a row, and rows.
const SIDE: usize = 32;
/// Values of one colour: red, green and blue follow one another.
const PLANE: usize = SIDE * SIDE;

/// One of the two datasets.
struct Version {
    /// The folder that the archive unpacks to.
    folder: &'static str,
    train: &'static [&'static str],
    test: &'static [&'static str],
    /// The names of the classes, one a line.
    names: &'static str,
    n_classes: usize,
    /// Bytes before an image. The last one is the label; CIFAR-100 has a coarse one in front of it.
    n_labels: usize,
}

const CIFAR10: Version = Version {
    folder: "cifar-10-batches-bin",
    train: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
    test: &["test_batch.bin"],
    names: "batches.meta.txt",
    n_classes: CIFAR10_CLASSES.len(),
    n_labels: 1,
};

const CIFAR100: Version = Version {
    folder: "cifar-100-binary",
    train: &["train.bin"],
    test: &["test.bin"],
    names: "fine_label_names.txt",
    n_classes: 100,
    n_labels: 2,
};

/// Reads a split of CIFAR-10's binary version, 50,000 images for training and 10,000 for testing, in the order of the files.
///
/// ```text
/// root/data_batch_1.bin … data_batch_5.bin, test_batch.bin     records of a label and 3 planes of 32×32 bytes
/// root/batches.meta.txt                                        the names of the classes
/// ```
///
/// The files may also lie in `root/cifar-10-batches-bin`, to which the archive unpacks. Without `batches.meta.txt` the classes
/// are [`CIFAR10_CLASSES`], which are those of the original file. The images stay in memory: 3 KiB each.
///
/// # Errors
/// [`DataError::Io`] for a file that is missing, [`DataError::Record`] and [`DataError::Label`] as [`parse_cifar10`],
/// [`DataError::Line`] for names that are not those of ten classes.
pub fn read_cifar10(root: &Path, split: Split) -> Result<ImageDataset> {
    let folder = CIFAR10.folder(root);
    let names = folder.join(CIFAR10.names);
    let classes = match names.exists() {
        true => CIFAR10.read_classes(&names)?,
        false => CIFAR10_CLASSES.map(str::to_owned).into(),
    };
    CIFAR10.read(&folder, split, classes)
}

/// Reads a split of CIFAR-100's binary version, 50,000 images for training and 10,000 for testing, with the labels of the 100
/// fine classes.
///
/// ```text
/// root/train.bin, test.bin              records of a coarse label, a fine label and 3 planes of 32×32 bytes
/// root/fine_label_names.txt             the names of the classes
/// ```
///
/// The files may also lie in `root/cifar-100-binary`.
///
/// # Errors
/// As [`read_cifar10`]; the names of the classes must be there.
pub fn read_cifar100(root: &Path, split: Split) -> Result<ImageDataset> {
    let folder = CIFAR100.folder(root);
    let classes = CIFAR100.read_classes(&folder.join(CIFAR100.names))?;
    CIFAR100.read(&folder, split, classes)
}

/// The images and labels in the bytes of one of CIFAR-10's files; `origin` names it in errors.
///
/// # Errors
/// [`DataError::Empty`] without a record, [`DataError::Record`] for one that is cut off, [`DataError::Label`] for a label above
/// 9. Records count from 0.
pub fn parse_cifar10(bytes: &[u8], origin: &Path) -> Result<(Vec<Image>, Vec<u32>)> {
    CIFAR10.parse(bytes, origin)
}

/// The images and fine labels in the bytes of one of CIFAR-100's files; `origin` names it in errors.
///
/// # Errors
/// As [`parse_cifar10`], for fine labels above 99.
pub fn parse_cifar100(bytes: &[u8], origin: &Path) -> Result<(Vec<Image>, Vec<u32>)> {
    CIFAR100.parse(bytes, origin)
}

impl Version {
    /// Where the files lie: below `root`, or in it.
    fn folder(&self, root: &Path) -> PathBuf {
        let unpacked = root.join(self.folder);
        if unpacked.is_dir() { unpacked } else { root.to_owned() }
    }

    fn read(&self, folder: &Path, split: Split, classes: Vec<String>) -> Result<ImageDataset> {
        let files = match split {
            Split::Train => self.train,
            Split::Test => self.test,
        };
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        for file in files {
            let path = folder.join(file);
            let bytes = fs::read(&path).map_err(DataError::io(&path))?;
            let (more, their_labels) = self.parse(&bytes, &path)?;
            images.extend(more);
            labels.extend(their_labels);
        }
        ImageDataset::from_images(split.name(), classes, images, labels)
    }

    fn read_classes(&self, path: &Path) -> Result<Vec<String>> {
        let text = fs::read_to_string(path).map_err(DataError::io(path))?;
        let names: Vec<(usize, &str)> = lines(&text).filter(|(_, name)| !name.is_empty()).collect();
        if names.len() == self.n_classes {
            return Ok(names.into_iter().map(|(_, name)| name.to_owned()).collect());
        }
        let expected = format!("{} names of classes", self.n_classes);
        let surplus = names.get(self.n_classes);
        let number = surplus.or(names.last()).map_or(1, |(number, _)| *number);
        let found = surplus.map_or_else(|| format!("the last of {}", names.len()), |(_, name)| quoted(name));
        Err(Line { path, number }.fail(found, expected))
    }

    fn parse(&self, bytes: &[u8], origin: &Path) -> Result<(Vec<Image>, Vec<u32>)> {
        let length = self.n_labels + 3 * PLANE;
        if bytes.is_empty() {
            return Err(DataError::empty(origin.to_owned(), "records of images"));
        }
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        for (i, record) in bytes.chunks(length).enumerate() {
            if record.len() < length {
                return Err(DataError::Record {
                    path: origin.to_owned(),
                    record: i,
                    found: format!("{} bytes", record.len()),
                    expected: format!("{length} bytes"),
                });
            }
            let (head, planes) = record.split_at(self.n_labels);
            let label = u32::from(head[self.n_labels - 1]);
            if label as usize >= self.n_classes {
                let record = format!("{}: record {i}", origin.display());
                return Err(DataError::Label { record, found: label, classes: self.n_classes });
            }
            let pixels = (0..PLANE).flat_map(|at| [planes[at], planes[PLANE + at], planes[2 * PLANE + at]]);
            images.push(Image::new(SIDE, SIDE, 3, pixels.collect())?);
            labels.push(label);
        }
        Ok((images, labels))
    }
}
