//! What becomes of images and objects that a training run cannot use, or need not see.

use std::{collections::BTreeMap, iter::Sum, path::Path};

use sconce_core::geometry::BBox;
use serde::{Deserialize, Serialize};

use crate::{DataError, Image, LeftOut, OnInvalid, Orientation, Result, folder::UNDECODABLE, image::read_head};

/// By how many pixels a box may stick out of its image where a configuration does not say it.
pub(super) const MAX_OVERHANG: u32 = 1;

/// [`MAX_OVERHANG`], for serde.
pub(super) fn max_overhang() -> u32 {
    MAX_OVERHANG
}

/// Whether a reader looks at what is on the images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Annotations {
    Read,
    Ignore,
}

/// The height and width of an image; where images that cannot be decoded are to be skipped, it is decoded too. One that a camera
/// turned, and that is read as it is stored, is counted.
pub(super) fn checked_size(
    path: &Path,
    orientation: Orientation,
    on_invalid: OnInvalid,
    counts: &mut ImageCounts,
) -> Result<(usize, usize)> {
    if on_invalid == OnInvalid::Skip {
        let image = Image::read_as(path, orientation)?;
        if orientation == Orientation::Upright {
            return Ok((image.height(), image.width()));
        }
    }
    // The head says the size of what is decoded.
    let (size, is_noted) = read_head(path, orientation)?;
    counts.as_stored += usize::from(is_noted && orientation == Orientation::Stored);
    Ok(size)
}

/// Nothing for an image that is left out, which is counted.
pub(super) fn skip<T>(count: &mut usize) -> Result<Option<T>> {
    *count += 1;
    Ok(None)
}

/// What becomes of an image on which no object is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// Those that a camera noted to be turned or mirrored, and that are read as they are stored, among them what is left out for
    /// another reason.
    #[serde(skip_serializing_if = "is_zero")]
    pub as_stored: usize,
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
    /// With an image that cannot be decoded, or whose size cannot be read.
    pub broken_image: usize,
    /// With an annotation that cannot be read.
    pub broken_annotation: usize,
    /// With an image that has another size than its annotation says.
    pub wrong_size: usize,
    /// Without an annotation file, where images that have none are left out.
    #[serde(skip_serializing_if = "is_zero")]
    pub unannotated: usize,
    /// What was wrong with those that [`OnInvalid::Skip`] left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedImage>,
}

/// An image that [`OnInvalid::Skip`] left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SkippedImage {
    /// In which way.
    pub reason: WrongImage,
    /// What was found and expected, and in which file.
    pub error: String,
}

/// In which way an image is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WrongImage {
    /// Without an image file.
    MissingImage,
    /// Without an annotation file.
    MissingAnnotation,
    /// With an image that cannot be decoded.
    BrokenImage,
    /// With an annotation that cannot be read.
    BrokenAnnotation,
    /// With an image that has another size than its annotation says.
    WrongSize,
}

impl WrongImage {
    const ALL: [Self; 5] =
        [Self::MissingImage, Self::MissingAnnotation, Self::BrokenImage, Self::BrokenAnnotation, Self::WrongSize];

    fn text(self) -> &'static str {
        match self {
            Self::MissingImage => "without an image file",
            Self::MissingAnnotation => "missing annotation",
            Self::BrokenImage => UNDECODABLE,
            Self::BrokenAnnotation => "with a broken annotation",
            Self::WrongSize => "of another size than annotated",
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// The objects of a [`DetectionCounts`]; `listed` is the sum of the others but for `clamped`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ObjectCounts {
    /// All on images with an annotation that could be used, those of dropped empty images too, and of images that are not there.
    pub listed: usize,
    /// Objects of the dataset.
    pub kept: usize,
    /// Those kept whose box stuck out of the image by no more than `max_overhang`, and was clipped: from 0 in a file that counts
    /// from 1, for example.
    pub clamped: usize,
    /// Of other classes, by their names.
    pub other_classes: BTreeMap<String, usize>,
    /// On images that the file does not have.
    pub unknown_image: usize,
    /// Hard to recognise, where [`Difficult::Drop`] says so.
    pub difficult: usize,
    /// Groups that are not told apart, where they are left out.
    pub crowds: usize,
    /// With a box that sticks out of the image by more than `max_overhang`.
    pub outside: usize,
    /// With a box of zero size, or an inverted one.
    pub without_extent: usize,
    /// With a record that cannot be read.
    #[serde(skip_serializing_if = "is_zero")]
    pub broken: usize,
    /// What is wrong with the first of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_broken: Option<String>,
}

impl Sum for DetectionCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |mut total, counts| {
            total.images.add(counts.images);
            total.objects.add(counts.objects);
            total
        })
    }
}

impl DetectionCounts {
    /// What was left out, for whoever finds nothing left.
    pub(super) fn left_out(&self) -> Vec<LeftOut> {
        [self.images.left_out(), self.objects.left_out()].concat()
    }
}

impl ImageCounts {
    /// Nothing for an image that is wrong, which is counted, or what is wrong with it.
    pub(super) fn skip<T>(&mut self, wrong: WrongImage, error: DataError, on_invalid: OnInvalid) -> Result<Option<T>> {
        match on_invalid {
            OnInvalid::Fail => Err(error.with_hint(Some(on_invalid))),
            OnInvalid::Skip => {
                self.note(wrong, error.to_string());
                Ok(None)
            }
        }
    }

    /// Counts an image that is left out.
    pub(super) fn note(&mut self, wrong: WrongImage, error: String) {
        *self.count(wrong) += 1;
        self.skipped.push(SkippedImage { reason: wrong, error });
    }

