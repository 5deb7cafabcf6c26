//! Cityscapes and Foggy Cityscapes in their own layout.

use std::{collections::BTreeMap, fs, path::Path};

use sconce_core::geometry::Object;
use sconce_data::{
    CITYSCAPES_CLASSES, CityscapesConfig, CityscapesGroups, CityscapesImages, CityscapesSplit, DataError,
    DetectionDataset, EmptyImages, FogDensity, Image, OnInvalid, VocAnnotation, VocConfig, parse_cityscapes_instances,
    read_cityscapes, read_cityscapes_unlabelled, read_voc,
};

/// The size of the map, (height, width).
const SIZE: (usize, usize) = (48, 64);

const FRAMES: [&str; 3] = ["ulm/ulm_000001_000019", "aachen/aachen_000002_000019", "aachen/aachen_000000_000019"];

fn map() -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/instances.png")).unwrap()
}

fn image(size: (usize, usize)) -> Vec<u8> {
    Image::new(size.1, size.0, 3, vec![0; size.0 * size.1 * 3]).unwrap().encode_png().unwrap()
}

fn write(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Three training images, clear and in three fogs, with the files that lie beside the maps.
fn tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for frame in FRAMES {
        write(root.path(), &format!("leftImg8bit/train/{frame}_leftImg8bit.png"), &image(SIZE));
        for beta in ["0.005", "0.01", "0.02"] {
            let name = format!("leftImg8bit_foggy/train/{frame}_leftImg8bit_foggy_beta_{beta}.png");
            write(root.path(), &name, &image(SIZE));
        }
        write(root.path(), &format!("gtFine/train/{frame}_gtFine_instanceIds.png"), &map());
        write(root.path(), &format!("gtFine/train/{frame}_gtFine_polygons.json"), b"{}");
    }
    write(root.path(), "leftImg8bit/train/aachen/.DS_Store", b"");
    root
}

fn config() -> CityscapesConfig {
    CityscapesConfig::new(CityscapesSplit::Train, CityscapesImages::Clear)
}

/// The names of the classes with the boxes, in order.
fn found(dataset: &DetectionDataset) -> Vec<(&str, [f64; 4], bool)> {
    let objects = dataset.sample(0).objects.iter();
    objects.map(|o| (dataset.classes()[o.label as usize].as_str(), o.bbox.xyxy(), o.is_crowd)).collect()
}

