//! Labelled images and those without labels.

use super::*;

fn classes(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("class{i}")).collect()
}

/// `n` images of one pixel, whose value is their index, with labels in turn.
fn dataset(n: usize, n_classes: usize) -> ImageDataset {
    let images = (0..n).map(|i| Image::new(1, 1, 1, vec![i as u8]).unwrap()).collect();
    let labels = (0..n).map(|i| (i % n_classes) as u32).collect();
    ImageDataset::from_images("train", classes(n_classes), images, labels).unwrap()
}

fn pixels(dataset: &ImageDataset) -> Vec<u8> {
    (0..dataset.len()).map(|i| dataset.image(i).unwrap().data()[0]).collect()
}

#[test]
fn a_subset_keeps_names_labels_and_order() {
    let subset = dataset(10, 3).subset(&[7, 2]).unwrap().subset(&[1, 0, 1]).unwrap();
    assert_eq!(pixels(&subset), [2, 7, 2]);
    assert_eq!(subset.labels(), [2, 1, 2]);
    assert_eq!(subset.name(1), "train/00007");
}

#[test]
fn a_split_is_stratified_seeded_and_complete() {
    let all = dataset(100, 4);
    let (rest, cut) = all.split_off(0.2, 3).unwrap();
    assert_eq!((rest.len(), cut.len()), (80, 20));
    for class in 0..4 {
        assert_eq!(cut.labels().iter().filter(|&&l| l == class).count(), 5);
    }
    let mut both = [pixels(&rest), pixels(&cut)].concat();
    assert!(pixels(&rest).is_sorted() && pixels(&cut).is_sorted());
    both.sort();
    assert_eq!(both, pixels(&all));
    assert_eq!(pixels(&all.split_off(0.2, 3).unwrap().1), pixels(&cut));
    assert_ne!(pixels(&all.split_off(0.2, 4).unwrap().1), pixels(&cut));
}

#[test]
fn a_split_of_small_classes_takes_of_all_and_leaves_one_of_each() {
    // Four of each of ten: a tenth of a class is nothing.
    let all = dataset(40, 10);
    let (rest, cut) = all.split_off(0.1, 3).unwrap();
    assert_eq!((rest.len(), cut.len()), (36, 4));
    assert_eq!(pixels(&all.split_off(0.1, 3).unwrap().1), pixels(&cut));
    assert_ne!(pixels(&all.split_off(0.1, 4).unwrap().1), pixels(&cut));
    let (rest, cut) = dataset(240, 120).split_off(0.2, 0).unwrap();
    assert_eq!((rest.len(), cut.len()), (192, 48));
    assert!((0..120).all(|class| rest.labels().contains(&class)));
    // Half of a class of one is all of it: there must be another one.
    let (rest, cut) = dataset(3, 3).split_off(0.5, 0).map_or((0, 0), |(rest, cut)| (rest.len(), cut.len()));
    assert_eq!((rest, cut), (0, 0));
}

#[test]
fn a_split_that_leaves_a_side_empty_is_refused() {
    for fraction in [0.0, 0.001, 0.999, 1.0, f64::NAN] {
        assert!(matches!(dataset(10, 2).split_off(fraction, 0), Err(DataError::Argument { .. })), "{fraction}");
    }
}

#[test]
fn a_label_out_of_range_names_the_sample() {
    let image = Image::new(1, 1, 1, vec![0]).unwrap();
    let error = ImageDataset::from_images("test", classes(3), vec![image.clone(), image], vec![2, 3]);
    assert_eq!(error.unwrap_err().to_string(), "test: test/00001: label 3, expected 0 to 2");
}

#[test]
fn counts_that_differ_are_refused() {
    let image = Image::new(1, 1, 1, vec![0]).unwrap();
    assert!(ImageDataset::from_images("test", classes(1), vec![image], vec![0, 0]).is_err());
    assert!(ImageDataset::from_images("test", classes(1), vec![], vec![]).is_err());
    assert!(dataset(3, 3).subset(&[3]).is_err());
    assert!(dataset(3, 3).image(3).is_err());
}

#[test]
fn the_hash_sees_pixels_labels_classes_and_order() {
    let base = dataset(4, 2);
    let hash = base.content_hash().unwrap();
    assert_eq!(hash.len(), 64);
    assert_eq!(dataset(4, 2).content_hash().unwrap(), hash);
    let image = |v| Image::new(1, 1, 1, vec![v]).unwrap();
    let other_pixel =
        ImageDataset::from_images("train", classes(2), [0, 1, 2, 9].map(image).into(), vec![0, 1, 0, 1]).unwrap();
    let others = [
        other_pixel,
        base.with_labels(vec![0, 1, 0, 0]).unwrap(),
        base.subset(&[1, 0, 2, 3]).unwrap(),
        dataset(4, 2).subset(&[0, 1, 2]).unwrap(),
    ];
    for other in others {
        assert_ne!(other.content_hash().unwrap(), hash);
    }
}

#[test]
fn the_hash_of_files_sees_names_and_sizes() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a.png"), [0; 3]).unwrap();
    fs::write(root.path().join("b.png"), [0; 3]).unwrap();
    let of = |name: &str| ImageDataset::from_files(root.path(), classes(1), vec![(name.to_owned(), 0)]).unwrap();
    let hash = of("a.png").content_hash().unwrap();
    assert_ne!(of("b.png").content_hash().unwrap(), hash);
    fs::write(root.path().join("a.png"), [0; 4]).unwrap();
    assert_ne!(of("a.png").content_hash().unwrap(), hash);
    assert!(matches!(of("c.png").content_hash(), Err(DataError::Io { .. })));
}

#[test]
fn classes_that_differ_are_named() {
    let dataset = dataset(4, 2);
    dataset.check_classes(&classes(2)).unwrap();
    let error = dataset.check_classes(&classes(3)).unwrap_err();
    assert_eq!(error.to_string(), "train: class 2 is missing, expected `class2`");
    assert!(dataset.check_classes(&["class0".to_owned(), "x".to_owned()]).is_err());
}
