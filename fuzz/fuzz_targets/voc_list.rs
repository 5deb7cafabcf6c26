//! Lists of images in Pascal VOC's layout.

#![no_main]

use std::{
    collections::HashSet,
    path::{Component, Path},
};

use libfuzzer_sys::fuzz_target;
use sconce_data::parse_voc_list;

fuzz_target!(|bytes: &[u8]| {
    let listed = parse_voc_list(&String::from_utf8_lossy(bytes), Path::new("fuzz")).unwrap_or_default();
    // An image stays in its folder, and stands in the list once.
    let stays = |id: &str| Path::new(id).components().all(|part| matches!(part, Component::Normal(_)));
    assert!(listed.iter().all(|image| !image.id.is_empty() && stays(&image.id)));
    assert_eq!(listed.iter().map(|image| &image.id).collect::<HashSet<_>>().len(), listed.len());
});
