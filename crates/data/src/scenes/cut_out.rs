//! Objects cut out of their pictures.

use std::{path::Path, sync::Arc};

use sconce_core::Rng;

use crate::{DataError, Result, image::decode_rgba, read_image_folder};

/// From this value on, of 255, a pixel belongs to its object.
pub(super) const OPAQUE: u8 = 128;

/// A picture of one object without a background.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutOut {
    name: String,
    subject: String,
    label: u32,
    width: usize,
    height: usize,
    pixels: Vec<[u8; 4]>,
}

/// Cut-outs and their classes. A clone shares the pictures.
#[derive(Clone, Debug)]
pub struct CutOuts {
    origin: String,
    classes: Arc<[String]>,
    items: Arc<[CutOut]>,
}

impl CutOut {
    /// The cut-out with the given `pixels`: red, green, blue and how opaque, row by row from the top.
    ///
    /// `subject` says which object it shows: pictures of one subject, such as an emoji by several vendors, are all for training
    /// or all for testing. `label` is its class.
    ///
    /// # Errors
    /// [`DataError::Argument`] if there are not `width` × `height` pixels, or none is at least half opaque.
    pub fn new(
        (name, subject): (&str, &str),
        label: u32,
        (width, height): (usize, usize),
        pixels: Vec<[u8; 4]>,
    ) -> Result<Self> {
        if width == 0 || width.checked_mul(height) != Some(pixels.len()) {
            let expected = format!("{width}×{height}, at least one");
            return Err(DataError::argument("number of pixels of a cut-out", pixels.len(), expected));
        }
        if pixels.iter().all(|pixel| pixel[3] < OPAQUE) {
            return Err(DataError::argument("cut-out", format!("`{name}` without an opaque pixel"), "an object"));
        }
        Ok(Self { name: name.to_owned(), subject: subject.to_owned(), label, width, height, pixels })
    }

    /// What it is called: in files, its path below the root.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which object it shows.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Its class.
    pub fn label(&self) -> u32 {
        self.label
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Red, green, blue and how opaque, row by row from the top.
    pub fn pixels(&self) -> &[[u8; 4]] {
        &self.pixels
    }
}

impl CutOuts {
    /// The cut-outs `items` of the given classes; `origin` names them in errors.
    ///
    /// # Errors
    /// [`DataError::Argument`] for a class without cut-outs, [`DataError::Label`] for a label without a class.
    pub fn new(origin: &str, classes: Vec<String>, items: Vec<CutOut>) -> Result<Self> {
        if let Some(item) = items.iter().find(|item| item.label as usize >= classes.len()) {
            let record = format!("{origin}: {}", item.name);
            return Err(DataError::Label { record, found: item.label, classes: classes.len() });
        }
        if classes.is_empty() {
            return Err(DataError::argument("number of classes of cut-outs", 0, "at least 1"));
        }
        for (label, class) in classes.iter().enumerate() {
            if !items.iter().any(|item| item.label as usize == label) {
                return Err(DataError::argument("cut-outs", format!("none of class `{class}`"), "some of every class"));
            }
        }
        Ok(Self { origin: origin.to_owned(), classes: classes.into(), items: items.into() })
    }

    /// Cuts subjects off, of every class the same share: those that remain, and those that were cut off.
    ///
    /// Scenes of the one part then show nothing of the other. Of every class `round(fraction · subjects)` are cut off, but at
    /// least one, and at least one remains: the first of the class's subjects, sorted by name, in an order that is drawn from
    /// the stream `cut-outs` of `seed` at the class.
    ///
    /// # Errors
    /// [`DataError::Argument`] if `fraction` is not between 0 and 1, or a class has one subject alone.
    pub fn split_off(&self, fraction: f64, seed: u64) -> Result<(Self, Self)> {
        if !(fraction > 0.0 && fraction < 1.0) {
            return Err(DataError::argument("fraction to split off", fraction, "between 0 and 1"));
        }
        let (mut rest, mut cut) = (Vec::new(), Vec::new());
        for label in 0..self.classes.len() {
            let of_class = || self.of_class(label);
            let mut subjects: Vec<&str> = of_class().map(|item| item.subject.as_str()).collect();
            subjects.sort_unstable();
            subjects.dedup();
            if subjects.len() < 2 {
                let found = format!("one of class `{}`", self.classes[label]);
                return Err(DataError::argument("subjects of cut-outs", found, "two or more to split"));
            }
            let n_cut = ((subjects.len() as f64 * fraction).round() as usize).clamp(1, subjects.len() - 1);
            Rng::keyed(seed, "cut-outs", [label as u64, 0]).shuffle(&mut subjects);
            for item in of_class() {
                let part = if subjects[..n_cut].contains(&item.subject.as_str()) { &mut cut } else { &mut rest };
                part.push(item.clone());
            }
        }
        let part = |items: Vec<CutOut>| Self { items: items.into(), ..self.clone() };
        Ok((part(rest), part(cut)))
    }

