//! Trees in VOC's layout as people make them: blanks in names, extensions in any case, classes unknown, other encodings,
//! boxes that stick out, sizes without images, files that are cut off.

use std::fs;

use sconce_data::{DataError, OnInvalid, VocConfig, VocPart, read_voc, read_voc_unlabelled};

use crate::voc::{SIZE, add, annotation, boxes, config, dog, image, names, object, skipping, tree, write};

#[test]
fn ids_may_have_blanks() {
    // As pairs of an id and what is on it, `img 1` looks like an image with the class of the list.
    let root = tree("", "train", &[("img 1", dog()), ("img 0", dog()), ("ali (1)", dog()), ("b", dog())]);
    write(root.path(), "ImageSets/Main/one.txt", "img 1\n");
    let read = |split: &str| {
        let config = VocConfig { parts: vec![VocPart::new("", split)], ..config() };
        read_voc(root.path(), &config).map(|(dataset, counts)| (names(&dataset).join(", "), counts.images.kept))
    };
    let all = "JPEGImages/img 1.jpg, JPEGImages/img 0.jpg, JPEGImages/ali (1).jpg, JPEGImages/b.jpg";
    assert_eq!(read("train").unwrap(), (all.to_owned(), 4));
    assert_eq!(read("one").unwrap(), ("JPEGImages/img 1.jpg".to_owned(), 1));
    // A second column is one where the files say so, and where both are there, in a list that is called as a class.
    write(root.path(), "ImageSets/Main/dog_train.txt", "img 1 1\nb -1\n");
    assert_eq!(read("dog_train").unwrap(), ("JPEGImages/img 1.jpg".to_owned(), 1));
    add(root.path(), "", "other", &[("img", dog())]);
    assert_eq!(read("one").unwrap(), ("JPEGImages/img 1.jpg".to_owned(), 1));
    write(root.path(), "ImageSets/Main/dog_one.txt", "img 1\n");
    assert_eq!(read("dog_one").unwrap(), ("JPEGImages/img.jpg".to_owned(), 1));
    write(root.path(), "ImageSets/Main/cats_one.txt", "img 1\n");
    assert_eq!(read("cats_one").unwrap(), ("JPEGImages/img 1.jpg".to_owned(), 1));
    // What is missing is named as the line has it.
    write(root.path(), "ImageSets/Main/missing.txt", "img 7\nimg 8 (2)\n");
    let error = read("missing").unwrap_err().to_string();
    assert!(error.contains("missing.txt:1: found no file ") && error.contains("img 7.jpg"), "{error}");
}

#[test]
fn extensions_are_found_whatever_their_case() {
    for (id, file) in [
        ("a", "a.JPG"),
        ("a", "a.Jpeg"),
        ("a", "a.PNG"),
        ("a", "a.webp"),
        ("a.jpg", "a.JPG"),
        ("a.jpg", "a.png"),
        ("x.y/a", "x.y/a.BMP"),
        ("a_beta_0.02", "a_beta_0.02.JPG"),
        ("a.jpg", "a.jpg.png"),
    ] {
        let root = tree("", "train", &[]);
        write(root.path(), "ImageSets/Main/train.txt", id);
        write(root.path(), &format!("JPEGImages/{file}"), image(SIZE));
        write(root.path(), "JPEGImages/other.jpg", image(SIZE));
        let stem = id.strip_suffix(".jpg").unwrap_or(id);
        write(root.path(), &format!("Annotations/{stem}.XML"), dog().to_xml());
        let (dataset, _) = read_voc(root.path(), &config()).unwrap();
        assert_eq!(names(&dataset), [format!("JPEGImages/{file}")]);
        assert_eq!(read_voc_unlabelled(root.path(), &config()).unwrap().0.len(), 1);
    }
    // Of several, the file of that very name, then the most usual extension.
    let root = tree("", "train", &[]);
    write(root.path(), "ImageSets/Main/train.txt", "a\nb.png\n");
    for file in ["a.png", "a.JPG", "a.webp", "b.jpg", "b.png"] {
        write(root.path(), &format!("JPEGImages/{file}"), image(SIZE));
    }
    let (dataset, _) = read_voc_unlabelled(root.path(), &config()).unwrap();
    assert_eq!(names(&dataset), ["JPEGImages/a.JPG", "JPEGImages/b.png"]);
}

