//! Images with objects, and their parts.

use sconce_core::geometry::BBox;

use super::*;

fn sample(name: &str, objects: Vec<Object>) -> (Image, DetectionSample) {
    (Image::pattern(8, 6, 3), DetectionSample { name: name.to_owned(), size: (6, 8), objects })
}

fn object(x2: f64, label: u32) -> Object {
    Object::new(BBox::new(1.0, 1.0, x2, 5.0), label)
}

fn dataset(samples: Vec<(Image, DetectionSample)>) -> Result<DetectionDataset> {
    DetectionDataset::from_images("test", vec!["a".into(), "b".into()], samples)
}

#[test]
fn objects_lie_in_their_image_and_have_a_class() {
    dataset(vec![sample("0", vec![object(8.0, 1)]), sample("1", vec![])]).unwrap();
    for bad in [object(8.5, 0), object(1.0, 0), object(0.0, 0), object(f64::NAN, 0)] {
        let error = dataset(vec![sample("0", vec![object(8.0, 1), bad])]).unwrap_err();
        assert!(matches!(error, DataError::Object { index: 1, .. }), "{error}");
    }
    assert!(matches!(dataset(vec![sample("0", vec![object(8.0, 2)])]), Err(DataError::Label { found: 2, .. })));
    assert!(matches!(dataset(vec![]), Err(DataError::Argument { .. })));
    let mut wrong = sample("0", vec![]);
    wrong.1.size = (8, 6);
    assert!(matches!(dataset(vec![wrong]), Err(DataError::Argument { .. })));
}

#[test]
fn parts_keep_their_images_and_a_target_has_no_labels() {
    let names: Vec<String> = (0..10).map(|i| i.to_string()).collect();
    let all = dataset(names.iter().map(|n| sample(n, vec![object(8.0, 1)])).collect()).unwrap();
    let (rest, cut) = all.split_off(0.3, 1).unwrap();
    let mut together: Vec<&str> = rest.samples().iter().chain(cut.samples()).map(|s| s.name.as_str()).collect();
    together.sort_unstable();
    assert_eq!((rest.len(), cut.len(), together), (7, 3, names.iter().map(String::as_str).collect()));
    assert!(all.split_off(0.01, 1).is_err() && all.split_off(1.0, 1).is_err());
    let bare = all.without_objects();
    assert!(bare.samples().iter().all(|s| s.objects.is_empty()) && bare.len() == 10);
    assert_ne!(bare.content_hash(), all.content_hash());
    assert_eq!(all.subset(&[3]).unwrap().content_hash(), all.subset(&[3]).unwrap().content_hash());
}
