//! What a file of Pascal VOC's says of one image.

use std::fmt::Write as _;

use quick_xml::escape::escape;
use sconce_core::geometry::Object;

use crate::{DataError, DetectionSample, Result};

/// What a file of Pascal VOC's, or of the many tools that write its format, says of one image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VocAnnotation {
    /// The image's file, as noted; copies of a dataset often name another one.
    pub filename: Option<String>,
    /// Height and width in pixels, if they are noted and not 0.
    pub size: Option<(usize, usize)>,
    /// The objects, in the order of the file.
    pub objects: Vec<VocObject>,
}

/// An object in a [`VocAnnotation`], as it stands there.
#[derive(Clone, Debug, PartialEq)]
pub struct VocObject {
    /// The name of its class.
    pub name: String,
    /// `xmin`, `ymin`, `xmax`, `ymax`: the first and the last column and row, counted from 1 or from 0.
    pub bndbox: [f64; 4],
    /// Whether it is hard to recognise; it is not where nothing is said.
    pub is_difficult: bool,
    /// Whether the box ends before the object does; it does not where nothing is said.
    pub is_truncated: bool,
    /// From where it is seen, as `Left`.
    pub pose: Option<String>,
}

impl VocAnnotation {
    /// What is known of `sample`, with columns that count from 1, as [`super::read_voc`] expects them: to convert another
    /// dataset. `classes` are its dataset's. Areas have no place in VOC's
    /// format; a crowd is an object that is difficult, which an evaluation leaves out as well.
    ///
    /// # Errors
    /// [`DataError::Label`] for a label that no class has.
    pub fn of_sample(sample: &DetectionSample, classes: &[String]) -> Result<Self> {
        let object = |object: &Object| {
            let [x1, y1, x2, y2] = object.bbox.xyxy();
            let (record, found) = (sample.name.clone(), object.label);
            let name = classes.get(found as usize);
            Ok(VocObject {
                name: name.cloned().ok_or(DataError::Label { record, found, classes: classes.len() })?,
                // Both ends are in the box: the last column is one less than its right edge, and counted from 1.
                bndbox: [x1 + 1.0, y1 + 1.0, x2, y2],
                is_difficult: object.is_difficult || object.is_crowd,
                is_truncated: false,
                pose: None,
            })
        };
        let filename = sample.name.rsplit('/').next().map(str::to_owned);
        let objects = sample.objects.iter().map(object).collect::<Result<_>>()?;
        Ok(Self { filename, size: Some(sample.size), objects })
    }

    /// The text of the file, which [`super::parse_voc_xml`] reads back.
    pub fn to_xml(&self) -> String {
        let mut xml = String::from("<annotation>\n");
        if let Some(filename) = &self.filename {
            line(&mut xml, 1, "filename", filename);
        }
        if let Some((height, width)) = self.size {
            xml.push_str("\t<size>\n");
            line(&mut xml, 2, "width", width);
            line(&mut xml, 2, "height", height);
            line(&mut xml, 2, "depth", 3);
            xml.push_str("\t</size>\n");
        }
        for object in &self.objects {
            object.write(&mut xml);
        }
        xml.push_str("</annotation>\n");
        xml
    }
}

impl VocObject {
    fn write(&self, xml: &mut String) {
        xml.push_str("\t<object>\n");
        line(xml, 2, "name", &self.name);
        if let Some(pose) = &self.pose {
            line(xml, 2, "pose", pose);
        }
        line(xml, 2, "truncated", u8::from(self.is_truncated));
        line(xml, 2, "difficult", u8::from(self.is_difficult));
        xml.push_str("\t\t<bndbox>\n");
        for (tag, edge) in super::xml::EDGES.into_iter().zip(self.bndbox) {
            line(xml, 3, tag, edge);
        }
        xml.push_str("\t\t</bndbox>\n\t</object>\n");
    }
}

/// Appends `<tag>value</tag>`, `depth` tabulators in.
fn line(xml: &mut String, depth: usize, tag: &str, value: impl ToString) {
    let value = value.to_string();
    // Writing to a string cannot fail.
    let _ = writeln!(xml, "{}<{tag}>{}</{tag}>", "\t".repeat(depth), escape(&value));
}
