//! Folders of the user's own images, which may be large, and some of them broken.

use std::{
    collections::BTreeMap,
    io::{Error, ErrorKind},
    path::Path,
};

use rayon::prelude::*;
use sconce_data::{
    DataError, FolderConfig, Image, ImageDataset, LeftOut, OnInvalid, ResizeShorterSide, read_image_folder_as,
};

/// What is done to an image before its pipeline.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Decoding {
    /// What becomes of files that cannot be decoded, and of the orientation that a camera noted.
    pub(crate) folder: FolderConfig,
    /// The shorter side to which larger images are scaled.
    pub(crate) shrink_to: Option<usize>,
}

impl Decoding {
    /// The image as training keeps it.
    pub(crate) fn shrink(&self, image: Image) -> Result<Image, DataError> {
        match self.shrink_to {
            Some(size) if image.width().min(image.height()) > size => {
                ResizeShorterSide { size, antialias: true }.apply(image)
            }
            _ => Ok(image),
        }
    }
}

/// The images below `root`, or those of them that are called `only`.
pub(super) fn read(root: &Path, decoding: &Decoding, only: Option<&[String]>) -> Result<ImageDataset, DataError> {
    let is_kept = decoding.shrink_to.is_some();
    // Images that are kept are decoded below, and need not be decoded before to know that they can be.
    let folder = match is_kept || only.is_some() {
        true => FolderConfig { on_invalid: OnInvalid::Fail, ..decoding.folder },
        false => decoding.folder,
    };
    let mut dataset = read_image_folder_as(root, &folder)?;
    if let Some(names) = only {
        dataset = dataset.subset(&places(&dataset, names)?)?;
    }
    if is_kept { kept_in_memory(root, &dataset, decoding) } else { Ok(dataset) }
}

/// The images of `dataset`, decoded and shrunk.
fn kept_in_memory(root: &Path, dataset: &ImageDataset, decoding: &Decoding) -> Result<ImageDataset, DataError> {
    let decode = |i: usize| dataset.image(i).and_then(|image| decoding.shrink(image));
    let decoded: Vec<Result<Image, DataError>> = (0..dataset.len()).into_par_iter().map(decode).collect();
    let (mut images, mut labels, mut left_out) = (Vec::new(), Vec::new(), LeftOut::new("undecodable", 0));
    for (i, result) in decoded.into_iter().enumerate() {
        match result {
            Ok(image) => {
                images.push((dataset.name(i).to_owned(), image));
                labels.push(dataset.label(i));
            }
            Err(error) if decoding.folder.on_invalid == OnInvalid::Skip => left_out.details.push(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    left_out.count = left_out.details.len();
    let has = |labels: &[u32], label: usize| labels.contains(&(label as u32));
    // A class that had images, and has none any more.
    let emptied = (0..dataset.classes().len()).find(|&c| has(dataset.labels(), c) && !has(&labels, c));
    if let Some(class) = emptied {
        let path = root.join(&dataset.classes()[class]);
        return Err(DataError::empty(path, "images that can be decoded"));
    }
    let others = dataset.summary("").left_out;
    let kept = ImageDataset::from_named_images(dataset.origin(), dataset.classes().to_vec(), images, labels)?;
    Ok(kept.with_left_out(others.into_iter().chain([left_out])))
}

/// Where the samples `names` stand.
fn places(dataset: &ImageDataset, names: &[String]) -> Result<Vec<usize>, DataError> {
    let places: BTreeMap<&str, usize> = (0..dataset.len()).map(|i| (dataset.name(i), i)).collect();
    let place = |name: &String| {
        let gone = "not there any more, though the run held it out to test on; data.images.test may name other images";
        let error = || DataError::io(Path::new(dataset.origin()).join(name))(Error::new(ErrorKind::NotFound, gone));
        places.get(name.as_str()).copied().ok_or_else(error)
    };
    names.iter().map(place).collect()
}
