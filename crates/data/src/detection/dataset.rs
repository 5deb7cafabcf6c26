//! Images with the objects on them, in memory or in files.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use sconce_core::{
    Rng,
    geometry::{BBox, Object},
};

use super::DetectionCounts;
use crate::{
    DataError, DatasetSummary, Image, LeftOut, OnInvalid, Orientation, Result, content_hash::ContentHash,
    summary::count_classes,
};

/// An image with what is on it, for a [`DetectionDataset`].
#[derive(Clone, Debug, PartialEq)]
pub struct DetectionSample {
    /// What it is called: in files, its path below the root.
    pub name: String,
    /// Height and width in pixels.
    pub size: (usize, usize),
    /// The objects; none is fine.
    pub objects: Vec<Object>,
}

/// A list of images with objects, whose labels are places in one list of classes. A clone or a subset shares the images.
#[derive(Clone, Debug)]
pub struct DetectionDataset {
    origin: String,
    classes: Arc<[String]>,
    samples: Arc<[DetectionSample]>,
    pixels: Pixels,
    /// Whether it is known what is on the images.
    is_labelled: bool,
    orientation: Orientation,
    on_invalid: Option<OnInvalid>,
    /// What was left out when the dataset was read.
    notes: Arc<Notes>,
}

/// What a reader has to say of a dataset, beside what is in it.
#[derive(Clone, Debug, Default)]
struct Notes {
    clipped_boxes: usize,
    as_stored: usize,
    left_out: Vec<LeftOut>,
    objects_left_out: Vec<LeftOut>,
}

#[derive(Clone, Debug)]
enum Pixels {
    Memory(Arc<[Image]>),
    /// Files below the root, by the samples' names; decoded when asked for.
    Files(PathBuf),
}

impl DetectionDataset {
    /// Images in memory, each with what is on it. `origin` names the dataset in errors.
    ///
    /// # Errors
    /// [`DataError::Argument`] without images or if a sample's size is not its image's, [`DataError::Label`] for a label that
    /// no class has, [`DataError::Object`] for a box that is not inside its image.
    pub fn from_images(origin: &str, classes: Vec<String>, images: Vec<(Image, DetectionSample)>) -> Result<Self> {
        let (images, samples): (Vec<Image>, Vec<DetectionSample>) = images.into_iter().unzip();
        let differs = |(image, sample): &(&Image, &DetectionSample)| (image.height(), image.width()) != sample.size;
        if let Some((image, sample)) = images.iter().zip(&samples).find(differs) {
            let found = format!("{:?} of `{}`", sample.size, sample.name);
            return Err(DataError::argument(
                "size of a sample",
                found,
                format!("{:?}", (image.height(), image.width())),
            ));
        }
        Self::new(origin.to_owned(), classes, samples, Pixels::Memory(images.into()))
    }

    /// Files below `root`, named by the samples; decoded when they are asked for.
    ///
    /// # Errors
    /// As [`DetectionDataset::from_images`].
    pub fn from_files(root: &Path, classes: Vec<String>, samples: Vec<DetectionSample>) -> Result<Self> {
        Self::new(root.display().to_string(), classes, samples, Pixels::Files(root.to_owned()))
    }

    fn new(origin: String, classes: Vec<String>, samples: Vec<DetectionSample>, pixels: Pixels) -> Result<Self> {
        if samples.is_empty() {
            return Err(DataError::argument("number of images", 0, "at least 1"));
        }
        for sample in &samples {
            for (index, object) in sample.objects.iter().enumerate() {
                let record = format!("{origin}: {}", sample.name);
                if object.label as usize >= classes.len() {
                    return Err(DataError::Label { record, found: object.label, classes: classes.len() });
                }
                let (height, width) = sample.size;
                let bbox = object.bbox;
                let is_inside = bbox.x1 >= 0.0 && bbox.y1 >= 0.0 && bbox.x2 <= width as f64 && bbox.y2 <= height as f64;
                if !bbox.has_extent() || !is_inside {
                    let expected = format!("a box with an extent inside {width}×{height} pixels");
                    return Err(DataError::Object { record, index, found: format!("{:?}", bbox.xyxy()), expected });
                }
            }
        }
        Ok(Self {
            origin,
            classes: classes.into(),
            samples: samples.into(),
            pixels,
            is_labelled: true,
            orientation: Orientation::Stored,
            on_invalid: None,
            notes: Arc::default(),
        })
    }

