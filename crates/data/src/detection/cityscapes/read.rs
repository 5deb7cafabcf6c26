//! Cityscapes in its own layout, from a folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use sconce_core::geometry::Object;
use serde::{Deserialize, Serialize};

use super::{
    CITYSCAPES_CLASSES, CityscapesImages, CityscapesInstance, CityscapesSplit,
    layout::{class_name, has_instances},
    parse_cityscapes_instances,
};
use crate::{
    DataError, OnInvalid, Orientation, Result,
    detection::{
        DetectionCounts, DetectionDataset, DetectionSample, EmptyImages, WrongImage,
        classes::ClassIndex,
        dataset::check_size,
        rules::{Annotations, checked_size, skip},
    },
    files::entries,
    listed::not_empty,
};

/// Which images of Cityscapes are read, and how: see [`read_cityscapes`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CityscapesConfig {
    /// Which part.
    pub split: CityscapesSplit,
    /// In which weather.
    #[serde(default)]
    pub images: CityscapesImages,
    /// The names of the classes, in the order of the labels; instances of others are left out and counted.
    pub classes: Vec<String>,
    /// What becomes of pixels whose instances are not told apart, as a row of parked bicycles.
    #[serde(default)]
    pub groups: CityscapesGroups,
    /// What becomes of images on which no object is left.
    #[serde(default)]
    pub empty_images: EmptyImages,
    /// What becomes of annotations that are wrong.
    #[serde(default)]
    pub on_invalid: OnInvalid,
}

/// What becomes of the pixels of a class whose instances are not told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CityscapesGroups {
    /// They are left out and counted.
    #[default]
    Drop,
    /// They are one object that is a crowd ([`Object::is_crowd`]).
    Crowd,
    /// They are one ordinary object, as in the conversion that DA-Faster was published with.
    Object,
}

impl CityscapesConfig {
    /// The eight classes in the usual order.
    pub fn new(split: CityscapesSplit, images: CityscapesImages) -> Self {
        Self {
            split,
            images,
            classes: CITYSCAPES_CLASSES.map(str::to_owned).into(),
            groups: CityscapesGroups::default(),
            empty_images: EmptyImages::default(),
            on_invalid: OnInvalid::default(),
        }
    }

    /// The same with `classes` alone: `["car"]` for adaptation from Sim10k.
    #[must_use]
    pub fn only(self, classes: &[&str]) -> Self {
        Self { classes: classes.iter().map(|&class| class.to_owned()).collect(), ..self }
    }
}

/// Reads a part of Cityscapes (Cordts et al., 2016) or of Foggy Cityscapes in the layout in which they are published, in the
/// order of cities and files.
///
/// ```text
/// root/leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png
/// root/leftImg8bit_foggy/train/aachen/aachen_000000_000019_leftImg8bit_foggy_beta_0.02.png
/// root/gtFine/train/aachen/aachen_000000_000019_gtFine_instanceIds.png
/// ```
///
/// An object is one value in the map of the instances: its box is the smallest around its pixels, its area their number; they are
/// in the order of the values. A sample's name is its image's path below the root. Images are decoded when they are asked for;
/// the maps are decoded at once, by all threads.
///
/// # Errors
/// [`DataError::Io`] for folders, [`DataError::Empty`] without images, [`DataError::Argument`] for classes that are none or
/// that Cityscapes does not tell the instances of. Where invalid annotations are errors: [`DataError::Io`] for a missing map,
/// [`DataError::Decode`], [`DataError::ImageSize`], [`DataError::Object`] for an instance of no class.
pub fn read_cityscapes(root: &Path, config: &CityscapesConfig) -> Result<(DetectionDataset, DetectionCounts)> {
    read(root, config, Annotations::Read)
}

/// [`read_cityscapes`] without a look at what is on the images: there need not be a folder `gtFine`, and whether an image has an
/// object is not known. What adaptation may see of a target domain.
///
/// # Errors
/// As [`read_cityscapes`] for folders, images and classes.
pub fn read_cityscapes_unlabelled(
    root: &Path,
    config: &CityscapesConfig,
) -> Result<(DetectionDataset, DetectionCounts)> {
    read(root, config, Annotations::Ignore)
}

fn read(
    root: &Path,
    config: &CityscapesConfig,
    annotations: Annotations,
) -> Result<(DetectionDataset, DetectionCounts)> {
    let reader = CityscapesReader { root, config, classes: ClassIndex::new(&config.classes)?, annotations };
    if let Some(unknown) = reader.classes.names().iter().find(|name| !has_instances(name)) {
        return Err(DataError::argument("class", format!("`{unknown}`"), "one whose instances are told apart"));
    }
    let mut counts = DetectionCounts::default();
    let frames = reader.frames(&mut counts)?;
    let read: Vec<_> = frames.par_iter().map(|frame| reader.frame(frame)).collect();
    let read = read.into_iter().collect::<Result<Vec<_>>>()?;
    let (samples, of_frames): (Vec<_>, Vec<_>) = read.into_iter().unzip();
    let samples = not_empty(samples.into_iter().flatten().collect(), &reader.folder(), "images of the split")?;
    let mut dataset = DetectionDataset::from_files(root, reader.classes.names().to_vec(), samples)?;
    if annotations == Annotations::Ignore {
        dataset = dataset.without_objects();
    }
    let counts = of_frames.into_iter().chain([counts]).sum();
    Ok((dataset.with_counts(&counts, config.on_invalid), counts))
}

