//! Maps of Cityscapes' instances.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use sconce_data::parse_cityscapes_instances;

fuzz_target!(|bytes: &[u8]| {
    let Ok(map) = parse_cityscapes_instances(bytes, Path::new("fuzz")) else { return };
    let (height, width) = (map.size.0 as f64, map.size.1 as f64);
    assert!(map.instances.is_sorted_by(|a, b| a.id < b.id));
    for instance in &map.instances {
        let bbox = instance.bbox;
        assert!(bbox.has_extent() && bbox == bbox.clipped(width, height) && instance.id > 0);
        // A box is not smaller than what is in it.
        assert!(instance.area > 0 && instance.area as f64 <= bbox.area());
    }
});
