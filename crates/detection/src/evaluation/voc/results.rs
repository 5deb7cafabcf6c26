//! The devkit's result files: `comp4_det_test_car.txt`, with a line `image score x1 y1 x2 y2` a detection.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use sconce_core::geometry::BBox;

use super::super::{EvaluationError, Result};
use crate::Detection;

/// Reads the result files of `classes` in a folder: what was found in each of `images`, in their order.
///
/// The file of a class is the one whose name ends in `_CLASS.txt`; what comes before, as the competition and the set, is free.
/// Boxes in it are inclusive and count from 1, and become continuous ones. Images that have no line have no detections, and so
/// has a class whose file is empty.
///
/// # Errors
/// [`EvaluationError::Io`], [`EvaluationError::Argument`] if a class has no file or several, or two images one name, and
/// [`EvaluationError::Line`] for a line that is not as it should be or names another image.
pub fn read_results(folder: &Path, images: &[String], classes: &[String]) -> Result<Vec<Vec<Detection>>> {
    let places: HashMap<&str, usize> = images.iter().map(String::as_str).zip(0..).collect();
    if places.len() < images.len() {
        return Err(EvaluationError::argument("images", images.len(), "names that differ"));
    }
    let files = files(folder)?;
    let mut detections = vec![Vec::new(); images.len()];
    for (label, class) in (0u32..).zip(classes) {
        let path = file_of(folder, &files, class, classes)?;
        let bytes = fs::read(path).map_err(EvaluationError::io(path))?;
        for (number, line) in (1..).zip(String::from_utf8_lossy(&bytes).lines()) {
            let fail = |found: &str, expected: &str| EvaluationError::Line {
                path: path.to_owned(),
                line: number,
                found: format!("{found:?}"),
                expected: expected.to_owned(),
            };
            if line.trim().is_empty() {
                continue;
            }
            let (name, score, bbox) = parse(line).ok_or_else(|| fail(line, "`image score x1 y1 x2 y2`"))?;
            let place = *places.get(name).ok_or_else(|| fail(name, "an image of the ground truth"))?;
            detections[place].push(Detection { bbox, label, score });
        }
    }
    Ok(detections)
}

fn parse(line: &str) -> Option<(&str, f64, BBox)> {
    let mut fields = line.split_whitespace();
    let name = fields.next()?;
    let mut number = || fields.next()?.parse().ok().filter(|number: &f64| number.is_finite());
    let (score, x1, y1, x2, y2) = (number()?, number()?, number()?, number()?, number()?);
    let bbox = BBox::from_inclusive(x1 - 1.0, y1 - 1.0, x2 - 1.0, y2 - 1.0);
    fields.next().is_none().then_some((name, score, bbox))
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
    let longer = |name: &str| classes.iter().any(|other| other.len() > class.len() && is_of(name, other));
    let mut found = files.iter().filter(|(name, _)| is_of(name, class) && !longer(name)).map(|(_, path)| path);
    match (found.next(), found.next()) {
        (Some(path), None) => Ok(path),
        (first, second) => {
            let found: Vec<String> = first.into_iter().chain(second).map(|path| path.display().to_string()).collect();
            let expected = format!("one file `…_{class}.txt` in {}", folder.display());
            Err(EvaluationError::argument("results of a class", found, &expected))
        }
    }
}
