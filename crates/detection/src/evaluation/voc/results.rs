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

/// What the devkit calls the file of a class: `comp4_det_test_car.txt`. A `/`, which no file's name can have, is a `_`.
pub fn results_file(class: &str) -> String {
    format!("comp4_det_test_{}.txt", in_a_name(class))
}

fn in_a_name(class: &str) -> String {
    class.replace(['/', '\0'], "_")
}

/// Reads the result files of `classes` in a folder: what was found in each of `images`, in their order.
///
/// The file of a class is the one whose name ends in `_CLASS.txt`, with `/` in a class's name written as `_`
/// ([`results_file`]); what comes before, as the competition and the set, is free. But a set with a `_` in its name must be that of
/// all `classes`: the file of `traffic_light` is not taken for that of `light`. Where none is a class's, one that differs by case
/// alone is it, unless it is another class's.
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
    let before = |name: &'a str, class: &str| name.strip_suffix(&in_a_name(class)).filter(|rest| rest.ends_with('_'));
    // What stands before the class, of each file that may be its own.
    let candidates: Vec<(&str, &PathBuf)> =
        files.iter().filter_map(|(name, path)| Some((before(name, class)?, path))).collect();
    // The file of the class `traffic_light` is not that of a class `light`: `…_test_traffic_` is the set of no other class.
    let is_of_all = |set: &str| {
        classes.len() > 1 && classes.iter().all(|other| files.iter().any(|(name, _)| before(name, other) == Some(set)))
    };
    let mut found: Vec<&PathBuf> = candidates.iter().filter(|(set, _)| is_simple(set)).map(|(_, path)| *path).collect();
    if found.is_empty() {
        found = candidates.iter().filter(|(set, _)| is_of_all(set)).map(|(_, path)| *path).collect();
    }
    if candidates.is_empty() {
        let is_another = |name: &'a str| classes.iter().any(|other| before(name, other).is_some());
        let lower = in_a_name(class).to_lowercase();
        let alike = files.iter().filter(|(name, _)| {
            let (name, lower_name) = (name.as_str(), name.to_lowercase());
            let set = lower_name.strip_suffix(&lower).filter(|set| set.ends_with('_'));
            set.is_some_and(is_simple) && !is_another(name)
        });
        found = alike.map(|(_, path)| path).collect();
    }
    match found[..] {
        [path] => Ok(path),
        _ => {
            let found: Vec<String> = candidates.iter().map(|(_, path)| path.display().to_string()).collect();
            let expected = format!("one file `comp4_det_SET_{class}.txt`, or `…_{class}.txt`, in {}", folder.display());
            Err(EvaluationError::argument("results of a class", found, &expected))
        }
    }
}

/// Whether what stands before a class in a file's name is a competition and a set that has no `_` in its name, as
/// `comp4_det_test_`, `det_val_` or `results_`.
fn is_simple(set: &str) -> bool {
    let rest = set.strip_prefix("comp").and_then(|rest| rest.split_once("_det_")).map(|(_, rest)| rest);
    let rest = rest.or_else(|| set.strip_prefix("det_")).unwrap_or(set);
    rest.trim_end_matches('_').matches('_').count() == 0
}
