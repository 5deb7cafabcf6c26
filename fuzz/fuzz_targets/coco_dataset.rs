//! Instances in COCO's JSON, as a dataset.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use sconce_data::parse_coco;

fuzz_target!(|bytes: &[u8]| {
    let Ok(instances) = parse_coco(bytes, Path::new("fuzz")) else { return };
    // Every annotation has its image and its category.
    for annotation in &instances.annotations {
        assert!(instances.images.iter().any(|image| image.id == annotation.image_id));
        assert!(instances.categories.iter().any(|category| category.id == annotation.category_id));
    }
});
