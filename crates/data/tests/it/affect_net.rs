//! AffectNet in its layout, with its oddities.

use std::{fs, path::Path};

use sconce_data::{
    AffectNetClasses, AffectNetConfig, AffectNetCounts, AffectNetCrop, AffectNetList, DataError, FaceBox, Image,
    Result, Split, parse_affect_net, read_affect_net,
};

const HEADER: &str =
    "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal\n";

const ROWS: &str = "\
1/a.png,1,0,2,2,181.64;530.91;188.32,1,0.785714,-0.0555556
2/b.png,-1,1,2,9,1;2,7,-0.1,0.2
2/c.png,NULL,NULL,NULL,NULL,NULL,10,-2,-2
2/d.png,0,0,4,3,1;2,0,0,0
2/e.png,0,0,4,3,1;2,8,-2,-2
2/f.png,0,0,4,3,1;2,9,-2,-2
";

fn config(classes: AffectNetClasses, crop: AffectNetCrop) -> AffectNetConfig {
    AffectNetConfig { classes, crop, ..AffectNetConfig::default() }
}

fn parse(text: &str) -> Result<AffectNetList> {
    parse_affect_net(text.as_bytes(), Path::new("list.csv"), &config(AffectNetClasses::Eight, AffectNetCrop::Face))
}

/// Images of 4×3 pixels, of the values 0 to 11, and `rows` below a header as the training list.
fn tree(rows: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let png = Image::new(4, 3, 1, (0..12).collect()).unwrap().encode_png().unwrap();
    for name in ["1/a.png", "2/b.png", "2/d.png"] {
        let path = root.path().join("Manually_Annotated_Images").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &png).unwrap();
    }
    fs::write(root.path().join("training.csv"), format!("{HEADER}{rows}")).unwrap();
    fs::write(root.path().join("validation.csv"), rows).unwrap();
    root
}

#[test]
fn both_lists_are_read_with_and_without_a_header() {
    let root = tree(ROWS);
    for split in [Split::Train, Split::Test] {
        let (dataset, counts) = read_affect_net(root.path(), split, &AffectNetConfig::default()).unwrap();
        let names: Vec<&str> = (0..dataset.len()).map(|i| dataset.name(i)).collect();
        assert_eq!((names, dataset.labels()), (vec!["1/a.png", "2/b.png", "2/d.png"], &[1, 7, 0][..]));
        let expected = AffectNetCounts { rows: 6, kept: 3, none: 1, uncertain: 1, no_face: 1, contempt: 0 };
        assert_eq!(counts, expected);
        assert_eq!(dataset.classes().len(), 8);
        assert_eq!(dataset.image(0).unwrap().data().len(), 12);
    }
}

#[test]
fn contempt_is_a_class_or_is_dropped() {
    let root = tree(ROWS);
    let config = config(AffectNetClasses::Seven, AffectNetCrop::None);
    let (dataset, counts) = read_affect_net(root.path(), Split::Train, &config).unwrap();
    assert_eq!((dataset.labels(), dataset.classes().len()), (&[1, 0][..], 7));
    assert_eq!(dataset.classes()[6], "Anger");
    assert_eq!((counts.kept, counts.contempt), (2, 1));
    let summary = dataset.summary("train").to_string();
    assert!(summary.contains(" left out (1 of contempt"), "{summary}");
}

#[test]
fn faces_are_cut_out_and_clipped() {
    let root = tree(ROWS);
    let config = config(AffectNetClasses::Eight, AffectNetCrop::Face);
    let (dataset, _) = read_affect_net(root.path(), Split::Train, &config).unwrap();
    let subset = dataset.subset(&[1, 0]).unwrap();
    for (i, width, data) in [(0, 1, &[4, 8][..]), (1, 2, &[1, 2, 5, 6][..])] {
        let face = subset.image(i).unwrap();
        assert_eq!((face.width(), face.data()), (width, data));
    }
    let (whole, _) = read_affect_net(root.path(), Split::Train, &AffectNetConfig::default()).unwrap();
    assert_ne!(whole.content_hash().unwrap(), dataset.content_hash().unwrap());
}