#[test]
fn classes_may_be_those_of_the_annotations() {
    let cat = annotation(vec![object(" Cat", [1.0, 1.0, 2.0, 2.0]), object("ZEBRA", [1.0, 1.0, 2.0, 2.0])]);
    let root = tree("", "train", &[("1", dog()), ("2", cat), ("3", annotation(vec![]))]);
    add(root.path(), "", "test", &[("4", dog())]);
    let of = |split: &str, classes: &[&str]| VocConfig::new(vec![VocPart::new("", split)], classes);
    let (train, _) = read_voc(root.path(), &of("train", &[])).unwrap();
    assert_eq!((train.classes(), train.len()), (&["cat", "dog", "zebra"].map(str::to_owned)[..], 3));
    assert_eq!((boxes(&train, 0)[0].0, boxes(&train, 1)[1].0), (1, 2));
    // A test set by itself would count its own classes.
    assert_eq!(read_voc(root.path(), &of("test", &[])).unwrap().0.classes(), ["dog"]);
    let of_train = VocConfig { classes: train.classes().to_vec(), ..of("test", &[]) };
    let (test, _) = read_voc(root.path(), &of_train).unwrap();
    assert_eq!((test.classes(), boxes(&test, 0)[0].0), (train.classes(), 1));
    assert!(toml::from_str::<VocConfig>("[[parts]]\nsplit = \"train\"").unwrap().classes.is_empty());
    write(root.path(), "ImageSets/Main/train.txt", "3");
    let error = read_voc(root.path(), &of("train", &[])).unwrap_err();
    assert!(matches!(error, DataError::Empty { .. }), "{error}");
}

#[test]
fn declared_encodings_are_read_and_others_named() {
    let text = dog().to_xml().replace("dog", "blé");
    let declared = |encoding: &str| format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?>\n{text}");
    let latin = |encoding: &str| declared(encoding).chars().map(|c| c as u8).collect::<Vec<u8>>();
    let utf16 = declared("utf-16").encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let root = tree("", "train", &[("1", dog())]);
    let ble = VocConfig::new(vec![VocPart::new("", "train")], &["blé"]);
    for bytes in [latin("ISO-8859-1"), latin("windows-1252"), utf16.clone(), [b"\xFF\xFE", &utf16[..]].concat()] {
        write(root.path(), "Annotations/1.xml", bytes);
        assert_eq!(boxes(&read_voc(root.path(), &ble).unwrap().0, 0).len(), 1);
    }
    for (bytes, expected) in [
        (
            latin("x-klingon"),
            "1.xml:1: found the encoding `x-klingon`, expected UTF-8, UTF-16, or one that browsers know",
        ),
        (
            latin("utf-8"),
            "1.xml:9: found bytes that are not UTF-8, expected the encoding that the file's first line declares",
        ),
    ] {
        write(root.path(), "Annotations/1.xml", bytes);
        let error = read_voc(root.path(), &ble).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
        assert!(read_voc(root.path(), &VocConfig { on_invalid: OnInvalid::Skip, ..ble.clone() }).is_err());
    }
}

#[test]
fn a_box_may_stick_out_by_as_much_as_is_said() {
    let out = annotation(vec![object("dog", [-1.0, 1.0, 43.0, 33.0]), object("dog", [1.0, 1.0, 9.0, 9.0])]);
    let root = tree("", "train", &[("1", out)]);
    let read = |max_overhang, on_invalid| {
        let config = VocConfig { max_overhang, on_invalid, ..config() };
        read_voc(root.path(), &config).map(|(dataset, counts)| (boxes(&dataset, 0), counts.objects, dataset))
    };
    let error = read(2, OnInvalid::Fail).unwrap_err().to_string();
    assert!(error.ends_with("expected a box inside 40×30 pixels, or beyond by a max_overhang of 2"), "{error}");
    let (boxes, counts, _) = read(2, OnInvalid::Skip).unwrap();
    assert_eq!((boxes.len(), counts.outside, counts.clamped), (1, 1, 0));
    for limit in [3, u32::MAX] {
        let (boxes, counts, dataset) = read(limit, OnInvalid::Fail).unwrap();
        assert_eq!((boxes[0], counts.clamped), ((1, [0.0, 0.0, 40.0, 30.0]), 1));
        assert!(dataset.summary("train").to_string().contains(", 1 box clipped to the image"));
    }
    // Nothing at all.
    let error = read(0, OnInvalid::Fail).unwrap_err().to_string();
    assert!(error.contains("max_overhang of 0"), "{error}");
    assert_eq!(toml::from_str::<VocConfig>("classes = []\nparts = []").unwrap().max_overhang, 1);
}

