//! Label lists that others made, with the paths of their machines.

use std::{collections::HashMap, fs, path::Path};

use crate::{
    DataError, ImageDataset, NoisyLabels, Result,
    line::{Line, lines, quoted},
};

/// What aligned images of RAF-DB have behind the name that lists call them by.
const ALIGNED: &str = "_aligned";

impl NoisyLabels {
    /// Reads a list of `PATH LABEL` lines, as the official repository of SCN has them (`0.1noise_train.txt`), for `dataset`.
    ///
    /// Of a path, only the file's name counts: it must be the file name of one of the dataset's samples, or become one with
    /// `_aligned` before its extension (`train_00001.jpg` is RAF-DB's `train_00001_aligned.jpg`). Every sample stands in the
    /// list once, in any order. `first_label` is the label of the first class: SCN's lists count from 0, those of Erasing
    /// Attention Consistency from 1. The original labels are the dataset's; seed and kind of the noise are not known.
    ///
    /// Lines may end in CRLF, and blank lines may follow the last one.
    ///
    /// # Errors
    /// [`DataError::Io`], [`DataError::Argument`] if two samples of the dataset have the same file name, or
    /// [`DataError::Line`] with the first line that is not as it should be; the line behind the last one if a sample is
    /// missing.
    pub fn read_rerooted(path: &Path, dataset: &ImageDataset, first_label: u32) -> Result<Self> {
        Self::parse_rerooted(&fs::read_to_string(path).map_err(DataError::io(path))?, path, dataset, first_label)
    }

    /// [`NoisyLabels::read_rerooted`] from a file's text; `origin` names it in errors.
    ///
    /// # Errors
    /// As [`NoisyLabels::read_rerooted`].
    pub fn parse_rerooted(text: &str, origin: &Path, dataset: &ImageDataset, first_label: u32) -> Result<Self> {
        let samples = by_file_name(dataset)?;
        let n_classes = dataset.classes().len();
        let mut noisy = vec![None; dataset.len()];
        let mut n_lines = 0;
        for (number, content) in lines(text) {
            n_lines = number;
            let line = Line { path: origin, number };
            // Paths may hold spaces: the label is the last field.
            let Some((path, label)) = content.rsplit_once(char::is_whitespace) else {
                return Err(line.fail(quoted(content), "`PATH LABEL`"));
            };
            let name = line.file_name(file_name(path.trim_end()))?;
            let index = samples.get(name).or_else(|| samples.get(aligned(name)?.as_str()));
            let Some(&index) = index else {
                return Err(line.fail(quoted(name), format!("the file name of a sample of {}", dataset.origin())));
            };
            if noisy[index].is_some() {
                return Err(line.fail(format!("{} once more", quoted(name)), "every sample once"));
            }
            noisy[index] = Some(line.label(label, first_label, n_classes)?);
        }
        if let Some(missing) = noisy.iter().position(Option::is_none) {
            let line = Line { path: origin, number: n_lines + 1 };
            return Err(line.fail("the end of the list", format!("sample `{}`", dataset.name(missing))));
        }
        Self::new(dataset.labels().to_vec(), noisy.into_iter().flatten().collect(), n_classes, None)
    }
}

/// The samples of a dataset by their files' names.
fn by_file_name(dataset: &ImageDataset) -> Result<HashMap<&str, usize>> {
    let mut samples = HashMap::with_capacity(dataset.len());
    for index in 0..dataset.len() {
        let name = file_name(dataset.name(index));
        if samples.insert(name, index).is_some() {
            let found = format!("that of several samples of {}: `{name}`", dataset.origin());
            return Err(DataError::argument("file name", found, "that of one"));
        }
    }
    Ok(samples)
}

/// What follows the last separator; lists come from Windows too.
fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

fn aligned(name: &str) -> Option<String> {
    let (stem, extension) = name.rsplit_once('.')?;
    Some(format!("{stem}{ALIGNED}.{extension}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(names: [&str; 3]) -> ImageDataset {
        let samples = names.into_iter().zip([0, 1, 1]).map(|(name, label)| (name.to_owned(), label)).collect();
        ImageDataset::from_files(Path::new("root"), vec!["a".to_owned(), "b".to_owned()], samples).unwrap()
    }

    const ALIGNED: [&str; 3] = ["train_1_aligned.jpg", "train_2_aligned.jpg", "train_3_aligned.jpg"];

    fn parse(text: &str, first_label: u32) -> Result<NoisyLabels> {
        NoisyLabels::parse_rerooted(text, Path::new("noise.txt"), &dataset(ALIGNED), first_label)
    }

    #[test]
    fn lists_of_both_kinds_are_read_in_any_order() {
        let zero = "/a b/train_3_aligned.jpg 0\n/a b/train_1_aligned.jpg 1\nC:\\x\\train_2_aligned.jpg 1\n";
        let one = "train_3.jpg 1\ntrain_1_aligned.jpg 2\ntrain_2.jpg 2";
        for (text, first) in
            [(zero.to_owned(), 0), (zero.replace('\n', "\r\n"), 0), (one.to_owned(), 1), (format!("{one}\r\n\n"), 1)]
        {
            let labels = parse(&text, first).unwrap();
            assert_eq!((labels.noisy(), labels.original()), (&[1, 1, 0][..], &[0, 1, 1][..]));
            assert_eq!(labels.flips(), [0, 2]);
            assert_eq!(labels.made(), None);
        }
    }

    #[test]
    fn plain_names_and_folders_of_the_dataset_do_not_matter() {
        let dataset = dataset(["x/a.png", "y/b.png", "y/c.png"]);
        let labels = NoisyLabels::parse_rerooted("/z/c.png 1\n/z/a.png 1\nb.png 0", Path::new("n"), &dataset, 0);
        assert_eq!(labels.unwrap().noisy(), [1, 0, 1]);
    }

    #[test]
    fn every_kind_of_bad_line_is_named() {
        let message = |text: &str| parse(text, 1).unwrap_err().to_string();
        assert_eq!(message("train_1.jpg"), "noise.txt:1: found `train_1.jpg`, expected `PATH LABEL`");
        assert_eq!(message("train_1.jpg 0"), "noise.txt:1: found `0`, expected a label from 1 to 2");
        assert_eq!(
            message("train_1.jpg 1\n/a/ 1"),
            "noise.txt:2: found an empty image name, expected the name of an image"
        );
        assert_eq!(
            message("train_1.jpg 1\n/a/train_4.jpg 1"),
            "noise.txt:2: found `train_4.jpg`, expected the file name of a sample of root"
        );
        assert_eq!(
            message("train_1.jpg 1\r\ntrain_1_aligned.jpg 1"),
            "noise.txt:2: found `train_1_aligned.jpg` once more, expected every sample once"
        );
        assert_eq!(
            message("train_1.jpg 1\ntrain_3.jpg 1\n\n"),
            "noise.txt:3: found the end of the list, expected sample `train_2_aligned.jpg`"
        );
        assert_eq!(message("train_1.jpg 1\n\ntrain_3.jpg 1"), "noise.txt:2: found ``, expected `PATH LABEL`");
    }

    #[test]
    fn file_names_that_are_not_unique_are_refused() {
        let dataset = dataset(["x/a.png", "y/a.png", "y/c.png"]);
        let error = NoisyLabels::parse_rerooted("", Path::new("n"), &dataset, 0).unwrap_err();
        assert!(error.to_string().contains("`a.png`"), "{error}");
    }
}
