//! Which files a list's ids mean.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use super::{VocListed, VocPart};
use crate::files::{extension_rank, stem};

/// The folder of the images.
pub(super) const IMAGES: &str = "JPEGImages";

/// The folder of the annotations.
const ANNOTATIONS: &str = "Annotations";

/// What lies in the folders of a dataset; each is listed once.
pub(super) struct Folders<'a> {
    root: &'a Path,
    /// By a folder's path below the root: its files, by their names without an image's extension.
    listed: HashMap<String, HashMap<String, Vec<String>>>,
}

impl<'a> Folders<'a> {
    pub(super) fn new(root: &'a Path) -> Self {
        Self { root, listed: HashMap::new() }
    }

    /// The path below the root of the image that `id` means: the file of that name, or the one with an image's extension behind
    /// it, or in its place; in upper or in lower case.
    pub(super) fn image(&mut self, part: &VocPart, id: &str) -> Option<String> {
        let path = path(part, IMAGES, id);
        let (folder, name) = path.rsplit_once('/')?;
        let files = self.files(folder);
        let whole = files.get(name).into_iter().flatten();
        let candidates = whole.chain(files.get(stem(name)).into_iter().flatten());
        let rank = |file: &&String| match *file == name {
            true => Some(0),
            false => extension_rank(file).map(|rank| 1 + rank_of_voc(rank)),
        };
        let best = candidates.filter_map(|file| Some((rank(&file)?, file))).min()?;
        Some(format!("{folder}/{}", best.1))
    }

    fn files(&mut self, folder: &str) -> &HashMap<String, Vec<String>> {
        let path = self.root.join(folder);
        self.listed.entry(folder.to_owned()).or_insert_with(|| {
            let mut files: HashMap<String, Vec<String>> = HashMap::new();
            // A folder that cannot be read has no file: the error is about an image that is missing.
            for entry in fs::read_dir(path).into_iter().flatten().flatten() {
                if let Ok(name) = entry.file_name().into_string() {
                    files.entry(stem(&name).to_owned()).or_default().push(name);
                }
            }
            files
        })
    }

    /// The annotation of `id`.
    pub(super) fn annotation(&self, part: &VocPart, id: &str) -> PathBuf {
        let with = |extension| self.root.join(path(part, ANNOTATIONS, &format!("{}.{extension}", stem(id))));
        let (usual, upper) = (with("xml"), with("XML"));
        if !usual.is_file() && upper.is_file() { upper } else { usual }
    }

    /// Whether lines of the list `part` that end in a number are ids with a blank, and not ids with a second column: if more
    /// files are called so. Where both are there, it is a second column in lists that are called as a class, `dog_train`.
    pub(super) fn are_whole(&mut self, part: &VocPart, listed: &[VocListed], classes: &[String]) -> bool {
        let mut n_found = |id: &dyn Fn(&VocListed) -> Option<String>| {
            let is_there = |id: &String| self.image(part, id).is_some() || self.annotation(part, id).is_file();
            listed.iter().filter_map(id).filter(is_there).count()
        };
        let whole = n_found(&VocListed::whole_line);
        if whole == 0 {
            return false;
        }
        let split = part.split.to_lowercase();
        let is_about_a_class = match classes {
            [] => split.contains('_'),
            _ => classes.iter().any(|class| split.starts_with(&format!("{}_", class.to_lowercase()))),
        };
        let in_columns = n_found(&|listed| Some(listed.id.clone()));
        whole > in_columns || (whole == in_columns && !is_about_a_class)
    }
}

/// JPEG before PNG, as in VOC itself, then the others.
fn rank_of_voc(rank: usize) -> usize {
    match rank {
        0 => 1,
        1 => 0,
        _ => rank,
    }
}

/// The path below the root of a file of `kind`.
pub(super) fn path(part: &VocPart, kind: &str, file: &str) -> String {
    if part.folder.is_empty() { format!("{kind}/{file}") } else { format!("{}/{kind}/{file}", part.folder) }
}
