//! RAF-DB, the basic expressions (Li et al., 2017): 15,339 faces from the web in seven classes, aligned and of 100×100.

use std::{fs, path::Path};

use crate::{
    DataError, ImageDataset, ListedImage, Result, Split,
    line::{Line, lines, quoted},
    listed::{UniqueNames, check_files, not_empty},
};

/// The class names, in the order of the labels 1 to 7 of the list file.
pub const RAF_DB_CLASSES: [&str; 7] = ["Surprise", "Fear", "Disgust", "Happiness", "Sadness", "Anger", "Neutral"];

/// Where the list lies below the root. The spelling is the dataset's.
const LIST: &str = "EmoLabel/list_patition_label.txt";

/// Where the aligned images lie below the root.
const IMAGES: &str = "Image/aligned";

/// Reads a split of RAF-DB (basic): 12,271 images for training, 3,068 for testing, in the order of the list.
///
/// ```text
/// root/EmoLabel/list_patition_label.txt       train_00001.jpg 5
/// root/Image/aligned/train_00001_aligned.jpg
/// ```
///
/// Labels count from 1 in the file and from 0 here. A sample's name is its file's, `train_00001_aligned.jpg`. Images are
/// decoded when they are asked for.
///
/// # Errors
/// [`DataError::Io`], [`DataError::Empty`] for a split without samples, [`DataError::Line`] as [`parse_raf_db`] and for an
/// image that is missing.
pub fn read_raf_db(root: &Path, split: Split) -> Result<ImageDataset> {
    let list = root.join(LIST);
    let text = fs::read_to_string(&list).map_err(DataError::io(&list))?;
    let samples = not_empty(parse_raf_db(&text, &list, split)?, &list, "samples of the split")?;
    let images = root.join(IMAGES);
    check_files(&samples, &images, &list)?;
    let samples = samples.into_iter().map(|sample| (sample.name, sample.label)).collect();
    ImageDataset::from_files(&images, RAF_DB_CLASSES.map(str::to_owned).into(), samples)
}

/// The samples of `split` in the text of a list file, by the names of the aligned images; `origin` names it in errors.
///
/// Lines may end in blanks and CRLF, and blank lines may follow the last one. The other split's lines are checked too.
///
/// # Errors
/// [`DataError::Line`] for a line that is not `NAME.jpg LABEL`, an empty name, a name with a folder or of neither split, a
/// name twice, and a label that is not 1 to 7.
pub fn parse_raf_db(text: &str, origin: &Path, split: Split) -> Result<Vec<ListedImage>> {
    let mut names = UniqueNames::default();
    let mut samples = Vec::new();
    for (number, content) in lines(text) {
        let line = Line { path: origin, number };
        let fields = content.rsplit_once(char::is_whitespace).map(|(name, label)| (name.trim_end(), label));
        let Some((name, label)) = fields.filter(|(name, _)| !name.contains(char::is_whitespace)) else {
            return Err(line.fail(quoted(content), "`NAME.jpg LABEL`"));
        };
        let name = line.file_name(name)?;
        let Some(stem) = name.strip_suffix(".jpg") else {
            return Err(line.fail(quoted(name), "a name that ends in `.jpg`"));
        };
        let part = [Split::Train, Split::Test].into_iter().find(|part| stem.starts_with(part.name()));
        let Some(part) = part else {
            return Err(line.fail(quoted(name), "a name that begins with `train` or `test`"));
        };
        let label = line.label(label, 1, RAF_DB_CLASSES.len())?;
        // Some copies of the list name the aligned images themselves.
        let aligned = format!("{}_aligned.jpg", stem.strip_suffix("_aligned").unwrap_or(stem));
        names.add(&aligned, line)?;
        if part == split {
            samples.push(ListedImage { name: aligned, label, line: number });
        }
    }
    Ok(samples)
}
