//! Pascal VOC's lists of images.

use std::{collections::HashSet, path::Path};

use crate::{
    Result,
    line::{Line, lines},
    listed::UniqueNames,
};

/// A line of a list of images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VocListed {
    /// The image's id: its path below the folder of the images, without its extension, or with it in some datasets.
    pub id: String,
    /// What the list says of the class that it is about, if it is such a list.
    pub presence: Option<VocPresence>,
    /// The line, from 1 on.
    pub line: usize,
}

/// Whether a class is on an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VocPresence {
    /// `-1`: it is not.
    Absent,
    /// `0`: only objects that are hard to recognise.
    Difficult,
    /// `1`: it is.
    Present,
}

impl VocListed {
    /// The id if the whole line is one, and not an id with a second column: `img 1` of `img 1.jpg`.
    ///
    /// Files must say which of the two it is.
    pub fn whole_line(&self) -> Option<String> {
        let column = match self.presence? {
            VocPresence::Absent => "-1",
            VocPresence::Difficult => "0",
            VocPresence::Present => "1",
        };
        Some(format!("{} {column}", self.id))
    }
}

/// The images in the text of a list, as `trainval.txt`, or as `dog_trainval.txt` with a second column; `origin` names it in
/// errors.
///
/// Ids may hold blanks. Where every line ends in -1, 0 or 1 behind a blank, and what stands before names every image once, that is
/// a second column; else lines are ids. Lines may be blank, begin and end in blanks, and end in CRLF.
///
/// # Errors
/// [`crate::DataError::Line`] for an id that leaves the folder of the images or stands there twice.
pub fn parse_voc_list(text: &str, origin: &Path) -> Result<Vec<VocListed>> {
    let lines: Vec<(usize, &str)> =
        lines(text).map(|(number, line)| (number, line.trim())).filter(|(_, line)| !line.is_empty()).collect();
    let columns: Option<Vec<_>> = lines.iter().map(|(_, line)| columns(line)).collect();
    let columns = columns.filter(|columns| {
        let ids: HashSet<&str> = columns.iter().map(|(id, _)| *id).collect();
        ids.len() == columns.len()
    });
    let mut names = UniqueNames::default();
    let mut listed = Vec::new();
    for (i, &(number, content)) in lines.iter().enumerate() {
        let line = Line { path: origin, number };
        let (id, presence) = columns.as_ref().map_or((content, None), |columns| (columns[i].0, Some(columns[i].1)));
        let id = line.path_below(id)?;
        names.add(id, line)?;
        listed.push(VocListed { id: id.to_owned(), presence, line: number });
    }
    Ok(listed)
}

/// A line as an id and what a second column says.
fn columns(line: &str) -> Option<(&str, VocPresence)> {
    let (id, column) = line.rsplit_once(char::is_whitespace)?;
    let presence = match column {
        "-1" => VocPresence::Absent,
        "0" => VocPresence::Difficult,
        "1" | "+1" => VocPresence::Present,
        _ => return None,
    };
    Some((id.trim_end(), presence))
}
