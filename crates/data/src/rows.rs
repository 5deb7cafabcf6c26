//! The rows of a CSV file, each with its line.

use std::{
    io::BufRead,
    path::{Path, PathBuf},
};

use csv_core::{ReadRecordResult, Reader};

use crate::{
    DataError, Result,
    line::{Line, quoted},
};

/// Fields that a row may have; no format here has more than 12.
const FIELDS: usize = 32;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads a CSV file row by row, and never more than one row of it.
///
/// A row is a line, which may end in CRLF: no format here breaks a line inside of quotes. Blank lines may only follow the last
/// row.
pub(crate) struct Rows<R> {
    input: R,
    path: PathBuf,
    line: usize,
    /// The present line as it stands in the file.
    text: Vec<u8>,
    parser: Reader,
    /// The fields of the present row without their quotes, one behind the other, and where each of them ends.
    fields: Vec<u8>,
    ends: [usize; FIELDS],
}

/// One row.
pub(crate) struct Row<'a> {
    pub(crate) line: Line<'a>,
    fields: &'a [u8],
    ends: &'a [usize],
}

impl<R: BufRead> Rows<R> {
    /// `path` names the file in errors.
    pub(crate) fn new(input: R, path: &Path) -> Self {
        Self {
            input,
            path: path.to_owned(),
            line: 0,
            text: Vec::new(),
            parser: Reader::new(),
            fields: Vec::new(),
            ends: [0; FIELDS],
        }
    }

    /// The file, as errors name it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The number of the next line.
    pub(crate) fn next_line(&self) -> usize {
        self.line + 1
    }

    /// The next row, which has `n_fields` fields; none at the end of the file.
    ///
    /// # Errors
    /// [`DataError::Io`], or [`DataError::Line`] for another number of fields.
    pub(crate) fn next(&mut self, n_fields: usize) -> Result<Option<Row<'_>>> {
        if !self.read_line()? {
            return Ok(None);
        }
        if self.text.is_empty() {
            let number = self.line;
            while self.read_line()? {
                if !self.text.is_empty() {
                    return Err(Line { path: &self.path, number }.fail("a blank line", "a row"));
                }
            }
            return Ok(None);
        }
        if self.text.contains(&b'\r') {
            // It would end the row, and the rest of the line would be lost.
            let line = Line { path: &self.path, number: self.line };
            return Err(line.fail("a carriage return inside of the line", "lines that end in LF or CRLF"));
        }
        let found = self.split();
        let line = Line { path: &self.path, number: self.line };
        if found != Some(n_fields) {
            let found = found.map_or_else(|| format!("more than {FIELDS} fields"), |n| format!("{n} fields"));
            return Err(line.fail(found, n_fields.to_string()));
        }
        Ok(Some(Row { line, fields: &self.fields, ends: &self.ends[..n_fields] }))
    }

    /// Reads one line without its end; false at the end of the file.
    fn read_line(&mut self) -> Result<bool> {
        self.text.clear();
        let n = self.input.read_until(b'\n', &mut self.text).map_err(DataError::io(&self.path))?;
        self.line += 1;
        self.text.pop_if(|byte| *byte == b'\n');
        while self.text.pop_if(|byte| *byte == b'\r').is_some() {}
        if self.line == 1 && self.text.starts_with(BYTE_ORDER_MARK) {
            self.text.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(n > 0)
    }

    /// Splits the line into fields, and counts them; none if there are too many.
    fn split(&mut self) -> Option<usize> {
        self.fields.resize(self.text.len(), 0);
        self.parser.reset();
        let (result, _, n_bytes, n_ends) = self.parser.read_record(&self.text, &mut self.fields, &mut self.ends);
        match result {
            ReadRecordResult::Record => Some(n_ends),
            ReadRecordResult::InputEmpty => {
                // No input is the end of the file, and so of the record.
                let (fields, ends) = (&mut self.fields[n_bytes..], &mut self.ends[n_ends..]);
                let (result, _, _, more) = self.parser.read_record(&[], fields, ends);
                matches!(result, ReadRecordResult::Record).then_some(n_ends + more)
            }
            _ => None,
        }
    }
}

