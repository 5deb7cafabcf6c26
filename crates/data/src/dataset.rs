//! Images with labels or without, in memory or in files.

mod by_name;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use sconce_core::Rng;

use crate::{
    DataError, DatasetSummary, Image, LeftOut, OnInvalid, Orientation, Result, content_hash::ContentHash,
    face_box::FaceBoxes, summary::count_classes,
};

/// A list of images with a name each, and with a label each or none at all. A clone or a subset shares the images.
#[derive(Clone, Debug)]
pub struct ImageDataset {
    classes: Arc<[String]>,
    store: Arc<Store>,
    /// Where each sample stands in the store.
    rows: Arc<[usize]>,
    /// The label of each sample, less than the number of classes; none in a dataset without labels.
    labels: Option<Arc<[u32]>>,
    orientation: Orientation,
    on_invalid: Option<OnInvalid>,
    /// What was left out when the dataset was read.
    left_out: Arc<[LeftOut]>,
}

#[derive(Debug)]
struct Store {
    origin: String,
    names: Vec<String>,
    pixels: Pixels,
}

#[derive(Debug)]
enum Pixels {
    Memory(Vec<Image>),
    /// Files below `root`, by the samples' names; decoded when asked for, and cut to a face where there are `faces`.
    Files {
        root: PathBuf,
        faces: Option<FaceBoxes>,
    },
}

impl ImageDataset {
    /// A dataset of images in memory. `origin` names it in errors, and sample 17 becomes `origin/00017`.
    ///
    /// # Errors
    /// [`DataError::Argument`] without images or with another number of labels, [`DataError::Label`] for a label that no
    /// class has.
    pub fn from_images(origin: &str, classes: Vec<String>, images: Vec<Image>, labels: Vec<u32>) -> Result<Self> {
        let named = images.into_iter().enumerate().map(|(i, image)| (format!("{origin}/{i:05}"), image));
        Self::from_named_images(origin, classes, named.collect(), labels)
    }

    /// A dataset of images in memory that have names of their own. `origin` names it in errors.
    ///
    /// # Errors
    /// As [`ImageDataset::from_images`].
    pub fn from_named_images(
        origin: &str,
        classes: Vec<String>,
        images: Vec<(String, Image)>,
        labels: Vec<u32>,
    ) -> Result<Self> {
        let (names, images) = images.into_iter().unzip();
        Self::new(Store { origin: origin.to_owned(), names, pixels: Pixels::Memory(images) }, classes, labels)
    }

    /// A dataset of files, each with its label: paths below `root`, which are the samples' names. They are decoded when they
    /// are asked for.
    ///
    /// # Errors
    /// As [`ImageDataset::from_images`].
    pub fn from_files(root: &Path, classes: Vec<String>, samples: Vec<(String, u32)>) -> Result<Self> {
        Self::from_faces(root, classes, samples, None)
    }

    /// A dataset of files without labels: paths below `root`, which are the samples' names.
    ///
    /// # Errors
    /// [`DataError::Argument`] without files.
    pub fn from_unlabelled_files(root: &Path, names: Vec<String>) -> Result<Self> {
        let pixels = Pixels::Files { root: root.to_owned(), faces: None };
        Self::unlabelled(Store { origin: root.display().to_string(), names, pixels }, Vec::new())
    }

    /// [`ImageDataset::from_files`] whose images are cut to `faces`, one a sample.
    pub(crate) fn from_faces(
        root: &Path,
        classes: Vec<String>,
        samples: Vec<(String, u32)>,
        faces: Option<FaceBoxes>,
    ) -> Result<Self> {
        let (names, labels) = samples.into_iter().unzip();
        let pixels = Pixels::Files { root: root.to_owned(), faces };
        Self::new(Store { origin: root.display().to_string(), names, pixels }, classes, labels)
    }

    fn new(store: Store, classes: Vec<String>, labels: Vec<u32>) -> Result<Self> {
        Self::unlabelled(store, classes)?.with_labels(labels)
    }

