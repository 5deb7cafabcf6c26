//! Folders of images: one folder a class, or no classes at all.

use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    DataError, Image, ImageDataset, LeftOut, OnInvalid, Orientation, Result,
    files::{Unread, entries, images_below, is_image, pictures_below},
};

/// How a folder of images is read: see [`read_image_folder`] and [`read_flat_folder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct FolderConfig {
    /// What becomes of files that cannot be decoded.
    pub on_invalid: OnInvalid,
    /// What becomes of the orientation that a camera noted: images are upright, unless this says otherwise.
    pub orientation: Orientation,
}

impl Default for FolderConfig {
    fn default() -> Self {
        Self { on_invalid: OnInvalid::Fail, orientation: Orientation::Upright }
    }
}

/// Why files in the root of a folder of classes are no samples.
const BESIDE: &str = "beside the folders of the classes";

/// Why files are left out that [`OnInvalid::Skip`] found.
pub(crate) const UNDECODABLE: &str = "undecodable";

/// Reads `root/CLASS/**/*.{png,jpg,jpeg,jfif,jpe,webp,bmp,ppm,pgm,pbm,pnm}` as torchvision's `ImageFolder`: classes are the sorted names
/// of the folders, and samples follow in the sorted order of the classes, of the folders below them, and of the files there.
/// ImageNet's `train` and `val` are such roots.
///
/// Extensions are compared without case, other files are ignored, links are followed. Unlike torchvision, hidden files and folders
/// (`._cat.jpg`, `.ipynb_checkpoints`, `__MACOSX`) are ignored too, and images are upright. Images that lie beside the folders of
/// the classes belong to none; the dataset's summary counts them. No file is opened: images are decoded when they are asked for,
/// and the content hash is one of names and sizes. A sample's name is its path below `root`, with `/` between the parts.
///
/// # Errors
/// [`DataError::Io`], or [`DataError::Empty`] for a root without folders or a class without images.
pub fn read_image_folder(root: &Path) -> Result<ImageDataset> {
    read_image_folder_as(root, &FolderConfig::default())
}

/// [`read_image_folder`] as `config` says. To leave out what cannot be decoded, all files are decoded once.
///
/// # Errors
/// As [`read_image_folder`]; [`DataError::Empty`] too for a class of which nothing is left.
pub fn read_image_folder_as(root: &Path, config: &FolderConfig) -> Result<ImageDataset> {
    let (mut classes, mut beside) = entries(root)?;
    classes.sort();
    beside.retain(|name| is_image(name));
    if classes.is_empty() {
        return Err(match beside.len() {
            0 => DataError::empty(root.to_owned(), "one folder a class"),
            n => DataError::File {
                path: root.to_owned(),
                found: format!("{n} images and no folders"),
                expected: "one folder a class".to_owned(),
            },
        });
    }
    let mut names = Vec::new();
    let mut labels = Vec::new();
    let mut unread = Unread::default();
    for (label, class) in classes.iter().enumerate() {
        let of_class = pictures_below(root, class, &mut unread)?;
        labels.extend(of_class.iter().map(|_| label as u32));
        names.extend(of_class);
    }
    let (names, labels, undecodable) = decodable(root, config, names, labels)?;
    for (label, class) in classes.iter().enumerate() {
        if !labels.contains(&(label as u32)) {
            let error = DataError::empty(root.join(class), "images that can be decoded");
            return Err(error.because_of(&[undecodable]));
        }
    }
    let left_out = [LeftOut::new(BESIDE, beside.len()), unread.left_out(), undecodable];
    let dataset = ImageDataset::from_files(root, classes, names.into_iter().zip(labels).collect())?;
    Ok(dataset.with_orientation(config.orientation).can_skip(config.on_invalid).with_left_out(left_out))
}

/// Reads all image files below `root`, in the order of folders and files, as images without labels: of a folder of photos, of
/// folders of them, or of folders of classes that are not to be looked at.
///
/// What is an image, and what is ignored, is as for [`read_image_folder`]. To leave out what cannot be decoded, all files are
/// decoded once.
///
/// # Errors
/// [`DataError::Io`], or [`DataError::Empty`] without images.
pub fn read_flat_folder(root: &Path, config: &FolderConfig) -> Result<ImageDataset> {
    let mut unread = Unread::default();
    let names = pictures_below(root, "", &mut unread)?;
    let labels = vec![0; names.len()];
    let (names, _, undecodable) = decodable(root, config, names, labels)?;
    if names.is_empty() {
        return Err(DataError::empty(root.to_owned(), "images that can be decoded").because_of(&[undecodable]));
    }
    let left_out = [unread.left_out(), undecodable];
    let dataset = ImageDataset::from_unlabelled_files(root, names)?;
    Ok(dataset.with_orientation(config.orientation).can_skip(config.on_invalid).with_left_out(left_out))
}