#[test]
fn a_face_outside_of_its_image_names_the_row() {
    let root = tree(&ROWS.replace("2/b.png,-1,1,2,9", "2/b.png,-1,3,2,9"));
    let config = config(AffectNetClasses::Eight, AffectNetCrop::Face);
    let (dataset, _) = read_affect_net(root.path(), Split::Train, &config).unwrap();
    assert!(dataset.image(0).is_ok());
    let message = dataset.image(1).unwrap_err().to_string();
    let expected = "training.csv:3: found a face of 2×9 at (-1, 3), expected one inside of the image of 4×3";
    assert!(message.ends_with(expected), "{message}");
}

#[test]
fn a_missing_image_names_its_line() {
    let root = tree(ROWS);
    fs::remove_file(root.path().join("Manually_Annotated_Images/2/d.png")).unwrap();
    let error = read_affect_net(root.path(), Split::Train, &AffectNetConfig::default()).unwrap_err();
    assert!(matches!(&error, DataError::Line { path, line: 5, .. } if path.ends_with("training.csv")), "{error}");
}

#[test]
fn every_kind_of_bad_row_names_its_line() {
    let message = |from: &str, to: &str| {
        let text = format!("{HEADER}{ROWS}").replace(from, to);
        parse(&text).expect_err(to).to_string()
    };
    let path = "expected a path below the folder of the images";
    assert_eq!(message("2/b.png", "../b.png"), format!("list.csv:3: found `../b.png`, {path}"));
    assert_eq!(message("2/b.png", "/b.png"), format!("list.csv:3: found `/b.png`, {path}"));
    assert_eq!(message("2/b.png", "2/../../b.png"), format!("list.csv:3: found `2/../../b.png`, {path}"));
    assert_eq!(message("2/b.png", ""), "list.csv:3: found an empty image name, expected the path of an image");
    assert_eq!(message("1;2,7,", "1;2,11,"), "list.csv:3: found `11`, expected an expression from 0 to 10");
    assert_eq!(message("1;2,7,", "1;2,-1,"), "list.csv:3: found `-1`, expected an expression from 0 to 10");
    assert_eq!(message("1;2,7,", "1;2,"), "list.csv:3: found 8 fields, expected 9");
    assert_eq!(message("-1,1,2,9", "NULL,1,2,9"), "list.csv:3: found `NULL`, expected `face_x` in pixels");
    assert_eq!(message("-1,1,2,9", "-1,1,2,-9"), "list.csv:3: found `-9`, expected `face_height` in pixels");
    assert_eq!(message("face_width", "width"), "list.csv:1: found column `width`, expected column `face_width`");
}

#[test]
fn boxes_are_read_only_where_they_are_used() {
    let text = ROWS.replace("-1,1,2,9", "NULL,1,2,9");
    let whole = config(AffectNetClasses::Eight, AffectNetCrop::None);
    let list = parse_affect_net(text.as_bytes(), Path::new("list.csv"), &whole).unwrap();
    assert_eq!((list.counts.kept, list.faces), (3, None));
    let faces = parse(ROWS).unwrap().faces.unwrap();
    assert_eq!(faces[1], FaceBox { x: -1, y: 1, width: 2, height: 9 });
}

#[test]
fn a_configuration_refuses_what_it_does_not_know() {
    let config: AffectNetConfig = toml::from_str("classes = \"seven\"\ncrop = \"face\"").unwrap();
    assert_eq!((config.classes, config.crop), (AffectNetClasses::Seven, AffectNetCrop::Face));
    assert_eq!(config.images, Path::new("Manually_Annotated_Images"));
    assert!(toml::from_str::<AffectNetConfig>("image = \"x\"").is_err());
}