#[test]
fn instances_are_numpys() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers");
    let text = fs::read_to_string(folder.join("expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    let instances = parse_cityscapes_instances(&map(), Path::new("map")).unwrap();
    assert_eq!(instances.size, SIZE);
    let found = instances.instances.iter().map(|instance| {
        let bbox = instance.bbox.xyxy().map(|edge| edge as u32);
        serde_json::json!({"id": instance.id, "bbox": bbox, "area": instance.area})
    });
    assert_eq!(serde_json::Value::from_iter(found), expected["instances"]);
}

#[test]
fn objects_are_instances_of_the_classes() {
    let root = tree();
    let (dataset, counts) = read_cityscapes(root.path(), &config()).unwrap();
    let names: Vec<_> = dataset.samples().iter().map(|sample| sample.name.as_str()).collect();
    let sorted = [FRAMES[2], FRAMES[1], FRAMES[0]].map(|frame| format!("leftImg8bit/train/{frame}_leftImg8bit.png"));
    assert_eq!(names, sorted);
    assert_eq!(dataset.classes(), CITYSCAPES_CLASSES);
    let instances = [
        ("person", [12.0, 25.0, 14.0, 40.0], false),
        ("rider", [40.0, 13.0, 45.0, 19.0], false),
        ("car", [0.0, 20.0, 10.0, 30.0], false),
        ("car", [10.0, 20.0, 16.0, 30.0], false),
        ("truck", [20.0, 40.0, 44.0, 45.0], false),
        ("bus", [63.0, 0.0, 64.0, 1.0], false),
        ("train", [30.0, 5.0, 33.0, 9.0], false),
        ("motorcycle", [31.0, 6.0, 32.0, 8.0], false),
        ("bicycle", [63.0, 47.0, 64.0, 48.0], false),
    ];
    assert_eq!(found(&dataset), instances);
    assert_eq!(dataset.sample(0).objects[4].area, Some(8.0));
    assert_eq!((counts.images.listed, counts.images.kept), (3, 3));
    // A caravan is of another class; parked cars and bicycles are groups.
    let objects = counts.objects;
    assert_eq!((objects.listed, objects.kept, objects.crowds, objects.other_classes["caravan"]), (36, 27, 6, 3));

    let groups =
        |is_crowd| [("car", [50.0, 10.0, 64.0, 12.0], is_crowd), ("bicycle", [30.0, 30.0, 50.0, 33.0], is_crowd)];
    for (policy, is_crowd) in [(CityscapesGroups::Crowd, true), (CityscapesGroups::Object, false)] {
        let (dataset, counts) = read_cityscapes(root.path(), &CityscapesConfig { groups: policy, ..config() }).unwrap();
        assert_eq!(found(&dataset), [&groups(is_crowd)[..], &instances].concat());
        assert_eq!((counts.objects.kept, counts.objects.crowds), (33, 0));
    }
}

#[test]
fn a_conversion_to_vocs_layout_is_the_same_dataset() {
    let root = tree();
    let (original, _) = read_cityscapes(root.path(), &config()).unwrap();
    let converted = root.path().join("VOC2007");
    for sample in original.samples() {
        let id = sample.name.rsplit('/').next().unwrap().strip_suffix(".png").unwrap();
        let xml = VocAnnotation::of_sample(sample, original.classes()).unwrap().to_xml();
        write(&converted, &format!("Annotations/source_{id}.xml"), xml.as_bytes());
        write(&converted, &format!("JPEGImages/source_{id}.jpg"), &image(SIZE));
    }
    let ids = [FRAMES[2], FRAMES[1], FRAMES[0]].map(|frame| frame.split_once('/').unwrap().1);
    let list: String = ids.iter().map(|id| format!("source_{id}_leftImg8bit\n")).collect();
    write(&converted, "ImageSets/Main/trainval.txt", list.as_bytes());
    let (read, counts) = read_voc(root.path(), &VocConfig::cityscapes("trainval")).unwrap();
    assert_eq!((read.classes(), counts.objects.clamped, read.len()), (original.classes(), 0, 3));
    for i in 0..3 {
        let (found, expected) = (&read.sample(i).objects, &original.sample(i).objects);
        let places = |objects: &[Object]| objects.iter().map(|o| (o.label, o.bbox)).collect::<Vec<_>>();
        assert_eq!(places(found), places(expected));
    }
    assert!(matches!(VocAnnotation::of_sample(original.sample(0), &[]), Err(DataError::Label { found: 4, .. })));
}

#[test]
fn fog_of_one_density_has_the_same_objects() {
    let root = tree();
    let (clear, _) = read_cityscapes(root.path(), &config()).unwrap();
    for density in FogDensity::ALL {
        let config = CityscapesConfig { images: CityscapesImages::Foggy(density), ..config() };
        let (foggy, counts) = read_cityscapes(root.path(), &config).unwrap();
        assert_eq!((foggy.len(), counts.images.listed, counts.images.other_domain), (3, 9, 6));
        assert_eq!(found(&foggy), found(&clear));
        let end = format!("_leftImg8bit_foggy_beta_{}.png", density.beta());
        assert!(foggy.samples().iter().all(|sample| sample.name.ends_with(&end)));
        assert_eq!(foggy.image(0).unwrap().height(), 48);
    }
}

#[test]
fn cars_alone_are_a_subset() {
    let root = tree();
    let cars = config().only(&["car"]);
    let (dataset, counts) = read_cityscapes(root.path(), &cars).unwrap();
    assert_eq!((dataset.classes(), found(&dataset).len()), (&["car".to_owned()][..], 2));
    let others = BTreeMap::from(
        [
            ("person", 3),
            ("rider", 3),
            ("truck", 3),
            ("bus", 3),
            ("caravan", 3),
            ("train", 3),
            ("motorcycle", 3),
            ("bicycle", 6),
        ]
        .map(|(name, n)| (name.to_owned(), n)),
    );
    assert_eq!(counts.objects.other_classes, others);
    let error = read_cityscapes(root.path(), &config().only(&["road"])).unwrap_err();
    assert_eq!(error.to_string(), "class is `road`, expected one whose instances are told apart");
}

#[test]
fn every_wrong_file_is_an_error_or_counted() {
    let skipping = CityscapesConfig { on_invalid: OnInvalid::Skip, ..config() };
    let labels = image(SIZE); // Of 8 bits, as a map of class ids.
    let path = "gtFine/train/ulm/ulm_000001_000019_gtFine_instanceIds.png";
    let image_path = "leftImg8bit/train/ulm/ulm_000001_000019_leftImg8bit.png";
    let check = |damage: &dyn Fn(&Path), expected: &str| {
        let root = tree();
        damage(root.path());
        let error = read_cityscapes(root.path(), &config()).unwrap_err().to_string();
        assert!(error.replace(&format!("{}/", root.path().display()), "").starts_with(expected), "{error}");
        let (dataset, counts) = read_cityscapes(root.path(), &skipping).unwrap();
        assert_eq!((dataset.len(), counts.images.listed, counts.images.kept), (2, 3, 2));
        counts.images
    };
    let counts = check(&|root| fs::remove_file(root.join(path)).unwrap(), &format!("{path}: "));
    assert_eq!(counts.missing_annotation, 1);
    let expected = format!("{path}: cannot decode the image: the pixels are Rgb8, expected grey of 16 bits");
    assert_eq!(check(&|root| write(root, path, &labels), &expected).broken_annotation, 1);
    let cut = map();
    let counts = check(&|root| write(root, path, &cut[..cut.len() - 5]), &format!("{path}: cannot decode the image: "));
    assert_eq!(counts.broken_annotation, 1);
    let expected = format!("{image_path}: 48×64 pixels (width×height), its annotation says 64×48");
    assert_eq!(check(&|root| write(root, image_path, &image((64, 48))), &expected).wrong_size, 1);
    let expected = format!("{image_path}: cannot decode");
    assert_eq!(check(&|root| write(root, image_path, b"no image"), &expected).broken_image, 1);
}

#[test]
fn an_empty_part_is_named() {
    let root = tree();
    let val = CityscapesConfig { split: CityscapesSplit::Val, ..config() };
    assert!(matches!(read_cityscapes(root.path(), &val), Err(DataError::Io { path, .. }) if path.ends_with("val")));
    fs::create_dir_all(root.path().join("leftImg8bit/val/lindau")).unwrap();
    assert!(matches!(read_cityscapes(root.path(), &val), Err(DataError::Empty { path, .. }) if path.ends_with("val")));
    let config = CityscapesConfig { empty_images: EmptyImages::Drop, ..config() };
    let map = image::ImageBuffer::from_pixel(64, 48, image::Luma([7u16]));
    for frame in &FRAMES[1..] {
        map.save(root.path().join(format!("gtFine/train/{frame}_gtFine_instanceIds.png"))).unwrap();
    }
    let (dataset, counts) = read_cityscapes(root.path(), &config).unwrap();
    assert_eq!((dataset.len(), counts.images.empty), (1, 2));
}

#[test]
fn an_instance_of_no_class_is_wrong() {
    let root = tree();
    let map = image::ImageBuffer::from_fn(64, 48, |x, _| image::Luma([if x < 9 { 26001 } else { 40001u16 }]));
    map.save(root.path().join("gtFine/train/ulm/ulm_000001_000019_gtFine_instanceIds.png")).unwrap();
    let error = read_cityscapes(root.path(), &config()).unwrap_err().to_string();
    assert!(
        error.ends_with("object 1 is one of the value 40001, expected an instance of the classes 24 to 33"),
        "{error}"
    );
    let (_, counts) =
        read_cityscapes(root.path(), &CityscapesConfig { on_invalid: OnInvalid::Skip, ..config() }).unwrap();
    assert_eq!(counts.objects.other_classes["class 40"], 1);
}

#[test]
fn a_target_needs_no_maps() {
    let root = tree();
    let (labelled, _) = read_cityscapes(root.path(), &config()).unwrap();
    fs::remove_dir_all(root.path().join("gtFine")).unwrap();
    assert!(read_cityscapes(root.path(), &config()).is_err());
    let (target, counts) = read_cityscapes_unlabelled(root.path(), &config()).unwrap();
    assert_eq!((target.samples(), counts.images.kept), (labelled.without_objects().samples(), 3));
}
