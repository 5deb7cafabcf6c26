//! Images with the objects on them, in memory or in files.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use sconce_core::{Rng, geometry::Object};

use crate::{DataError, Image, Result, content_hash::ContentHash};

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
        Ok(Self { origin, classes: classes.into(), samples: samples.into(), pixels })
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
                let image = Image::read(&path)?;
                let (found, expected) = ((image.height(), image.width()), sample.size);
                if found == expected {
                    return Ok(image);
                }
                Err(DataError::ImageSize { path, found, expected })
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
        Ok((self.subset(&sorted(rest))?, self.subset(&sorted(cut))?))
    }

    /// The same images without what is known to be on them: a target domain whose labels no training may see.
    #[must_use]
    pub fn without_objects(&self) -> Self {
        let bare = |sample: &DetectionSample| DetectionSample { objects: Vec::new(), ..sample.clone() };
        Self { samples: self.samples.iter().map(bare).collect(), ..self.clone() }
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

#[cfg(test)]
mod tests {
    use sconce_core::geometry::BBox;

    use super::*;

    fn sample(name: &str, objects: Vec<Object>) -> (Image, DetectionSample) {
        (Image::pattern(8, 6, 3), DetectionSample { name: name.to_owned(), size: (6, 8), objects })
    }

    fn object(x2: f64, label: u32) -> Object {
        Object::new(BBox::new(1.0, 1.0, x2, 5.0), label)
    }

    fn dataset(samples: Vec<(Image, DetectionSample)>) -> Result<DetectionDataset> {
        DetectionDataset::from_images("test", vec!["a".into(), "b".into()], samples)
    }

    #[test]
    fn objects_lie_in_their_image_and_have_a_class() {
        dataset(vec![sample("0", vec![object(8.0, 1)]), sample("1", vec![])]).unwrap();
        for bad in [object(8.5, 0), object(1.0, 0), object(0.0, 0), object(f64::NAN, 0)] {
            let error = dataset(vec![sample("0", vec![object(8.0, 1), bad])]).unwrap_err();
            assert!(matches!(error, DataError::Object { index: 1, .. }), "{error}");
        }
        assert!(matches!(dataset(vec![sample("0", vec![object(8.0, 2)])]), Err(DataError::Label { found: 2, .. })));
        assert!(matches!(dataset(vec![]), Err(DataError::Argument { .. })));
        let mut wrong = sample("0", vec![]);
        wrong.1.size = (8, 6);
        assert!(matches!(dataset(vec![wrong]), Err(DataError::Argument { .. })));
    }

    #[test]
    fn parts_keep_their_images_and_a_target_has_no_labels() {
        let names: Vec<String> = (0..10).map(|i| i.to_string()).collect();
        let all = dataset(names.iter().map(|n| sample(n, vec![object(8.0, 1)])).collect()).unwrap();
        let (rest, cut) = all.split_off(0.3, 1).unwrap();
        let mut together: Vec<&str> = rest.samples().iter().chain(cut.samples()).map(|s| s.name.as_str()).collect();
        together.sort_unstable();
        assert_eq!((rest.len(), cut.len(), together), (7, 3, names.iter().map(String::as_str).collect()));
        assert!(all.split_off(0.01, 1).is_err() && all.split_off(1.0, 1).is_err());
        let bare = all.without_objects();
        assert!(bare.samples().iter().all(|s| s.objects.is_empty()) && bare.len() == 10);
        assert_ne!(bare.content_hash(), all.content_hash());
        assert_eq!(all.subset(&[3]).unwrap().content_hash(), all.subset(&[3]).unwrap().content_hash());
    }
}
