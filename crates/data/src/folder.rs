//! A folder of images, one folder a class.

use std::{fs, path::Path};

use crate::{DataError, ImageDataset, Result};

const EXTENSIONS: [&str; 9] = ["png", "jpg", "jpeg", "webp", "bmp", "ppm", "pgm", "pbm", "pnm"];

/// Reads `root/CLASS/**/*.{png,jpg,jpeg,webp,bmp,ppm,pgm,pbm,pnm}` as torchvision's `ImageFolder`: classes are the sorted names
/// of the folders, and samples follow in the sorted order of the classes, of the folders below them, and of the files there.
/// ImageNet's `train` and `val` are such roots.
///
/// Extensions are compared without case, other files are ignored, links are followed. No file is opened: images are decoded
/// when they are asked for, and the content hash is one of names and sizes. A sample's name is its path below `root`, with `/`
/// between the parts.
///
/// # Errors
/// [`DataError::Io`], or [`DataError::Empty`] for a root without folders or a class without images.
pub fn read_image_folder(root: &Path) -> Result<ImageDataset> {
    let (mut classes, _) = entries(root)?;
    classes.sort();
    if classes.is_empty() {
        return Err(DataError::Empty { path: root.to_owned(), expected: "one folder a class" });
    }
    let mut samples = Vec::new();
    for (label, class) in classes.iter().enumerate() {
        let before = samples.len();
        for (folder, mut files) in walk(root, class)? {
            files.retain(|name| is_image(name));
            files.sort();
            samples.extend(files.into_iter().map(|name| (below(&folder, &name), label as u32)));
        }
        if samples.len() == before {
            return Err(DataError::Empty { path: root.join(class), expected: "PNG, JPEG, WebP, BMP or PNM files" });
        }
    }
    ImageDataset::from_files(root, classes, samples)
}

/// `folder` and every folder below it, as paths below `root`, sorted as text; each with its files, in no order.
pub(crate) fn walk(root: &Path, folder: &str) -> Result<Vec<(String, Vec<String>)>> {
    let mut found = Vec::new();
    let mut next = vec![folder.to_owned()];
    while let Some(parent) = next.pop() {
        let (folders, files) = entries(&root.join(&parent))?;
        next.extend(folders.into_iter().map(|name| below(&parent, &name)));
        found.push((parent, files));
    }
    found.sort_unstable();
    Ok(found)
}

/// The path of what is called `name` in `folder`, which is the root itself if it is empty.
pub(crate) fn below(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// The names of the folders and of the files in `folder`, in no order.
pub(crate) fn entries(folder: &Path) -> Result<(Vec<String>, Vec<String>)> {
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(DataError::io(folder))? {
        let entry = entry.map_err(DataError::io(folder))?;
        let path = entry.path();
        // The listing says what an entry is: of a million files only the links are looked at one by one.
        let kind = entry.file_type().map_err(DataError::io(&path))?;
        let is_folder = kind.is_dir() || (kind.is_symlink() && path.is_dir());
        let names = if is_folder { &mut folders } else { &mut files };
        names.push(text(&path)?);
    }
    Ok((folders, files))
}

/// A path's last part, which must be text: it becomes the name of a class or of a sample.
fn text(path: &Path) -> Result<String> {
    let name = path.file_name().unwrap_or_default();
    name.to_str().map(str::to_owned).ok_or_else(|| {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidData, "the name is not UTF-8");
        DataError::Io { path: path.to_owned(), source }
    })
}

pub(crate) fn is_image(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, extension)| EXTENSIONS.iter().any(|e| e.eq_ignore_ascii_case(extension)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;

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
        assert!(matches!(read_image_folder(root.path()), Err(DataError::Empty { path, .. }) if path == root.path()));
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
