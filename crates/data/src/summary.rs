//! What a dataset holds, and what was left out.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

/// Classes that the text lists; the rest is a number.
const SHOWN_CLASSES: usize = 20;

/// Files that the text lists for each reason.
const SHOWN_FILES: usize = 10;

/// What a dataset holds, and what its reader left out: to print before the first step, and for a report.
///
/// As text:
///
/// ```text
/// train: 397 images in 3 classes (cat 120, dog 100, owl 177), 3 left out (1 beside the folders of the classes, 2 undecodable)
///   undecodable: photos/cat/7.jpg: cannot decode the image: the file is cut off after 812 bytes
///   …
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DatasetSummary {
    /// What the dataset is for, as `train`.
    pub name: String,
    /// Where it comes from: a folder, or what generated it.
    pub origin: String,
    /// Images.
    pub images: usize,
    /// The classes in the order of the labels, with their images, or with their objects where there are `objects`. None for a
    /// dataset without labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<ClassCount>>,
    /// Objects on the images, if that is what is labelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<usize>,
    /// Images without an object, if objects are labelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images_without_objects: Option<usize>,
    /// Objects whose box stuck out of its image, and was clipped.
    #[serde(skip_serializing_if = "is_zero")]
    pub clipped_boxes: usize,
    /// Images that a camera noted to be turned or mirrored, and that are read as they are stored.
    #[serde(skip_serializing_if = "is_zero")]
    pub images_as_stored: usize,
    /// Images that were left out, by reason.
    pub left_out: Vec<LeftOut>,
    /// Objects that were left out, by reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub objects_left_out: Vec<LeftOut>,
}

/// How much there is of a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClassCount {
    /// The class.
    pub name: String,
    /// Its images or objects.
    pub count: usize,
}

/// Images or objects that were left out for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Why, behind a number: `undecodable`.
    pub reason: String,
    /// How many.
    pub count: usize,
    /// What was wrong with each, and in which file, where something was wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

impl LeftOut {
    /// `count` that were left out because they are `reason`.
    pub fn new(reason: impl Into<String>, count: usize) -> Self {
        Self { reason: reason.into(), count, details: Vec::new() }
    }
}

impl Display for LeftOut {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} left out {}", thousands(self.count), self.reason)?;
        match &self.details[..] {
            [] => Ok(()),
            details => write!(f, " ({})", details.join("; ")),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// How many of each class `labels` are.
pub(crate) fn count_classes(classes: &[String], labels: impl Iterator<Item = u32>) -> Vec<ClassCount> {
    let mut counts: Vec<_> = classes.iter().map(|name| ClassCount { name: name.clone(), count: 0 }).collect();
    for label in labels {
        if let Some(class) = counts.get_mut(label as usize) {
            class.count += 1;
        }
    }
    counts
}

impl Display for DatasetSummary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, number(self.images, "image", "images"))?;
        if let Some(objects) = self.objects {
            write!(f, " with {}", number(objects, "object", "objects"))?;
        }
        match &self.classes {
            Some(classes) => {
                write!(f, " in {} ({})", number(classes.len(), "class", "classes"), listed(classes))?;
            }
            None => write!(f, " without labels")?,
        }
        if let Some(n) = self.images_without_objects.filter(|&n| n > 0) {
            write!(f, ", {} without objects", number(n, "image", "images"))?;
        }
        if self.clipped_boxes > 0 {
            write!(f, ", {} clipped to the image", number(self.clipped_boxes, "box", "boxes"))?;
        }
        if self.images_as_stored > 0 {
            let n = number(self.images_as_stored, "image", "images");
            write!(f, ", {n} as stored, though turned by the camera (orientation = \"upright\" turns them)")?;
        }
        write_left_out(f, &self.left_out, if self.objects.is_some() { Some(("image", "images")) } else { None })?;
        write_left_out(f, &self.objects_left_out, Some(("object", "objects")))?;
        for left_out in self.left_out.iter().chain(&self.objects_left_out) {
            for detail in left_out.details.iter().take(SHOWN_FILES) {
                write!(f, "\n  {}: {detail}", left_out.reason)?;
            }
            let rest = left_out.details.len().saturating_sub(SHOWN_FILES);
            if rest > 0 {
                write!(f, "\n  {}: {rest} more", left_out.reason)?;
            }
        }
        Ok(())
    }
}