    /// The same images, where they are files, with another rule for what a camera noted; the sizes of the samples are those of
    /// images that follow it.
    #[must_use]
    pub fn with_orientation(self, orientation: Orientation) -> Self {
        Self { orientation, ..self }
    }

    /// The same, whose reader has counted what it kept and what not, and has a setting `on_invalid`.
    pub(super) fn with_counts(self, counts: &DetectionCounts, on_invalid: OnInvalid) -> Self {
        let notes = Notes {
            clipped_boxes: counts.objects.clamped,
            as_stored: counts.images.as_stored,
            left_out: counts.images.left_out(),
            objects_left_out: counts.objects.left_out(),
        };
        Self { notes: Arc::new(notes), on_invalid: Some(on_invalid), ..self }
    }

    /// The same with more images that were left out, for its summary.
    #[must_use]
    pub fn with_left_out(mut self, left_out: impl IntoIterator<Item = LeftOut>) -> Self {
        let more = left_out.into_iter().filter(|left_out| left_out.count > 0);
        Arc::make_mut(&mut self.notes).left_out.extend(more);
        self
    }

    /// The number of images, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a dataset is never empty")]
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// The image of sample `index`.
    ///
    /// # Errors
    /// [`DataError::Io`] or [`DataError::Decode`] if its file cannot be read, [`DataError::ImageSize`] if its size is not
    /// the annotated one, [`DataError::Argument`] beyond the end.
    pub fn image(&self, index: usize) -> Result<Image> {
        let Some(sample) = self.samples.get(index) else {
            return Err(DataError::argument("sample", index, format!("less than {}", self.len())));
        };
        match &self.pixels {
            Pixels::Memory(images) => Ok(images[index].clone()),
            Pixels::Files(root) => {
                let path = root.join(&sample.name);
                let image =
                    Image::read_as(&path, self.orientation).map_err(|error| error.with_hint(self.on_invalid))?;
                check_size(&path, (image.height(), image.width()), sample.size, self.orientation)?;
                Ok(image)
            }
        }
    }

    /// What is known of sample `index`.
    ///
    /// # Panics
    /// Beyond the end.
    pub fn sample(&self, index: usize) -> &DetectionSample {
        &self.samples[index]
    }

    /// What is known of all samples.
    pub fn samples(&self) -> &[DetectionSample] {
        &self.samples
    }

    /// The boxes of all objects, each with the height and width of its image, in pixels.
    pub fn boxes(&self) -> impl Iterator<Item = (BBox, (usize, usize))> {
        self.samples.iter().flat_map(|sample| sample.objects.iter().map(|object| (object.bbox, sample.size)))
    }

    /// Whether it is known what is on the images; if not, no sample has an object.
    pub fn is_labelled(&self) -> bool {
        self.is_labelled
    }

    /// The file of sample `index`; none for an image in memory, or beyond the end.
    pub fn path(&self, index: usize) -> Option<PathBuf> {
        match &self.pixels {
            Pixels::Memory(_) => None,
            Pixels::Files(root) => Some(root.join(&self.samples.get(index)?.name)),
        }
    }

    /// What errors call sample `index`: its file, or its name.
    pub(super) fn described(&self, index: usize) -> Option<String> {
        let name = || self.samples.get(index).map(|sample| sample.name.clone());
        self.path(index).map(|path| path.display().to_string()).or_else(name)
    }

    /// What the dataset holds and what was left out when it was read; `name` says what it is for, as `source`. A subset says the
    /// same of what was left out; of two parts, only what remains ([`DetectionDataset::split_off`]).
    pub fn summary(&self, name: &str) -> DatasetSummary {
        let labels = self.samples.iter().flat_map(|sample| sample.objects.iter().map(|object| object.label));
        let if_labelled = |n: usize| self.is_labelled.then_some(n);
        DatasetSummary {
            name: name.to_owned(),
            origin: self.origin.clone(),
            images: self.len(),
            classes: self.is_labelled.then(|| count_classes(&self.classes, labels)),
            objects: if_labelled(self.boxes().count()),
            images_without_objects: if_labelled(self.samples.iter().filter(|s| s.objects.is_empty()).count()),
            clipped_boxes: self.notes.clipped_boxes,
            images_as_stored: self.notes.as_stored,
            left_out: self.notes.left_out.clone(),
            objects_left_out: self.notes.objects_left_out.clone(),
        }
    }

