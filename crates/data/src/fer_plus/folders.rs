//! FERPlus as Microsoft's scripts lay it out: a folder a split, with images and a table of votes.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use super::{
    FerPlusConfig, FerPlusCounts, FerPlusSplit, SIZE, classes,
    votes::{COLUMNS, verdict, votes},
};
use crate::{
    DataError, ImageDataset, ListedImage, Result,
    line::quoted,
    listed::{UniqueNames, check_files, not_empty},
    rows::Rows,
};

/// The name and the box of the image before the votes.
const N_BEFORE_VOTES: usize = 2;

/// Reads a split of FERPlus from `root/FER2013Train/label.csv` (or `FER2013Valid`, `FER2013Test`) and the images beside it.
/// Images are decoded when they are asked for.
///
/// ```text
/// fer0000000.png,"(0, 0, 48, 48)",4,0,0,1,3,2,0,0,0,0
/// ```
///
/// # Errors
/// [`DataError::Io`], [`DataError::Empty`] if no sample is left, [`DataError::Line`] as [`parse_fer_plus_labels`] and for an
/// image that is missing.
pub fn read_fer_plus_folders(
    root: &Path,
    split: FerPlusSplit,
    config: &FerPlusConfig,
) -> Result<(ImageDataset, FerPlusCounts)> {
    let folder = root.join(split.folder());
    let list = folder.join("label.csv");
    let input = BufReader::new(File::open(&list).map_err(DataError::io(&list))?);
    let (samples, counts) = parse_fer_plus_labels(input, &list, config)?;
    let samples = not_empty(samples, &list, "samples that have a label")?;
    check_files(&samples, &folder, &list)?;
    let samples = samples.into_iter().map(|sample| (sample.name, sample.label)).collect();
    let dataset = ImageDataset::from_files(&folder, classes(), samples)?;
    Ok((dataset.with_left_out(counts.left_out()), counts))
}

/// The samples of a `label.csv` that have a label; `origin` names it in errors.
///
/// # Errors
/// [`DataError::Line`] for a row that has not 12 fields, an image name that is a path or stands there twice, another box
/// than the whole image, `(0, 0, 48, 48)`, and a vote that is no number.
pub fn parse_fer_plus_labels(
    input: impl BufRead,
    origin: &Path,
    config: &FerPlusConfig,
) -> Result<(Vec<ListedImage>, FerPlusCounts)> {
    let mut rows = Rows::new(input, origin);
    let mut names = UniqueNames::default();
    let mut counts = FerPlusCounts::default();
    let mut samples = Vec::new();
    while let Some(row) = rows.next(N_BEFORE_VOTES + COLUMNS.len())? {
        counts.rows += 1;
        let votes = votes(&row, N_BEFORE_VOTES)?;
        let name = row.text(0)?;
        if name.is_empty() {
            counts.unnamed += 1;
            continue;
        }
        names.add(row.line.file_name(name)?, row.line)?;
        let whole = format!("(0, 0, {SIZE}, {SIZE})");
        if row.text(1)? != whole {
            return Err(row.line.fail(format!("the box {}", quoted(row.text(1)?)), format!("`{whole}`")));
        }
        if let Some(label) = counts.count(verdict(&votes, config)) {
            samples.push(ListedImage { name: name.to_owned(), label, line: row.line.number });
        }
    }
    Ok((samples, counts))
}
