//! From annotations to a dataset.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use sconce_core::geometry::{BBox, Object};

use super::{VocAnnotation, VocCoordinates, VocObject};
use crate::{
    DataError, OnInvalid, Orientation, Result,
    detection::{
        DetectionCounts, DetectionDataset, DetectionSample, Difficult, EmptyImages, OtherClasses,
        classes::{ClassIndex, lower},
        rules::skip,
    },
    line::quoted,
    listed::not_empty,
};

/// An image with what its annotation says.
pub(super) struct Annotated {
    /// Its path below the root.
    pub(super) name: String,
    pub(super) size: (usize, usize),
    pub(super) annotation: VocAnnotation,
    /// The file of the annotation.
    pub(super) path: PathBuf,
}

/// What has become of an image: what is known of it, unless it is left out.
pub(super) type Read = (Option<Annotated>, DetectionCounts);

/// How annotations become objects, whatever the layout of their files.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    /// The classes; none to take them from the annotations.
    pub(super) classes: &'a [String],
    pub(super) other_classes: OtherClasses,
    pub(super) difficult: Difficult,
    pub(super) coordinates: VocCoordinates,
    pub(super) max_overhang: u32,
    pub(super) empty_images: EmptyImages,
    pub(super) orientation: Orientation,
    pub(super) on_invalid: OnInvalid,
}

impl Rules<'_> {
    /// Checks the classes that are asked for, before a file is read.
    pub(super) fn check_classes(&self) -> Result<()> {
        if self.classes.is_empty() { Ok(()) } else { ClassIndex::new(self.classes).map(drop) }
    }

    /// The dataset of the images `read`, in their order, below `root`.
    pub(super) fn dataset(&self, root: &Path, read: Vec<Read>) -> Result<(DetectionDataset, DetectionCounts)> {
        let classes = self.classes(root, &read)?;
        let read: Vec<_> = read.into_par_iter().map(|read| self.sample(read, &classes)).collect();
        // The first error in the order of the images, whichever thread was faster.
        let read = read.into_iter().collect::<Result<Vec<_>>>()?;
        let (samples, counts): (Vec<_>, Vec<_>) = read.into_iter().unzip();
        let counts: DetectionCounts = counts.into_iter().sum();
        let samples = not_empty(samples.into_iter().flatten().collect(), root, "images that can be used")
            .map_err(|e| e.because_of(&counts.left_out()))?;
        let dataset = DetectionDataset::from_files(root, classes.names().to_vec(), samples)?;
        Ok(self.finish(dataset, counts))
    }

    /// The dataset of the images `read` whose annotations were not looked at.
    pub(super) fn unlabelled(&self, root: &Path, read: Vec<Read>) -> Result<(DetectionDataset, DetectionCounts)> {
        let (images, counts): (Vec<_>, Vec<_>) = read.into_iter().unzip();
        let sample = |image: Annotated| DetectionSample { name: image.name, size: image.size, objects: Vec::new() };
        let samples: Vec<_> = images.into_iter().flatten().map(sample).collect();
        let mut kept = DetectionCounts::default();
        kept.images.kept = samples.len();
        let classes =
            if self.classes.is_empty() { Vec::new() } else { ClassIndex::new(self.classes)?.names().to_vec() };
        let counts: DetectionCounts = counts.into_iter().chain([kept]).sum();
        let samples =
            not_empty(samples, root, "images that can be used").map_err(|e| e.because_of(&counts.left_out()))?;
        let dataset = DetectionDataset::from_files(root, classes, samples)?.without_objects();
        Ok(self.finish(dataset, counts))
    }

    fn finish(&self, dataset: DetectionDataset, counts: DetectionCounts) -> (DetectionDataset, DetectionCounts) {
        (dataset.with_orientation(self.orientation).with_counts(&counts, self.on_invalid), counts)
    }

    /// The classes that are asked for, or the sorted names that stand in the annotations.
    fn classes(&self, root: &Path, read: &[Read]) -> Result<ClassIndex> {
        if !self.classes.is_empty() {
            return ClassIndex::new(self.classes);
        }
        let objects = read.iter().filter_map(|(image, _)| image.as_ref()).flat_map(|image| &image.annotation.objects);
        let names: BTreeSet<String> = objects.map(|object| lower(&object.name)).collect();
        let counts = || read.iter().map(|(_, counts)| counts.clone()).sum::<DetectionCounts>();
        let names = not_empty(names.into_iter().collect(), root, "annotations with objects, whose classes are taken")
            .map_err(|e| e.because_of(&counts().left_out()))?;
        ClassIndex::new(&names)
    }

    fn sample(
        &self,
        (image, mut counts): Read,
        classes: &ClassIndex,
    ) -> Result<(Option<DetectionSample>, DetectionCounts)> {
        let Some(image) = image else { return Ok((None, counts)) };
        let objects = self.objects(&image, classes, &mut counts)?;
        let sample = if objects.is_empty() && self.empty_images == EmptyImages::Drop {
            skip(&mut counts.images.empty)?
        } else {
            Some(DetectionSample { name: image.name, size: image.size, objects })
        };
        counts.images.kept = usize::from(sample.is_some());
        Ok((sample, counts))
    }

    fn objects(&self, image: &Annotated, classes: &ClassIndex, counts: &mut DetectionCounts) -> Result<Vec<Object>> {
        let counts = &mut counts.objects;
        let mut objects = Vec::new();
        for (index, object) in image.annotation.objects.iter().enumerate() {
            counts.listed += 1;
            let fail = |found: String, expected: String| DataError::Object {
                record: image.path.display().to_string(),
                index,
                found: format!("{} with {found}", quoted(&object.name)),
                expected,
            };
            let Some(label) = classes.label(&object.name) else {
                if self.on_invalid == OnInvalid::Fail && self.other_classes == OtherClasses::Invalid {
                    return Err(fail("an unknown class".to_owned(), format!("one of {}", classes.names().join(", "))));
                }
                *counts.other_classes.entry(lower(&object.name)).or_default() += 1;
                continue;
            };
            if object.is_difficult && self.difficult == Difficult::Drop {
                counts.difficult += 1;
                continue;
            }
            let rule = (self.max_overhang, self.on_invalid);
            if let Some(bbox) = counts.fit(self.bbox(object), image.size, rule, fail)? {
                objects.push(Object { is_difficult: object.is_difficult, ..Object::new(bbox, label) });
            }
        }
        counts.kept += objects.len();
        Ok(objects)
    }

    fn bbox(&self, object: &VocObject) -> BBox {
        let first = match self.coordinates {
            VocCoordinates::OneBased => 1.0,
            VocCoordinates::ZeroBased => 0.0,
        };
        let [x1, y1, x2, y2] = object.bndbox.map(|edge| edge - first);
        BBox::from_inclusive(x1, y1, x2, y2)
    }
}
