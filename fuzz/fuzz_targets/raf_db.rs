//! The list of RAF-DB.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use sconce_data::{Split, parse_raf_db};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    for split in [Split::Train, Split::Test] {
        let samples = parse_raf_db(&text, Path::new("fuzz"), split).unwrap_or_default();
        // What is read is safe to use: a label is a class, and a name stays in its folder.
        assert!(samples.iter().all(|s| s.label < 7 && !s.name.contains('/')));
    }
});