    fn unlabelled(store: Store, classes: Vec<String>) -> Result<Self> {
        let n = store.names.len();
        if n == 0 {
            return Err(DataError::argument("number of images", 0, "at least 1"));
        }
        Ok(Self {
            classes: classes.into(),
            store: Arc::new(store),
            rows: (0..n).collect(),
            labels: None,
            orientation: Orientation::Stored,
            on_invalid: None,
            left_out: Arc::new([]),
        })
    }

    /// The same images with other labels.
    ///
    /// # Errors
    /// [`DataError::Argument`] for another number of labels, [`DataError::Label`] for a label that no class has.
    pub fn with_labels(&self, labels: Vec<u32>) -> Result<Self> {
        if labels.len() != self.len() {
            return Err(DataError::argument("number of labels", labels.len(), format!("{}, one an image", self.len())));
        }
        if let Some(i) = labels.iter().position(|&label| label as usize >= self.classes.len()) {
            let record = format!("{}: {}", self.origin(), self.name(i));
            return Err(DataError::Label { record, found: labels[i], classes: self.classes.len() });
        }
        Ok(Self { labels: Some(labels.into()), ..self.clone() })
    }

    /// The same images without their labels and classes.
    #[must_use]
    pub fn without_labels(&self) -> Self {
        Self { classes: Arc::new([]), labels: None, ..self.clone() }
    }

    /// The same images, where they are files, with another rule for what a camera noted. Those of a folder are upright, those of a
    /// list as stored.
    #[must_use]
    pub fn with_orientation(self, orientation: Orientation) -> Self {
        Self { orientation, ..self }
    }

    /// The same with more that was left out, for its summary.
    #[must_use]
    pub fn with_left_out(self, left_out: impl IntoIterator<Item = LeftOut>) -> Self {
        let more = left_out.into_iter().filter(|left_out| left_out.count > 0);
        Self { left_out: self.left_out.iter().cloned().chain(more).collect(), ..self }
    }

    /// The same, whose reader has a setting `on_invalid`, which errors may name.
    pub(crate) fn can_skip(self, on_invalid: OnInvalid) -> Self {
        Self { on_invalid: Some(on_invalid), ..self }
    }

    /// The number of samples, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a dataset is never empty")]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The image of sample `index`.
    ///
    /// # Errors
    /// [`DataError::Io`] or [`DataError::Decode`] if its file cannot be read, [`DataError::Line`] if the face that it should be
    /// cut to lies outside, [`DataError::Argument`] beyond the end.
    pub fn image(&self, index: usize) -> Result<Image> {
        let Some(&row) = self.rows.get(index) else {
            return Err(DataError::argument("sample", index, format!("less than {}", self.len())));
        };
        match &self.store.pixels {
            Pixels::Memory(images) => Ok(images[row].clone()),
            Pixels::Files { root, faces } => {
                let path = root.join(&self.store.names[row]);
                let image = Image::read_as(&path, self.orientation).map_err(|e| e.with_hint(self.on_invalid))?;
                match faces {
                    Some(faces) => faces.cut(row, &image),
                    None => Ok(image),
                }
            }
        }
    }

    /// The label of sample `index`.
    ///
    /// # Panics
    /// Beyond the end, and for a dataset without labels: [`ImageDataset::require_labels`] checks that there are some.
    pub fn label(&self, index: usize) -> u32 {
        self.labels()[index]
    }

    /// The labels of all samples; none for a dataset without labels.
    pub fn labels(&self) -> &[u32] {
        self.labels.as_deref().unwrap_or_default()
    }

    /// Whether the images have labels.
    pub fn is_labelled(&self) -> bool {
        self.labels.is_some()
    }

    /// The labels of all samples, for what cannot do without.
    ///
    /// # Errors
    /// [`DataError::Unlabelled`], which names the folder, for a dataset without labels.
    pub fn require_labels(&self) -> Result<&[u32]> {
        self.labels.as_deref().ok_or_else(|| DataError::Unlabelled { origin: self.origin().to_owned() })
    }

