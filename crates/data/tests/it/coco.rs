//! Datasets in COCO's format.

use std::{fs, path::Path};

use sconce_core::geometry::BBox;
use sconce_data::{
    CocoConfig, CocoDataset, CocoInstances, DataError, EmptyImages, Image, ImageCounts, OnInvalid, parse_coco,
    read_coco,
};
use serde_json::{Value, json};

fn fixture(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers").join(file);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn tree(instances: &Value) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("annotations")).unwrap();
    fs::create_dir_all(root.path().join("val2017")).unwrap();
    fs::write(root.path().join("annotations/instances_val2017.json"), instances.to_string()).unwrap();
    for image in fixture("coco.json")["images"].as_array().unwrap() {
        let [height, width] = ["height", "width"].map(|side| image[side].as_u64().unwrap() as usize);
        let png = Image::new(width, height, 1, vec![0; width * height]).unwrap().encode_png().unwrap();
        fs::write(root.path().join("val2017").join(image["file_name"].as_str().unwrap()), png).unwrap();
    }
    root
}

fn config() -> CocoConfig {
    CocoConfig { on_invalid: OnInvalid::Fail, ..CocoConfig::coco("val2017") }
}

#[test]
fn order_labels_and_objects_are_pycocotools() {
    let expected = &fixture("expected.json")["coco"];
    let root = tree(&fixture("coco.json"));
    let CocoDataset { dataset, image_ids, category_ids, counts } = read_coco(root.path(), &config()).unwrap();
    assert_eq!(json!(category_ids), expected["categories"]);
    assert_eq!(json!(dataset.classes()), expected["classes"]);
    let images = dataset.samples().iter().zip(&image_ids).map(|(sample, id)| {
        let objects = sample.objects.iter().map(|o| json!({"label": o.label, "is_crowd": o.is_crowd, "area": o.area}));
        json!({"id": id, "name": sample.name, "objects": objects.collect::<Vec<_>>()})
    });
    let images: Vec<Value> = images.collect();
    let mut without_boxes = expected["images"].clone();
    for (image, sample) in without_boxes.as_array_mut().unwrap().iter_mut().zip(dataset.samples()) {
        for (expected, object) in image["objects"].as_array_mut().unwrap().iter_mut().zip(&sample.objects) {
            let expected = expected.as_object_mut().unwrap();
            let [x, y, w, h] = serde_json::from_value(expected.remove("xywh").unwrap()).unwrap();
            assert_eq!(object.bbox, BBox::from_xywh(x, y, w, h));
            expected["area"] = json!(expected["area"].as_f64());
        }
    }
    assert_eq!(json!(images), without_boxes);
    assert_eq!((counts.images.kept, counts.objects.kept, counts.objects.listed), (3, 4, 4));
    assert_eq!(dataset.image(0).unwrap().width(), 40);

    let with_objects = CocoConfig { empty_images: EmptyImages::Drop, ..config() };
    let read = read_coco(root.path(), &with_objects).unwrap();
    assert_eq!((read.image_ids, read.counts.images.empty), (vec![2, 7], 1));
}

#[test]
fn what_is_written_is_read_back() {
    let instances = parse_coco(fixture("coco.json").to_string().as_bytes(), Path::new("a")).unwrap();
    let written = serde_json::to_vec(&instances).unwrap();
    assert_eq!(parse_coco(&written, Path::new("a")).unwrap(), instances);
    assert!(parse_coco(b"{}", Path::new("a")).is_err());
    let empty = serde_json::to_vec(&CocoInstances::default()).unwrap();
    assert_eq!(parse_coco(&empty, Path::new("a")).unwrap(), CocoInstances::default());
}

/// What reading says of the file after `change`.
fn refused(change: impl Fn(&mut Value)) -> String {
    let mut instances = fixture("coco.json");
    change(&mut instances);
    parse_coco(instances.to_string().as_bytes(), Path::new("a.json")).unwrap_err().to_string()
}

