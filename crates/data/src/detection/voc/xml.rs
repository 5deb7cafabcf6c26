//! Pascal VOC's XML.

use std::path::Path;

use quick_xml::{Reader, escape::resolve_predefined_entity, events::Event};

use super::{VocAnnotation, VocObject};
use crate::{
    DataError, Result,
    line::{Line, quoted},
};

/// The tags of a box, in the order of [`VocObject::bndbox`].
pub(super) const EDGES: [&str; 4] = ["xmin", "ymin", "xmax", "ymax"];

/// Where the edges of a box stand, as [`Parser::path`] has it.
const BOX: &str = ">annotation>object>bndbox>";

/// The largest size in pixels that is believed: more than any image has.
const LARGEST: f64 = 1e9;

/// Reads the bytes of an XML file of Pascal VOC's, in UTF-8, UTF-16, or the encoding that it declares; `origin` names it in errors.
///
/// # Errors
/// As [`parse_voc_xml`]; [`DataError::Line`] too for an encoding that is not known, which it names, and for bytes that are not of
/// it.
pub fn parse_voc_xml_bytes(bytes: &[u8], origin: &Path) -> Result<VocAnnotation> {
    parse_voc_xml(&super::encoding::decode(bytes, origin)?, origin)
}

/// Reads the text of an XML file of Pascal VOC's; `origin` names it in errors.
///
/// What is not known is passed over, so that tags of other years (`part`, `actions`, `point`) and of other tools do not matter;
/// `pose`, `truncated`, `difficult` and `size` may be missing. Numbers may have a fraction, as the boxes of VOC2011 have.
/// Nothing is compared with a class list or an image here.
///
/// # Errors
/// [`DataError::Line`] for what is no XML, or ends too soon, or has another root than `annotation`, for a number that is none,
/// and for a tag that stands twice where one is expected; [`DataError::Object`] for an object without a name or with an edge
/// missing.
pub fn parse_voc_xml(text: &str, origin: &Path) -> Result<VocAnnotation> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut parser = Parser::new(origin);
    loop {
        let start = reader.buffer_position();
        let event = reader.read_event();
        let at = Place { text, origin, offset: if event.is_ok() { start } else { reader.error_position() } };
        match event.map_err(|e| at.fail(quoted(&e.to_string()), "XML"))? {
            Event::Start(tag) => parser.open(tag.name().into_inner(), at)?,
            Event::End(_) => parser.close(at)?,
            Event::Text(piece) => parser.append(&piece.xml10_content(), at)?,
            Event::CData(piece) => parser.append(&piece.into_inner(), at)?,
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().ok().flatten().map(String::from);
                let name = reference.into_inner();
                let resolved = character.or_else(|| resolve_predefined_entity(&name).map(str::to_owned));
                let unknown = || at.fail(quoted(&format!("&{name};")), "an entity of XML's own");
                parser.append(&resolved.ok_or_else(unknown)?, at)?;
            }
            Event::Eof => return parser.finish(at),
            _ => {}
        }
    }
}

/// Where in the file something stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    text: &'a str,
    origin: &'a Path,
    offset: u64,
}

impl Place<'_> {
    fn fail(&self, found: impl Into<String>, expected: impl Into<String>) -> DataError {
        let offset = usize::try_from(self.offset).unwrap_or(usize::MAX).min(self.text.len());
        let number = 1 + self.text.as_bytes()[..offset].iter().filter(|&&byte| byte == b'\n').count();
        Line { path: self.origin, number }.fail(found, expected)
    }

    /// Puts `value` where nothing may stand yet.
    fn once<T>(&self, slot: &mut Option<T>, value: T, tag: &str) -> Result<()> {
        if slot.replace(value).is_some() {
            return Err(self.fail(format!("`{tag}` once more"), "it once"));
        }
        Ok(())
    }

    fn number(&self, text: &str, tag: &str) -> Result<f64> {
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        number.ok_or_else(|| self.fail(format!("{} as `{tag}`", quoted(text)), "a number"))
    }

    fn pixels(&self, text: &str, tag: &str) -> Result<usize> {
        let number = self.number(text, tag)?;
        if !(0.0..=LARGEST).contains(&number) || number.fract() != 0.0 {
            return Err(self.fail(format!("{} as `{tag}`", quoted(text)), "a number of pixels"));
        }
        Ok(number as usize)
    }

    fn flag(&self, text: &str, tag: &str) -> Result<bool> {
        match text {
            "1" => Ok(true),
            // Tools that ask for no such thing leave the tag empty, or say so.
            "0" | "" | "Unspecified" => Ok(false),
            _ => Err(self.fail(format!("{} as `{tag}`", quoted(text)), "`0` or `1`")),
        }
    }
}

