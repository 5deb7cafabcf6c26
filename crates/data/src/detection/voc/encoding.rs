//! The encoding of an XML file.

use std::{borrow::Cow, path::Path};

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::{
    Result,
    line::{Line, quoted},
};

/// How far into a file its declaration may reach.
const DECLARATION: usize = 256;

/// The text of an XML file, from the encoding that its byte order mark or its declaration names; UTF-8 if there is neither.
///
/// # Errors
/// [`DataError::Line`] for an encoding that is not known, which it names, and for bytes that are none of the encoding's.
pub(super) fn decode<'a>(bytes: &'a [u8], origin: &Path) -> Result<Cow<'a, str>> {
    let fail = |number, found: String, expected: &str| Err(Line { path: origin, number }.fail(found, expected));
    let encoding = match (Encoding::for_bom(bytes), bytes) {
        (Some((encoding, _)), _) => encoding,
        (None, [0, b'<', ..]) => UTF_16BE,
        (None, [b'<', 0, ..]) => UTF_16LE,
        _ => match declared(bytes) {
            None => UTF_8,
            Some(label) => match Encoding::for_label(label) {
                // The declaration could be read: it is not of two bytes a character, whatever it says.
                Some(encoding) if encoding == UTF_16LE || encoding == UTF_16BE => UTF_8,
                Some(encoding) => encoding,
                None => {
                    let label = quoted(&String::from_utf8_lossy(label));
                    return fail(1, format!("the encoding {label}"), "UTF-8, UTF-16, or one that browsers know");
                }
            },
        },
    };
    let (text, _, has_errors) = encoding.decode(bytes);
    if !has_errors {
        return Ok(text);
    }
    // What cannot be decoded has become this character, which may also stand in the file.
    let line = 1 + text.split('\u{FFFD}').next().unwrap_or_default().matches('\n').count();
    fail(line, format!("bytes that are not {}", encoding.name()), "the encoding that the file's first line declares")
}

/// The encoding in `<?xml version="1.0" encoding="ISO-8859-1"?>`.
fn declared(bytes: &[u8]) -> Option<&[u8]> {
    let start = bytes.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let declaration = &bytes[start..bytes.len().min(start + DECLARATION)];
    let end = declaration.windows(2).position(|pair| pair == b"?>")?;
    let declaration = declaration[..end].strip_prefix(b"<?xml")?;
    let place = declaration.windows(8).position(|name| name == b"encoding")?;
    let value = declaration[place + 8..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (quote, value) = value.split_first()?;
    let end = value.iter().position(|byte| byte == quote)?;
    matches!(quote, b'"' | b'\'').then(|| &value[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = "<?xml version='1.0' encoding = 'LABEL' ?>\n<annotation><filename>é</filename></annotation>";

    fn decoded(bytes: &[u8]) -> String {
        decode(bytes, Path::new("a.xml")).map_or_else(|error| error.to_string(), Cow::into_owned)
    }

    fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn declared_encodings_are_read() {
        for (label, letter) in [("ISO-8859-1", &b"\xE9"[..]), ("windows-1252", b"\xE9"), ("utf-8", "é".as_bytes())] {
            let text = XML.replace("LABEL", label);
            let (before, after) = text.split_once('é').unwrap();
            let bytes = [before.as_bytes(), letter, after.as_bytes()].concat();
            assert_eq!(decoded(&bytes), text);
            assert_eq!(decoded(&[b"\n", &bytes[..]].concat()), format!("\n{text}"));
        }
        let text = XML.replace("LABEL", "utf-16");
        for to_bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            assert_eq!(decoded(&utf16(&text, to_bytes)), text);
            assert_eq!(decoded(&utf16(&format!("\u{FEFF}{text}"), to_bytes)), text);
        }
        // A tool that declares what it does not write.
        assert_eq!(decoded(text.as_bytes()), text);
        assert_eq!(decoded(format!("\u{FEFF}{text}").as_bytes()), text);
    }

    #[test]
    fn what_cannot_be_decoded_is_named() {
        let unknown = decoded(XML.replace("LABEL", "cp9999").as_bytes());
        assert_eq!(unknown, "a.xml:1: found the encoding `cp9999`, expected UTF-8, UTF-16, or one that browsers know");
        let expected =
            "a.xml:2: found bytes that are not UTF-8, expected the encoding that the file's first line declares";
        assert_eq!(decoded(b"<a>\n\xE9</a>"), expected);
    }
}
