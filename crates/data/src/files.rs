//! Image files in folders.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{DataError, Result};

const EXTENSIONS: [&str; 9] = ["png", "jpg", "jpeg", "webp", "bmp", "ppm", "pgm", "pbm", "pnm"];

/// What a folder of images should hold.
pub(crate) const IMAGES: &str = "PNG, JPEG, WebP, BMP or PNM files";

/// Folders that systems make for themselves, beside those whose names begin with a dot.
const NOT_OURS: [&str; 2] = ["__MACOSX", "@eaDir"];

/// The image files that `paths` name, in their order: a file is itself, a folder every image file below it, in the order of
/// folders and files. What a command line that takes pictures does with its arguments.
///
/// Images are `.png`, `.jpg`, `.jpeg`, `.webp`, `.bmp` and `.p?m`, whatever the case. Hidden files and folders are not looked at.
/// A file that is named is taken whatever its ending; none is opened.
///
/// # Errors
/// [`DataError::Io`] for a path that does not exist or a folder that cannot be read, [`DataError::Empty`] for a folder without
/// images, [`DataError::Argument`] without paths.
pub fn image_files<P: AsRef<Path>>(paths: &[P]) -> Result<Vec<PathBuf>> {
    if paths.is_empty() {
        return Err(DataError::argument("number of image files and folders", 0, "at least 1"));
    }
    let mut files = Vec::new();
    for path in paths.iter().map(AsRef::as_ref) {
        if fs::metadata(path).map_err(DataError::io(path))?.is_dir() {
            files.extend(images_below(path, "")?.into_iter().map(|name| path.join(name)));
        } else {
            files.push(path.to_owned());
        }
    }
    Ok(files)
}

/// The image files below `root/folder`, as paths below `root`, in the order of folders and files.
///
/// # Errors
/// [`DataError::Io`], or [`DataError::Empty`] if there are none.
pub(crate) fn images_below(root: &Path, folder: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for (folder, mut files) in walk(root, folder)? {
        files.retain(|file| is_image(file));
        files.sort_unstable();
        names.extend(files.iter().map(|file| below(&folder, file)));
    }
    if names.is_empty() {
        let path = if folder.is_empty() { root.to_owned() } else { root.join(folder) };
        return Err(DataError::Empty { path, expected: IMAGES });
    }
    Ok(names)
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

/// The names of the folders and of the files in `folder`, in no order. What a system keeps for itself is left out: names that
/// begin with a dot (`.DS_Store`, `._photo.jpg`, `.ipynb_checkpoints`), `__MACOSX` and the like. So are links to a folder in
/// which they lie themselves.
pub(crate) fn entries(folder: &Path) -> Result<(Vec<String>, Vec<String>)> {
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(DataError::io(folder))? {
        let entry = entry.map_err(DataError::io(folder))?;
        let path = entry.path();
        if is_hidden(&path) {
            continue;
        }
        // The listing says what an entry is: of a million files only the links are looked at one by one.
        let kind = entry.file_type().map_err(DataError::io(&path))?;
        let is_folder = kind.is_dir() || (kind.is_symlink() && path.is_dir());
        if is_folder && kind.is_symlink() && leads_up(folder, &path)? {
            continue;
        }
        let names = if is_folder { &mut folders } else { &mut files };
        names.push(text(&path)?);
    }
    Ok((folders, files))
}

/// Whether the link `path` in `folder` leads to that folder, or to one above it: a walk would never end.
fn leads_up(folder: &Path, path: &Path) -> Result<bool> {
    let real = |path: &Path| path.canonicalize().map_err(DataError::io(path));
    Ok(real(folder)?.starts_with(real(path)?))
}

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || NOT_OURS.contains(&&*name)
}

/// A path's last part, which must be text: it becomes the name of a class or of a sample.
fn text(path: &Path) -> Result<String> {
    let name = path.file_name().unwrap_or_default();
    name.to_str().map(str::to_owned).ok_or_else(|| {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidData, "the name is not UTF-8");
        DataError::Io { path: path.to_owned(), source }
    })
}

/// Whether a file's name ends as that of an image.
pub(crate) fn is_image(name: &str) -> bool {
    extension_rank(name).is_some()
}

/// Which of the images' extensions `name` has; a lower one is more usual.
pub(crate) fn extension_rank(name: &str) -> Option<usize> {
    let (_, extension) = name.rsplit_once('.')?;
    EXTENSIONS.iter().position(|known| known.eq_ignore_ascii_case(extension))
}

/// `name` without an image's extension; it may hold other dots: `…_beta_0.02`.
pub(crate) fn stem(name: &str) -> &str {
    match (extension_rank(name), name.rsplit_once('.')) {
        (Some(_), Some((stem, _))) => stem,
        _ => name,
    }
}