/// What has been read so far.
struct Parser<'a> {
    origin: &'a Path,
    /// The names of the open tags, each behind a `>`, which no name can contain.
    path: String,
    /// Where in `path` each of them begins.
    starts: Vec<usize>,
    /// The characters since the last tag.
    text: String,
    has_root: bool,
    filename: Option<String>,
    width: Option<usize>,
    height: Option<usize>,
    object: Partial,
    objects: Vec<VocObject>,
}

/// An object of which some tags have been read.
#[derive(Default)]
struct Partial {
    name: Option<String>,
    edges: [Option<f64>; 4],
    is_difficult: Option<bool>,
    is_truncated: Option<bool>,
    pose: Option<String>,
}

impl<'a> Parser<'a> {
    fn new(origin: &'a Path) -> Self {
        Self {
            origin,
            path: String::new(),
            starts: Vec::new(),
            text: String::new(),
            has_root: false,
            filename: None,
            width: None,
            height: None,
            object: Partial::default(),
            objects: Vec::new(),
        }
    }

    fn open(&mut self, name: &str, at: Place<'_>) -> Result<()> {
        if self.starts.is_empty() && (self.has_root || name != "annotation") {
            return Err(at.fail(quoted(&format!("<{name}>")), "one `<annotation>`"));
        }
        self.has_root = true;
        self.starts.push(self.path.len());
        self.path.push('>');
        self.path.push_str(name);
        self.text.clear();
        Ok(())
    }

    fn append(&mut self, piece: &str, at: Place<'_>) -> Result<()> {
        if self.starts.is_empty() && !piece.trim().is_empty() {
            return Err(at.fail(quoted(piece.trim()), "`<annotation>`"));
        }
        self.text.push_str(piece);
        Ok(())
    }

    fn close(&mut self, at: Place<'_>) -> Result<()> {
        let text = std::mem::take(&mut self.text);
        let text = text.trim();
        let tag = &self.path[self.path.rfind('>').map_or(0, |i| i + 1)..];
        let object = &mut self.object;
        match self.path.as_str() {
            ">annotation>filename" => at.once(&mut self.filename, text.to_owned(), tag)?,
            ">annotation>size>width" => at.once(&mut self.width, at.pixels(text, tag)?, tag)?,
            ">annotation>size>height" => at.once(&mut self.height, at.pixels(text, tag)?, tag)?,
            ">annotation>object>name" => at.once(&mut object.name, text.to_owned(), tag)?,
            ">annotation>object>pose" => at.once(&mut object.pose, text.to_owned(), tag)?,
            ">annotation>object>difficult" => at.once(&mut object.is_difficult, at.flag(text, tag)?, tag)?,
            ">annotation>object>truncated" => at.once(&mut object.is_truncated, at.flag(text, tag)?, tag)?,
            ">annotation>object" => {
                let object = std::mem::take(object).finish(self.origin, self.objects.len())?;
                self.objects.push(object);
            }
            path => {
                let edge = path.strip_prefix(BOX).and_then(|edge| EDGES.iter().position(|&name| name == edge));
                if let Some(edge) = edge {
                    at.once(&mut object.edges[edge], at.number(text, tag)?, tag)?;
                }
            }
        }
        self.path.truncate(self.starts.pop().unwrap_or(0));
        Ok(())
    }

    fn finish(self, at: Place<'_>) -> Result<VocAnnotation> {
        if !self.has_root {
            return Err(at.fail("the end of the file", "`<annotation>`"));
        }
        if !self.starts.is_empty() {
            let tag = &self.path[self.path.rfind('>').map_or(0, |i| i + 1)..];
            return Err(at.fail("the end of the file", quoted(&format!("</{tag}>"))));
        }
        let size = self.height.zip(self.width).filter(|&(height, width)| height > 0 && width > 0);
        let filename = self.filename.filter(|name| !name.is_empty());
        Ok(VocAnnotation { filename, size, objects: self.objects })
    }
}

impl Partial {
    fn finish(self, origin: &Path, index: usize) -> Result<VocObject> {
        let missing = |tag: &str| DataError::Object {
            record: origin.display().to_string(),
            index,
            found: format!("one without `{tag}`"),
            expected: "one with a `name` and the edges of a `bndbox`".to_owned(),
        };
        let [x1, y1, x2, y2] = self.edges;
        Ok(VocObject {
            name: self.name.filter(|name| !name.is_empty()).ok_or_else(|| missing("name"))?,
            bndbox: [
                x1.ok_or_else(|| missing(EDGES[0]))?,
                y1.ok_or_else(|| missing(EDGES[1]))?,
                x2.ok_or_else(|| missing(EDGES[2]))?,
                y2.ok_or_else(|| missing(EDGES[3]))?,
            ],
            is_difficult: self.is_difficult.unwrap_or(false),
            is_truncated: self.is_truncated.unwrap_or(false),
            pose: self.pose.filter(|pose| !pose.is_empty()),
        })
    }
}
