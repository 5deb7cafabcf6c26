use std::{collections::BTreeSet, fs};

use sconce_data::{Image, Normalize, OnInvalid};

use super::*;

const PER_CLASS: usize = 20;

/// A folder of two classes; the pixels of an image say which it is.
fn folder() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (label, class) in ["cat", "dog"].into_iter().enumerate() {
        fs::create_dir(root.path().join(class)).unwrap();
        for i in 0..PER_CLASS {
            let image = Image::new(6, 4, 1, vec![(100 * label + i) as u8; 24]).unwrap();
            fs::write(root.path().join(format!("{class}/{i:02}.png")), image.encode_png().unwrap()).unwrap();
        }
    }
    root
}

fn config(images: Images) -> DataConfig {
    let normalize = Normalize { mean: vec![0.0], std: vec![1.0] };
    let pipeline = Pipeline { pixels: Vec::new(), floats: Vec::new(), normalize, erasing: None };
    DataConfig {
        images,
        noise: LabelNoise::None,
        noise_list: None,
        validation: 0.25,
        batch_size: 8,
        workers: 0,
        train: pipeline.clone(),
        eval: pipeline,
    }
}

fn own(root: &Path, test: Option<&Path>) -> Images {
    let mut images = Images::image_folder(root, test.and_then(Path::to_str));
    if let Images::ImageFolder { on_invalid, shrink_to, .. } = &mut images {
        (*on_invalid, *shrink_to) = (OnInvalid::Skip, Some(2));
    }
    images
}

fn names(dataset: &ImageDataset) -> BTreeSet<String> {
    (0..dataset.len()).map(|i| dataset.name(i).to_owned()).collect()
}

#[test]
fn no_image_is_in_two_parts_and_each_keeps_its_labels() {
    let root = folder();
    for images in [own(root.path(), None), Images::image_folder(root.path(), None)] {
        let mut config = config(images);
        config.noise = LabelNoise::Symmetric { rate: 0.5 };
        let data = config.read(7).unwrap();
        let validation = data.validation.as_ref().unwrap();
        let parts = [&data.train, validation, &data.test];
        assert_eq!(parts.map(ImageDataset::len), [24, 8, 8]);
        let all: BTreeSet<String> = parts.iter().flat_map(|part| names(part)).collect();
        assert_eq!(all.len(), 2 * PER_CLASS, "an image is in two parts");
        let truth = data.truth.unwrap();
        let label = |name: &str| u32::from(name.starts_with("dog"));
        for (i, &truth) in truth.iter().enumerate() {
            assert_eq!(truth, label(data.train.name(i)));
        }
        assert!((0..data.train.len()).any(|i| data.train.label(i) != truth[i]), "no label is noisy");
        assert!((0..data.test.len()).all(|i| data.test.label(i) == label(data.test.name(i))));
        assert_eq!(data.held_out.unwrap().into_iter().collect::<BTreeSet<_>>(), names(&data.test));
    }
}

#[test]
fn what_is_held_out_depends_on_the_seed_and_is_found_again() {
    let root = folder();
    let config = config(own(root.path(), None));
    let data = config.read(1).unwrap();
    assert_eq!(names(&data.test), names(&config.read(1).unwrap().test));
    assert_ne!(names(&data.test), names(&config.read(2).unwrap().test));
    // New images change nothing about those that were held out.
    for i in 0..30 {
        fs::copy(root.path().join("cat/00.png"), root.path().join(format!("cat/0{i:02}-new.png"))).unwrap();
    }
    let held_out = data.held_out.unwrap();
    let again = config.read_test(Some(&held_out), Some(data.test.classes())).unwrap();
    assert_eq!((names(&again), again.labels()), (names(&data.test), data.test.labels()));
    fs::remove_file(root.path().join(&held_out[0])).unwrap();
    let error = config.read_test(Some(&held_out), None).unwrap_err().to_string();
    assert!(error.contains(&held_out[0]) && error.contains("data.images.test"), "{error}");
    // Weights alone know nothing of it.
    let error = config.read_test(None, None).unwrap_err().to_string();
    assert!(error.contains("data.images.test is absent"), "{error}");
}