    /// The names of the classes, in the order of the labels.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Where the samples come from, for messages: a folder, or what generated them.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The samples at `indices`, in that order.
    ///
    /// # Errors
    /// [`DataError::Argument`] for no indices, or one beyond the end.
    pub fn subset(&self, indices: &[usize]) -> Result<Self> {
        if indices.is_empty() {
            return Err(DataError::argument("number of samples in a subset", 0, "at least 1"));
        }
        if let Some(&i) = indices.iter().find(|&&i| i >= self.len()) {
            return Err(DataError::argument("sample", i, format!("less than {}", self.len())));
        }
        let pixels = match &self.pixels {
            // An image is a vector: a subset of those in memory copies them.
            Pixels::Memory(images) => Pixels::Memory(indices.iter().map(|&i| images[i].clone()).collect()),
            Pixels::Files(root) => Pixels::Files(root.clone()),
        };
        let samples = indices.iter().map(|&i| self.samples[i].clone()).collect();
        Ok(Self { samples, pixels, ..self.clone() })
    }

    /// Cuts `fraction` of the images off: what remains, and what was cut off, both in the order of this dataset. The draw
    /// depends on `seed` alone.
    ///
    /// # Errors
    /// [`DataError::Argument`] if `fraction` leaves either part empty.
    pub fn split_off(&self, fraction: f64, seed: u64) -> Result<(Self, Self)> {
        let (rest, cut) = self.split_indices(fraction, seed)?;
        let cut = self.subset(&cut)?;
        Ok((self.subset(&rest)?, Self { notes: Arc::default(), ..cut }))
    }

    /// The indices of the two parts of [`Self::split_off`], for what else is known of the samples.
    ///
    /// # Errors
    /// As there.
    pub fn split_indices(&self, fraction: f64, seed: u64) -> Result<(Vec<usize>, Vec<usize>)> {
        let n_cut = (self.len() as f64 * fraction).round();
        if !(fraction > 0.0 && fraction < 1.0 && n_cut >= 1.0 && n_cut < self.len() as f64) {
            let expected = format!("a fraction that leaves some of the {} images on both sides", self.len());
            return Err(DataError::argument("fraction to split off", fraction, expected));
        }
        let order = Rng::new(seed, "split").permutation(self.len());
        let (cut, rest) = order.split_at(n_cut as usize);
        let sorted = |part: &[usize]| {
            let mut part = part.to_vec();
            part.sort_unstable();
            part
        };
        Ok((sorted(rest), sorted(cut)))
    }

    /// The same images without what is known to be on them: a target domain whose labels no training may see.
    #[must_use]
    pub fn without_objects(&self) -> Self {
        let bare = |sample: &DetectionSample| DetectionSample { objects: Vec::new(), ..sample.clone() };
        // What was left out of the objects is a label too.
        let notes = Notes { left_out: self.notes.left_out.clone(), ..Notes::default() };
        let samples = self.samples.iter().map(bare).collect();
        Self { samples, is_labelled: false, notes: Arc::new(notes), ..self.clone() }
    }

    /// The SHA-256 of the content, in hexadecimal: the class names, then each sample's name, size and objects, and the pixels
    /// of those in memory. Those in files are not read: that would take as long as an epoch.
    pub fn content_hash(&self) -> String {
        let mut hash = ContentHash::new(&self.classes);
        for (i, sample) in self.samples.iter().enumerate() {
            hash.field(sample.name.as_bytes());
            hash.field(format!("{:?} {:?}", sample.size, sample.objects).as_bytes());
            if let Pixels::Memory(images) = &self.pixels {
                hash.field(images[i].data());
            }
        }
        hash.finish()
    }
}

/// Checks that an image has the annotated size, both as height and width.
pub(super) fn check_size(
    path: &Path,
    found: (usize, usize),
    expected: (usize, usize),
    orientation: Orientation,
) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    // A camera that was held upright notes it; the annotation may be of what people saw, or of what is stored.
    let other = match orientation {
        Orientation::Stored => Orientation::Upright,
        Orientation::Upright => Orientation::Stored,
    };
    let fits_turned = crate::image::read_size(path, other).is_ok_and(|size| size == expected);
    Err(DataError::ImageSize { path: path.to_owned(), found, expected, fits_as: fits_turned.then_some(other) })
}

#[cfg(test)]
mod tests;
