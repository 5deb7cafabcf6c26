//! CIFAR-10 and CIFAR-100 on generated trees in the layout of the originals.

use std::{fs, path::Path};

use sconce_data::{CIFAR10_CLASSES, DataError, Split, parse_cifar10, parse_cifar100, read_cifar10, read_cifar100};

/// A record whose pixel (y, x) is (value, y, x).
fn record(labels: &[u8], value: u8) -> Vec<u8> {
    let place = |of: fn(usize) -> usize| (0..1024).map(move |i| of(i) as u8);
    labels.iter().copied().chain([value; 1024]).chain(place(|i| i / 32)).chain(place(|i| i % 32)).collect()
}

/// The six files with three records each, whose values are unique, and the names.
fn tree(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let files = (1..6).map(|i| format!("data_batch_{i}.bin")).chain(["test_batch.bin".to_owned()]);
    for (i, file) in files.enumerate() {
        let records = (0..3).map(|j| record(&[(3 * i as u8 + j) % 10], 10 * i as u8 + j));
        fs::write(folder.join(file), records.collect::<Vec<_>>().concat()).unwrap();
    }
    fs::write(folder.join("batches.meta.txt"), CIFAR10_CLASSES.join("\n") + "\n\n").unwrap();
}

#[test]
fn splits_are_their_files_in_order_and_planes_become_pixels() {
    let root = tempfile::tempdir().unwrap();
    tree(&root.path().join("cifar-10-batches-bin"));
    let train = read_cifar10(root.path(), Split::Train).unwrap();
    assert_eq!(train.labels(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4]);
    assert_eq!(train.classes(), CIFAR10_CLASSES);
    assert_eq!(train.name(14), "train/00014");
    for i in 0..15 {
        let image = train.image(i).unwrap();
        assert_eq!((image.width(), image.height(), image.channels()), (32, 32, 3));
        let value = (10 * (i / 3) + i % 3) as u8;
        for (at, pixel) in image.data().chunks_exact(3).enumerate() {
            assert_eq!(pixel, [value, (at / 32) as u8, (at % 32) as u8], "image {i}, pixel {at}");
        }
    }
    let test = read_cifar10(root.path(), Split::Test).unwrap();
    assert_eq!(test.labels(), [5, 6, 7]);
    assert_eq!(test.image(2).unwrap().data()[..3], [52, 0, 0]);
}

#[test]
fn files_may_lie_in_the_root_itself_and_names_may_be_missing() {
    let root = tempfile::tempdir().unwrap();
    tree(root.path());
    let hash = || read_cifar10(root.path(), Split::Test).unwrap().content_hash().unwrap();
    let named = hash();
    fs::remove_file(root.path().join("batches.meta.txt")).unwrap();
    assert_eq!(hash(), named);
    let other = CIFAR10_CLASSES.map(|name| name.to_uppercase()).join("\r\n");
    fs::write(root.path().join("batches.meta.txt"), other).unwrap();
    assert_eq!(read_cifar10(root.path(), Split::Test).unwrap().classes()[9], "TRUCK");
}

#[test]
fn a_missing_batch_is_named() {
    let root = tempfile::tempdir().unwrap();
    tree(root.path());
    let missing = root.path().join("data_batch_4.bin");
    fs::remove_file(&missing).unwrap();
    let error = read_cifar10(root.path(), Split::Train).unwrap_err();
    assert!(matches!(&error, DataError::Io { path, .. } if *path == missing), "{error}");
    read_cifar10(root.path(), Split::Test).unwrap();
}

#[test]
fn every_truncation_names_file_and_record() {
    let bytes = [record(&[3], 0), record(&[9], 1)].concat();
    parse_cifar10(&bytes, Path::new("a.bin")).unwrap();
    for length in (1..bytes.len()).filter(|length| length % 3073 != 0) {
        let error = parse_cifar10(&bytes[..length], Path::new("a.bin")).unwrap_err().to_string();
        let (record, rest) = (length / 3073, length % 3073);
        assert_eq!(error, format!("a.bin: record {record} is {rest} bytes, expected 3073 bytes"));
    }
    let error = parse_cifar10(&[], Path::new("a.bin")).unwrap_err().to_string();
    assert_eq!(error, "a.bin: empty, expected records of images");
}

#[test]
fn a_label_that_no_class_has_names_file_and_record() {
    let bytes = [record(&[9], 0), record(&[10], 1)].concat();
    let error = parse_cifar10(&bytes, Path::new("a.bin")).unwrap_err();
    assert!(matches!(error, DataError::Label { found: 10, classes: 10, .. }), "{error}");
    assert_eq!(error.to_string(), "a.bin: record 1: label 10, expected 0 to 9");
}

#[test]
fn other_than_ten_names_are_refused_by_file_and_line() {
    let root = tempfile::tempdir().unwrap();
    tree(root.path());
    let message = |names: &str| {
        fs::write(root.path().join("batches.meta.txt"), names).unwrap();
        read_cifar10(root.path(), Split::Test).unwrap_err().to_string()
    };
    let ten = CIFAR10_CLASSES.join("\n");
    assert!(message(&format!("{ten}\nlamp\n")).ends_with("meta.txt:11: found `lamp`, expected 10 names of classes"));
    assert!(message("cat\ndog\n").ends_with("meta.txt:2: found the last of 2, expected 10 names of classes"));
    assert!(message("").ends_with("meta.txt:1: found the last of 0, expected 10 names of classes"));
}

#[test]
fn of_cifar_100_the_fine_labels_are_read() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("cifar-100-binary");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("train.bin"), [record(&[19, 11], 7), record(&[0, 99], 8)].concat()).unwrap();
    assert!(matches!(read_cifar100(root.path(), Split::Train), Err(DataError::Io { .. }))); // no names
    let names: Vec<String> = (0..100).map(|i| format!("class{i}")).collect();
    fs::write(folder.join("fine_label_names.txt"), names.join("\n") + "\n").unwrap();
    let train = read_cifar100(root.path(), Split::Train).unwrap();
    assert_eq!((train.labels(), train.classes()), (&[11, 99][..], &names[..]));
    assert_eq!(train.image(1).unwrap().data()[..6], [8, 0, 0, 8, 0, 1]);
    let error = parse_cifar100(&record(&[0, 100], 0), Path::new("a.bin")).unwrap_err().to_string();
    assert_eq!(error, "a.bin: record 0: label 100, expected 0 to 99");
}
