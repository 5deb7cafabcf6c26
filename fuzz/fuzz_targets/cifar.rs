//! Files of CIFAR-10 and CIFAR-100.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use sconce_data::{parse_cifar10, parse_cifar100};

fuzz_target!(|bytes: &[u8]| {
    let origin = Path::new("fuzz");
    for (result, n_classes, length) in
        [(parse_cifar10(bytes, origin), 10, 3073), (parse_cifar100(bytes, origin), 100, 3074)]
    {
        let (images, labels) = result.unwrap_or_default();
        // What is read is all there is, and safe to use.
        assert!(images.is_empty() || images.len() * length == bytes.len());
        assert!(images.len() == labels.len() && labels.iter().all(|&label| label < n_classes));
    }
});