#[test]
fn only_drawn_noise_and_lists_that_say_so_tell_the_truth() {
    let root = folder();
    let mut config = config(Images::image_folder(root.path(), None));
    let knows = |config: &DataConfig| config.read(0).unwrap().truth.is_some();
    assert!(!knows(&config));
    assert!(config.read(0).unwrap().labels.is_none());
    config.noise = LabelNoise::Symmetric { rate: 0.0 };
    assert!(knows(&config), "drawn, though nothing was changed");
    config.noise = LabelNoise::None;

    let clean = config.read(0).unwrap().clean;
    let list = root.path().join("list.txt");
    let mut with_flips = |flips: usize| {
        let noisy = clean.labels().iter().enumerate().map(|(i, &label)| if i < flips { 1 - label } else { label });
        let labels = NoisyLabels::new(clean.labels().to_vec(), noisy.collect(), 2, None).unwrap();
        fs::remove_file(&list).ok();
        labels.write(&list, &clean).unwrap();
        config.noise_list = Some(NoiseList::Sconce { path: list.clone() });
        knows(&config)
    };
    assert!(with_flips(3));
    assert!(!with_flips(0), "the list of a run that changed no label");
}

#[test]
fn test_images_go_by_the_names_of_their_classes() {
    let (root, test) = (folder(), folder());
    fs::remove_dir_all(test.path().join("cat")).unwrap();
    let config = config(own(root.path(), Some(test.path())));
    let data = config.read(0).unwrap();
    assert_eq!(data.test.labels(), [1; PER_CLASS]);
    fs::rename(test.path().join("dog"), test.path().join("wolf")).unwrap();
    let error = config.read(0).unwrap_err();
    assert!(matches!(&error, DataError::UnknownClass { class, .. } if class == "wolf"), "{error}");
}

#[test]
fn broken_images_are_left_out_and_named_where_that_is_asked_for() {
    let root = folder();
    fs::write(root.path().join("dog/05.png"), "no image").unwrap();
    let config = config(own(root.path(), None));
    let data = config.read(0).unwrap();
    let (lines, details) = data.description(None);
    assert_eq!(data.train.len() + data.validation.unwrap().len() + data.test.len(), 2 * PER_CLASS - 1);
    assert_eq!(lines.iter().filter(|line| line.contains("dog/05.png")).count(), 1, "{lines:?}");
    assert!(details.to_string().contains("dog/05.png"));
    assert!(lines.iter().any(|line| line.contains("held out of")), "{lines:?}");
    // Images are no larger than asked for, and are not enlarged.
    assert_eq!((data.test.image(0).unwrap().width(), data.test.image(0).unwrap().height()), (3, 2));

    let mut strict = config.clone();
    if let Images::ImageFolder { on_invalid, .. } = &mut strict.images {
        *on_invalid = OnInvalid::Fail;
    }
    let error = strict.read(0).unwrap_err().to_string();
    assert!(error.contains("dog/05.png") && error.contains("on_invalid"), "{error}");
}

#[test]
fn batches_of_fewer_than_two_images_a_rank_are_left_out() {
    let config = DataConfig { batch_size: 8, ..config(Images::FashionMnistSubset) };
    for (n, ranks, left_out, share) in [
        (16, 1, false, 8),
        (17, 1, true, 8),
        (18, 1, false, 2),
        (18, 2, true, 4),
        (19, 2, true, 4),
        (20, 2, false, 2),
        (8, 1, false, 8),
        (1, 1, false, 1),
        (7, 1, false, 7),
        (9, 1, true, 8),
    ] {
        assert_eq!(config.leaves_out_last(n, ranks), left_out, "{n} images, {ranks} ranks");
        assert_eq!(config.smallest_share(n, ranks), share, "{n} images, {ranks} ranks");
    }
}

#[test]
fn shares_that_leave_a_part_empty_are_named_by_their_keys() {
    let root = folder();
    let mut config = config(own(root.path(), None));
    config.validation = 0.001;
    let error = config.read(0).unwrap_err().to_string();
    assert!(error.contains("data.validation is 0.001"), "{error}");
    config.images = Images::ImageFolder {
        train: root.path().to_owned(),
        test: None,
        test_share: 0.001,
        on_invalid: OnInvalid::Fail,
        orientation: sconce_data::Orientation::Upright,
        shrink_to: None,
    };
    let error = config.read(0).unwrap_err().to_string();
    assert!(error.contains("data.images.test_share is 0.001"), "{error}");
}
