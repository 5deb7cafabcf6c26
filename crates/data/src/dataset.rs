//! Labelled images, in memory or in files.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use sconce_core::Rng;

use crate::{DataError, Image, Result, content_hash::ContentHash, face_box::FaceBoxes};

/// A list of images with a label and a name each. A clone or a subset shares the images.
#[derive(Clone, Debug)]
pub struct ImageDataset {
    classes: Arc<[String]>,
    store: Arc<Store>,
    /// Where each sample stands in the store.
    rows: Arc<[usize]>,
    /// The label of each sample, less than the number of classes.
    labels: Arc<[u32]>,
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
        let n = store.names.len();
        if n == 0 {
            return Err(DataError::argument("number of images", 0, "at least 1"));
        }
        let unlabelled =
            Self { classes: classes.into(), store: Arc::new(store), rows: (0..n).collect(), labels: vec![0; n].into() };
        unlabelled.with_labels(labels)
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
        Ok(Self { labels: labels.into(), ..self.clone() })
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
                let image = Image::read(&root.join(&self.store.names[row]))?;
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
    /// Beyond the end.
    pub fn label(&self, index: usize) -> u32 {
        self.labels[index]
    }

    /// The labels of all samples.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The name of sample `index`, which stays the same in every subset: its path below the root, or `train/00017`.
    ///
    /// # Panics
    /// Beyond the end.
    pub fn name(&self, index: usize) -> &str {
        &self.store.names[self.rows[index]]
    }

    /// The names of the classes, in the order of the labels.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Where the samples come from, for messages: a folder, or a split's name.
    pub fn origin(&self) -> &str {
        &self.store.origin
    }

