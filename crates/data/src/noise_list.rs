//! Noisy labels in a text file.
//!
//! A header of comments, then a line a sample, in the dataset's order: `name original noisy`.
//!
//! ```text
//! # sconce label noise
//! # made = {"seed":0,"noise":{"kind":"symmetric","rate":0.3}}
//! # classes = 10
//! # samples = 6000
//! # flips = 1823
//! train/00000 9 9
//! train/00001 0 4
//! ```
//!
//! The header may be missing, so that lists from elsewhere can be read. What it says is checked against the lines.

use std::{fmt::Write as _, fs, path::Path};

use sconce_core::files::write_atomic;

use crate::{
    DataError, ImageDataset, Made, NoisyLabels, Result,
    line::{Line, lines, quoted},
};

const COMMENT: &str = "# ";

impl NoisyLabels {
    /// Writes the labels as a list file, with the names of `dataset`'s samples.
    ///
    /// # Errors
    /// [`DataError::Exists`] if `path` is taken, [`DataError::Argument`] if the dataset is of another size or a name cannot
    /// stand in a line, [`DataError::Core`] if the file cannot be written; nothing is left of it then.
    pub fn write(&self, path: &Path, dataset: &ImageDataset) -> Result<()> {
        if path.symlink_metadata().is_ok() {
            return Err(DataError::Exists { path: path.to_owned() });
        }
        if dataset.len() != self.len() {
            return Err(DataError::argument("size of the dataset", dataset.len(), format!("{}", self.len())));
        }
        let mut text = format!("{COMMENT}sconce label noise\n");
        if let Some(made) = self.made() {
            let made = serde_json::to_string(made)
                .map_err(|e| DataError::argument("label noise", e, "what JSON can express"))?;
            let _ = writeln!(text, "{COMMENT}made = {made}");
        }
        let counts = [("classes", self.n_classes()), ("samples", self.len()), ("flips", self.flips().len())];
        for (key, count) in counts {
            let _ = writeln!(text, "{COMMENT}{key} = {count}");
        }
        for (index, (original, noisy)) in self.original().iter().zip(self.noisy()).enumerate() {
            let name = dataset.name(index);
            if name.is_empty() || name.starts_with(COMMENT) || name.contains(['\n', '\r']) {
                let expected = "a name in one line that does not begin as a comment";
                return Err(DataError::argument("sample name", format!("{name:?}"), expected));
            }
            let _ = writeln!(text, "{name} {original} {noisy}");
        }
        Ok(write_atomic(path, text.as_bytes())?)
    }

    /// Reads a list file for `dataset`, whose samples it must name in the same order, with the same original labels.
    ///
    /// Lines may end in CRLF, and blank lines may follow the last one.
    ///
    /// # Errors
    /// [`DataError::Io`], or [`DataError::Line`] with the first line that is not as it should be.
    pub fn read(path: &Path, dataset: &ImageDataset) -> Result<Self> {
        Self::parse(&fs::read_to_string(path).map_err(DataError::io(path))?, path, dataset)
    }

    /// [`NoisyLabels::read`] from a file's text; `origin` names it in errors.
    ///
    /// # Errors
    /// As [`NoisyLabels::read`].
    pub fn parse(text: &str, origin: &Path, dataset: &ImageDataset) -> Result<Self> {
        let n_classes = dataset.classes().len();
        let mut made = None;
        let mut n_flips = None;
        let (mut original, mut noisy) = (Vec::new(), Vec::new());
        let mut n_lines = 0;
        for (number, content) in lines(text) {
            n_lines = number;
            let line = Line { path: origin, number };
            match content.strip_prefix(COMMENT) {
                Some(comment) => match comment.split_once(" = ") {
                    Some(("made", json)) => made = Some(parse_made(line, json)?),
                    Some(("classes", count)) => check_count(line, "classes", count, n_classes)?,
                    Some(("samples", count)) => check_count(line, "samples", count, dataset.len())?,
                    Some(("flips", count)) => n_flips = Some((line, count)),
                    _ => {}
                },
                None => {
                    let sample = sample(line, content, dataset, original.len())?;
                    original.push(sample.0);
                    noisy.push(sample.1);
                }
            }
        }
        if original.len() != dataset.len() {
            let line = Line { path: origin, number: n_lines + 1 };
            return Err(line.fail(format!("the end after {} samples", original.len()), dataset.len().to_string()));
        }
        let labels = Self::new(original, noisy, n_classes, made)?;
        if let Some((line, count)) = n_flips {
            check_count(line, "flips", count, labels.flips().len())?;
        }
        Ok(labels)
    }
}

