//! Pascal VOC's lists of images.

use std::path::Path;

use crate::{
    Result,
    line::{Line, lines, quoted},
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

/// The images in the text of a list, as `trainval.txt`, or as `dog_trainval.txt` with a second column; `origin` names it in
/// errors.
///
/// Lines may be blank, begin and end in blanks, and end in CRLF.
///
/// # Errors
/// [`crate::DataError::Line`] for an id that leaves the folder of the images or stands there twice, and for a second column that
/// is not -1, 0 or 1.
pub fn parse_voc_list(text: &str, origin: &Path) -> Result<Vec<VocListed>> {
    let mut names = UniqueNames::default();
    let mut listed = Vec::new();
    for (number, content) in lines(text) {
        let line = Line { path: origin, number };
        let mut fields = content.split_whitespace();
        let Some(id) = fields.next() else { continue };
        let presence = match (fields.next(), fields.next()) {
            (None, _) => None,
            (Some("-1"), None) => Some(VocPresence::Absent),
            (Some("0"), None) => Some(VocPresence::Difficult),
            (Some("1" | "+1"), None) => Some(VocPresence::Present),
            _ => return Err(line.fail(quoted(content), "`ID`, or `ID` and -1, 0 or 1")),
        };
        let id = line.path_below(id)?;
        names.add(id, line)?;
        listed.push(VocListed { id: id.to_owned(), presence, line: number });
    }
    Ok(listed)
}
