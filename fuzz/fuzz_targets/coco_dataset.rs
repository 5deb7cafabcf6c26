//! Instances in COCO's JSON, as a dataset.

#![no_main]

use std::{collections::HashSet, path::Path};

use libfuzzer_sys::fuzz_target;
use sconce_data::parse_coco;

fuzz_target!(|bytes: &[u8]| {
    let Ok(instances) = parse_coco(bytes, Path::new("fuzz")) else { return };
    // Ids name one thing each, and images lie below their folder.
    let are_unique = |ids: Vec<u64>| ids.iter().collect::<HashSet<_>>().len() == ids.len();
    assert!(are_unique(instances.images.iter().map(|image| image.id).collect()));
    assert!(are_unique(instances.categories.iter().map(|category| category.id).collect()));
    assert!(are_unique(instances.annotations.iter().map(|annotation| annotation.id).collect()));
    assert!(instances.images.iter().all(|image| !image.file_name.split(['/', '\\']).any(|part| part == "..")));
});