/// The original and the noisy label of sample `index`.
fn sample(line: Line<'_>, content: &str, dataset: &ImageDataset, index: usize) -> Result<(u32, u32)> {
    // Names may hold spaces: the labels are the last two fields.
    let mut fields = content.rsplitn(3, ' ');
    let (Some(noisy), Some(original), Some(name)) = (fields.next(), fields.next(), fields.next()) else {
        return Err(line.fail(quoted(content), "`name original noisy`"));
    };
    if index >= dataset.len() {
        let expected = format!("the end after {} samples", dataset.len());
        return Err(line.fail(format!("sample {}", quoted(name)), expected));
    }
    if name != dataset.name(index) {
        return Err(line.fail(format!("sample {}", quoted(name)), format!("sample `{}`", dataset.name(index))));
    }
    let n_classes = dataset.classes().len();
    let (original, noisy) = (line.label(original, 0, n_classes)?, line.label(noisy, 0, n_classes)?);
    if original != dataset.label(index) {
        let expected = format!("{} as in the dataset", dataset.label(index));
        return Err(line.fail(format!("original label {original} of `{name}`"), expected));
    }
    Ok((original, noisy))
}

fn parse_made(line: Line<'_>, json: &str) -> Result<Made> {
    serde_json::from_str(json).map_err(|e| line.fail(quoted(json), format!("seed and noise as JSON ({e})")))
}

