//! COCO's files: a ground truth and detections, separated by a zero byte.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use sconce_detection::evaluation::coco::{CocoDetections, CocoGroundTruth, CocoParams, Unknown, evaluate};

fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    let (truth, found) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    for unknown in [Unknown::Refuse, Unknown::Skip] {
        let Ok(truth) = CocoGroundTruth::parse(truth, Path::new("gt.json"), unknown) else { continue };
        assert!(unknown == Unknown::Skip || truth.n_skipped() == 0);
        let Ok(found) = CocoDetections::parse(found, Path::new("dt.json"), &truth, unknown) else { continue };
        let Ok(evaluation) = evaluate(&truth, &found, &CocoParams::default()) else { panic!("the default settings") };
        for number in evaluation.summary().stats() {
            assert!(number == -1.0 || (0.0..=1.0).contains(&number), "{number}");
        }
    }
});