    /// The same cut-outs with their classes in the order `classes`, for scenes that go with others.
    ///
    /// # Errors
    /// [`DataError::Argument`] if these are not the classes, each once.
    pub fn with_classes(&self, classes: &[&str]) -> Result<Self> {
        let place = |class: &String| classes.iter().position(|known| known == class);
        let labels: Option<Vec<usize>> = self.classes.iter().map(place).collect();
        let Some(labels) = labels.filter(|_| classes.len() == self.classes.len()) else {
            let found = format!("{classes:?}");
            return Err(DataError::argument("classes of cut-outs", found, format!("{:?} in any order", self.classes)));
        };
        let items = self.items.iter().map(|item| CutOut { label: labels[item.label as usize] as u32, ..item.clone() });
        let classes = classes.iter().map(|&class| class.to_owned()).collect();
        Ok(Self { items: items.collect(), classes, ..self.clone() })
    }

    /// The names of the classes, in the order of the labels.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// All cut-outs.
    pub fn items(&self) -> &[CutOut] {
        &self.items
    }

    /// Where they come from, for messages.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    pub(super) fn of_class(&self, label: usize) -> impl Iterator<Item = &CutOut> {
        self.items.iter().filter(move |item| item.label as usize == label)
    }
}

/// Reads `root/CLASS/**/*.png`, or other images with an alpha channel, as cut-outs: classes and order as by
/// [`read_image_folder`]. Every file is a subject of its own.
///
/// What lies around the pixels that are at least half opaque is cut away.
///
/// # Errors
/// As [`read_image_folder`]; [`DataError::Decode`] for a file that is no image, or has no opaque pixel.
pub fn read_cut_outs(root: &Path) -> Result<CutOuts> {
    let files = read_image_folder(root)?;
    let items = (0..files.len()).map(|i| {
        let path = root.join(files.name(i));
        let bytes = std::fs::read(&path).map_err(DataError::io(&path))?;
        let picture = decode_rgba(&bytes, &path)?;
        let pixels: Vec<[u8; 4]> = picture.pixels().map(|pixel| pixel.0).collect();
        let size = (picture.width() as usize, picture.height() as usize);
        let Some((size, pixels)) = trimmed(size, &pixels) else {
            return Err(DataError::decode(&path, "it has no opaque pixel"));
        };
        CutOut::new((files.name(i), files.name(i)), files.label(i), size, pixels)
    });
    CutOuts::new(files.origin(), files.classes().to_vec(), items.collect::<Result<_>>()?)
}

/// Width and height.
type Size = (usize, usize);