fn check_count(line: Line<'_>, what: &str, count: &str, expected: usize) -> Result<()> {
    if count.parse() == Ok(expected) {
        Ok(())
    } else {
        Err(line.fail(format!("{} {what}", count), expected.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;
    use crate::{ClassMap, LabelNoise};

    /// Three samples of two classes; a name holds a space.
    fn dataset() -> ImageDataset {
        let samples = [("cat/a b.png", 0), ("cat/b.png", 0), ("dog/c.png", 1)];
        let samples = samples.map(|(name, label)| (name.to_owned(), label)).into();
        ImageDataset::from_files(Path::new("root"), vec!["cat".to_owned(), "dog".to_owned()], samples).unwrap()
    }

    fn file(content: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("noise.txt");
        fs::write(&path, content).unwrap();
        (folder, path)
    }

    fn read(content: &str) -> Result<NoisyLabels> {
        NoisyLabels::read(&file(content).1, &dataset())
    }

    #[track_caller]
    fn check_error(content: &str, expected: &str) {
        let error = read(content).expect_err(content);
        assert!(matches!(error, DataError::Line { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.ends_with(&format!("noise.txt:{expected}")), "{message}");
    }

    const GOOD: &str = "cat/a b.png 0 1\ncat/b.png 0 0\ndog/c.png 1 0\n";

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_is_written_is_read_back(seed: u64, rate in 0.0..=1.0, symmetric: bool) {
            let noise =
                if symmetric { LabelNoise::Symmetric { rate } } else { LabelNoise::Asymmetric { rate, map: ClassMap::Next } };
            let dataset = dataset();
            let labels = noise.apply(dataset.labels(), 2, seed).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("noise.txt");
            labels.write(&path, &dataset).unwrap();
            prop_assert_eq!(NoisyLabels::read(&path, &dataset).unwrap(), labels);
        }
    }

    #[test]
    fn a_list_without_header_and_with_crlf_is_read() {
        for content in
            [GOOD.to_owned(), GOOD.replace('\n', "\r\n"), format!("{GOOD}\n\r\n\n"), GOOD.trim_end().to_owned()]
        {
            let labels = read(&content).unwrap();
            assert_eq!(labels.noisy(), [1, 0, 0]);
            assert_eq!(labels.made(), None);
            assert_eq!(labels.flips(), [0, 2]);
        }
    }

    #[test]
    fn every_kind_of_bad_line_names_file_and_line() {
        let bad = |from: &str, to: &str| GOOD.replace(from, to);
        check_error(&bad("dog/c.png 1 0", "dog/c.png 1"), "3: found `dog/c.png 1`, expected `name original noisy`");
        check_error(&bad("b.png 0 0", "b.png 0 x"), "2: found `x`, expected a label from 0 to 1");
        check_error(&bad("b.png 0 0", "b.png 0 -1"), "2: found `-1`, expected a label from 0 to 1");
        check_error(&bad("b.png 0 0", "b.png 0 2"), "2: found `2`, expected a label from 0 to 1");
        check_error(&bad("b.png 0 0", "b.png 2 0"), "2: found `2`, expected a label from 0 to 1");
        check_error(&bad("cat/b", "cat/x"), "2: found sample `cat/x.png`, expected sample `cat/b.png`");
        check_error(
            &bad("c.png 1 0", "c.png 0 0"),
            "3: found original label 0 of `dog/c.png`, expected 1 as in the dataset",
        );
        check_error(&bad("cat/b", "\ncat/b"), "2: found ``, expected `name original noisy`");
    }

    #[test]
    fn another_number_of_samples_is_named() {
        check_error("cat/a b.png 0 1\n", "2: found the end after 1 samples, expected 3");
        check_error("", "1: found the end after 0 samples, expected 3");
        check_error(&format!("{GOOD}dog/d.png 1 1\n"), "4: found sample `dog/d.png`, expected the end after 3 samples");
    }

    #[test]
    fn a_header_that_does_not_fit_is_named() {
        check_error(&format!("# classes = 7\n{GOOD}"), "1: found 7 classes, expected 2");
        check_error(&format!("# x\n# samples = 4\n{GOOD}"), "2: found 4 samples, expected 3");
        check_error(&format!("# flips = 0\n{GOOD}"), "1: found 0 flips, expected 2");
        let error = read(&format!("# made = {{\"seed\":0}}\n{GOOD}")).unwrap_err().to_string();
        assert!(error.contains("noise.txt:1: found `{\"seed\":0}`, expected seed and noise as JSON"), "{error}");
    }

    #[test]
    fn a_file_that_is_there_is_not_overwritten() {
        let (_folder, path) = file("mine");
        let labels = LabelNoise::None.apply(&[0, 0, 1], 2, 0).unwrap();
        assert!(matches!(labels.write(&path, &dataset()), Err(DataError::Exists { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    #[test]
    fn a_list_that_cannot_be_written_names_the_file() {
        let (_folder, path) = file("");
        let labels = LabelNoise::None.apply(&[0, 0, 1], 2, 0).unwrap();
        let below_a_file = path.join("noise.txt");
        let error = labels.write(&below_a_file, &dataset()).unwrap_err().to_string();
        assert!(error.contains(&below_a_file.display().to_string()), "{error}");
    }

    #[test]
    fn names_that_cannot_stand_in_a_line_are_refused() {
        for name in ["# a.png", "a\nb.png"] {
            let sample = vec![(name.to_owned(), 0)];
            let dataset = ImageDataset::from_files(Path::new("root"), vec!["cat".to_owned()], sample).unwrap();
            let labels = LabelNoise::None.apply(&[0], 1, 0).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("noise.txt");
            assert!(matches!(labels.write(&path, &dataset), Err(DataError::Argument { .. })));
            assert!(!path.exists());
        }
    }
}