struct CityscapesReader<'a> {
    root: &'a Path,
    config: &'a CityscapesConfig,
    classes: ClassIndex,
    annotations: Annotations,
}

/// An image by its city, and by city, sequence and number.
struct Frame {
    city: String,
    name: String,
}

impl CityscapesReader<'_> {
    /// The folder of the cities.
    fn folder(&self) -> PathBuf {
        self.root.join(self.config.images.folder()).join(self.config.split.name())
    }

    /// The images in the asked for weather. Those in another one are counted.
    fn frames(&self, counts: &mut DetectionCounts) -> Result<Vec<Frame>> {
        let folder = self.folder();
        let end = self.config.images.file_end();
        let (mut cities, _) = entries(&folder)?;
        cities.sort();
        let mut frames = Vec::new();
        for city in cities {
            let (_, mut files) = entries(&folder.join(&city))?;
            files.retain(|file| file.ends_with(".png"));
            files.sort();
            counts.images.listed += files.len();
            let names = files.iter().filter_map(|file| file.strip_suffix(end.as_str()));
            let before = frames.len();
            frames.extend(names.map(|name| Frame { city: city.clone(), name: name.to_owned() }));
            counts.images.other_domain += files.len() - (frames.len() - before);
        }
        counts.images.listed -= frames.len();
        Ok(frames)
    }

    fn frame(&self, frame: &Frame) -> Result<(Option<DetectionSample>, DetectionCounts)> {
        let mut counts = DetectionCounts::default();
        counts.images.listed = 1;
        let sample = self.sample(frame, &mut counts)?;
        counts.images.kept = usize::from(sample.is_some());
        Ok((sample, counts))
    }

    fn sample(&self, frame: &Frame, counts: &mut DetectionCounts) -> Result<Option<DetectionSample>> {
        let Frame { city, name } = frame;
        let (images, split) = (self.config.images, self.config.split.name());
        let map = self.root.join(format!("gtFine/{split}/{city}/{name}_gtFine_instanceIds.png"));
        let name = format!("{}/{split}/{city}/{name}{}", images.folder(), images.file_end());
        let path = self.root.join(&name);
        let on_invalid = self.config.on_invalid;
        let size = match checked_size(&path, Orientation::Stored, on_invalid, &mut counts.images) {
            Ok(size) => size,
            Err(error) => return counts.images.skip(WrongImage::BrokenImage, error, on_invalid),
        };
        if self.annotations == Annotations::Ignore {
            return Ok(Some(DetectionSample { name, size, objects: Vec::new() }));
        }
        let bytes = match fs::read(&map) {
            Ok(bytes) => bytes,
            Err(error) => {
                return counts.images.skip(WrongImage::MissingAnnotation, DataError::io(&map)(error), on_invalid);
            }
        };
        let found = match parse_cityscapes_instances(&bytes, &map) {
            Ok(found) => found,
            Err(error) => return counts.images.skip(WrongImage::BrokenAnnotation, error, on_invalid),
        };
        if let Err(error) = check_size(&path, size, found.size, Orientation::Stored) {
            return counts.images.skip(WrongImage::WrongSize, error, on_invalid);
        }
        let mut objects = Vec::new();
        for (index, instance) in found.instances.iter().enumerate() {
            objects.extend(self.object(instance, index, &map, counts)?);
        }
        if objects.is_empty() && self.config.empty_images == EmptyImages::Drop {
            return skip(&mut counts.images.empty);
        }
        Ok(Some(DetectionSample { name, size, objects }))
    }

    /// The object that an instance is, if it is one.
    fn object(
        &self,
        instance: &CityscapesInstance,
        index: usize,
        map: &Path,
        counts: &mut DetectionCounts,
    ) -> Result<Option<Object>> {
        let counts = &mut counts.objects;
        let id = instance.class_id();
        let name = class_name(id);
        if name.is_none() && instance.is_group() {
            return Ok(None); // Roads, sky and the like.
        }
        counts.listed += 1;
        if name.is_none() && self.config.on_invalid == OnInvalid::Fail {
            return Err(DataError::Object {
                record: map.display().to_string(),
                index,
                found: format!("one of the value {}", instance.id),
                expected: "an instance of the classes 24 to 33".to_owned(),
            });
        }
        let name = name.map_or_else(|| format!("class {id}"), str::to_owned);
        let Some(label) = self.classes.label(&name) else {
            *counts.other_classes.entry(name).or_default() += 1;
            return Ok(None);
        };
        if instance.is_group() && self.config.groups == CityscapesGroups::Drop {
            counts.crowds += 1;
            return Ok(None);
        }
        counts.kept += 1;
        let is_crowd = instance.is_group() && self.config.groups == CityscapesGroups::Crowd;
        Ok(Some(Object { is_crowd, area: Some(instance.area as f64), ..Object::new(instance.bbox, label) }))
    }
}
