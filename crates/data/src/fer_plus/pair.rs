//! FERPlus as two tables: the pixels of FER2013 and the votes, row by row.

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
    DataError, Image, ImageDataset, Result,
    line::{Line, quoted},
    listed::{UniqueNames, not_empty},
    rows::{Row, Rows},
};

const PIXELS: &str = "fer2013.csv";
const VOTES: &str = "fer2013new.csv";

const PIXEL_COLUMNS: [&str; 3] = ["emotion", "pixels", "Usage"];

/// `Usage` and `Image name` before the votes.
const BEFORE_VOTES: [&str; 2] = ["Usage", "Image name"];
const N_VOTE_COLUMNS: usize = BEFORE_VOTES.len() + COLUMNS.len();

/// Reads a split of FERPlus from `root/fer2013.csv` (emotion, pixels, Usage) and `root/fer2013new.csv` (Usage, Image name, ten
/// columns of votes), whose rows follow each other in the same order.
///
/// Images are grey and of 48×48. A sample's name is its image name, `fer0000000.png`. FER2013's own labels are not used.
///
/// # Errors
/// [`DataError::Io`], [`DataError::Empty`] if no sample is left, [`DataError::Line`] as [`parse_fer_plus`].
pub fn read_fer_plus(
    root: &Path,
    split: FerPlusSplit,
    config: &FerPlusConfig,
) -> Result<(ImageDataset, FerPlusCounts)> {
    let (pixels, votes) = (root.join(PIXELS), root.join(VOTES));
    parse_fer_plus((open(&pixels)?, &pixels), (open(&votes)?, &votes), split, config)
}

fn open(path: &Path) -> Result<BufReader<File>> {
    // Rows of pixels are long: fewer and larger pieces.
    Ok(BufReader::with_capacity(1 << 18, File::open(path).map_err(DataError::io(path))?))
}

/// [`read_fer_plus`] from the two tables, `fer2013.csv` and `fer2013new.csv`, each with the path that names it in errors.
///
/// Of the other splits' rows, and of rows that are dropped, the pixels are not looked at.
///
/// # Errors
/// [`DataError::Line`] for another header, a row of another number of fields, a `Usage` that does not exist or differs between
/// the tables, a vote that is no number, an image name that is a path or stands there twice, pixels that are not 48·48
/// numbers up to 255, and for tables of different lengths; [`DataError::Empty`] if no sample is left.
pub fn parse_fer_plus(
    (pixels, pixels_path): (impl BufRead, &Path),
    (votes, votes_path): (impl BufRead, &Path),
    split: FerPlusSplit,
    config: &FerPlusConfig,
) -> Result<(ImageDataset, FerPlusCounts)> {
    let mut pairs = Pairs { pixels: Rows::new(pixels, pixels_path), votes: Rows::new(votes, votes_path) };
    let [pixels_at, usage_at] = pairs.columns()?;
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    let mut counts = FerPlusCounts::default();
    let mut names = UniqueNames::default();
    while let Some((pixel_row, vote_row)) = pairs.next()? {
        let usage = usage(&vote_row, 0)?;
        if pixel_row.text(usage_at)? != usage.usage() {
            let expected = format!("`{}` as in {}:{}", usage.usage(), votes_path.display(), vote_row.line.number);
            return Err(pixel_row.line.fail(quoted(pixel_row.text(usage_at)?), expected));
        }
        let votes = self::votes(&vote_row, BEFORE_VOTES.len())?;
        if usage != split {
            continue;
        }
        counts.rows += 1;
        let name = vote_row.text(1)?;
        if name.is_empty() {
            counts.unnamed += 1;
            continue;
        }
        names.add(vote_row.line.file_name(name)?, vote_row.line)?;
        if let Some(label) = counts.count(verdict(&votes, config)) {
            images.push((name.to_owned(), image(&pixel_row, pixels_at)?));
            labels.push(label);
        }
    }
    let images = not_empty(images, votes_path, "samples of the split that have a label")?;
    let dataset = ImageDataset::from_named_images(split.usage(), classes(), images, labels)?;
    Ok((dataset.with_left_out(counts.left_out()), counts))
}

/// Two tables that are read side by side.
struct Pairs<P, V> {
    pixels: Rows<P>,
    votes: Rows<V>,
}

impl<P: BufRead, V: BufRead> Pairs<P, V> {
    /// Reads the heads. Pixels and usage stand in either order: Kaggle has published both.
    fn columns(&mut self) -> Result<[usize; 2]> {
        let Some((pixels, votes)) = self.next()? else {
            return Err(Line { path: self.pixels.path(), number: 1 }.fail("the end of the file", "a header"));
        };
        votes.check_header(&[&BEFORE_VOTES[..], &COLUMNS].concat())?;
        let [_, pixels_at, usage_at] = pixels.columns(PIXEL_COLUMNS)?;
        Ok([pixels_at, usage_at])
    }

    /// The next row of both.
    fn next(&mut self) -> Result<Option<(Row<'_>, Row<'_>)>> {
        // Where a file ends, should it be too short.
        let (pixels_end, votes_end) = (self.pixels.next_line(), self.votes.next_line());
        let (pixels_path, votes_path) = (self.pixels.path().to_owned(), self.votes.path().to_owned());
        match (self.pixels.next(PIXEL_COLUMNS.len())?, self.votes.next(N_VOTE_COLUMNS)?) {
            (Some(pixels), Some(votes)) => Ok(Some((pixels, votes))),
            (None, None) => Ok(None),
            (Some(row), None) => Err(too_short(Line { path: &votes_path, number: votes_end }, row.line)),
            (None, Some(row)) => Err(too_short(Line { path: &pixels_path, number: pixels_end }, row.line)),
        }
    }
}

/// The error for a table that ends at `end` where the other one goes on.
fn too_short(end: Line<'_>, other: Line<'_>) -> DataError {
    let expected = format!("a row for {}:{}", other.path.display(), other.number);
    end.fail("the end of the file", expected)
}

fn usage(row: &Row<'_>, field: usize) -> Result<FerPlusSplit> {
    let text = row.text(field)?;
    FerPlusSplit::ALL
        .into_iter()
        .find(|split| split.usage() == text)
        .ok_or_else(|| row.line.fail(quoted(text), "Training, PublicTest or PrivateTest"))
}

/// The pixels of a row as an image.
fn image(row: &Row<'_>, pixels_at: usize) -> Result<Image> {
    let mut data = Vec::with_capacity(SIZE * SIZE);
    for digits in row.bytes(pixels_at).split(|&b| b == b' ').filter(|digits| !digits.is_empty()) {
        let Some(value) = pixel(digits) else {
            let found = format!("pixel {} {}", data.len(), quoted(&String::from_utf8_lossy(digits)));
            return Err(row.line.fail(found, "a number from 0 to 255"));
        };
        if data.len() == SIZE * SIZE {
            return Err(row.line.fail(format!("more than {} pixels", SIZE * SIZE), (SIZE * SIZE).to_string()));
        }
        data.push(value);
    }
    if data.len() < SIZE * SIZE {
        return Err(row.line.fail(format!("{} pixels", data.len()), (SIZE * SIZE).to_string()));
    }
    Image::new(SIZE, SIZE, 1, data)
}

/// A number from 0 to 255. There are 83 million of them in FER2013: this is several times as fast as `str::parse`.
fn pixel(digits: &[u8]) -> Option<u8> {
    if digits.len() > 3 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0, |value, digit| 10 * value + u16::from(digit - b'0'));
    u8::try_from(value).ok()
}
