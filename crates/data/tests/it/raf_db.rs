//! RAF-DB in its layout, with its oddities.

use std::{fs, path::Path};

use sconce_data::{DataError, Image, ImageDataset, NoisyLabels, RAF_DB_CLASSES, Split, parse_raf_db, read_raf_db};

const LIST: &str = "train_00001.jpg 5\ntest_0001.jpg 7\ntrain_00002.jpg 1\ntest_0002.jpg 1\ntrain_00003.jpg 7\n";

/// A tree with `list`, and a PNG of one pixel for every image of [`LIST`]; the format is told from the bytes.
fn tree(list: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let (labels, images) = (root.path().join("EmoLabel"), root.path().join("Image/aligned"));
    fs::create_dir_all(&labels).unwrap();
    fs::create_dir_all(&images).unwrap();
    fs::write(labels.join("list_patition_label.txt"), list).unwrap();
    for (value, line) in LIST.lines().enumerate() {
        let stem = line.split('.').next().unwrap();
        let png = Image::new(1, 1, 3, vec![value as u8; 3]).unwrap().encode_png().unwrap();
        fs::write(images.join(format!("{stem}_aligned.jpg")), png).unwrap();
    }
    root
}

fn names(dataset: &ImageDataset) -> Vec<&str> {
    (0..dataset.len()).map(|i| dataset.name(i)).collect()
}

#[test]
fn splits_labels_and_images_belong_together() {
    for list in [LIST.to_owned(), LIST.replace('\n', "\r\n"), format!("{LIST}\n\r\n"), LIST.trim_end().to_owned()] {
        let root = tree(&list);
        let train = read_raf_db(root.path(), Split::Train).unwrap();
        assert_eq!(names(&train), ["train_00001_aligned.jpg", "train_00002_aligned.jpg", "train_00003_aligned.jpg"]);
        assert_eq!(train.labels(), [4, 0, 6]);
        assert_eq!(train.image(1).unwrap().data(), [2, 2, 2]);
        let test = read_raf_db(root.path(), Split::Test).unwrap();
        assert_eq!(
            (names(&test), test.labels()),
            (vec!["test_0001_aligned.jpg", "test_0002_aligned.jpg"], &[6, 0][..])
        );
        assert_eq!(test.classes(), RAF_DB_CLASSES);
    }
}

#[test]
fn a_list_of_the_real_size_has_the_published_counts() {
    // Per class, in the order of the labels.
    let (train, test) = ([1290, 281, 717, 4772, 1982, 705, 2524], [329, 74, 160, 1185, 478, 162, 680]);
    let mut list = String::new();
    for (split, digits, counts) in [("train", 5, train), ("test", 4, test)] {
        let labels = counts.iter().enumerate().flat_map(|(i, &n)| std::iter::repeat_n(i + 1, n));
        for (i, label) in labels.enumerate() {
            list.push_str(&format!("{split}_{:0digits$}.jpg {label}\n", i + 1));
        }
    }
    assert_eq!(list.lines().count(), 15_339);
    for (split, counts, n) in [(Split::Train, train, 12_271), (Split::Test, test, 3_068)] {
        let samples = parse_raf_db(&list, Path::new("list"), split).unwrap();
        assert_eq!(samples.len(), n);
        let of_class = |class: u32| samples.iter().filter(|sample| sample.label == class).count();
        assert_eq!(std::array::from_fn(|class| of_class(class as u32)), counts);
    }
}

