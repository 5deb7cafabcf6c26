//! Nothing panics, whatever is read and compared. The target `coco` in `fuzz` looks for the same with more patience.

use std::path::Path;

use proptest::{collection::vec, prelude::*, sample::select};
use sconce_core::geometry::{BBox, Object};
use sconce_detection::{
    Detection,
    evaluation::{
        ImageResult,
        coco::{CocoDetections, CocoGroundTruth, CocoParams, Unknown, evaluate, evaluate_images},
        voc::{self, VocParams},
    },
};

/// Text that begins as real files do more often than by chance.
fn text() -> impl Strategy<Value = String> {
    let pieces = vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        "{\"images\":[{\"id\":1}],\"categories\":[{\"id\":1,\"name\":\"a\"}],\"annotations\":[",
        "{\"id\":1,\"image_id\":1,\"category_id\":1,\"bbox\":[0,0,1,1],\"iscrowd\":1}",
        "{\"id\":0,\"image_id\":1,\"category_id\":1,\"bbox\":[1e308,-1e308,1e308,1e308],\"area\":-0.0}",
        "{\"id\":2,\"image_id\":2,\"category_id\":9223372036854775807,\"bbox\":[0,0,-1,0]}",
        "]}",
        "[{\"image_id\":1,\"category_id\":1,\"bbox\":[0,0,1,1],\"score\":0}",
        ",{\"image_id\":1,\"category_id\":1,\"bbox\":[1e308,1e308,1e308,-1e308],\"score\":-1e308}",
        "\"bbox\":",
        "null",
        "-1",
        "1e999",
        "\u{feff}",
        "\\ud800",
    ];
    vec(prop_oneof![4 => select(pieces).prop_map(str::to_owned), 1 => ".{0,4}"], 0..10)
        .prop_map(|pieces| pieces.concat())
}

/// Numbers that compute badly more often than by chance.
fn number() -> impl Strategy<Value = f64> {
    let odd = [0.0, -0.0, 1.0, 0.5, 1e308, -1e308, 5e-324, f64::NAN, f64::INFINITY];
    prop_oneof![select(odd.to_vec()), -50.0..50.0]
}

fn image() -> impl Strategy<Value = ImageResult> {
    let bbox = || (number(), number(), number(), number()).prop_map(|(x1, y1, x2, y2)| BBox::new(x1, y1, x2, y2));
    let object = (bbox(), 0u32..4, any::<bool>(), any::<bool>(), proptest::option::of(number())).prop_map(
        |(bbox, label, is_crowd, is_difficult, area)| Object {
            is_crowd,
            is_difficult,
            area,
            ..Object::new(bbox, label)
        },
    );
    let detection = (bbox(), 0u32..4, number()).prop_map(|(bbox, label, score)| Detection { bbox, label, score });
    (vec(object, 0..6), vec(detection, 0..12)).prop_map(|(objects, detections)| ImageResult { objects, detections })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn readers_never_panic(truth in text(), found in text(), skip: bool) {
        let path = Path::new("file");
        let unknown = if skip { Unknown::Skip } else { Unknown::Refuse };
        let whole = r#"{"images":[{"id":1}],"categories":[{"id":1,"name":"a"}],"annotations":[{"id":0,"image_id":1,"category_id":1,"bbox":[0,0,1,1]}]}"#;
        for truth in [whole, truth.as_str()] {
            let Ok(truth) = CocoGroundTruth::parse(truth.as_bytes(), path, unknown) else { continue };
            let Ok(found) = CocoDetections::parse(found.as_bytes(), path, &truth, unknown) else { continue };
            evaluate(&truth, &found, &CocoParams::default()).unwrap();
        }
    }

    #[test]
    fn numbers_are_shares_or_missing(images in vec(image(), 0..4), n_classes in 0usize..5) {
        if let Ok(evaluation) = evaluate_images(&images, n_classes, &CocoParams::default()) {
            for number in evaluation.summary().stats() {
                prop_assert!(number == -1.0 || (0.0..=1.0).contains(&number), "{number}");
            }
        }
        for params in [VocParams::voc2007(), VocParams::voc2010(), VocParams::as_code()] {
            let Ok(evaluation) = voc::evaluate(&images, n_classes, &params) else { continue };
            prop_assert!(evaluation.mean_ap.is_none_or(|ap| (0.0..=1.0 + 1e-12).contains(&ap)));
        }
    }
}
