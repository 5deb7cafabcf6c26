//! Datasets in COCO's format.

use std::{fs, path::Path};

use sconce_core::geometry::BBox;
use sconce_data::{
    CocoConfig, CocoDataset, CocoId, CocoInstances, DataError, DetectionCounts, EmptyImages, Image, ImageCounts,
    OnInvalid, OtherClasses, parse_coco, read_coco, read_coco_unlabelled,
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
    assert_eq!((read.image_ids, read.counts.images.empty), (vec![2.into(), 7.into()], 1));
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
    for (change, expected) in [
        (
            (|v: &mut Value| v["annotations"][0]["bbox"] = json!([1, 2, 3])) as fn(&mut Value),
            "a.json: record 0 is an annotation with ``bbox` of 3 numbers, expected x, y, width and height",
        ),
        (|v| v["annotations"][0]["bbox"][2] = Value::Null, "a.json: record 0 is an annotation with ``bbox` with what"),
        (
            |v| v["annotations"][0]["iscrowd"] = json!(2),
            "a.json: record 0 is an annotation with `invalid value: integer",
        ),
        (
            |v| v["annotations"][0]["image_id"] = json!(1.5),
            "a.json: record 0 is an annotation with `invalid value: floa",
        ),
        (
            |v| v["images"][0]["height"] = json!(-3),
            "a.json: record 0 is an image with `invalid value: floating point `-3",
        ),
        (|v| v["categories"][1]["name"] = json!(3), "a.json: record 1 is a category with `invalid type: integer `3`"),
        (|v| *v = json!([]), "a.json:1: found `"),
    ] {
        let error = refused(change);
        assert!(error.starts_with(expected), "{error}");
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
        assert_eq!((read.image_ids, read.counts.images.listed), (vec![2.into(), 11.into()], 3));
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

fn text(instances: &Value) -> Vec<u8> {
    instances.to_string().into_bytes()
}

#[test]
fn ids_may_be_texts_or_have_a_point() {
    let expected = read_coco(tree(&fixture("coco.json")).path(), &config()).unwrap();
    let same = |root: &tempfile::TempDir| {
        let read = read_coco(root.path(), &config()).unwrap();
        assert_eq!(read.dataset.content_hash(), expected.dataset.content_hash());
        read
    };
    for (from, to) in [("7", "7.0"), ("2", "2.0"), ("2", "2e0")] {
        let root = tree(&fixture("coco.json"));
        let path = root.path().join("annotations/instances_val2017.json");
        let json = fs::read_to_string(&path)
            .unwrap()
            .replace(&format!("\"image_id\":{from},"), &format!("\"image_id\":{to},"));
        assert!(json.contains(&format!("\"image_id\":{to},")));
        fs::write(&path, json).unwrap();
        assert_eq!(same(&root).image_ids, expected.image_ids);
    }
    let mut texts = fixture("coco.json");
    let renamed = |id: &Value| json!(format!("seq{:03}_d", id.as_u64().unwrap()));
    for image in texts["images"].as_array_mut().unwrap() {
        image["id"] = renamed(&image["id"]);
    }
    for annotation in texts["annotations"].as_array_mut().unwrap() {
        annotation["image_id"] = renamed(&annotation["image_id"]);
    }
    let ids = ["seq002_d", "seq007_d", "seq011_d"].map(|id| CocoId::Text(id.to_owned()));
    assert_eq!(same(&tree(&texts)).image_ids, ids);
}

#[test]
fn junk_beside_what_is_needed_is_passed_over() {
    let expected = read_coco(tree(&fixture("coco.json")).path(), &config()).unwrap();
    let root = tree(&fixture("coco.json"));
    let path = root.path().join("annotations/instances_val2017.json");
    let plain = fs::read_to_string(&path).unwrap();
    let junk = plain
        .replacen("\"images\":[{", "\"images\":[{\"license\":NaN,\"text\":\"NaN \\\" Infinity\",", 1)
        .replace("\"iscrowd\":0", "\"iscrowd\":false,\"score\":-Infinity,\"attributes\":{\"x\":[NaN]}");
    assert!(junk.contains("-Infinity") && junk.contains("license\":NaN"));
    for bytes in [junk.clone().into_bytes(), [b"\xEF\xBB\xBF", plain.as_bytes()].concat()] {
        fs::write(&path, bytes).unwrap();
        assert_eq!(read_coco(root.path(), &config()).unwrap().dataset.content_hash(), expected.dataset.content_hash());
    }
    // Where it is needed, the record is wrong.
    fs::write(&path, plain.replacen("\"bbox\":[10.25", "\"bbox\":[NaN", 1)).unwrap();
    let error = read_coco(root.path(), &config()).unwrap_err().to_string();
    assert!(error.contains("json: record 0 is an annotation with ``bbox` with what is no number"), "{error}");
    let read = read_coco(root.path(), &CocoConfig::coco("val2017")).unwrap();
    assert_eq!((read.counts.objects.broken, read.counts.objects.kept, read.counts.objects.listed), (1, 3, 4));
}

#[test]
fn a_wrong_record_skips_itself_alone() {
    let whole = read_coco(tree(&fixture("coco.json")).path(), &CocoConfig::coco("val2017")).unwrap();
    let check = |change: &dyn Fn(&mut Value), broken_images: usize, broken_objects: usize, kept: (usize, usize)| {
        let mut instances = fixture("coco.json");
        change(&mut instances);
        let root = tree(&fixture("coco.json"));
        fs::write(root.path().join("annotations/instances_val2017.json"), text(&instances)).unwrap();
        let error = read_coco(root.path(), &config()).unwrap_err();
        assert!(matches!(error, DataError::Record { .. }), "{error}");
        let read = read_coco(root.path(), &CocoConfig::coco("val2017")).unwrap();
        let DetectionCounts { images, objects, .. } = &read.counts;
        assert_eq!((images.broken_annotation, objects.broken), (broken_images, broken_objects));
        assert_eq!((images.kept, objects.kept), kept);
        let left_out: usize = objects.other_classes.values().sum::<usize>() + objects.unknown_image + objects.broken;
        assert_eq!((images.listed, objects.listed), (images.kept + broken_images, objects.kept + left_out));
        read
    };
    assert_eq!((whole.counts.images.kept, whole.counts.objects.kept), (3, 4));
    check(&|v| v["annotations"][0]["bbox"] = json!("no box"), 0, 1, (3, 3));
    check(&|v| v["annotations"][1] = json!(17), 0, 1, (3, 3));
    check(&|v| v["annotations"][1]["id"] = json!(9), 0, 1, (3, 3));
    check(&|v| v["annotations"][2]["image_id"] = Value::Null, 0, 1, (3, 3));
    check(&|v| v["images"][2] = json!({"id": 11}), 1, 0, (2, 4));
    check(&|v| v["images"][2]["file_name"] = json!("/etc/passwd"), 1, 0, (2, 4));
    // With the image go its objects.
    check(&|v| v["images"][1]["id"] = json!([]), 1, 0, (2, 2));
    let read = check(&|v| v["categories"][1]["name"] = Value::Null, 0, 0, (3, 2));
    assert_eq!(read.dataset.classes(), ["dog", "toothbrush"]);
    let summary = read.dataset.summary("train").to_string();
    assert!(summary.contains("2 objects left out (2 of other classes)\n  of other classes: category 1 2"), "{summary}");
    let read = check(&|v| v["images"][2]["height"] = json!("tall"), 1, 0, (2, 4));
    let summary = read.dataset.summary("train").to_string();
    assert!(
        summary.contains("\n  with a broken annotation: ") && summary.contains("record 2 is an image with"),
        "{summary}"
    );
}

#[test]
fn sizes_may_be_missing_and_files_lie_in_folders() {
    let mut instances = fixture("coco.json");
    let image = &mut instances["images"][0];
    image.as_object_mut().unwrap().remove("width");
    image["height"] = json!(0);
    image["file_name"] = json!("./deep/er\\a.png");
    instances["images"][1]["width"] = json!(40.0);
    let root = tree(&fixture("coco.json"));
    fs::write(root.path().join("annotations/instances_val2017.json"), text(&instances)).unwrap();
    fs::create_dir_all(root.path().join("val2017/deep/er")).unwrap();
    let images = root.path().join("val2017");
    fs::rename(images.join("000000000007.png"), images.join("deep/er/a.png")).unwrap();
    let read = read_coco(root.path(), &config()).unwrap();
    let sample = read.dataset.sample(1);
    assert_eq!((sample.name.as_str(), sample.size, sample.objects.len()), ("deep/er/a.png", (48, 64), 2));
    assert_eq!(read.dataset.image(1).unwrap().width(), 64);
    // Images beside the file.
    fs::rename(root.path().join("annotations/instances_val2017.json"), images.join("a.json")).unwrap();
    assert_eq!(read_coco(&images, &CocoConfig::new("a.json", "")).unwrap().dataset.len(), 3);
    // Some tools write no ids of annotations.
    instances["annotations"][0].as_object_mut().unwrap().remove("id");
    fs::write(images.join("a.json"), text(&instances)).unwrap();
    assert_eq!(read_coco(&images, &CocoConfig::new("a.json", "")).unwrap().counts.objects.kept, 4);
}

#[test]
fn categories_that_are_alike_stay_apart() {
    let mut instances = fixture("coco.json");
    instances["categories"][0]["name"] = json!("Dog");
    let read = read_coco(tree(&instances).path(), &config()).unwrap();
    assert_eq!(read.dataset.classes(), ["person", "dog", "Dog"]);
    let labels: Vec<u32> = read.dataset.samples().iter().flat_map(|s| s.objects.iter().map(|o| o.label)).collect();
    assert_eq!(labels, [0, 2, 1, 0]);
    instances["categories"][0]["name"] = json!("dog ");
    let read = read_coco(tree(&instances).path(), &config()).unwrap();
    assert_eq!(read.dataset.classes(), ["person", "dog", "dog (id 90)"]);
    // A set to test on keeps them apart too; whoever asks for one class by the name gets both.
    let with = |classes: &[&str]| {
        let classes = classes.iter().map(|&name| name.to_owned()).collect();
        read_coco(tree(&instances).path(), &CocoConfig { classes, ..config() }).map(|read| read.category_ids)
    };
    assert_eq!(with(&["dog (id 90)", "person", "dog"]).unwrap(), [Some(90.into()), Some(1.into()), Some(18.into())]);
    assert_eq!(with(&["person", "dog"]).unwrap(), [Some(1.into()), Some(18.into())]);
    let error = with(&["person", "dog", "dog (id 91)"]).unwrap_err().to_string();
    assert!(error.ends_with("an annotation of category 90, expected the id of a category"), "{error}");
}

#[test]
fn what_is_no_json_in_utf8_is_called_by_its_kind() {
    let utf16: Vec<u8> = fixture("coco.json").to_string().encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, expected) in [
        (&b"\x1f\x8b\x08\x00rest"[..], "a file that is compressed by gzip"),
        (b"PK\x03\x04rest", "a zip archive"),
        (&utf16, "text in UTF-16"),
        (&[b"\xff\xfe", &utf16[..]].concat(), "text in UTF-16"),
    ] {
        let error = parse_coco(bytes, Path::new("a.json")).unwrap_err().to_string();
        assert_eq!(error, format!("a.json:1: found {expected}, expected JSON in UTF-8"));
    }
}

#[test]
fn what_leaves_nothing_is_said() {
    let skip = CocoConfig { on_invalid: OnInvalid::Skip, ..config() };
    let mut instances = fixture("coco.json");
    for category in instances["categories"].as_array_mut().unwrap() {
        category.as_object_mut().unwrap().remove("name");
    }
    let error = read_coco(tree(&instances).path(), &skip).unwrap_err().to_string();
    assert!(error.contains("empty, expected categories; 3 left out of categories that cannot be read"), "{error}");
    assert!(error.contains("missing field `name`"), "{error}");
    let mut instances = fixture("coco.json");
    for annotation in instances["annotations"].as_array_mut().unwrap() {
        annotation.as_object_mut().unwrap().remove("bbox");
    }
    let summary = read_coco(tree(&instances).path(), &skip).unwrap().dataset.summary("x").to_string();
    assert!(summary.contains("4 with a record that cannot be read)") && summary.contains("`bbox`"), "{summary}");
    for image in instances["images"].as_array_mut().unwrap() {
        image["width"] = json!(1);
    }
    let error = read_coco(tree(&instances).path(), &skip).unwrap_err().to_string();
    assert!(
        error.contains("images that can be used; 3 left out of another size than annotated, the first: "),
        "{error}"
    );
}

#[test]
fn a_test_set_has_the_classes_of_its_training_set() {
    let with = |classes: &[&str], other_classes| CocoConfig {
        classes: classes.iter().map(|&name| name.to_owned()).collect(),
        other_classes,
        ..config()
    };
    let mut instances = fixture("coco.json");
    let root = tree(&instances);
    let all = with(&["owl", "toothbrush", "Person", "dog"], OtherClasses::Invalid);
    let read = read_coco(root.path(), &all).unwrap();
    assert_eq!(read.dataset.classes(), ["owl", "toothbrush", "Person", "dog"]);
    assert_eq!(read.category_ids, [None, Some(90.into()), Some(1.into()), Some(18.into())]);
    let labels: Vec<u32> = read.dataset.samples().iter().flat_map(|s| s.objects.iter().map(|o| o.label)).collect();
    assert_eq!(labels, [2, 1, 3, 2]);
    let error = read_coco(root.path(), &with(&["dog"], OtherClasses::Invalid)).unwrap_err().to_string();
    assert!(error.ends_with("an annotation of category 1, expected the id of a category"), "{error}");
    let read = read_coco(root.path(), &with(&["dog"], OtherClasses::Drop)).unwrap();
    assert_eq!((read.counts.objects.kept, read.counts.objects.other_classes["category 1"]), (1, 2));
    for classes in [&["dog", "dog"][..], &[" "]] {
        assert!(matches!(read_coco(root.path(), &with(classes, OtherClasses::Drop)), Err(DataError::Argument { .. })));
    }
    // Names that differ in case alone are told apart, and one that could be either is neither.
    instances["categories"][0]["name"] = json!("DOG");
    let read = read_coco(tree(&instances).path(), &with(&["dog", "DOG", "person"], OtherClasses::Invalid)).unwrap();
    assert_eq!(read.category_ids, [Some(18.into()), Some(90.into()), Some(1.into())]);
    let error = read_coco(tree(&instances).path(), &with(&["Dog", "doG", "person"], OtherClasses::Invalid));
    assert!(error.is_err());
}

#[test]
fn a_target_needs_no_annotations() {
    let mut instances = fixture("coco.json");
    let labelled = read_coco(tree(&instances).path(), &config()).unwrap();
    instances["annotations"] = json!([{"image_id": 999}]);
    let root = tree(&fixture("coco.json"));
    fs::write(root.path().join("annotations/instances_val2017.json"), text(&instances)).unwrap();
    assert!(read_coco(root.path(), &config()).is_err());
    let target = read_coco_unlabelled(root.path(), &config()).unwrap();
    assert_eq!(target.dataset.samples(), labelled.dataset.without_objects().samples());
    assert!(!target.dataset.is_labelled());
    instances.as_object_mut().unwrap().remove("annotations");
    fs::write(root.path().join("annotations/instances_val2017.json"), text(&instances)).unwrap();
    assert_eq!(read_coco_unlabelled(root.path(), &config()).unwrap().dataset.len(), 3);
    let error = read_coco(root.path(), &config()).unwrap_err().to_string();
    assert!(error.contains("json:1: found no `annotations`, expected `images`, "), "{error}");
}

#[test]
fn what_cannot_be_decoded_is_skipped_and_named() {
    let root = tree(&fixture("coco.json"));
    let path = root.path().join("val2017/000000000007.png");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..50]).unwrap();
    assert!(read_coco(root.path(), &config()).unwrap().dataset.image(1).is_err());
    let read = read_coco(root.path(), &CocoConfig::coco("val2017")).unwrap();
    assert_eq!((read.counts.images.broken_image, read.dataset.len()), (1, 2));
    let summary = read.dataset.summary("train").to_string();
    assert!(summary.contains("\n  undecodable: ") && summary.contains("000000000007.png: cannot decode"), "{summary}");
}
