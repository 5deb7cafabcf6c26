//! Datasets in Pascal VOC's layout, with their oddities.

use std::{fs, path::Path};

use proptest::{collection::vec, option, prelude::*};
use sconce_data::{
    DataError, DetectionDataset, Difficult, FogDensity, Image, OnInvalid, OtherClasses, VOC_CLASSES, VocAnnotation,
    VocConfig, VocCoordinates, VocObject, VocPart, VocPresence, parse_voc_list, parse_voc_xml, read_unlabelled,
    read_voc, read_voc_unlabelled,
};

pub(crate) const SIZE: (usize, usize) = (30, 40);

pub(crate) fn image(size: (usize, usize)) -> Vec<u8> {
    Image::new(size.1, size.0, 1, vec![0; size.0 * size.1]).unwrap().encode_png().unwrap()
}

pub(crate) fn object(name: &str, bndbox: [f64; 4]) -> VocObject {
    VocObject { name: name.to_owned(), bndbox, is_difficult: false, is_truncated: false, pose: None }
}

pub(crate) fn annotation(objects: Vec<VocObject>) -> VocAnnotation {
    VocAnnotation { filename: None, size: Some(SIZE), objects }
}

pub(crate) fn write(root: &Path, path: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A dataset with one list, and an image and an annotation for each id. The format of an image is told from its bytes.
pub(crate) fn tree(folder: &str, split: &str, images: &[(&str, VocAnnotation)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    add(root.path(), folder, split, images);
    root
}

pub(crate) fn add(root: &Path, folder: &str, split: &str, images: &[(&str, VocAnnotation)]) {
    let root = root.join(folder);
    let ids: Vec<&str> = images.iter().map(|&(id, _)| id).collect();
    write(&root, &format!("ImageSets/Main/{split}.txt"), ids.join("\n"));
    for (id, annotation) in images {
        let stem = id.strip_suffix(".jpg").unwrap_or(id);
        write(&root, &format!("JPEGImages/{stem}.jpg"), image(SIZE));
        write(&root, &format!("Annotations/{stem}.xml"), annotation.to_xml());
    }
}

pub(crate) fn dog() -> VocAnnotation {
    annotation(vec![object("dog", [1.0, 2.0, 40.0, 30.0])])
}

/// `dog` and `cat` in one list, `train`, of a flat root.
pub(crate) fn config() -> VocConfig {
    VocConfig::new(vec![VocPart::new("", "train")], &["cat", "dog"])
}

pub(crate) fn skipping() -> VocConfig {
    VocConfig { on_invalid: OnInvalid::Skip, ..config() }
}

pub(crate) fn names(dataset: &DetectionDataset) -> Vec<&str> {
    dataset.samples().iter().map(|sample| sample.name.as_str()).collect()
}

pub(crate) fn boxes(dataset: &DetectionDataset, index: usize) -> Vec<(u32, [f64; 4])> {
    dataset.sample(index).objects.iter().map(|object| (object.label, object.bbox.xyxy())).collect()
}

#[test]
fn annotations_are_those_of_pythons_parser() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers");
    let text = fs::read_to_string(folder.join("expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expected = expected["voc"].as_object().unwrap();
    assert_eq!(expected.len(), 4);
    for (file, expected) in expected {
        let text = fs::read_to_string(folder.join("annotations").join(file)).unwrap();
        for text in [text.clone(), text.replace('\n', "\r\n")] {
            let found = parse_voc_xml(&text, Path::new(file)).unwrap();
            let objects = found.objects.iter().map(|o| {
                let pose = o.pose.as_deref().unwrap_or_default();
                let VocObject { name, bndbox, is_difficult, is_truncated, .. } = o;
                serde_json::json!({"name": name, "bndbox": bndbox, "is_difficult": is_difficult,
                    "is_truncated": is_truncated, "pose": pose})
            });
            let objects: Vec<_> = objects.collect();
            let filename = found.filename.as_deref().unwrap_or_default();
            let found = serde_json::json!({"filename": filename, "size": found.size, "objects": objects});
            assert_eq!(&found, expected, "{file}");
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        filename in option::of("[^\\s\\p{C}][^\\p{C}]{0,5}[^\\s\\p{C}]"),
        size in option::of((1usize..5000, 1usize..5000)),
        objects in vec(("[^\\s\\p{C}]{1,8}", prop::array::uniform4(-1e6..1e6f64), any::<bool>(), any::<bool>(),
            option::of("[a-z<>&'\"]{1,8}")), 0..4),
    ) {
        let objects = objects.into_iter().map(|(name, bndbox, is_difficult, is_truncated, pose)| VocObject {
            name, bndbox, is_difficult, is_truncated, pose
        }).collect();
        let annotation = VocAnnotation { filename, size, objects };
        prop_assert_eq!(parse_voc_xml(&annotation.to_xml(), Path::new("a.xml")).unwrap(), annotation);
    }
}

#[test]
fn a_broken_file_names_its_line() {
    let whole = dog().to_xml();
    let line = |text: &str, expected: &str| {
        let error = parse_voc_xml(text, Path::new("a.xml")).expect_err(text);
        assert!(error.to_string().starts_with(&format!("a.xml:{expected}")), "{error}");
    };
    for end in 0..whole.trim_end().len() {
        assert!(matches!(parse_voc_xml(&whole[..end], Path::new("a.xml")), Err(DataError::Line { .. })), "{end}");
    }
    line("", "1: found the end of the file, expected `<annotation>`");
    line("<html/>", "1: found `<html>`, expected one `<annotation>`");
    line("not found", "1: found `not found`, expected `<annotation>`");
    line(
        &whole.repeat(2),
        &format!("{}: found `<annotation>`, expected one `<annotation>`", whole.lines().count() + 1),
    );
    line(&whole.replace("</bndbox>", ""), "17: found ");
    line(&whole.replace(">40</xmax", ">forty</xmax"), "14: found `forty` as `xmax`, expected a number");
    line(&whole.replace(">40</xmax", ">inf</xmax"), "14: found `inf` as `xmax`, expected a number");
    line(&whole.replace(">40</xmax", "></xmax"), "14: found `` as `xmax`, expected a number");
    line(&whole.replace("<width>40<", "<width>-40<"), "3: found `-40` as `width`, expected a number of pixels");
    line(&whole.replace("<width>40<", "<width>1e300<"), "3: found `1e300` as `width`, expected a number of pixels");
    line(&whole.replace("<difficult>0", "<difficult>no"), "10: found `no` as `difficult`, expected `0` or `1`");
    line(&whole.replace("<ymax>", "<xmax>3</xmax><ymax>"), "15: found `xmax` once more, expected it once");
    line(&whole.replace("dog", "&dog;"), "8: found `&dog;`, expected an entity of XML's own");
    for (tag, with) in [("name", "nom"), ("xmin", "left"), ("bndbox", "box")] {
        let text = whole.replace(&format!("{tag}>"), &format!("{with}>"));
        let error = parse_voc_xml(&text, Path::new("a.xml")).expect_err(tag);
        assert!(matches!(&error, DataError::Object { record, index: 0, .. } if record == "a.xml"), "{error}");
    }
}

#[test]
fn lists_may_have_blank_lines_crlf_and_a_second_column() {
    let ids = |text: &str| {
        let listed = parse_voc_list(text, Path::new("list")).unwrap();
        listed.into_iter().map(|listed| (listed.id, listed.presence, listed.line)).collect::<Vec<_>>()
    };
    let id = |id: &str, presence, line| (id.to_owned(), presence, line);
    assert_eq!(ids("\u{FEFF}\r\n a \r\n\r\nb/c.jpg"), [id("a", None, 2), id("b/c.jpg", None, 4)]);
    let (absent, difficult, present) = (VocPresence::Absent, VocPresence::Difficult, VocPresence::Present);
    let expected = [id("1", Some(absent), 1), id("2", Some(difficult), 2), id("3", Some(present), 3)];
    assert_eq!(ids("1 -1\n2  0\n3  1\n"), expected);
    for (line, expected) in [
        ("../a", "found `../a`, expected a path below the folder of the images"),
        ("/a", "found `/a`, expected a path below the folder of the images"),
        ("x", "found `x` once more, expected every name once"),
    ] {
        let error = parse_voc_list(&format!("x\n{line}\n"), Path::new("list")).unwrap_err();
        assert_eq!(error.to_string(), format!("list:2: {expected}"));
    }
    // Ids may hold blanks: a line that does not end in a number says so, and so do ids that would be there twice.
    assert_eq!(ids("img 1\nali (1)\n"), [id("img 1", None, 1), id("ali (1)", None, 2)]);
    assert_eq!(ids("img 1\nimg 0\n"), [id("img 1", None, 1), id("img 0", None, 2)]);
    assert_eq!(ids("a b 1\nc 0"), [id("a b", Some(present), 1), id("c", Some(difficult), 2)]);
    let listed = parse_voc_list("a b  +1\n", Path::new("list")).unwrap();
    assert_eq!((listed[0].whole_line(), listed[0].presence), (Some("a b 1".to_owned()), Some(present)));
}

#[test]
fn a_union_has_both_years_in_order_and_columns_count_from_1() {
    let root = tree("VOC2007", "trainval", &[("000005", dog()), ("000007", annotation(vec![]))]);
    let mut person = dog();
    person.objects[0] = VocObject { is_difficult: true, ..object("Person", [0.0, 1.0, 41.0, 7.5]) };
    add(root.path(), "VOC2012", "trainval", &[("2008_000002", person.clone()), ("000005", dog())]);
    let years = VocConfig::voc(&[("2007", "trainval"), ("2012", "trainval")]);
    let (both, counts) = read_voc(root.path(), &years).unwrap();
    let in_2007 = ["VOC2007/JPEGImages/000005.jpg", "VOC2007/JPEGImages/000007.jpg"];
    let in_2012 = ["VOC2012/JPEGImages/2008_000002.jpg", "VOC2012/JPEGImages/000005.jpg"];
    assert_eq!(names(&both), [in_2007, in_2012].concat());
    assert_eq!((both.classes(), both.sample(0).size), (&VOC_CLASSES.map(str::to_owned)[..], SIZE));
    assert_eq!(boxes(&both, 0), [(11, [0.0, 1.0, 40.0, 30.0])]);
    assert_eq!(boxes(&both, 1), []);
    // An `xmin` of 0 and an `xmax` beyond the last column are clipped.
    assert_eq!(boxes(&both, 2), [(14, [0.0, 0.0, 40.0, 7.5])]);
    assert!(both.sample(2).objects[0].is_difficult && !both.sample(0).objects[0].is_difficult);
    assert_eq!(both.image(3).unwrap().width(), 40);
    assert_eq!((counts.images.listed, counts.images.kept), (4, 4));
    assert_eq!((counts.objects.listed, counts.objects.kept, counts.objects.clamped), (3, 3, 1));

    let easy = VocConfig { difficult: Difficult::Drop, ..years };
    let (easy, counts) = read_voc(root.path(), &easy).unwrap();
    assert_eq!((boxes(&easy, 2), counts.objects.difficult, counts.objects.kept), (vec![], 1, 2));
    let from_0 = VocConfig { coordinates: VocCoordinates::ZeroBased, ..VocConfig::voc(&[("2007", "trainval")]) };
    let (from_0, counts) = read_voc(root.path(), &from_0).unwrap();
    assert_eq!((boxes(&from_0, 0), counts.objects.clamped), (vec![(11, [1.0, 2.0, 40.0, 30.0])], 1));
}

#[test]
fn a_subset_of_the_classes_may_drop_the_images_without_them() {
    let cat = annotation(vec![object("cat", [1.0, 1.0, 2.0, 2.0]), object("sofa", [1.0, 1.0, 2.0, 2.0])]);
    let sofa = annotation(vec![object("Sofa", [1.0, 1.0, 2.0, 2.0])]);
    let root = tree("VOC2007", "trainval", &[("1", cat), ("2", sofa), ("3", annotation(vec![]))]);
    let all = VocConfig::voc(&[("2007", "trainval")]).only(&["dog", "cat"]);
    let (dataset, counts) = read_voc(root.path(), &all).unwrap();
    assert_eq!((dataset.len(), boxes(&dataset, 0)), (3, vec![(1, [0.0, 0.0, 2.0, 2.0])]));
    assert_eq!(counts.objects.other_classes.into_iter().collect::<Vec<_>>(), [("sofa".to_owned(), 2)]);
    let (dataset, counts) = read_voc(root.path(), &all.without_empty_images()).unwrap();
    assert_eq!((names(&dataset), counts.images.empty), (vec!["VOC2007/JPEGImages/1.jpg"], 2));
}

#[test]
fn the_images_without_the_class_of_a_list_are_left_out() {
    let root = tree("", "train", &[("1", dog()), ("2", dog()), ("3", dog())]);
    write(root.path(), "ImageSets/Main/dog_train.txt", "1  1\r\n2 -1\r\n3  0\r\n");
    let config = VocConfig { parts: vec![VocPart::new("", "dog_train")], ..config() };
    let (dataset, counts) = read_voc(root.path(), &config).unwrap();
    assert_eq!((names(&dataset), counts.images.absent), (vec!["JPEGImages/1.jpg", "JPEGImages/3.jpg"], 1));
}

#[test]
fn clipart_has_a_list_of_all_or_two() {
    let root = tree("", "train", &[("1", dog()), ("2", dog())]);
    add(root.path(), "", "test", &[("3", dog())]);
    let read = |split| read_voc(root.path(), &VocConfig::clipart1k(split)).map(|(dataset, _)| dataset.len());
    assert_eq!((read("train").unwrap(), read("test").unwrap(), read("trainval").unwrap()), (2, 1, 3));
    write(root.path(), "ImageSets/Main/trainval.txt", "2\n");
    assert_eq!(read("trainval").unwrap(), 1);
    // An image in both parts would be trained and tested on.
    fs::remove_file(root.path().join("ImageSets/Main/trainval.txt")).unwrap();
    write(root.path(), "ImageSets/Main/test.txt", "3\n1\n");
    assert!(matches!(read("trainval"), Err(DataError::Line { path, line: 2, .. }) if path.ends_with("test.txt")));
    assert!(matches!(read("val"), Err(DataError::Io { path, .. }) if path.ends_with("val.txt")));
    assert_eq!(read_voc(root.path(), &VocConfig::watercolor2k("train")).unwrap().0.classes().len(), 6);
}

#[test]
fn domains_that_share_their_folders_are_told_apart() {
    let names_of = |end: &str| format!("aachen_000000_000019_leftImg8bit{end}");
    let car = || annotation(vec![object("car", [1.0, 1.0, 2.0, 2.0]), object("rider", [1.0, 1.0, 2.0, 2.0])]);
    let source = format!("source_{}", names_of(""));
    let foggy = ["0.005", "0.01", "0.02"].map(|beta| format!("target_{}", names_of(&format!("_foggy_beta_{beta}"))));
    let images: Vec<_> = [&source, &foggy[0], &foggy[1], &foggy[2]].map(|id| (id.as_str(), car())).into();
    let root = tree("VOC2007", "trainval", &images);
    let (clear, counts) = read_voc(root.path(), &VocConfig::cityscapes("trainval")).unwrap();
    assert_eq!(names(&clear), [format!("VOC2007/JPEGImages/{source}.jpg")]);
    assert_eq!((boxes(&clear, 0)[1].0, counts.images.other_domain, counts.images.listed), (5, 3, 4));
    for (density, id) in FogDensity::ALL.into_iter().zip(foggy) {
        let (foggy, counts) = read_voc(root.path(), &VocConfig::foggy_cityscapes("trainval", density)).unwrap();
        assert_eq!(
            (names(&foggy), counts.images.other_domain),
            (vec![format!("VOC2007/JPEGImages/{id}.jpg").as_str()], 3)
        );
    }
    let (cars, counts) = read_voc(root.path(), &VocConfig::cityscapes("trainval").only(&["car"])).unwrap();
    assert_eq!(
        (cars.classes(), boxes(&cars, 0).len(), counts.objects.other_classes["rider"]),
        (&["car".to_owned()][..], 1, 1)
    );
}

#[test]
fn ids_may_have_an_extension_and_a_size_may_be_missing() {
    let mut other = annotation(vec![object("car", [1.0, 1.0, 40.0, 2.0]), object("motorbike", [0.0, 9.0, 1.0, 1.0])]);
    other.size = None;
    let root = tree("VOC2012", "train", &[("3384645.jpg", other)]);
    let (dataset, counts) = read_voc(root.path(), &VocConfig::sim10k("train")).unwrap();
    assert_eq!((names(&dataset), dataset.sample(0).size), (vec!["VOC2012/JPEGImages/3384645.jpg"], SIZE));
    assert_eq!(counts.objects.other_classes["motorbike"], 1);
    // The folder's name notwithstanding, converted images are often PNG files.
    let images = root.path().join("VOC2012/JPEGImages");
    fs::rename(images.join("3384645.jpg"), images.join("3384645.png")).unwrap();
    let (dataset, _) = read_voc(root.path(), &VocConfig::sim10k("train")).unwrap();
    assert_eq!(names(&dataset), ["VOC2012/JPEGImages/3384645.png"]);
}

/// What reading `objects` says, and what is counted where they are skipped.
fn wrong_object(wrong: VocObject) -> (String, sconce_data::ObjectCounts) {
    let mut annotation = dog();
    annotation.objects.push(wrong);
    let root = tree("", "train", &[("1", dog()), ("2", annotation)]);
    let error = read_voc(root.path(), &config()).unwrap_err();
    assert!(matches!(error, DataError::Object { index: 1, .. }), "{error}");
    let (dataset, counts) = read_voc(root.path(), &skipping()).unwrap();
    assert_eq!((dataset.len(), counts.objects.listed, counts.objects.kept), (2, 3, 2));
    (error.to_string().replace(&root.path().display().to_string(), "root"), counts.objects)
}

#[test]
fn every_wrong_object_is_an_error_or_counted() {
    let (error, counts) = wrong_object(object("dog", [3.0, 4.0, 42.0, 9.0]));
    let expected = "`dog` with [2.0, 3.0, 42.0, 9.0] as x1, y1, x2, y2, expected a box inside 40×30 pixels, or beyond by \
                    a max_overhang of 1";
    assert_eq!((error, counts.outside), (format!("root/Annotations/2.xml: object 1 is {expected}"), 1));
    assert_eq!(wrong_object(object("dog", [-1.0, 4.0, 9.0, 9.0])).1.outside, 1);
    assert_eq!(wrong_object(object("dog", [50.0, 4.0, 60.0, 9.0])).1.outside, 1);
    let (error, counts) = wrong_object(object("dog", [9.0, 4.0, 3.0, 9.0]));
    assert!(error.ends_with("[8.0, 3.0, 3.0, 9.0] as x1, y1, x2, y2, expected x1 < x2 and y1 < y2"), "{error}");
    assert_eq!(counts.without_extent, 1);
    assert_eq!(wrong_object(object("dog", [9.0, 4.0, 8.0, 9.0])).1.without_extent, 1);
    let (error, counts) = wrong_object(object("wolf", [1.0, 4.0, 3.0, 9.0]));
    assert!(error.ends_with("object 1 is `wolf` with an unknown class, expected one of cat, dog"), "{error}");
    assert_eq!(counts.other_classes["wolf"], 1);
}

/// What reading says after `damage`, and what is counted where the image is skipped.
fn wrong_image(damage: impl Fn(&Path)) -> (String, sconce_data::ImageCounts) {
    let root = tree("", "train", &[("1", dog()), ("2", dog())]);
    damage(root.path());
    let error = read_voc(root.path(), &config()).unwrap_err();
    let (dataset, counts) = read_voc(root.path(), &skipping()).unwrap();
    assert_eq!((names(&dataset), counts.images.listed, counts.images.kept), (vec!["JPEGImages/1.jpg"], 2, 1));
    (error.to_string().replace(&root.path().display().to_string(), "root"), counts.images)
}

#[test]
fn every_wrong_image_is_an_error_or_counted() {
    let (error, counts) = wrong_image(|root| fs::remove_file(root.join("JPEGImages/2.jpg")).unwrap());
    let expected = "found no file root/JPEGImages/2.jpg, expected the image of this line";
    assert_eq!((error, counts.missing_image), (format!("root/ImageSets/Main/train.txt:2: {expected}"), 1));
    let (error, counts) = wrong_image(|root| fs::remove_file(root.join("Annotations/2.xml")).unwrap());
    let expected = "found no file root/Annotations/2.xml, expected the annotation of this line";
    assert_eq!((error, counts.missing_annotation), (format!("root/ImageSets/Main/train.txt:2: {expected}"), 1));
    let (error, counts) = wrong_image(|root| write(root, "Annotations/2.xml", "<annotation>"));
    let expected = "1: found the end of the file, expected `</annotation>`";
    assert_eq!((error, counts.broken_annotation), (format!("root/Annotations/2.xml:{expected}"), 1));
    let (error, counts) = wrong_image(|root| write(root, "Annotations/2.xml", b"<annotation>\xFF</annotation>"));
    assert!(error.starts_with("root/Annotations/2.xml:1: ") && counts.broken_annotation == 1, "{error}");
    let (error, counts) = wrong_image(|root| write(root, "JPEGImages/2.jpg", "no image"));
    assert!(error.starts_with("root/JPEGImages/2.jpg: cannot decode") && counts.broken_image == 1, "{error}");
    let (error, counts) = wrong_image(|root| write(root, "JPEGImages/2.jpg", image((40, 30))));
    let expected = "root/JPEGImages/2.jpg: 30×40 pixels (width×height), its annotation says 40×30";
    assert_eq!((error.as_str(), counts.wrong_size), (expected, 1));
}

#[test]
fn an_empty_list_or_one_of_which_nothing_is_left_is_named() {
    let root = tree("", "train", &[("1", annotation(vec![]))]);
    let error = read_voc(root.path(), &config().without_empty_images()).unwrap_err();
    assert!(matches!(&error, DataError::Empty { path, .. } if path == root.path()), "{error}");
    write(root.path(), "ImageSets/Main/train.txt", "\r\n\n");
    let error = read_voc(root.path(), &config()).unwrap_err();
    assert!(matches!(&error, DataError::Empty { path, .. } if path.ends_with("train.txt")), "{error}");
    for classes in [vec!["a".to_owned(), "A".to_owned()], vec![" ".to_owned()]] {
        let error = read_voc(root.path(), &VocConfig { classes, ..config() }).unwrap_err();
        assert!(matches!(error, DataError::Argument { .. }), "{error}");
    }
}

#[test]
fn a_configuration_can_be_a_file() {
    let text = "classes = [\"car\"]\nother_classes = \"drop\"\non_invalid = \"skip\"\n[[parts]]\nsplit = \"train\"\n";
    let config: VocConfig = toml::from_str(text).unwrap();
    let expected = VocConfig::new(vec![VocPart::new("", "train")], &["car"]);
    assert_eq!(config, VocConfig { other_classes: OtherClasses::Drop, on_invalid: OnInvalid::Skip, ..expected });
    assert!(toml::from_str::<VocConfig>(&format!("dificult = \"drop\"\n{text}")).is_err());
}

#[test]
fn a_target_needs_no_annotation() {
    let root = tree("", "train", &[("a", dog()), ("b.jpg", dog())]);
    let labelled = read_voc(root.path(), &config()).unwrap().0;
    write(root.path(), "Annotations/a.xml", "no XML");
    fs::remove_file(root.path().join("Annotations/b.xml")).unwrap();
    assert!(read_voc(root.path(), &config()).is_err());
    let (target, counts) = read_voc_unlabelled(root.path(), &config()).unwrap();
    assert_eq!((target.samples(), counts.images.kept), (labelled.without_objects().samples(), 2));

    // A folder of images is enough.
    let classes = config().classes;
    let target = read_unlabelled(&root.path().join("JPEGImages"), &classes).unwrap();
    assert_eq!((names(&target), target.classes()), (vec!["a.jpg", "b.jpg"], &classes[..]));
    assert_eq!(names(&read_unlabelled(root.path(), &classes).unwrap()), ["JPEGImages/a.jpg", "JPEGImages/b.jpg"]);
    let empty = read_unlabelled(&root.path().join("Annotations"), &classes).unwrap_err();
    assert!(matches!(empty, DataError::Empty { .. }), "{empty}");
    write(root.path(), "JPEGImages/c.png", "no image");
    let broken = read_unlabelled(root.path(), &classes).unwrap_err().to_string();
    assert!(broken.contains("c.png"), "{broken}");
}

#[test]
fn an_image_of_two_lists_is_there_once() {
    let root = tree("", "train", &[("a", dog())]);
    add(root.path(), "", "trainval", &[("b", dog()), ("a.jpg", dog())]);
    let union = VocConfig { parts: ["train", "trainval"].map(|split| VocPart::new("", split)).into(), ..config() };
    let (dataset, counts) = read_voc(root.path(), &union).unwrap();
    assert_eq!((names(&dataset), counts.images.listed), (vec!["JPEGImages/a.jpg", "JPEGImages/b.jpg"], 2));
    // Lists about classes name all images.
    write(root.path(), "ImageSets/Main/dog_x.txt", "a -1\nb 1");
    write(root.path(), "ImageSets/Main/cat_x.txt", "a 1\nb -1");
    let union = VocConfig { parts: ["dog_x", "cat_x"].map(|split| VocPart::new("", split)).into(), ..config() };
    let (dataset, counts) = read_voc(root.path(), &union).unwrap();
    assert_eq!(names(&dataset), ["JPEGImages/b.jpg", "JPEGImages/a.jpg"]);
    assert_eq!((counts.images.listed, counts.images.absent), (4, 2));
}
