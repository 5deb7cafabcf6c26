//! Annotations in Pascal VOC's XML.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use sconce_data::{parse_voc_xml, parse_voc_xml_bytes};

fuzz_target!(|bytes: &[u8]| {
    // In whatever encoding.
    let _ = parse_voc_xml_bytes(bytes, Path::new("fuzz"));
    let text = String::from_utf8_lossy(bytes);
    let Ok(annotation) = parse_voc_xml(&text, Path::new("fuzz")) else { return };
    assert!(annotation.size.is_none_or(|(height, width)| height > 0 && width > 0));
    for object in &annotation.objects {
        assert!(!object.name.is_empty() && object.bndbox.iter().all(|edge| edge.is_finite()));
    }
    // What was read once is written so that it is read again; carriage returns and blanks around a text are not kept.
    let again = parse_voc_xml(&annotation.to_xml(), Path::new("again")).expect("what was written");
    let boxes = |objects: &[sconce_data::VocObject]| objects.iter().map(|object| object.bndbox).collect::<Vec<_>>();
    assert!(again.size == annotation.size && boxes(&again.objects) == boxes(&annotation.objects));
});
