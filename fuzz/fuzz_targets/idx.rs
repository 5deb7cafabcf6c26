//! IDX files: images and labels, plain and gzip.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use sconce_data::idx;

fuzz_target!(|bytes: &[u8]| {
    let origin = Path::new("fuzz");
    let _ = idx::parse_images(bytes, origin);
    let _ = idx::parse_labels(bytes, origin);
});