    /// The name of sample `index`, which stays the same in every subset: its path below the root, or `train/00017`.
    ///
    /// # Panics
    /// Beyond the end.
    pub fn name(&self, index: usize) -> &str {
        &self.store.names[self.rows[index]]
    }

    /// The file of sample `index`; none for an image in memory, or beyond the end.
    pub fn path(&self, index: usize) -> Option<PathBuf> {
        match &self.store.pixels {
            Pixels::Memory(_) => None,
            Pixels::Files { root, .. } => Some(root.join(&self.store.names[*self.rows.get(index)?])),
        }
    }

    /// What errors call sample `index`: its file, or its name.
    pub(crate) fn described(&self, index: usize) -> Option<String> {
        let name = || self.rows.get(index).map(|&row| self.store.names[row].clone());
        self.path(index).map(|path| path.display().to_string()).or_else(name)
    }

    /// The names of the classes, in the order of the labels; none for a dataset without labels.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Where the samples come from, for messages: a folder, or a split's name.
    pub fn origin(&self) -> &str {
        &self.store.origin
    }

    /// What the dataset holds and what was left out when it was read; `name` says what it is for, as `train`. A subset says the
    /// same of what was left out; of two parts, only what remains ([`ImageDataset::split_off`]).
    pub fn summary(&self, name: &str) -> DatasetSummary {
        let classes = self.labels.as_deref().map(|labels| count_classes(&self.classes, labels.iter().copied()));
        DatasetSummary {
            name: name.to_owned(),
            origin: self.origin().to_owned(),
            images: self.len(),
            classes,
            objects: None,
            images_without_objects: None,
            clipped_boxes: 0,
            images_as_stored: 0,
            left_out: self.left_out.to_vec(),
            objects_left_out: Vec::new(),
        }
    }

    /// Checks that label `i` means the same here as for a model that was trained on `classes`.
    ///
    /// A folder without one of the classes would shift all labels behind it.
    ///
    /// # Errors
    /// [`DataError::Classes`] with the first class that differs, [`DataError::Unlabelled`] for a dataset without labels.
    pub fn check_classes(&self, classes: &[String]) -> Result<()> {
        self.require_labels()?;
        let name = |list: &[String], i: usize| list.get(i).map_or_else(|| "missing".to_owned(), |c| format!("`{c}`"));
        let n = self.classes.len().max(classes.len());
        match (0..n).find(|&i| self.classes.get(i) != classes.get(i)) {
            None => Ok(()),
            Some(index) => Err(DataError::Classes {
                origin: self.origin().to_owned(),
                index,
                found: name(&self.classes, index),
                expected: name(classes, index),
            }),
        }
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
        Ok(Self {
            rows: indices.iter().map(|&i| self.rows[i]).collect(),
            labels: self.labels.as_deref().map(|labels| indices.iter().map(|&i| labels[i]).collect()),
            ..self.clone()
        })
    }

    /// Cuts `fraction` of the samples off: what remains, and what was cut off, both in the order of this dataset.
    ///
    /// The draw depends on `seed` alone, and takes the same fraction of every class, rounded to whole samples; without labels, of
    /// all. Where that leaves a part empty, because classes are small, it takes the fraction of all samples, and leaves one of each
    /// class. For a test part beside a validation part, cut twice.
    ///
    /// # Errors
    /// [`DataError::Argument`] if either part would be empty even so.
    pub fn split_off(&self, fraction: f64, seed: u64) -> Result<(Self, Self)> {
        let (rest, cut) = self.split_indices(fraction, seed)?;
        let cut = self.subset(&cut)?;
        Ok((self.subset(&rest)?, Self { left_out: Arc::new([]), ..cut }))
    }

