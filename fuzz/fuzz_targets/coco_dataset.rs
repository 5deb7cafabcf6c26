//! Instances in COCO's JSON, as a dataset.

#![no_main]

use std::{collections::HashSet, path::Path};

use libfuzzer_sys::fuzz_target;
use sconce_data::{CocoId, parse_coco};

fuzz_target!(|bytes: &[u8]| {
    let Ok(instances) = parse_coco(bytes, Path::new("fuzz")) else { return };
    // Ids name one thing each, and images lie below their folder.
    let are_unique = |ids: Vec<&CocoId>| ids.iter().collect::<HashSet<_>>().len() == ids.len();
    assert!(are_unique(instances.images.iter().map(|image| &image.id).collect()));
    assert!(are_unique(instances.categories.iter().map(|category| &category.id).collect()));
    assert!(are_unique(instances.annotations.iter().filter_map(|annotation| annotation.id.as_ref()).collect()));
    assert!(instances.images.iter().all(|image| !image.file_name.split(['/', '\\']).any(|part| part == "..")));
    assert!(instances.annotations.iter().all(|annotation| annotation.bbox.iter().all(|side| side.is_finite())));
    // What was read once is written so that it is read again.
    let written = serde_json::to_vec(&instances).expect("numbers that are finite");
    assert_eq!(parse_coco(&written, Path::new("again")).expect("what was written"), instances);
});
