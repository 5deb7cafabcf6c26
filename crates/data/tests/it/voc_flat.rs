//! Images and annotations side by side, as LabelImg leaves them.

use std::{fs, path::Path};

use sconce_data::{
    DataError, DetectionDataset, Image, OnInvalid, Orientation, OtherClasses, Unannotated, VocAnnotation,
    VocFlatConfig, VocObject, read_voc_flat,
};

const SIZE: (usize, usize) = (30, 40);

fn write(root: &Path, path: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn image() -> Vec<u8> {
    Image::new(SIZE.1, SIZE.0, 1, vec![0; SIZE.0 * SIZE.1]).unwrap().encode_png().unwrap()
}

fn xml(names: &[&str]) -> String {
    let object = |name: &&str| VocObject {
        name: (*name).to_owned(),
        bndbox: [1.0, 2.0, 40.0, 30.0],
        is_difficult: false,
        is_truncated: false,
        pose: None,
    };
    let objects = names.iter().map(object).collect();
    VocAnnotation { filename: None, size: Some(SIZE), objects }.to_xml()
}

/// Two annotated images, one that nobody has looked at, and one on which nothing is.
fn tree(images: &str, annotations: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for name in ["img 1.JPG", "deep/er/b.png", "c.jpeg", "d.jpg"] {
        write(root.path(), &format!("{images}{name}"), image());
    }
    write(root.path(), &format!("{annotations}img 1.xml"), xml(&["dog", "Cat"]));
    write(root.path(), &format!("{annotations}deep/er/b.XML"), xml(&["owl"]));
    write(root.path(), &format!("{annotations}d.xml"), xml(&[]));
    write(root.path(), &format!("{images}classes.txt"), "cat");
    for hidden in ["._img 1.jpg", "._img 1.xml", ".ipynb_checkpoints/a.xml", "__MACOSX/b.jpg"] {
        write(root.path(), &format!("{images}{hidden}"), "no image");
        write(root.path(), &format!("{annotations}{hidden}"), "no XML");
    }
    root
}

fn names(dataset: &DetectionDataset) -> Vec<&str> {
    dataset.samples().iter().map(|sample| sample.name.as_str()).collect()
}

#[test]
fn images_and_annotations_lie_side_by_side_or_in_two_folders() {
    for (images, annotations) in [("", ""), ("images/", "labels/"), ("", "xml/"), ("images/", "images/")] {
        let root = tree(images, annotations);
        let folder = |path: &str| path.trim_end_matches('/').to_owned();
        let config =
            VocFlatConfig { images: folder(images), annotations: folder(annotations), ..VocFlatConfig::default() };
        let (dataset, counts) = read_voc_flat(root.path(), &config).unwrap();
        let expected = ["d.jpg", "img 1.JPG", "deep/er/b.png"].map(|name| format!("{images}{name}"));
        assert_eq!(names(&dataset), expected);
        // Classes are the sorted names in the annotations.
        assert_eq!(dataset.classes(), ["cat", "dog", "owl"]);
        let labels = |i: usize| dataset.sample(i).objects.iter().map(|object| object.label).collect::<Vec<_>>();
        assert_eq!([0, 1, 2].map(labels), [vec![], vec![1, 0], vec![2]]);
        assert_eq!(dataset.sample(1).objects[0].bbox.xyxy(), [0.0, 1.0, 40.0, 30.0]);
        assert_eq!((counts.images.listed, counts.images.kept, counts.images.unannotated), (4, 3, 1));
        assert_eq!(dataset.image(1).unwrap().width(), 40);
        let expected = "train: 3 images with 3 objects in 3 classes (cat 1, dog 1, owl 1), 1 image without objects, \
                        1 image left out (1 without an annotation file)";
        assert_eq!(dataset.summary("train").to_string(), expected);
        let boxes: Vec<_> = dataset.boxes().map(|(bbox, size)| (bbox.xyxy()[0], size)).collect();
        assert_eq!(boxes, [(0.0, SIZE); 3]);

        let empty = VocFlatConfig { unannotated: Unannotated::Empty, ..config.clone() };
        let (dataset, counts) = read_voc_flat(root.path(), &empty).unwrap();
        assert_eq!(names(&dataset)[0], format!("{images}c.jpeg"));
        assert_eq!((dataset.len(), counts.images.kept, counts.images.unannotated), (4, 4, 0));
    }
}

#[test]
fn a_test_set_has_the_classes_of_its_training_set() {
    let root = tree("", "");
    let of = |classes: &[&str], other_classes| VocFlatConfig {
        classes: classes.iter().map(|&name| name.to_owned()).collect(),
        other_classes,
        ..VocFlatConfig::default()
    };
    let (dataset, _) = read_voc_flat(root.path(), &of(&["owl", "Dog", "cat"], OtherClasses::Invalid)).unwrap();
    assert_eq!((dataset.classes().join(" "), dataset.sample(1).objects[0].label), ("owl dog cat".to_owned(), 1));
    let error = read_voc_flat(root.path(), &of(&["owl", "dog"], OtherClasses::Invalid)).unwrap_err().to_string();
    assert!(error.contains("img 1.xml: object 1 is `Cat` with an unknown class, expected one of owl, dog"), "{error}");
    let (dataset, counts) = read_voc_flat(root.path(), &of(&["owl", "dog"], OtherClasses::Drop)).unwrap();
    assert_eq!((dataset.sample(1).objects.len(), counts.objects.other_classes["cat"]), (1, 1));
    let summary = dataset.summary("test").to_string();
    assert!(summary.contains(", 1 object left out (1 of other classes)\n  of other classes: cat 1"), "{summary}");
}

/// What reading says after `damage`, and the names of the files in the summary where it is skipped.
fn wrong(damage: impl Fn(&Path)) -> (String, String) {
    let root = tree("", "");
    damage(root.path());
    let error = read_voc_flat(root.path(), &VocFlatConfig::default()).unwrap_err();
    let skip = VocFlatConfig { on_invalid: OnInvalid::Skip, ..VocFlatConfig::default() };
    let (dataset, _) = read_voc_flat(root.path(), &skip).unwrap();
    let folder = format!("{}/", root.path().display());
    (error.to_string().replace(&folder, ""), dataset.summary("train").to_string().replace(&folder, ""))
}

#[test]
fn what_is_wrong_is_named_or_skipped_and_named() {
    let (error, summary) = wrong(|root| write(root, "x.xml", xml(&["dog"])));
    assert_eq!(error, "x.xml: an annotation without an image, expected an image of the same name");
    assert!(summary.contains("1 without an image file)\n  without an image file: x.xml: an annotation"), "{summary}");
    let (error, summary) = wrong(|root| write(root, "img 1.png", image()));
    assert_eq!(error, "img 1.xml: an annotation of img 1.JPG and of img 1.png, expected images whose names differ");
    assert!(summary.contains("train: 3 images") && summary.contains("img 1.png, expected images"), "{summary}");
    let (error, summary) = wrong(|root| write(root, "d.xml", "<annotation>"));
    assert_eq!(error, "d.xml:1: found the end of the file, expected `</annotation>`");
    assert!(summary.contains("\n  with a broken annotation: d.xml:1: found"), "{summary}");
    let (error, summary) = wrong(|root| write(root, "d.jpg", "no image"));
    assert!(error.starts_with("d.jpg: cannot decode"), "{error}");
    assert!(summary.contains("\n  undecodable: d.jpg: cannot decode"), "{summary}");
    // Its head can be read, the rest is missing.
    let root = tree("", "");
    write(root.path(), "d.jpg", &image()[..50]);
    assert!(read_voc_flat(root.path(), &VocFlatConfig::default()).unwrap().0.image(0).is_err());
    let skip = VocFlatConfig { on_invalid: OnInvalid::Skip, ..VocFlatConfig::default() };
    assert_eq!(names(&read_voc_flat(root.path(), &skip).unwrap().0), ["img 1.JPG", "deep/er/b.png"]);
}

#[test]
fn a_folder_without_annotations_or_objects_is_named() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "a.jpg", image());
    let read = || read_voc_flat(root.path(), &VocFlatConfig::default()).unwrap_err();
    assert!(matches!(read(), DataError::Empty { path, .. } if path == root.path()));
    write(root.path(), "a.xml", xml(&[]));
    let error = read().to_string();
    assert!(error.ends_with("empty, expected annotations with objects, whose classes are taken"), "{error}");
}

