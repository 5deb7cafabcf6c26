//! The devkit's result files: `comp4_det_test_car.txt`, with a line `image score x1 y1 x2 y2` a detection. The name of an image
//! may have blanks: the numbers are the last five fields.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use sconce_core::geometry::BBox;

use super::super::{EvaluationError, Result};
use crate::Detection;

/// What a line has.
const FORM: &str = "`image score x1 y1 x2 y2`";

/// The line of a class's result file that says of a detection in `image` what [`read_results`] reads back. It has no line break.
///
/// # Errors
/// [`EvaluationError::Argument`] for a name that would be another one when it is read: an empty one, one that begins or ends in
/// blanks, or one with a line break.
pub fn result_line(image: &str, detection: &Detection) -> Result<String> {
    if image.is_empty() || image.trim() != image || image.contains(['\n', '\r']) {
        let expected = "one without blanks at its ends and without line breaks";
        return Err(EvaluationError::argument("the name of an image", image, expected));
    }
    let Detection { bbox, score, .. } = detection;
    // Both ends are in the box: the last column is one less than its right edge, and counted from 1.
    Ok(format!("{image} {score} {} {} {} {}", bbox.x1 + 1.0, bbox.y1 + 1.0, bbox.x2, bbox.y2))
}

/// Reads the result files of `classes` in a folder: what was found in each of `images`, in their order.
///
/// The file of a class is the one whose name ends in `_CLASS.txt`; what comes before, as the competition and the set, is free.
/// Where none does, one that differs by case alone is it, unless it is another class's.
/// Boxes in it are inclusive and count from 1, and become continuous ones. Images that have no line have no detections, and so
/// has a class whose file is empty. An image in a folder, as `day/001`, may be called by its last part where no other is.
///
/// # Errors
/// [`EvaluationError::Io`], [`EvaluationError::Argument`] if a class has no file or several, or two images one name, and
/// [`EvaluationError::Line`] for a line that is not as it should be or names another image.
pub fn read_results(folder: &Path, images: &[String], classes: &[String]) -> Result<Vec<Vec<Detection>>> {
    let places = places(images)?;
    let files = files(folder)?;
    let mut detections = vec![Vec::new(); images.len()];
    for (label, class) in (0u32..).zip(classes) {
        let path = file_of(folder, &files, class, classes)?;
        let bytes = fs::read(path).map_err(EvaluationError::io(path))?;
        let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes));
        for (number, line) in (1..).zip(text.lines()) {
            let fail = |found: &str, expected: &str| EvaluationError::Line {
                path: path.to_owned(),
                line: number,
                found: format!("{found:?}"),
                expected: expected.to_owned(),
            };
            if line.trim().is_empty() {
                continue;
            }
            let (name, score, bbox) = parse(line).ok_or_else(|| fail(line, FORM))?;
            let place = places.get(name).copied().ok_or_else(|| {
                // A number too many is not a part of the name.
                match name.split_once(char::is_whitespace) {
                    Some((first, _)) if places.contains_key(first) => fail(line, FORM),
                    _ => fail(name, "an image of the ground truth"),
                }
            })?;
            detections[place].push(Detection { bbox, label, score });
        }
    }
    Ok(detections)
}

/// Where the images are by their names, and by the last parts of their names that are no other's.
fn places(images: &[String]) -> Result<HashMap<&str, usize>> {
    let mut places = HashMap::new();
    for (place, name) in images.iter().enumerate() {
        if places.insert(name.as_str(), place).is_some() {
            return Err(EvaluationError::argument("the name of an image", name, "names that differ"));
        }
    }
    let mut last_parts: HashMap<&str, Option<usize>> = HashMap::new();
    for (place, (_, last)) in images.iter().enumerate().filter_map(|(i, name)| Some((i, name.rsplit_once('/')?))) {
        last_parts.entry(last).and_modify(|shared| *shared = None).or_insert(Some(place));
    }
    for (last, place) in last_parts {
        if let Some(place) = place {
            places.entry(last).or_insert(place);
        }
    }
    Ok(places)
}

/// What a line says. The numbers are its last five fields: an image's name may have blanks, as `ali (1)`.
fn parse(line: &str) -> Option<(&str, f64, BBox)> {
    let mut rest = line.trim();
    let mut numbers = [0.0; 5];
    for number in numbers.iter_mut().rev() {
        let (before, last) = rest.rsplit_once(char::is_whitespace)?;
        *number = last.parse().ok().filter(|number: &f64| number.is_finite())?;
        rest = before.trim_end();
    }
    let [score, x1, y1, x2, y2] = numbers;
    let bbox = BBox::from_inclusive(x1 - 1.0, y1 - 1.0, x2 - 1.0, y2 - 1.0);
    (!rest.is_empty()).then_some((rest, score, bbox))
}

/// The text files of a folder, with their names.
fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(EvaluationError::io(folder))? {
        let path = entry.map_err(EvaluationError::io(folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".txt"));
        if let Some(name) = name {
            files.push((name.to_owned(), path));
        }
    }
    files.sort();
    Ok(files)
}

fn file_of<'a>(folder: &Path, files: &'a [(String, PathBuf)], class: &str, classes: &[String]) -> Result<&'a PathBuf> {
    // The file of the class `traffic_light` is not that of a class `light`.
    let is_of = |name: &str, class: &str| name.strip_suffix(class).is_some_and(|rest| rest.ends_with('_'));
    let longer = |name: &str, class: &str| classes.iter().any(|other| other.len() > class.len() && is_of(name, other));
    let of = |class: &str| -> Vec<&'a PathBuf> {
        files.iter().filter(|(name, _)| is_of(name, class) && !longer(name, class)).map(|(_, path)| path).collect()
    };
    let mut found = of(class);
    if found.is_empty() {
        let is_another = |name: &str| classes.iter().any(|other| is_of(name, other));
        let lower = format!("_{}", class.to_lowercase());
        let alike = files.iter().filter(|(name, _)| name.to_lowercase().ends_with(&lower) && !is_another(name));
        found = alike.map(|(_, path)| path).collect();
    }
    match found[..] {
        [path] => Ok(path),
        _ => {
            let found: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
            let expected = format!("one file `…_{class}.txt` in {}", folder.display());
            Err(EvaluationError::argument("results of a class", found, &expected))
        }
    }
}