    /// The indices of the two parts of [`Self::split_off`], for what else is known of the samples.
    ///
    /// # Errors
    /// As there.
    pub fn split_indices(&self, fraction: f64, seed: u64) -> Result<(Vec<usize>, Vec<usize>)> {
        if !(fraction > 0.0 && fraction < 1.0) {
            return Err(DataError::argument("fraction to split off", fraction, "between 0 and 1"));
        }
        let mut is_cut = vec![false; self.len()];
        for class in 0..self.classes.len().max(1) {
            let is_member = |i: usize| self.labels.as_deref().is_none_or(|labels| labels[i] as usize == class);
            let mut members: Vec<usize> = (0..self.len()).filter(|&i| is_member(i)).collect();
            Rng::keyed(seed, "split", [class as u64, 0]).shuffle(&mut members);
            let n_cut = (members.len() as f64 * fraction).round() as usize;
            members.iter().take(n_cut).for_each(|&i| is_cut[i] = true);
        }
        let n_cut = is_cut.iter().filter(|&&is_cut| is_cut).count();
        let wanted = (self.len() as f64 * fraction).round() as usize;
        if (n_cut == 0 && wanted > 0) || (n_cut == self.len() && wanted < self.len()) {
            is_cut = self.cut_of_all(wanted, seed);
        }
        let (cut, rest): (Vec<usize>, Vec<usize>) = (0..self.len()).partition(|&i| is_cut[i]);
        if cut.is_empty() || rest.is_empty() {
            let found = format!("{fraction} of {} samples in {} classes", self.len(), self.classes.len());
            let expected = "samples to split off that leave one of each class";
            return Err(DataError::argument("fraction to split off", found, expected));
        }
        Ok((rest, cut))
    }

    /// Which samples a split of `wanted` takes of all together, as far as classes can spare them.
    fn cut_of_all(&self, wanted: usize, seed: u64) -> Vec<bool> {
        let label = |i: usize| self.labels.as_deref().map_or(0, |labels| labels[i] as usize);
        let mut left = vec![0usize; self.classes.len().max(1)];
        (0..self.len()).for_each(|i| left[label(i)] += 1);
        let mut order: Vec<usize> = (0..self.len()).collect();
        Rng::keyed(seed, "split of all", [0, 0]).shuffle(&mut order);
        let (mut is_cut, mut n_cut) = (vec![false; self.len()], 0);
        for i in order {
            if n_cut < wanted && left[label(i)] > 1 {
                is_cut[i] = true;
                left[label(i)] -= 1;
                n_cut += 1;
            }
        }
        is_cut
    }

    /// The SHA-256 of the content, in hexadecimal: the class names, then for each sample its label and its size and pixels,
    /// or, where samples are files, its label, name, file size and face box. Pixels in files are not read: that would take as long as
    /// an epoch.
    ///
    /// # Errors
    /// [`DataError::Io`] if the size of a file cannot be read.
    pub fn content_hash(&self) -> Result<String> {
        let mut hash = ContentHash::new(&self.classes);
        for (i, &row) in self.rows.iter().enumerate() {
            // A dataset without labels has no classes either, and so begins otherwise.
            let label = self.labels.as_deref().map_or(0, |labels| labels[i]);
            hash.field(&label.to_le_bytes());
            match &self.store.pixels {
                Pixels::Memory(images) => {
                    let image = &images[row];
                    let shape = [image.height(), image.width(), image.channels()];
                    shape.iter().for_each(|&n| hash.field(&(n as u64).to_le_bytes()));
                    hash.field(image.data());
                }
                Pixels::Files { root, faces } => {
                    let path = root.join(&self.store.names[row]);
                    let size = fs::metadata(&path).map_err(DataError::io(&path))?.len();
                    hash.field(self.store.names[row].as_bytes());
                    hash.field(&size.to_le_bytes());
                    faces.iter().flat_map(|faces| faces.sides(row)).for_each(|side| hash.field(&side.to_le_bytes()));
                }
            }
        }
        Ok(hash.finish())
    }
}

#[cfg(test)]
mod tests;