#[test]
fn every_kind_of_bad_line_names_file_and_line() {
    let message = |line: &str| {
        let list = LIST.replace("test_0001.jpg 7", line);
        let error = parse_raf_db(&list, Path::new("list.txt"), Split::Train).expect_err(line);
        assert!(matches!(error, DataError::Line { line: 2, .. }), "{error:?}");
        error.to_string()
    };
    let check = |line: &str, expected: &str| assert_eq!(message(line), format!("list.txt:2: found {expected}"));
    check("test_0001.jpg", "`test_0001.jpg`, expected `NAME.jpg LABEL`");
    check("", "``, expected `NAME.jpg LABEL`");
    check(" 7", "an empty image name, expected the name of an image");
    check("test_0001.jpg 0", "`0`, expected a label from 1 to 7");
    check("test_0001.jpg 8", "`8`, expected a label from 1 to 7");
    check("test_0001.jpg seven", "`seven`, expected a label from 1 to 7");
    check("test_0001.jpg 7 7", "`test_0001.jpg 7 7`, expected `NAME.jpg LABEL`");
    check("test_0001.jpg +7", "`+7`, expected a label from 1 to 7");
    check("val_0001.jpg 7", "`val_0001.jpg`, expected a name that begins with `train` or `test`");
    check("test_0001.png 7", "`test_0001.png`, expected a name that ends in `.jpg`");
    check("train_00001.jpg 7", "`train_00001_aligned.jpg` once more, expected every name once");
    check("train_00001_aligned.jpg 7", "`train_00001_aligned.jpg` once more, expected every name once");
    check("../test_0001.jpg 7", "`../test_0001.jpg`, expected a name without a folder");
    check("test/../../x.jpg 7", "`test/../../x.jpg`, expected a name without a folder");
    check("test\\x.jpg 7", "`test\\x.jpg`, expected a name without a folder");
}

#[test]
fn blanks_a_byte_order_mark_and_the_names_of_aligned_images_are_tolerated() {
    let list = "\u{FEFF}train_00001.jpg\t5 \r\ntrain_00002_aligned.jpg  1\r\n\r\n";
    let samples = parse_raf_db(list, Path::new("list"), Split::Train).unwrap();
    let samples: Vec<_> = samples.iter().map(|sample| (sample.name.as_str(), sample.label)).collect();
    assert_eq!(samples, [("train_00001_aligned.jpg", 4), ("train_00002_aligned.jpg", 0)]);
}

#[test]
fn a_missing_image_names_its_line() {
    let root = tree(LIST);
    fs::remove_file(root.path().join("Image/aligned/train_00002_aligned.jpg")).unwrap();
    let message = read_raf_db(root.path(), Split::Train).unwrap_err().to_string();
    assert!(message.contains("list_patition_label.txt:3: found no file "), "{message}");
    assert!(message.contains("train_00002_aligned.jpg, expected the image of this line"), "{message}");
    assert!(read_raf_db(root.path(), Split::Test).is_ok());
}

#[test]
fn a_list_that_is_missing_or_without_the_split_is_named() {
    let root = tree("train_00001.jpg 5\n");
    let error = read_raf_db(root.path(), Split::Test).unwrap_err();
    assert!(matches!(&error, DataError::Empty { path, .. } if path.ends_with("list_patition_label.txt")), "{error}");
    let missing = root.path().join("missing");
    let error = read_raf_db(&missing, Split::Test).unwrap_err();
    assert!(matches!(&error, DataError::Io { path, .. } if path.starts_with(&missing)), "{error}");
}

#[test]
fn noise_lists_of_both_forms_belong_to_it() {
    let root = tree(LIST);
    let train = read_raf_db(root.path(), Split::Train).unwrap();
    let path = root.path().join("0.1noise_train.txt");
    let folder = "/data/raf-basic/Image/aligned/";
    let scn = format!(
        "{folder}train_00001_aligned.jpg 4\r\n{folder}train_00002_aligned.jpg 3\r\n{folder}train_00003_aligned.jpg 6\r\n"
    );
    fs::write(&path, scn).unwrap();
    let labels = NoisyLabels::read_rerooted(&path, &train, 0).unwrap();
    assert_eq!((labels.noisy(), labels.flips()), (&[4, 3, 6][..], vec![1]));
    fs::write(&path, "train_00003.jpg 7\ntrain_00001.jpg 2\ntrain_00002.jpg 1\n").unwrap();
    let labels = NoisyLabels::read_rerooted(&path, &train, 1).unwrap();
    assert_eq!((labels.noisy(), labels.flips()), (&[1, 0, 6][..], vec![0]));
}