#[test]
fn sizes_may_be_those_of_the_annotations() {
    let mut bare = dog();
    bare.size = None;
    let root = tree("VOC2007", "test", &[("1", dog()), ("2 b", dog()), ("3", bare)]);
    fs::remove_file(root.path().join("VOC2007/JPEGImages/1.jpg")).unwrap();
    write(root.path(), "VOC2007/JPEGImages/2 b.jpg", "no image");
    let annotated =
        VocConfig { parts: vec![VocPart::new("VOC2007", "test")], sizes: sconce_data::VocSizes::Annotated, ..config() };
    let (dataset, counts) = read_voc(root.path(), &annotated).unwrap();
    let expected = ["1", "2 b", "3"].map(|name| format!("VOC2007/JPEGImages/{name}.jpg"));
    assert_eq!((names(&dataset), counts.images.kept), (expected.iter().map(String::as_str).collect(), 3));
    assert!(dataset.samples().iter().all(|sample| sample.size == SIZE));
    assert!(read_voc(root.path(), &VocConfig { sizes: sconce_data::VocSizes::Compared, ..annotated.clone() }).is_err());
    // Without an annotated size there must be an image.
    fs::remove_file(root.path().join("VOC2007/JPEGImages/3.jpg")).unwrap();
    let error = read_voc(root.path(), &annotated).unwrap_err().to_string();
    assert!(error.contains("test.txt:3: found no file "), "{error}");
    // Not even a folder of images is needed.
    write(root.path(), "VOC2007/ImageSets/Main/test.txt", "1\n2 b");
    fs::remove_dir_all(root.path().join("VOC2007/JPEGImages")).unwrap();
    assert_eq!(read_voc(root.path(), &annotated).unwrap().0.len(), 2);
}

#[test]
fn what_cannot_be_decoded_is_skipped_and_named() {
    let root = tree("", "train", &[("1", dog()), ("2", dog())]);
    write(root.path(), "JPEGImages/2.jpg", &image(SIZE)[..50]);
    // Its head says its size, so that it ends training in the middle.
    assert!(read_voc(root.path(), &config()).unwrap().0.image(1).is_err());
    for read in [read_voc, read_voc_unlabelled] {
        let (dataset, counts) = read(root.path(), &skipping()).unwrap();
        assert_eq!((names(&dataset), counts.images.broken_image), (vec!["JPEGImages/1.jpg"], 1));
        let summary = dataset.summary("source").to_string();
        assert!(
            summary.contains("1 image left out (1 undecodable)\n  undecodable: ")
                || summary.contains("1 left out (1 undecodable)\n"),
            "{summary}"
        );
        assert!(summary.contains("JPEGImages/2.jpg: cannot decode the image: the file is cut off"), "{summary}");
    }
}

#[test]
fn annotations_that_leave_nothing_say_why() {
    let root = tree("", "train", &[("1", dog()), ("2", dog())]);
    write(root.path(), "Annotations/1.xml", "<annotation>");
    write(root.path(), "Annotations/2.xml", "<annotation>");
    let found = VocConfig { classes: Vec::new(), ..skipping() };
    let error = read_voc(root.path(), &found).unwrap_err().to_string();
    assert!(
        error.contains("annotations with objects") && error.contains("2 left out with a broken annotation"),
        "{error}"
    );
    assert!(error.contains("1.xml"), "{error}");
    let error = read_voc(root.path(), &skipping()).unwrap_err().to_string();
    assert!(error.contains("images that can be used; 2 left out with a broken annotation, the first: "), "{error}");
}

#[test]
fn photos_that_a_camera_turned_are_told_where_they_are_read_as_stored() {
    let photo = fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jpegs/exif-6.jpg")).unwrap();
    let mut bare = dog();
    bare.size = None;
    bare.objects[0].bndbox = [1.0, 1.0, 9.0, 9.0];
    let root = tree("", "train", &[("1", bare), ("2", dog())]);
    write(root.path(), "JPEGImages/1.jpg", photo);
    for on_invalid in [OnInvalid::Fail, OnInvalid::Skip] {
        let (dataset, counts) = read_voc(root.path(), &VocConfig { on_invalid, ..config() }).unwrap();
        assert_eq!((counts.images.as_stored, dataset.sample(0).size), (1, (29, 37)));
        let text = dataset.summary("source").to_string();
        assert!(text.contains(", 1 image as stored, though turned by the camera (orientation = \"upright\""), "{text}");
        let upright = VocConfig { on_invalid, orientation: sconce_data::Orientation::Upright, ..config() };
        let (dataset, counts) = read_voc(root.path(), &upright).unwrap();
        assert_eq!((counts.images.as_stored, dataset.sample(0).size), (0, (37, 29)));
    }
}
