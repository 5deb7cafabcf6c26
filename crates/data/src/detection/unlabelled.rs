//! Images of which nothing is known.

use std::path::Path;

use rayon::prelude::*;

use super::{
    DetectionCounts, DetectionDataset, DetectionSample,
    rules::{ImageCounts, WrongImage, checked_size},
};
use crate::{
    FolderConfig, Result,
    files::{Unread, pictures_below},
    listed::not_empty,
};

/// Reads every `.png`, `.jpg`, `.jpeg`, `.jfif`, `.jpe`, `.webp`, `.bmp` and `.p?m` below `root`, in the order of folders and files, as images on
/// which nothing is marked: a target domain to adapt to. `classes` are those of the labelled domain.
///
/// A sample's name is its path below the root. Images are upright. Only the files' sizes are read; images are decoded when they
/// are asked for. Hidden files and folders are ignored.
///
/// # Errors
/// [`DataError::Io`](crate::DataError::Io) for a folder or a file, [`DataError::Decode`](crate::DataError::Decode) for what is no
/// image, [`DataError::Empty`](crate::DataError::Empty) without images.
pub fn read_unlabelled(root: &Path, classes: &[String]) -> Result<DetectionDataset> {
    Ok(read_unlabelled_as(root, classes, &FolderConfig::default())?.0)
}

/// [`read_unlabelled`] as `config` says. To leave out what cannot be decoded, all files are decoded once.
///
/// # Errors
/// As [`read_unlabelled`].
pub fn read_unlabelled_as(
    root: &Path,
    classes: &[String],
    config: &FolderConfig,
) -> Result<(DetectionDataset, DetectionCounts)> {
    let mut unread = Unread::default();
    let names = pictures_below(root, "", &mut unread)?;
    let sample = |name: String| {
        let mut images = ImageCounts { listed: 1, ..ImageCounts::default() };
        let sample = match checked_size(&root.join(&name), config.orientation, config.on_invalid, &mut images) {
            Ok(size) => Some(DetectionSample { size, name, objects: Vec::new() }),
            Err(error) => images.skip(WrongImage::BrokenImage, error, config.on_invalid)?,
        };
        images.kept = usize::from(sample.is_some());
        Ok((sample, DetectionCounts { images, ..DetectionCounts::default() }))
    };
    let read: Vec<_> = names.into_par_iter().map(sample).collect();
    // The first error in the order of the files, whichever thread was faster.
    let read = read.into_iter().collect::<Result<Vec<_>>>()?;
    let (samples, counts): (Vec<_>, Vec<_>) = read.into_iter().unzip();
    let counts: DetectionCounts = counts.into_iter().sum();
    let samples = not_empty(samples.into_iter().flatten().collect(), root, "images that can be decoded")
        .map_err(|e| e.because_of(&counts.left_out()))?;
    let dataset = DetectionDataset::from_files(root, classes.to_vec(), samples)?.without_objects();
    Ok((
        dataset
            .with_orientation(config.orientation)
            .with_counts(&counts, config.on_invalid)
            .with_left_out([unread.left_out()]),
        counts,
    ))
}
