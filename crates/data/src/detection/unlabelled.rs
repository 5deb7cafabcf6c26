//! Images of which nothing is known.

use std::path::Path;

use rayon::prelude::*;

use super::{DetectionDataset, DetectionSample};
use crate::{
    Result,
    folder::{below, is_image, walk},
    image::read_size,
    listed::not_empty,
};

/// Reads every `.png`, `.jpg`, `.jpeg`, `.webp`, `.bmp` and `.p?m` below `root`, in the order of folders and files, as images on
/// which nothing is marked: a target domain to adapt to. `classes` are those of the labelled domain.
///
/// A sample's name is its path below the root. Only the files' sizes are read; images are decoded when they are asked for.
///
/// # Errors
/// [`DataError::Io`](crate::DataError::Io) for a folder or a file, [`DataError::Decode`](crate::DataError::Decode) for what is no
/// image, [`DataError::Empty`](crate::DataError::Empty) without images.
pub fn read_unlabelled(root: &Path, classes: &[String]) -> Result<DetectionDataset> {
    let mut names = Vec::new();
    for (folder, mut files) in walk(root, "")? {
        files.retain(|file| is_image(file));
        files.sort_unstable();
        names.extend(files.iter().map(|file| below(&folder, file)));
    }
    let sample = |name: String| -> Result<DetectionSample> {
        Ok(DetectionSample { size: read_size(&root.join(&name))?, name, objects: Vec::new() })
    };
    let read: Vec<_> = names.into_par_iter().map(sample).collect();
    // The first error in the order of the files, whichever thread was faster.
    let samples = read.into_iter().collect::<Result<_>>()?;
    DetectionDataset::from_files(root, classes.to_vec(), not_empty(samples, root, "PNG, JPEG, WebP, BMP or PNM files")?)
}