/// Size and pixels of the smallest part with all that is at least half opaque; none if nothing is.
fn trimmed((width, height): Size, pixels: &[[u8; 4]]) -> Option<(Size, Vec<[u8; 4]>)> {
    let is_opaque = |x: usize, y: usize| pixels[y * width + x][3] >= OPAQUE;
    let column = |x: &usize| (0..height).any(|y| is_opaque(*x, y));
    let row = |y: &usize| (0..width).any(|x| is_opaque(x, *y));
    let (left, right) = ((0..width).find(column)?, (0..width).rfind(column)? + 1);
    let (top, bottom) = ((0..height).find(row)?, (0..height).rfind(row)? + 1);
    let rows = (top..bottom).flat_map(|y| &pixels[y * width + left..y * width + right]);
    Some(((right - left, bottom - top), rows.copied().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_out(name: &str, subject: &str, label: u32) -> CutOut {
        CutOut::new((name, subject), label, (1, 1), vec![[1, 2, 3, 255]]).unwrap()
    }

    fn classes() -> Vec<String> {
        vec!["a".into(), "b".into()]
    }

    #[test]
    fn a_subject_is_on_one_side_with_all_its_pictures() {
        let names: Vec<String> = (0..40).map(|i| format!("{i:02}")).collect();
        let items = names.iter().enumerate().map(|(i, name)| cut_out(name, &name[..1], u32::from(i >= 10 * 3)));
        let mut items: Vec<CutOut> = items.collect();
        items.push(cut_out("x", "x", 1));
        let all = CutOuts::new("test", classes(), items).unwrap();
        let (rest, cut) = all.split_off(0.3, 0).unwrap();
        assert_eq!(rest.items().len() + cut.items().len(), 41);
        assert!(rest.items().iter().all(|a| cut.items().iter().all(|b| a.subject() != b.subject())));
        // One of three subjects, and one of two.
        let subjects = |part: &CutOuts, label| {
            let mut found: Vec<String> = part.of_class(label).map(|item| item.subject.clone()).collect();
            found.dedup();
            found.len()
        };
        assert_eq!([0, 1].map(|label| (subjects(&rest, label), subjects(&cut, label))), [(2, 1), (1, 1)]);
        let other = (1..20).map(|seed| all.split_off(0.3, seed).unwrap().1);
        assert!(other.into_iter().any(|other| other.items() != cut.items()));
        assert_eq!(all.split_off(0.3, 0).unwrap().1.items(), cut.items());
    }

    #[test]
    fn what_cannot_be_split_or_used_is_refused() {
        let one = CutOuts::new("test", classes(), vec![cut_out("1", "1", 0), cut_out("2", "2", 1)]).unwrap();
        for fraction in [0.5, 0.0, 1.0, f64::NAN] {
            assert!(matches!(one.split_off(fraction, 0), Err(DataError::Argument { .. })), "{fraction}");
        }
        assert!(matches!(CutOuts::new("test", classes(), vec![cut_out("1", "1", 0)]), Err(DataError::Argument { .. })));
        assert!(matches!(CutOuts::new("test", vec![], vec![]), Err(DataError::Argument { .. })));
        let error = CutOuts::new("test", classes(), vec![cut_out("1", "1", 2)]).unwrap_err();
        assert!(matches!(error, DataError::Label { found: 2, .. }));
        for (size, pixels) in [((1, 2), vec![[0, 0, 0, 255]]), ((0, 0), vec![]), ((1, 1), vec![[9, 9, 9, 127]])] {
            assert!(matches!(CutOut::new(("x", "x"), 0, size, pixels), Err(DataError::Argument { .. })));
        }
    }

    #[test]
    fn classes_take_another_order_with_their_cut_outs() {
        let all = CutOuts::new("test", classes(), vec![cut_out("1", "1", 0), cut_out("2", "2", 1)]).unwrap();
        let turned = all.with_classes(&["b", "a"]).unwrap();
        assert_eq!(turned.classes(), ["b", "a"]);
        let labels: Vec<(&str, u32)> = turned.items().iter().map(|item| (item.name(), item.label())).collect();
        assert_eq!(labels, [("1", 1), ("2", 0)]);
        for wrong in [&["a"][..], &["a", "c"], &["a", "a"], &["a", "b", "c"]] {
            assert!(matches!(all.with_classes(wrong), Err(DataError::Argument { .. })), "{wrong:?}");
        }
    }

    #[test]
    fn a_folder_is_read_and_trimmed() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, pixel: fn(u32, u32) -> [u8; 4]| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            image::RgbaImage::from_fn(5, 4, |x, y| image::Rgba(pixel(x, y))).save(path).unwrap();
        };
        write("cat/b.png", |x, y| [x as u8, y as u8, 7, if x == 2 && y > 0 { 200 } else { 100 }]);
        write("dog/a.png", |_, _| [1, 2, 3, 255]);
        let read = read_cut_outs(root.path()).unwrap();
        assert_eq!(read.classes(), ["cat", "dog"]);
        let cat = &read.items()[0];
        assert_eq!((cat.name(), cat.subject(), cat.width(), cat.height()), ("cat/b.png", "cat/b.png", 1, 3));
        assert_eq!(cat.pixels(), [[2, 1, 7, 200], [2, 2, 7, 200], [2, 3, 7, 200]]);
        assert_eq!((read.items()[1].width(), read.items()[1].height()), (5, 4));
        write("dog/b.png", |_, _| [1, 2, 3, 127]);
        let error = read_cut_outs(root.path()).unwrap_err();
        assert!(matches!(&error, DataError::Decode { path, .. } if path.ends_with("dog/b.png")), "{error}");
    }
}