impl<'a> Row<'a> {
    /// The bytes of field `i`, which must be one of the row's.
    pub(crate) fn bytes(&self, i: usize) -> &'a [u8] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.fields[start..self.ends[i]]
    }

    /// The text of field `i`, without blanks around it.
    pub(crate) fn text(&self, i: usize) -> Result<&'a str> {
        match std::str::from_utf8(self.bytes(i)) {
            Ok(text) => Ok(text.trim()),
            Err(_) => {
                let found = quoted(&String::from_utf8_lossy(self.bytes(i)));
                Err(self.line.fail(format!("{found} in field {}", i + 1), "UTF-8"))
            }
        }
    }

    /// Field `i` as a whole number, which some programs write as `134.0`; `expected` says which.
    pub(crate) fn number<T: TryFrom<i64>>(&self, i: usize, expected: impl FnOnce() -> String) -> Result<T> {
        let text = self.text(i)?;
        let digits =
            text.split_once('.').filter(|(_, zeros)| zeros.bytes().all(|b| b == b'0')).map_or(text, |(n, _)| n);
        // `parse` would take a plus, too.
        let number = digits.parse::<i64>().ok().filter(|_| !digits.starts_with('+')).and_then(|n| T::try_from(n).ok());
        number.ok_or_else(|| self.line.fail(quoted(text), expected()))
    }

    /// Where the columns `names` stand in the header that this row is, in whichever order.
    pub(crate) fn columns<const N: usize>(&self, names: [&str; N]) -> Result<[usize; N]> {
        let mut places = [0; N];
        for (place, name) in places.iter_mut().zip(names) {
            let texts = (0..self.ends.len()).map(|i| self.text(i)).collect::<Result<Vec<_>>>()?;
            let found = || format!("columns {}", quoted(&texts.join(", ")));
            *place = texts
                .iter()
                .position(|text| *text == name)
                .ok_or_else(|| self.line.fail(found(), format!("a column `{name}`")))?;
        }
        Ok(places)
    }

    /// Checks that the row is the header `names`.
    pub(crate) fn check_header(&self, names: &[&str]) -> Result<()> {
        for (i, name) in names.iter().enumerate() {
            let text = self.text(i)?;
            if text != *name {
                return Err(self.line.fail(format!("column {}", quoted(text)), format!("column `{name}`")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All rows of `n` fields, each with its line.
    fn rows(text: &str, n: usize) -> Result<Vec<(usize, Vec<String>)>> {
        let mut rows = Rows::new(text.as_bytes(), Path::new("a.csv"));
        let mut found = Vec::new();
        while let Some(row) = rows.next(n)? {
            let fields = (0..n).map(|i| row.text(i).map(str::to_owned)).collect::<Result<_>>()?;
            found.push((row.line.number, fields));
        }
        Ok(found)
    }

    #[test]
    fn fields_and_lines_are_right_for_every_line_end() {
        let expected: Vec<(usize, Vec<String>)> = [["a", "b, c"], ["", "d\"e"], ["f", ""]]
            .map(|row| row.map(str::to_owned).to_vec())
            .into_iter()
            .enumerate()
            .map(|(i, row)| (i + 1, row))
            .collect();
        let text = "a,\"b, c\"\n,\"d\"\"e\"\nf,\n";
        for text in [
            text.to_owned(),
            text.replace('\n', "\r\n"),
            text.trim_end().to_owned(),
            format!("{text}\r\n\n"),
            format!("\u{FEFF}{text}"),
        ] {
            assert_eq!(rows(&text, 2).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_row_of_another_length_names_its_line() {
        let message = |text: &str| rows(text, 2).unwrap_err().to_string();
        assert_eq!(message("a,b\r\nc\r\n"), "a.csv:2: found 1 fields, expected 2");
        assert_eq!(message("a,b\nc,d,e"), "a.csv:2: found 3 fields, expected 2");
        assert_eq!(message(&",".repeat(100)), "a.csv:1: found more than 32 fields, expected 2");
        assert_eq!(message("a,b\n\nc,d\n"), "a.csv:2: found a blank line, expected a row");
        assert_eq!(message("\nc,d\n"), "a.csv:1: found a blank line, expected a row");
        assert_eq!(message("\"a,b\nc,d\n"), "a.csv:1: found 1 fields, expected 2");
        let carriage = "a carriage return inside of the line, expected lines that end in LF or CRLF";
        assert_eq!(message("a,b\nc,d\re,f\n"), format!("a.csv:2: found {carriage}"));
        assert_eq!(message("a,b\rc,d\r"), format!("a.csv:1: found {carriage}"));
    }

    #[test]
    fn bytes_that_are_no_text_are_named() {
        let mut rows = Rows::new(&b"a,\xFF\n"[..], Path::new("a.csv"));
        let row = rows.next(2).unwrap().unwrap();
        assert_eq!(row.text(1).unwrap_err().to_string(), "a.csv:1: found `\u{FFFD}` in field 2, expected UTF-8");
    }
}