fn write_left_out(f: &mut Formatter<'_>, left_out: &[LeftOut], noun: Option<(&str, &str)>) -> fmt::Result {
    let total: usize = left_out.iter().map(|left_out| left_out.count).sum();
    if total == 0 {
        return Ok(());
    }
    match noun {
        Some((one, many)) => write!(f, ", {} left out", number(total, one, many))?,
        None => write!(f, ", {} left out", thousands(total))?,
    }
    let reasons = left_out.iter().filter(|left_out| left_out.count > 0);
    let reasons: Vec<String> = reasons.map(|l| format!("{} {}", thousands(l.count), l.reason)).collect();
    write!(f, " ({})", reasons.join(", "))
}

fn listed(classes: &[ClassCount]) -> String {
    let shown = classes.iter().take(SHOWN_CLASSES).map(|class| format!("{} {}", class.name, thousands(class.count)));
    let mut shown: Vec<String> = shown.collect();
    if classes.len() > SHOWN_CLASSES {
        let rest = classes[SHOWN_CLASSES..].iter().map(|class| class.count).sum();
        shown.push(format!("{} more with {}", classes.len() - SHOWN_CLASSES, thousands(rest)));
    }
    shown.join(", ")
}

fn number(n: usize, one: &str, many: &str) -> String {
    format!("{} {}", thousands(n), if n == 1 { one } else { many })
}

/// A number with a comma between thousands.
fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str, count: usize) -> ClassCount {
        ClassCount { name: name.to_owned(), count }
    }

    fn images() -> DatasetSummary {
        DatasetSummary {
            name: "train".to_owned(),
            origin: "photos".to_owned(),
            images: 1234,
            classes: Some(vec![class("cat", 1000), class("dog", 234)]),
            objects: None,
            images_without_objects: None,
            clipped_boxes: 0,
            images_as_stored: 0,
            left_out: vec![
                LeftOut::new("beside the folders of the classes", 1),
                LeftOut { details: vec!["a.jpg: broken".to_owned()], ..LeftOut::new("undecodable", 1) },
            ],
            objects_left_out: Vec::new(),
        }
    }

    #[test]
    fn the_text_says_what_there_is_and_what_not() {
        let expected = "train: 1,234 images in 2 classes (cat 1,000, dog 234), 2 left out \
                        (1 beside the folders of the classes, 1 undecodable)\n  undecodable: a.jpg: broken";
        assert_eq!(images().to_string(), expected);
        let bare = DatasetSummary { name: "target".to_owned(), classes: None, left_out: vec![], images: 1, ..images() };
        assert_eq!(bare.to_string(), "target: 1 image without labels");
        let objects = DatasetSummary {
            objects: Some(1_234_567),
            images_without_objects: Some(2),
            clipped_boxes: 1,
            images_as_stored: 2,
            objects_left_out: vec![LeftOut::new("of other classes", 3)],
            left_out: vec![LeftOut::new("empty", 0), LeftOut::new("undecodable", 1)],
            ..images()
        };
        let expected = "train: 1,234 images with 1,234,567 objects in 2 classes (cat 1,000, dog 234), 2 images without \
                        objects, 1 box clipped to the image, 2 images as stored, though turned by the camera (orientation \
                        = \"upright\" turns them), 1 image left out (1 undecodable), 3 objects left out (3 of other classes)";
        assert_eq!(objects.to_string(), expected);
    }

    #[test]
    fn long_lists_are_cut() {
        let many = DatasetSummary {
            classes: Some((0..30).map(|i| class(&format!("c{i}"), i)).collect()),
            left_out: vec![LeftOut { details: vec!["x: broken".to_owned(); 15], ..LeftOut::new("undecodable", 15) }],
            ..images()
        };
        let text = many.to_string();
        assert!(text.contains("c19 19, 10 more with 245)"), "{text}");
        assert!(text.ends_with("\n  undecodable: 5 more") && text.lines().count() == 12, "{text}");
    }
}