#[test]
fn a_file_that_contradicts_itself_is_refused() {
    let check =
        |change: &dyn Fn(&mut Value), expected: &str| assert_eq!(refused(change), format!("a.json: {expected}"));
    check(&|v| v["images"][1]["id"] = json!(7), "record 1 is an image with the id 7 once more, expected every id once");
    check(
        &|v| v["images"][2]["file_name"] = v["images"][0]["file_name"].clone(),
        "record 2 is an image in `000000000007.png` once more, expected every file once",
    );
    check(
        &|v| v["images"][1]["file_name"] = json!("../a.png"),
        "record 1 is an image in `../a.png`, expected a path below the folder of the images",
    );
    check(
        &|v| v["categories"][2]["id"] = json!(1),
        "record 2 is a category with the id 1 once more, expected every id once",
    );
    check(
        &|v| v["annotations"][3]["id"] = json!(9),
        "record 3 is an annotation with the id 9 once more, expected every id once",
    );
    for change in [
        (|v: &mut Value| v["annotations"][0]["bbox"] = json!([1, 2, 3])) as fn(&mut Value),
        |v| v["annotations"][0]["iscrowd"] = json!(2),
        |v| v["images"][0]["height"] = json!(-3),
        |v| *v = json!([]),
    ] {
        let error = refused(change);
        assert!(error.starts_with("a.json:1: found `"), "{error}");
    }
}

#[test]
fn every_wrong_box_is_an_error_or_counted() {
    let mut wrong = fixture("coco.json");
    wrong["annotations"][1]["bbox"] = json!([3, 4, 0, 5]);
    wrong["annotations"][2]["bbox"] = json!([3, 4, 50, 5]);
    wrong["annotations"][3]["bbox"] = json!([60, 4, 4.5, 5]);
    let root = tree(&wrong);
    let error = read_coco(root.path(), &config()).unwrap_err().to_string();
    let expected = "record 1 is annotation 3 with [3.0, 4.0, 3.0, 9.0] as x1, y1, x2, y2, expected x1 < x2 and y1 < y2";
    assert!(error.ends_with(expected), "{error}");
    let counts = read_coco(root.path(), &CocoConfig::coco("val2017")).unwrap().counts.objects;
    assert_eq!((counts.without_extent, counts.outside, counts.clamped, counts.kept, counts.listed), (1, 1, 1, 2, 4));
}

#[test]
fn every_wrong_image_is_an_error_or_counted() {
    let check = |damage: &dyn Fn(&Path)| -> (DataError, ImageCounts) {
        let root = tree(&fixture("coco.json"));
        damage(&root.path().join("val2017/000000000007.png"));
        let error = read_coco(root.path(), &config()).unwrap_err();
        let read = read_coco(root.path(), &CocoConfig::coco("val2017")).unwrap();
        assert_eq!((read.image_ids, read.counts.images.listed), (vec![2, 11], 3));
        (error, read.counts.images)
    };
    let (error, counts) = check(&|path| fs::remove_file(path).unwrap());
    assert!(matches!(error, DataError::Io { .. }) && counts.missing_image == 1, "{error}");
    let (error, counts) = check(&|path| fs::write(path, "no image").unwrap());
    assert!(matches!(error, DataError::Decode { .. }) && counts.broken_image == 1, "{error}");
    let other = Image::new(9, 9, 1, vec![0; 81]).unwrap().encode_png().unwrap();
    let (error, counts) = check(&|path| fs::write(path, &other).unwrap());
    assert!(matches!(error, DataError::ImageSize { .. }) && counts.wrong_size == 1, "{error}");
    let root = tree(&json!({"images": [], "annotations": [], "categories": []}));
    assert!(matches!(read_coco(root.path(), &config()), Err(DataError::Empty { .. })));
}

#[test]
fn an_annotation_of_nothing_is_an_error_or_counted() {
    for (key, id, expected) in [
        ("image_id", 5, "record 1 is an annotation of image 5, expected the id of an image"),
        ("category_id", 2, "record 1 is an annotation of category 2, expected the id of a category"),
    ] {
        let mut instances = fixture("coco.json");
        instances["annotations"][1][key] = json!(id);
        let error = read_coco(tree(&instances).path(), &config()).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
    }
    let mut instances = fixture("coco.json");
    let whole = read_coco(tree(&instances).path(), &config()).unwrap().counts.objects;
    instances["annotations"][0]["category_id"] = json!(999);
    instances["annotations"][1]["image_id"] = json!(999);
    let skipping = CocoConfig { on_invalid: OnInvalid::Skip, ..config() };
    let counts = read_coco(tree(&instances).path(), &skipping).unwrap().counts.objects;
    assert_eq!((counts.listed, counts.kept), (whole.listed, whole.kept - 2));
    assert_eq!((counts.unknown_image, counts.other_classes["category 999"]), (1, 1));
}
