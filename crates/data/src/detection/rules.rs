//! What becomes of images and objects that a training run cannot use, or need not see.

use std::{collections::BTreeMap, iter::Sum};

use sconce_core::geometry::BBox;
use serde::{Deserialize, Serialize};

use crate::{DataError, Result};

/// What becomes of an annotation that is wrong: a box outside its image, without an extent or inverted; an unknown class; a
/// file that is missing, broken, or contradicts another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnInvalid {
    /// It is an error that names file and object.
    #[default]
    Fail,
    /// The object is left out, or the image where it is about the image, and counted.
    Skip,
}

/// Whether a reader looks at what is on the images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Annotations {
    Read,
    Ignore,
}

impl OnInvalid {
    /// Nothing for an image that is wrong, which is counted, or what is wrong with it.
    pub(super) fn skip_image<T>(self, error: DataError, count: &mut usize) -> Result<Option<T>> {
        match self {
            Self::Fail => Err(error),
            Self::Skip => skip(count),
        }
    }
}

/// Nothing for an image that is left out, which is counted.
pub(super) fn skip<T>(count: &mut usize) -> Result<Option<T>> {
    *count += 1;
    Ok(None)
}

/// What becomes of an image on which no object is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmptyImages {
    /// It stays: all of it is background.
    #[default]
    Keep,
    /// It is left out and counted: the images with at least one object of the classes.
    Drop,
}

/// What becomes of an object whose class is none of those asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OtherClasses {
    /// It is invalid, for the classes are all that there are: see [`OnInvalid`].
    #[default]
    Invalid,
    /// It is left out and counted by its name, for the classes are some of those that there are.
    Drop,
}

/// What becomes of the objects that annotators found hard to recognise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Difficult {
    /// They stay and are marked: an evaluation leaves them out by itself.
    #[default]
    Keep,
    /// They are left out and counted.
    Drop,
}

/// What a reader of a detection dataset has kept, and what not, by its reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DetectionCounts {
    /// Images, each counted once.
    pub images: ImageCounts,
    /// Objects on the images whose annotations could be used, each counted once in all but `clamped`.
    pub objects: ObjectCounts,
}

/// The images of a [`DetectionCounts`]; `listed` is the sum of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImageCounts {
    /// All that the lists, folders or files name.
    pub listed: usize,
    /// Images of the dataset.
    pub kept: usize,
    /// Marked by the list as being without the class that it is about.
    pub absent: usize,
    /// Of another domain, by their names.
    pub other_domain: usize,
    /// Without an object, where [`EmptyImages::Drop`] says so.
    pub empty: usize,
    /// Without an image file.
    pub missing_image: usize,
    /// Without an annotation file.
    pub missing_annotation: usize,
    /// With an image whose size cannot be read.
    pub broken_image: usize,
    /// With an annotation that cannot be read.
    pub broken_annotation: usize,
    /// With an image that has another size than its annotation says.
    pub wrong_size: usize,
}

/// The objects of a [`DetectionCounts`]; `listed` is the sum of the others but for `clamped`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ObjectCounts {
    /// All on images with an annotation that could be used, those of dropped empty images too, and of images that are not there.
    pub listed: usize,
    /// Objects of the dataset.
    pub kept: usize,
    /// Those kept whose box stuck out of the image by at most a pixel, and was clipped: from 0 in a file that counts from 1,
    /// for example.
    pub clamped: usize,
    /// Of other classes, by their names.
    pub other_classes: BTreeMap<String, usize>,
    /// On images that the file does not have.
    pub unknown_image: usize,
    /// Hard to recognise, where [`Difficult::Drop`] says so.
    pub difficult: usize,
    /// Groups that are not told apart, where they are left out.
    pub crowds: usize,
    /// With a box that sticks out of the image by more than a pixel.
    pub outside: usize,
    /// With a box of zero size, or an inverted one.
    pub without_extent: usize,
}

impl Sum for DetectionCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |mut total, counts| {
            total.images.add(&counts.images);
            total.objects.add(counts.objects);
            total
        })
    }
}

impl ImageCounts {
    fn add(&mut self, other: &Self) {
        self.listed += other.listed;
        self.kept += other.kept;
        self.absent += other.absent;
        self.other_domain += other.other_domain;
        self.empty += other.empty;
        self.missing_image += other.missing_image;
        self.missing_annotation += other.missing_annotation;
        self.broken_image += other.broken_image;
        self.broken_annotation += other.broken_annotation;
        self.wrong_size += other.wrong_size;
    }
}

impl ObjectCounts {
    fn add(&mut self, other: Self) {
        self.listed += other.listed;
        self.kept += other.kept;
        self.clamped += other.clamped;
        for (name, n) in other.other_classes {
            *self.other_classes.entry(name).or_default() += n;
        }
        self.unknown_image += other.unknown_image;
        self.difficult += other.difficult;
        self.crowds += other.crowds;
        self.outside += other.outside;
        self.without_extent += other.without_extent;
    }

    /// `bbox` as it lies in an image of `size` (height, width): clipped where it sticks out by a pixel or less. None if it is to
    /// be skipped, which is counted.
    ///
    /// # Errors
    /// What `fail` makes of what was found and expected, for a box that is wrong.
    pub(super) fn fit(
        &mut self,
        bbox: BBox,
        size: (usize, usize),
        on_invalid: OnInvalid,
        fail: impl FnOnce(String, String) -> DataError,
    ) -> Result<Option<BBox>> {
        let (height, width) = (size.0 as f64, size.1 as f64);
        let overhang = (-bbox.x1).max(-bbox.y1).max(bbox.x2 - width).max(bbox.y2 - height);
        let clipped = bbox.clipped(width, height);
        let (count, expected) = if !bbox.has_extent() {
            (&mut self.without_extent, "x1 < x2 and y1 < y2".to_owned())
        } else if overhang > 1.0 || !clipped.has_extent() {
            (&mut self.outside, format!("a box inside {width}×{height} pixels"))
        } else {
            self.clamped += usize::from(overhang > 0.0);
            return Ok(Some(clipped));
        };
        match on_invalid {
            OnInvalid::Fail => Err(fail(format!("{:?} as x1, y1, x2, y2", bbox.xyxy()), expected)),
            OnInvalid::Skip => {
                *count += 1;
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_may_stick_out_by_a_pixel() {
        let mut counts = ObjectCounts::default();
        let mut fit = |x1: f64, y1: f64, x2: f64, y2: f64| {
            let fail = |found, expected| DataError::argument("box", found, expected);
            counts.fit(BBox::new(x1, y1, x2, y2), (6, 8), OnInvalid::Skip, fail).unwrap().map(BBox::xyxy)
        };
        assert_eq!(fit(0.0, 0.0, 8.0, 6.0), Some([0.0, 0.0, 8.0, 6.0]));
        assert_eq!(fit(-1.0, 0.0, 8.0, 6.5), Some([0.0, 0.0, 8.0, 6.0]));
        assert_eq!(fit(-1.5, 0.0, 8.0, 6.0), None);
        assert_eq!(fit(8.0, 0.0, 9.0, 6.0), None);
        assert_eq!(fit(3.0, 0.0, 3.0, 6.0), None);
        assert_eq!(fit(3.0, 5.0, 4.0, 4.0), None);
        assert_eq!(fit(f64::NAN, 0.0, 4.0, 4.0), None);
        assert_eq!((counts.clamped, counts.outside, counts.without_extent), (1, 2, 3));
    }
}
