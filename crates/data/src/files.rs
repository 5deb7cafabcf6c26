//! Image files in folders.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::{DataError, LeftOut, Result};

const EXTENSIONS: [&str; 11] = ["png", "jpg", "jpeg", "webp", "bmp", "ppm", "pgm", "pbm", "pnm", "jfif", "jpe"];

/// Extensions of pictures that are not read: whoever has such files wants to know that they are left out.
const UNREAD: [&str; 17] = [
    "gif", "tif", "tiff", "heic", "heif", "avif", "jp2", "jxl", "tga", "ico", "svg", "psd", "exr", "dng", "nef", "cr2",
    "arw",
];

/// Why pictures are left out whose kind is not read.
const OTHER_KINDS: &str = "of kinds that are not read";

/// A folder with such a file is the output of a run, whose pictures are no data: `sconce-engine` leaves it.
const RUN_MARKER: &str = ".sconce";

/// What a folder of images should hold.
pub(crate) const IMAGES: &str = "PNG, JPEG, WebP, BMP or PNM files";

/// Folders that systems make for themselves, beside those whose names begin with a dot.
const NOT_OURS: [&str; 2] = ["__MACOSX", "@eaDir"];

/// The image files that `paths` name, in their order: a file is itself, a folder every image file below it, in the order of
/// folders and files. What a command line that takes pictures does with its arguments.
///
/// Images are `.png`, `.jpg`, `.jpeg`, `.jfif`, `.jpe`, `.webp`, `.bmp` and `.p?m`, whatever the case. Hidden files and folders,
/// and folders of runs, are not looked at. A file that is named is taken whatever its ending; none is opened.
///
/// # Errors
/// [`DataError::Io`] for a path that does not exist or a folder that cannot be read, [`DataError::Empty`] for a folder without
/// images, [`DataError::Argument`] without paths.
pub fn image_files<P: AsRef<Path>>(paths: &[P]) -> Result<Vec<PathBuf>> {
    if paths.is_empty() {
        return Err(DataError::argument("number of image files and folders", 0, "at least 1"));
    }
    let FoundImages { files, failed, .. } = find_images(paths);
    match failed.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(files.into_iter().map(|(file, _)| file).collect()),
    }
}

/// The image files of a command's arguments.
#[derive(Debug, Default)]
pub struct FoundImages {
    /// The files in the order of the arguments, each with its path below the one that it was found by.
    pub files: Vec<(PathBuf, PathBuf)>,
    /// Arguments that are not there, or hold no images.
    pub failed: Vec<(PathBuf, DataError)>,
    /// Folders that hold pictures of other kinds too, which are left out.
    pub left_out: Vec<(PathBuf, LeftOut)>,
}

/// [`image_files`] that goes on behind an argument that is wrong, and says what it has left out.
pub fn find_images<P: AsRef<Path>>(paths: &[P]) -> FoundImages {
    let mut found = FoundImages::default();
    for path in paths.iter().map(AsRef::as_ref) {
        let mut unread = Unread::default();
        let is_folder = fs::metadata(path).map_err(DataError::io(path)).map(|metadata| metadata.is_dir());
        let files = match is_folder {
            Ok(true) => pictures_below(path, "", &mut unread),
            Ok(false) => {
                found.files.push((path.to_owned(), path.file_name().unwrap_or_default().into()));
                continue;
            }
            Err(error) => Err(error),
        };
        match files {
            Ok(names) => found.files.extend(names.into_iter().map(|name| (path.join(&name), name.into()))),
            Err(error) => {
                found.failed.push((path.to_owned(), error));
                continue;
            }
        }
        let unread = unread.left_out();
        if unread.count > 0 {
            found.left_out.push((path.to_owned(), unread));
        }
    }
    found
}

/// The image files below `root/folder`, as paths below `root`, in the order of folders and files.
///
/// # Errors
/// [`DataError::Io`], or [`DataError::Empty`] if there are none.
pub(crate) fn images_below(root: &Path, folder: &str) -> Result<Vec<String>> {
    pictures_below(root, folder, &mut Unread::default())
}

/// [`images_below`], which notes the pictures of other kinds.
pub(crate) fn pictures_below(root: &Path, folder: &str, unread: &mut Unread) -> Result<Vec<String>> {
    let (mut names, mut others) = (Vec::new(), Vec::new());
    for (folder, mut files) in walk(root, folder)? {
        files.sort_unstable();
        for file in files {
            let path = below(&folder, &file);
            if is_image(&file) { names.push(path) } else { others.push(path) }
        }
    }
    if names.is_empty() {
        let path = if folder.is_empty() { root.to_owned() } else { root.join(folder) };
        let mut unread = Unread::default();
        others.iter().for_each(|path| unread.note(path));
        return Err(DataError::empty(path, IMAGES).because_of(&[unread.left_out()]));
    }
    others.iter().for_each(|path| unread.note(path));
    Ok(names)
}

/// Pictures whose kind is not read, by their extensions: how many, and the first.
#[derive(Debug, Default)]
pub(crate) struct Unread(BTreeMap<String, (usize, String)>);

impl Unread {
    /// Notes a file that is no image which is read, if it is a picture all the same.
    fn note(&mut self, path: &str) {
        let Some((_, extension)) = path.rsplit_once('.') else { return };
        let extension = extension.to_lowercase();
        if UNREAD.contains(&&*extension) {
            self.0.entry(extension).or_insert_with(|| (0, path.to_owned())).0 += 1;
        }
    }

    pub(crate) fn left_out(self) -> LeftOut {
        let count = self.0.values().map(|(n, _)| n).sum();
        let detail = |(extension, (n, first)): (String, (usize, String))| format!("{n} {extension}, as {first}");
        LeftOut { details: self.0.into_iter().map(detail).collect(), ..LeftOut::new(OTHER_KINDS, count) }
    }
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
/// which they lie themselves, and the folders of runs.
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
        if is_folder && (path.join(RUN_MARKER).exists() || (kind.is_symlink() && leads_up(folder, &path)?)) {
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