#[test]
fn an_annotation_of_the_upright_image_says_what_to_change() {
    let root = tempfile::tempdir().unwrap();
    let photo = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jpegs/exif-6.jpg")).unwrap();
    write(root.path(), "a.jpg", photo);
    // 37×29 pixels are stored, and seen as 29×37.
    let annotation = |size: (usize, usize)| {
        xml(&["dog"]).replace(">40<", &format!(">{}<", size.1)).replace(">30<", &format!(">{}<", size.0))
    };
    let read = |size, orientation| {
        write(root.path(), "a.xml", annotation(size));
        read_voc_flat(root.path(), &VocFlatConfig { orientation, max_overhang: 50, ..VocFlatConfig::default() })
    };
    for (orientation, size, other) in
        [(Orientation::Stored, (29, 37), (37, 29)), (Orientation::Upright, (37, 29), (29, 37))]
    {
        let (dataset, _) = read(size, orientation).unwrap();
        assert_eq!((dataset.sample(0).size, dataset.image(0).unwrap().height()), (size, size.0));
        let error = read(other, orientation).unwrap_err();
        let name = if orientation == Orientation::Stored { "upright" } else { "stored" };
        assert!(error.to_string().ends_with(&format!(": orientation = \"{name}\" does so")), "{error}");
        let error = read((9, 9), orientation).unwrap_err();
        assert!(error.to_string().ends_with("its annotation says 9×9"), "{error}");
    }
}

#[test]
fn a_configuration_can_be_a_file() {
    let config: VocFlatConfig = toml::from_str("images = \"a\"\nmax_overhang = 3\nunannotated = \"empty\"").unwrap();
    let expected = VocFlatConfig {
        images: "a".to_owned(),
        max_overhang: 3,
        unannotated: Unannotated::Empty,
        ..VocFlatConfig::default()
    };
    assert_eq!(config, expected);
    assert_eq!(toml::from_str::<VocFlatConfig>(&toml::to_string(&expected).unwrap()).unwrap(), expected);
    assert!(toml::from_str::<VocFlatConfig>("overhang = 3").is_err());
}
