//! What is wrong with a line of a text file.

use std::path::{Component, Path};

use crate::{DataError, Result};

/// Characters of a found text that an error shows.
const SHOWN: usize = 80;

/// What a line, and so every check of it, is about.
#[derive(Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) path: &'a Path,
    /// Counted from 1.
    pub(crate) number: usize,
}

impl Line<'_> {
    pub(crate) fn fail(&self, found: impl Into<String>, expected: impl Into<String>) -> DataError {
        DataError::Line {
            path: self.path.to_owned(),
            line: self.number,
            found: found.into(),
            expected: expected.into(),
        }
    }

    /// A label from `first` on, as one from 0 on.
    pub(crate) fn label(&self, field: &str, first: u32, n_classes: usize) -> Result<u32> {
        // `parse` would take a sign.
        let is_number = field.bytes().all(|byte| byte.is_ascii_digit());
        let label = field.parse::<u32>().ok().filter(|_| is_number).and_then(|label| label.checked_sub(first));
        label.filter(|&label| (label as usize) < n_classes).ok_or_else(|| {
            let last = (u64::from(first) + n_classes as u64).saturating_sub(1);
            self.fail(quoted(field), format!("a label from {first} to {last}"))
        })
    }

    /// A file's plain name: no path, and so no way out of the folder where it lies.
    pub(crate) fn file_name<'n>(&self, name: &'n str) -> Result<&'n str> {
        match name {
            "" => Err(self.fail("an empty image name", "the name of an image")),
            "." | ".." => Err(self.fail(quoted(name), "the name of an image")),
            _ if name.contains(['/', '\\', '\0']) => Err(self.fail(quoted(name), "a name without a folder")),
            _ => Ok(name),
        }
    }

    /// The path of an image that stays below the folder that it is joined to.
    pub(crate) fn path_below<'n>(&self, path: &'n str) -> Result<&'n str> {
        if path.is_empty() {
            return Err(self.fail("an empty image name", "the path of an image"));
        }
        if !stays_below(path) {
            return Err(self.fail(quoted(path), "a path below the folder of the images"));
        }
        Ok(path)
    }
}

/// Whether `path` stays below the folder that it is joined to, and means the same on every system.
pub(crate) fn stays_below(path: &str) -> bool {
    let is_relative = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    is_relative && !path.is_empty() && !path.contains(['\\', '\0'])
}

/// `text` in backticks, cut off where it is long: a line may be the whole of a broken file.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

/// The lines of `text` with their numbers from 1, without the blank ones at its end. A line may end in blanks and CRLF, and
/// the first one may begin with a byte order mark.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    text.trim_end().lines().enumerate().map(|(i, line)| (i + 1, line.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_cut_between_characters() {
        assert_eq!(quoted("ä"), "`ä`");
        assert_eq!(quoted(&"ä".repeat(80)).chars().count(), 82);
        assert_eq!(quoted(&"ä".repeat(1000)).chars().count(), 83);
    }

    #[test]
    fn labels_begin_where_the_list_says() {
        let line = Line { path: Path::new("list"), number: 3 };
        assert_eq!(line.label("7", 1, 7).unwrap(), 6);
        assert_eq!(line.label("0", 0, 7).unwrap(), 0);
        for bad in ["0", "8", "-1", "+1", "4294967296", "", "1.0"] {
            let message = line.label(bad, 1, 7).unwrap_err().to_string();
            assert_eq!(message, format!("list:3: found `{bad}`, expected a label from 1 to 7"));
        }
        assert!(line.label("4294967295", u32::MAX, 2).is_ok());
        assert!(line.label("0", u32::MAX, 2).is_err());
    }
}
