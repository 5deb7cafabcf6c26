//! Image files: what is decoded upright has the sides of what is stored.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use sconce_data::Image;

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("fuzz");
    let (upright, stored) = (Image::decode(bytes, path), Image::decode_stored(bytes, path));
    assert_eq!(upright.is_ok(), stored.is_ok());
    let (Ok(upright), Ok(stored)) = (upright, stored) else { return };
    let (sides, turned) = ((upright.width(), upright.height()), (stored.height(), stored.width()));
    assert!(sides == turned || sides == (stored.width(), stored.height()));
    assert_eq!(upright.channels(), stored.channels());
});
