//! Images that a list file names.

use std::{collections::HashSet, path::Path};

use crate::{DataError, Result, line::Line};

/// An image that a list file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedImage {
    /// Its path below the folder of the images.
    pub name: String,
    /// Its label, from 0 on.
    pub label: u32,
    /// The line of the list, from 1 on.
    pub line: usize,
}

/// Checks that every image of the list `list` lies below `root`: a run should not find out in the middle of an epoch.
pub(crate) fn check_files<'a>(
    images: impl IntoIterator<Item = &'a ListedImage>,
    root: &Path,
    list: &Path,
) -> Result<()> {
    for image in images {
        let path = root.join(&image.name);
        if !path.is_file() {
            let line = Line { path: list, number: image.line };
            return Err(line.fail(format!("no file {}", path.display()), "the image of this line"));
        }
    }
    Ok(())
}

/// Names that stand in a list only once.
#[derive(Default)]
pub(crate) struct UniqueNames(HashSet<String>);

impl UniqueNames {
    pub(crate) fn add(&mut self, name: &str, line: Line<'_>) -> Result<()> {
        if self.0.insert(name.to_owned()) {
            Ok(())
        } else {
            Err(line.fail(format!("`{name}` once more"), "every name once"))
        }
    }
}

/// `samples` unless there are none.
pub(crate) fn not_empty<T>(samples: Vec<T>, list: &Path, expected: &'static str) -> Result<Vec<T>> {
    if samples.is_empty() { Err(DataError::empty(list, expected)) } else { Ok(samples) }
}
