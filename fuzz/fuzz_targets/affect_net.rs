//! The lists of AffectNet, with and without faces.

#![no_main]

use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;
use sconce_data::{AffectNetClasses, AffectNetConfig, AffectNetCrop, parse_affect_net};

fuzz_target!(|bytes: &[u8]| {
    for (classes, crop) in
        [(AffectNetClasses::Seven, AffectNetCrop::None), (AffectNetClasses::Eight, AffectNetCrop::Face)]
    {
        let config = AffectNetConfig { classes, crop, ..AffectNetConfig::default() };
        let Ok(list) = parse_affect_net(bytes, Path::new("fuzz"), &config) else { continue };
        assert!(list.faces.is_none_or(|faces| faces.len() == list.samples.len()));
        for sample in list.samples {
            assert!((sample.label as usize) < classes.names().len());
            assert!(Path::new(&sample.name).components().all(|part| matches!(part, Component::Normal(_))));
        }
    }
});