    /// Checks that label `i` means the same here as for a model that was trained on `classes`.
    ///
    /// A folder without one of the classes would shift all labels behind it.
    ///
    /// # Errors
    /// [`DataError::Classes`] with the first class that differs.
    pub fn check_classes(&self, classes: &[String]) -> Result<()> {
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
            labels: indices.iter().map(|&i| self.labels[i]).collect(),
            ..self.clone()
        })
    }

    /// Cuts `fraction` of the samples off: what remains, and what was cut off, both in the order of this dataset.
    ///
    /// The draw depends on `seed` alone, and takes the same fraction of every class, rounded to whole samples.
    ///
    /// # Errors
    /// [`DataError::Argument`] if `fraction` leaves either part empty.
    pub fn split_off(&self, fraction: f64, seed: u64) -> Result<(Self, Self)> {
        let (rest, cut) = self.split_indices(fraction, seed)?;
        Ok((self.subset(&rest)?, self.subset(&cut)?))
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
        for class in 0..self.classes.len() {
            let mut members: Vec<usize> = (0..self.len()).filter(|&i| self.labels[i] as usize == class).collect();
            Rng::keyed(seed, "split", [class as u64, 0]).shuffle(&mut members);
            let n_cut = (members.len() as f64 * fraction).round() as usize;
            members.iter().take(n_cut).for_each(|&i| is_cut[i] = true);
        }
        let (cut, rest): (Vec<usize>, Vec<usize>) = (0..self.len()).partition(|&i| is_cut[i]);
        if cut.is_empty() || rest.is_empty() {
            let expected = format!("a fraction that leaves samples of the {} on both sides", self.len());
            return Err(DataError::argument("fraction to split off", fraction, expected));
        }
        Ok((rest, cut))
    }

    /// The SHA-256 of the content, in hexadecimal: the class names, then for each sample its label and its size and pixels,
    /// or, where samples are files, its label, name, file size and face box. Pixels in files are not read: that would take as long as
    /// an epoch.
    ///
    /// # Errors
    /// [`DataError::Io`] if the size of a file cannot be read.
    pub fn content_hash(&self) -> Result<String> {
        let mut hash = ContentHash::new(&self.classes);
        for (&row, label) in self.rows.iter().zip(self.labels.iter()) {
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
mod tests {
    use super::*;

    fn classes(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("class{i}")).collect()
    }

    /// `n` images of one pixel, whose value is their index, with labels in turn.
    fn dataset(n: usize, n_classes: usize) -> ImageDataset {
        let images = (0..n).map(|i| Image::new(1, 1, 1, vec![i as u8]).unwrap()).collect();
        let labels = (0..n).map(|i| (i % n_classes) as u32).collect();
        ImageDataset::from_images("train", classes(n_classes), images, labels).unwrap()
    }

    fn pixels(dataset: &ImageDataset) -> Vec<u8> {
        (0..dataset.len()).map(|i| dataset.image(i).unwrap().data()[0]).collect()
    }

    #[test]
    fn a_subset_keeps_names_labels_and_order() {
        let subset = dataset(10, 3).subset(&[7, 2]).unwrap().subset(&[1, 0, 1]).unwrap();
        assert_eq!(pixels(&subset), [2, 7, 2]);
        assert_eq!(subset.labels(), [2, 1, 2]);
        assert_eq!(subset.name(1), "train/00007");
    }

    #[test]
    fn a_split_is_stratified_seeded_and_complete() {
        let all = dataset(100, 4);
        let (rest, cut) = all.split_off(0.2, 3).unwrap();
        assert_eq!((rest.len(), cut.len()), (80, 20));
        for class in 0..4 {
            assert_eq!(cut.labels().iter().filter(|&&l| l == class).count(), 5);
        }
        let mut both = [pixels(&rest), pixels(&cut)].concat();
        assert!(pixels(&rest).is_sorted() && pixels(&cut).is_sorted());
        both.sort();
        assert_eq!(both, pixels(&all));
        assert_eq!(pixels(&all.split_off(0.2, 3).unwrap().1), pixels(&cut));
        assert_ne!(pixels(&all.split_off(0.2, 4).unwrap().1), pixels(&cut));
    }

    #[test]
    fn a_split_that_leaves_a_side_empty_is_refused() {
        for fraction in [0.0, 0.001, 0.999, 1.0, f64::NAN] {
            assert!(matches!(dataset(10, 2).split_off(fraction, 0), Err(DataError::Argument { .. })), "{fraction}");
        }
    }

    #[test]
    fn a_label_out_of_range_names_the_sample() {
        let image = Image::new(1, 1, 1, vec![0]).unwrap();
        let error = ImageDataset::from_images("test", classes(3), vec![image.clone(), image], vec![2, 3]);
        assert_eq!(error.unwrap_err().to_string(), "test: test/00001: label 3, expected 0 to 2");
    }

    #[test]
    fn counts_that_differ_are_refused() {
        let image = Image::new(1, 1, 1, vec![0]).unwrap();
        assert!(ImageDataset::from_images("test", classes(1), vec![image], vec![0, 0]).is_err());
        assert!(ImageDataset::from_images("test", classes(1), vec![], vec![]).is_err());
        assert!(dataset(3, 3).subset(&[3]).is_err());
        assert!(dataset(3, 3).image(3).is_err());
    }

    #[test]
    fn the_hash_sees_pixels_labels_classes_and_order() {
        let base = dataset(4, 2);
        let hash = base.content_hash().unwrap();
        assert_eq!(hash.len(), 64);
        assert_eq!(dataset(4, 2).content_hash().unwrap(), hash);
        let image = |v| Image::new(1, 1, 1, vec![v]).unwrap();
        let other_pixel =
            ImageDataset::from_images("train", classes(2), [0, 1, 2, 9].map(image).into(), vec![0, 1, 0, 1]).unwrap();
        let others = [
            other_pixel,
            base.with_labels(vec![0, 1, 0, 0]).unwrap(),
            base.subset(&[1, 0, 2, 3]).unwrap(),
            dataset(4, 2).subset(&[0, 1, 2]).unwrap(),
        ];
        for other in others {
            assert_ne!(other.content_hash().unwrap(), hash);
        }
    }

    #[test]
    fn the_hash_of_files_sees_names_and_sizes() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a.png"), [0; 3]).unwrap();
        fs::write(root.path().join("b.png"), [0; 3]).unwrap();
        let of = |name: &str| ImageDataset::from_files(root.path(), classes(1), vec![(name.to_owned(), 0)]).unwrap();
        let hash = of("a.png").content_hash().unwrap();
        assert_ne!(of("b.png").content_hash().unwrap(), hash);
        fs::write(root.path().join("a.png"), [0; 4]).unwrap();
        assert_ne!(of("a.png").content_hash().unwrap(), hash);
        assert!(matches!(of("c.png").content_hash(), Err(DataError::Io { .. })));
    }

    #[test]
    fn classes_that_differ_are_named() {
        let dataset = dataset(4, 2);
        dataset.check_classes(&classes(2)).unwrap();
        let error = dataset.check_classes(&classes(3)).unwrap_err();
        assert_eq!(error.to_string(), "train: class 2 is missing, expected `class2`");
        assert!(dataset.check_classes(&["class0".to_owned(), "x".to_owned()]).is_err());
    }
}
