//! Folders of pictures as people have them.

use std::{fs, path::Path};

use sconce_core::Batches as _;
use sconce_data::{
    DataError, FolderConfig, Image, ImageDataset, ImageSource, Loader, LoaderConfig, Normalize, OnInvalid, Orientation,
    Pipeline, find_images, has_class_folders, image_files, read_flat_folder, read_image_folder, read_image_folder_as,
    read_unlabelled, read_unlabelled_as,
};

fn picture(value: u8) -> Vec<u8> {
    Image::new(4, 3, 1, vec![value; 12]).unwrap().encode_png().unwrap()
}

/// Pictures whose pixels count them.
fn tree(files: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (value, file) in files.iter().enumerate() {
        write(root.path(), file, picture(value as u8));
    }
    root
}

fn write(root: &Path, file: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn names(dataset: &ImageDataset) -> Vec<&str> {
    (0..dataset.len()).map(|i| dataset.name(i)).collect()
}

/// What systems leave beside pictures.
const HIDDEN: [&str; 6] =
    [".DS_Store", "._a.png", ".hidden.png", "__MACOSX/a.png", ".ipynb_checkpoints/a.png", "@eaDir/a.png"];

#[test]
fn a_flat_folder_is_a_set_without_labels() {
    let root = tree(&["b.png", "a.PNG", "c/d/e.png", "c/x.JPG"]);
    for file in HIDDEN {
        write(root.path(), file, "no picture");
        write(root.path(), &format!("c/{file}"), "no picture");
    }
    write(root.path(), "notes.txt", "");
    let flat = read_flat_folder(root.path(), &FolderConfig::default()).unwrap();
    assert_eq!(names(&flat), ["a.PNG", "b.png", "c/x.JPG", "c/d/e.png"]);
    assert_eq!((flat.labels(), flat.classes().len(), flat.is_labelled()), (&[][..], 0, false));
    assert_eq!(flat.image(1).unwrap().data()[0], 0);
    assert_eq!(flat.path(0), Some(root.path().join("a.PNG")));
    assert!(has_class_folders(root.path()).unwrap() && !has_class_folders(&root.path().join("c/d")).unwrap());
    let summary = flat.summary("train");
    assert_eq!(summary.to_string(), "train: 4 images without labels");
    // A detector's target is the same files.
    let target = read_unlabelled(root.path(), &["cat".to_owned()]).unwrap();
    let of_target: Vec<&str> = target.samples().iter().map(|sample| sample.name.as_str()).collect();
    assert_eq!(of_target, names(&flat));
    assert_eq!(target.summary("target").to_string(), "target: 4 images without labels");
}

#[test]
fn what_needs_labels_says_so_and_what_does_not_goes_on() {
    let root = tree(&["a.png", "b.png", "c.png", "d.png"]);
    let flat = read_flat_folder(root.path(), &FolderConfig::default()).unwrap();
    let place = root.path().display();
    let expected =
        format!("{place}: images without labels, expected labelled ones: one folder a class, or a list of labels");
    assert_eq!(flat.require_labels().unwrap_err().to_string(), expected);
    assert_eq!(flat.check_classes(&[]).unwrap_err().to_string(), expected);
    assert!(matches!(flat.with_labels(vec![0; 4]), Err(DataError::Label { .. })));
    let (rest, cut) = flat.split_off(0.5, 1).unwrap();
    let mut both = [names(&rest), names(&cut)].concat();
    both.sort_unstable();
    assert_eq!((rest.len(), cut.len(), both), (2, 2, names(&flat)));
    assert_ne!(flat.content_hash().unwrap(), rest.content_hash().unwrap());
    let normalize = Normalize { mean: vec![0.0], std: vec![1.0] };
    let pipeline = Pipeline { pixels: vec![], floats: vec![], normalize, erasing: None };
    let source = ImageSource::new(flat.clone(), pipeline).unwrap();
    let batch = Loader::new(source, LoaderConfig::default()).unwrap().next_batch().unwrap();
    assert_eq!((batch.indices.len(), batch.labels.len()), (4, 0));
    // Classes that are not to be looked at.
    let labelled = tree(&["cat/a.png", "dog/b.png"]);
    let dataset = read_image_folder(labelled.path()).unwrap();
    assert_eq!(dataset.require_labels().unwrap(), [0, 1]);
    let bare = dataset.without_labels();
    assert!(!bare.is_labelled() && bare.classes().is_empty() && names(&bare) == names(&dataset));
    assert_ne!(bare.content_hash().unwrap(), dataset.content_hash().unwrap());
}

#[test]
fn images_beside_class_folders_are_counted() {
    let root = tree(&["cat/a.png", "dog/b.png", "dog/c/d.png", "e.png", "f.JPG"]);
    write(root.path(), "labels.csv", "");
    write(root.path(), ".g.png", "");
    for file in HIDDEN {
        write(root.path(), file, "no picture");
        write(root.path(), &format!("cat/{file}"), "no picture");
    }
    let dataset = read_image_folder(root.path()).unwrap();
    assert_eq!((names(&dataset), dataset.classes().len()), (vec!["cat/a.png", "dog/b.png", "dog/c/d.png"], 2));
    let text = "train: 3 images in 2 classes (cat 1, dog 2), 2 left out (2 beside the folders of the classes)";
    assert_eq!(dataset.summary("train").to_string(), text);
    // Of two parts, one says what was left out.
    let (rest, cut) = dataset.split_off(0.4, 0).unwrap();
    assert_eq!((rest.summary("").left_out.len(), cut.summary("").left_out.len()), (1, 0));
    let flat = tree(&["a.png", "b.png"]);
    let error = read_image_folder(flat.path()).unwrap_err().to_string();
    assert_eq!(error, format!("{}: 2 images and no folders, expected one folder a class", flat.path().display()));
}

#[test]
fn files_that_cannot_be_decoded_end_training_or_are_left_out_by_name() {
    let root = tree(&["cat/a.png", "cat/b.png", "dog/c.png", "dog/d.png"]);
    write(root.path(), "dog/d.png", &picture(0)[..40]);
    write(root.path(), "cat/b.png", "no picture");
    // By default they end it, with a hint.
    let dataset = read_image_folder(root.path()).unwrap();
    let error = dataset.image(3).unwrap_err().to_string();
    assert!(
        error.contains("dog/d.png: ") && error.ends_with("; on_invalid = \"skip\" leaves such files out"),
        "{error}"
    );
    let error = read_unlabelled(root.path(), &[]).unwrap_err().to_string();
    assert!(
        error.contains("cat/b.png: ") && error.ends_with("; on_invalid = \"skip\" leaves such files out"),
        "{error}"
    );

    let skip = FolderConfig { on_invalid: OnInvalid::Skip, ..FolderConfig::default() };
    let labelled = read_image_folder_as(root.path(), &skip).unwrap();
    assert_eq!((names(&labelled), labelled.labels()), (vec!["cat/a.png", "dog/c.png"], &[0, 1][..]));
    let flat = read_flat_folder(root.path(), &skip).unwrap();
    assert_eq!(names(&flat), ["cat/a.png", "dog/c.png"]);
    let (target, counts) = read_unlabelled_as(root.path(), &[], &skip).unwrap();
    assert_eq!((target.len(), counts.images.listed, counts.images.kept, counts.images.broken_image), (2, 4, 2, 2));
    for summary in [labelled.summary("x"), flat.summary("x"), target.summary("x")] {
        let [left_out] = &summary.left_out[..] else { panic!("{summary}") };
        assert_eq!((left_out.reason.as_str(), left_out.count), ("undecodable", 2));
        assert!(left_out.details[0].contains("cat/b.png: cannot decode"), "{summary}");
        assert!(left_out.details[1].contains("dog/d.png: cannot decode"), "{summary}");
        assert!(summary.to_string().contains(" 2 left out (2 undecodable)\n  undecodable: "), "{summary}");
    }
    write(root.path(), "dog/c.png", "");
    let error = read_image_folder_as(root.path(), &skip).unwrap_err();
    assert!(matches!(&error, DataError::Empty { path, .. } if path.ends_with("dog")), "{error}");
    write(root.path(), "cat/a.png", "");
    assert!(matches!(read_flat_folder(root.path(), &skip), Err(DataError::Empty { .. })));
    assert!(matches!(read_unlabelled_as(root.path(), &[], &skip), Err(DataError::Empty { .. })));
}

#[test]
fn photos_are_upright_unless_it_is_said_otherwise() {
    let root = tempfile::tempdir().unwrap();
    let photo = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jpegs/exif-6.jpg");
    write(root.path(), "cat/a.jpg", fs::read(photo).unwrap());
    let stored = FolderConfig { orientation: Orientation::Stored, ..FolderConfig::default() };
    let width = |config: &FolderConfig| {
        let of = |dataset: ImageDataset| dataset.image(0).unwrap().width();
        let target = read_unlabelled_as(root.path(), &[], config).unwrap().0;
        assert_eq!(target.sample(0).size.1, target.image(0).unwrap().width());
        let folder = of(read_image_folder_as(root.path(), config).unwrap());
        [folder, of(read_flat_folder(root.path(), config).unwrap()), target.sample(0).size.1]
    };
    assert_eq!(width(&FolderConfig::default()), [29; 3]);
    assert_eq!(width(&stored), [37; 3]);
    // A list says nothing of how its images are to be seen.
    let listed = ImageDataset::from_files(root.path(), vec!["cat".into()], vec![("cat/a.jpg".into(), 0)]).unwrap();
    assert_eq!(listed.image(0).unwrap().width(), 37);
}

#[test]
fn arguments_are_files_or_folders() {
    let root = tree(&["b.png", "a/2.png", "a/10.JPG"]);
    write(root.path(), "a/.b.png", "");
    write(root.path(), "odd.name", "");
    fs::create_dir(root.path().join("empty")).unwrap();
    let below = |names: &[&str]| names.iter().map(|name| root.path().join(name)).collect::<Vec<_>>();
    let found = image_files(&below(&["odd.name", "a", "b.png"])).unwrap();
    assert_eq!(found, below(&["odd.name", "a/10.JPG", "a/2.png", "b.png"]));
    assert_eq!(image_files(&[root.path()]).unwrap(), below(&["b.png", "a/10.JPG", "a/2.png"]));
    assert!(matches!(image_files(&below(&["empty"])), Err(DataError::Empty { path, .. }) if path.ends_with("empty")));
    assert!(matches!(image_files(&below(&["missing"])), Err(DataError::Io { path, .. }) if path.ends_with("missing")));
    assert!(matches!(image_files::<&Path>(&[]), Err(DataError::Argument { .. })));
}

#[test]
fn pictures_of_other_kinds_are_left_out_and_said() {
    let root = tree(&["cat/a.png", "cat/b.jfif", "dog/c.JPE"]);
    for file in ["cat/x.gif", "dog/y.TIFF", "dog/z.gif", "dog/notes.txt", "dog/LICENSE"] {
        write(root.path(), file, "not read");
    }
    let labelled = read_image_folder(root.path()).unwrap();
    assert_eq!(names(&labelled), ["cat/a.png", "cat/b.jfif", "dog/c.JPE"]);
    let flat = read_flat_folder(root.path(), &FolderConfig::default()).unwrap();
    let target = read_unlabelled(root.path(), &[]).unwrap();
    for summary in [labelled.summary("x"), flat.summary("x"), target.summary("x")] {
        let text = summary.to_string();
        assert!(text.contains("3 left out (3 of kinds that are not read)\n"), "{text}");
        assert!(text.contains("of kinds that are not read: 2 gif, as cat/x.gif\n"), "{text}");
        assert!(text.ends_with("of kinds that are not read: 1 tiff, as dog/y.TIFF"), "{text}");
    }
    let below = |name: &str| root.path().join(name);
    let found = find_images(&[below("gone"), below("dog"), below("cat/x.gif")]);
    let expected = [(below("dog/c.JPE"), "c.JPE".into()), (below("cat/x.gif"), "x.gif".into())];
    assert_eq!(found.files, expected);
    assert!(matches!(&found.failed[..], [(path, DataError::Io { .. })] if path.ends_with("gone")));
    let [(folder, left_out)] = &found.left_out[..] else { panic!("{found:?}") };
    assert_eq!((folder, left_out.count), (&below("dog"), 2));
    assert_eq!(left_out.to_string(), "2 left out of kinds that are not read (1 gif, as z.gif; 1 tiff, as y.TIFF)");
    // Where there is nothing else, that is why.
    fs::remove_file(below("dog/c.JPE")).unwrap();
    let error = read_image_folder(root.path()).unwrap_err().to_string();
    assert!(error.contains("dog: empty, expected PNG, JPEG,") && error.contains("2 left out of kinds"), "{error}");
}

#[test]
fn the_folder_of_a_run_holds_no_pictures() {
    let root = tree(&["cat/a.png", "dog/b.png", "run/pictures/sheet.png", "cat/run/pictures/sheet.png"]);
    for run in ["run", "cat/run"] {
        write(root.path(), &format!("{run}/.sconce"), "");
    }
    assert_eq!(read_image_folder(root.path()).unwrap().classes(), ["cat", "dog"]);
    assert_eq!(names(&read_flat_folder(root.path(), &FolderConfig::default()).unwrap()), ["cat/a.png", "dog/b.png"]);
    // Who names it means it.
    assert_eq!(image_files(&[root.path().join("run")]).unwrap().len(), 1);
}

#[cfg(unix)]
#[test]
fn a_link_to_a_folder_above_is_not_followed() {
    let root = tree(&["cat/a.png"]);
    std::os::unix::fs::symlink(root.path(), root.path().join("cat/up")).unwrap();
    std::os::unix::fs::symlink(".", root.path().join("cat/here")).unwrap();
    assert_eq!(names(&read_flat_folder(root.path(), &FolderConfig::default()).unwrap()), ["cat/a.png"]);
}