/// Whether `root` holds folders with images, as [`read_image_folder`] reads it, and not images alone, as [`read_flat_folder`]
/// does: for a program that takes both.
///
/// # Errors
/// [`DataError::Io`] for a folder that cannot be read, [`DataError::Empty`] without images.
pub fn has_class_folders(root: &Path) -> Result<bool> {
    Ok(images_below(root, "")?.iter().any(|name| name.contains('/')))
}

/// Those of the files `names` with their labels that can be decoded, and what is to be said of the others.
fn decodable(
    root: &Path,
    config: &FolderConfig,
    names: Vec<String>,
    labels: Vec<u32>,
) -> Result<(Vec<String>, Vec<u32>, LeftOut)> {
    let mut left_out = LeftOut::new(UNDECODABLE, 0);
    if config.on_invalid == OnInvalid::Fail {
        return Ok((names, labels, left_out));
    }
    let decode = |name: &String| Image::read_as(&root.join(name), config.orientation).err();
    let errors: Vec<Option<DataError>> = names.par_iter().map(decode).collect();
    let mut kept = (Vec::new(), Vec::new());
    for ((name, label), error) in names.into_iter().zip(labels).zip(errors) {
        match error {
            Some(error) => left_out.details.push(error.to_string()),
            None => {
                kept.0.push(name);
                kept.1.push(label);
            }
        }
    }
    left_out.count = left_out.details.len();
    Ok((kept.0, kept.1, left_out))
}
#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (value, file) in files.iter().enumerate() {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, Image::new(1, 1, 1, vec![value as u8]).unwrap().encode_png().unwrap()).unwrap();
        }
        root
    }

    #[test]
    fn order_is_torchvisions() {
        // The order that torchvision 0.28 gives this tree.
        let root = tree(&["dog/b.png", "dog/a/z.PNG", "dog/a-b/y.jpeg", "dog/a/c/x.JPG", "cat/2.png", "cat/10.png"]);
        fs::write(root.path().join("cat/notes.txt"), "").unwrap();
        fs::write(root.path().join("labels.csv"), "").unwrap();
        let dataset = read_image_folder(root.path()).unwrap();
        assert_eq!(dataset.classes(), ["cat", "dog"]);
        let names: Vec<&str> = (0..dataset.len()).map(|i| dataset.name(i)).collect();
        let expected = ["cat/10.png", "cat/2.png", "dog/b.png", "dog/a/z.PNG", "dog/a-b/y.jpeg", "dog/a/c/x.JPG"];
        assert_eq!(names, expected);
        assert_eq!(dataset.labels(), [0, 0, 1, 1, 1, 1]);
        assert_eq!(dataset.image(0).unwrap().data(), [5]);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed() {
        let root = tree(&["cat/a.png", "elsewhere/b.png"]);
        let other = tree(&["dog/c.png"]);
        std::os::unix::fs::symlink(other.path().join("dog"), root.path().join("dog")).unwrap();
        std::os::unix::fs::symlink(other.path().join("dog/c.png"), root.path().join("cat/c.png")).unwrap();
        let dataset = read_image_folder(root.path()).unwrap();
        let names: Vec<&str> = (0..dataset.len()).map(|i| dataset.name(i)).collect();
        assert_eq!(names, ["cat/a.png", "cat/c.png", "dog/c.png", "elsewhere/b.png"]);
        assert_eq!(dataset.classes(), ["cat", "dog", "elsewhere"]);
    }

    #[test]
    fn an_empty_class_is_named() {
        let root = tree(&["cat/a.png"]);
        fs::create_dir(root.path().join("dog")).unwrap();
        let error = read_image_folder(root.path()).expect_err("an empty class");
        assert!(matches!(&error, DataError::Empty { path, .. } if path.ends_with("dog")), "{error}");
    }

    #[test]
    fn a_root_without_classes_or_missing_is_named() {
        let root = tree(&["a.png"]);
        assert!(matches!(read_image_folder(root.path()), Err(DataError::File { path, .. }) if path == root.path()));
        let missing = root.path().join("missing");
        assert!(matches!(read_image_folder(&missing), Err(DataError::Io { path, .. }) if path == missing));
    }

    #[test]
    fn images_are_decoded_when_asked_for() {
        let root = tree(&["cat/a.png", "cat/b.png"]);
        fs::write(root.path().join("cat/b.png"), "no image").unwrap();
        let dataset = read_image_folder(root.path()).unwrap();
        assert!(dataset.image(0).is_ok());
        assert!(matches!(dataset.image(1), Err(DataError::Decode { path, .. }) if path.ends_with("cat/b.png")));
    }
}