    fn count(&mut self, wrong: WrongImage) -> &mut usize {
        match wrong {
            WrongImage::MissingImage => &mut self.missing_image,
            WrongImage::MissingAnnotation => &mut self.missing_annotation,
            WrongImage::BrokenImage => &mut self.broken_image,
            WrongImage::BrokenAnnotation => &mut self.broken_annotation,
            WrongImage::WrongSize => &mut self.wrong_size,
        }
    }

    /// What was left out, for a summary.
    pub(super) fn left_out(&self) -> Vec<LeftOut> {
        let mut left_out = vec![
            LeftOut::new("without the class of the list", self.absent),
            LeftOut::new("of another domain", self.other_domain),
            LeftOut::new("without objects", self.empty),
            LeftOut::new("without an annotation file", self.unannotated),
        ];
        for wrong in WrongImage::ALL {
            let details = self.skipped.iter().filter(|skipped| skipped.reason == wrong);
            let details: Vec<String> = details.map(|skipped| skipped.error.clone()).collect();
            left_out.push(LeftOut { details, ..LeftOut::new(wrong.text(), self.clone().count(wrong).to_owned()) });
        }
        left_out.retain(|left_out| left_out.count > 0);
        left_out
    }

    fn add(&mut self, other: Self) {
        self.listed += other.listed;
        self.kept += other.kept;
        self.as_stored += other.as_stored;
        self.absent += other.absent;
        self.other_domain += other.other_domain;
        self.empty += other.empty;
        self.missing_image += other.missing_image;
        self.missing_annotation += other.missing_annotation;
        self.broken_image += other.broken_image;
        self.broken_annotation += other.broken_annotation;
        self.wrong_size += other.wrong_size;
        self.unannotated += other.unannotated;
        self.skipped.extend(other.skipped);
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
        self.broken += other.broken;
        self.first_broken = self.first_broken.take().or(other.first_broken);
    }

    /// What was left out, for a summary.
    pub(super) fn left_out(&self) -> Vec<LeftOut> {
        let other_classes = LeftOut {
            details: self.other_classes.iter().map(|(name, n)| format!("{name} {n}")).collect(),
            ..LeftOut::new("of other classes", self.other_classes.values().sum())
        };
        let mut left_out = vec![
            other_classes,
            LeftOut::new("of images that are not there", self.unknown_image),
            LeftOut::new("hard to recognise", self.difficult),
            LeftOut::new("of groups that are not told apart", self.crowds),
            LeftOut::new("outside of their image", self.outside),
            LeftOut::new("without an extent", self.without_extent),
            LeftOut {
                details: self.first_broken.iter().cloned().collect(),
                ..LeftOut::new("with a record that cannot be read", self.broken)
            },
        ];
        left_out.retain(|left_out| left_out.count > 0);
        left_out
    }

    /// `bbox` as it lies in an image of `size` (height, width): clipped where it sticks out by `max_overhang` pixels or less. None
    /// if it is to be skipped, which is counted.
    ///
    /// # Errors
    /// What `fail` makes of what was found and expected, for a box that is wrong.
    pub(super) fn fit(
        &mut self,
        bbox: BBox,
        size: (usize, usize),
        (max_overhang, on_invalid): (u32, OnInvalid),
        fail: impl FnOnce(String, String) -> DataError,
    ) -> Result<Option<BBox>> {
        let (height, width) = (size.0 as f64, size.1 as f64);
        let overhang = (-bbox.x1).max(-bbox.y1).max(bbox.x2 - width).max(bbox.y2 - height);
        let clipped = bbox.clipped(width, height);
        let (count, expected) = if !bbox.has_extent() {
            (&mut self.without_extent, "x1 < x2 and y1 < y2".to_owned())
        } else if overhang > f64::from(max_overhang) || !clipped.has_extent() {
            let expected =
                format!("a box inside {width}×{height} pixels, or beyond by a max_overhang of {max_overhang}");
            (&mut self.outside, expected)
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
    fn a_box_may_stick_out_by_as_much_as_is_said() {
        let mut counts = ObjectCounts::default();
        let mut fit = |[x1, y1, x2, y2]: [f64; 4], max_overhang| {
            let fail = |found, expected| DataError::argument("box", found, expected);
            let rule = (max_overhang, OnInvalid::Skip);
            counts.fit(BBox::new(x1, y1, x2, y2), (6, 8), rule, fail).unwrap().map(BBox::xyxy)
        };
        let all = Some([0.0, 0.0, 8.0, 6.0]);
        assert_eq!(fit([0.0, 0.0, 8.0, 6.0], 0), all);
        assert_eq!(fit([-1.0, 0.0, 8.0, 6.5], 1), all);
        assert_eq!(fit([-1.5, 0.0, 8.0, 6.0], 1), None);
        assert_eq!(fit([-1.5, 0.0, 8.0, 6.0], 2), all);
        assert_eq!(fit([0.0, 0.0, 8.0, 9.0], 3), all);
        assert_eq!(fit([0.0, 0.0, 8.0, 9.1], 3), None);
        assert_eq!(fit([0.0, 0.0, 8.1, 6.0], 0), None);
        assert_eq!(fit([-1e9, 0.0, 1e9, 6.0], u32::MAX), all);
        // What lies beside its image is no object of it, however large the rule.
        assert_eq!(fit([8.0, 0.0, 9.0, 6.0], 3), None);
        assert_eq!(fit([3.0, 0.0, 3.0, 6.0], 3), None);
        assert_eq!(fit([3.0, 5.0, 4.0, 4.0], 3), None);
        assert_eq!(fit([f64::NAN, 0.0, 4.0, 4.0], 3), None);
        assert_eq!((counts.clamped, counts.outside, counts.without_extent), (4, 4, 3));
    }
}
