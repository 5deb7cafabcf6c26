//! ImageNet's layout, and the files that it has beside those of JPEG in RGB.

use std::{fs, path::Path};

use sconce_core::{Batches as _, Rng};
use sconce_data::{
    Image, ImageDataset, ImageSource, Loader, LoaderConfig, Normalize, Pipeline, PixelTransform, Resize,
    read_image_folder,
};

/// The file of a training image, and the one of `tests/images` that it is a copy of: RGB, grey, a printer's colours (both
/// ways in which Adobe writes them), and a PNG that is called JPEG.
const TRAIN: [(&str, &str); 5] = [
    ("n01440764/n01440764_18.JPEG", "halved.jpg"),
    ("n01440764/n01440764_9.JPEG", "gray.jpg"),
    ("n01739381/n01739381_1309.JPEG", "cmyk.jpg"),
    ("n02077923/n02077923_14822.JPEG", "ycck.jpg"),
    ("n02105855/n02105855_2933.JPEG", "rgb.bmp.png"),
];

fn images() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/images"))
}

fn tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let write = |file: String, of: &str| {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(images().join(of), path).unwrap();
    };
    TRAIN.iter().for_each(|(file, of)| write(format!("train/{file}"), of));
    write("val/n01440764/ILSVRC2012_val_00000293.JPEG".to_owned(), "progressive.jpg");
    root
}

fn names(dataset: &ImageDataset) -> Vec<&str> {
    (0..dataset.len()).map(|i| dataset.name(i)).collect()
}

#[test]
fn splits_are_folders_of_classes() {
    let root = tree();
    let train = read_image_folder(&root.path().join("train")).unwrap();
    assert_eq!(names(&train), TRAIN.map(|(file, _)| file));
    assert_eq!(train.labels(), [0, 0, 1, 2, 3]);
    assert_eq!(train.classes(), ["n01440764", "n01739381", "n02077923", "n02105855"]);
    let val = read_image_folder(&root.path().join("val")).unwrap();
    assert_eq!(names(&val), ["n01440764/ILSVRC2012_val_00000293.JPEG"]);
}

#[test]
fn every_kind_of_file_becomes_the_same_picture_in_rgb() {
    let root = tree();
    let train = read_image_folder(&root.path().join("train")).unwrap();
    for (i, (file, of)) in TRAIN.iter().enumerate() {
        let image = PixelTransform::Rgb.apply(train.image(i).unwrap(), &mut Rng::new(0, "test")).unwrap();
        // What Pillow makes of it; a file that is a PNG itself is its own reference.
        let reference = if of.ends_with(".png") { (*of).to_owned() } else { format!("{of}.png") };
        let expected = Image::read(&images().join(reference)).unwrap().into_rgb();
        assert_eq!((image.width(), image.height(), image.channels()), (23, 17, 3), "{file}");
        let worst = image.data().iter().zip(expected.data()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= 2, "{file}: {worst} grey levels");
    }
}

#[test]
fn all_of_them_fit_into_one_batch() {
    let root = tree();
    let pipeline = Pipeline {
        pixels: vec![PixelTransform::Rgb, PixelTransform::Resize(Resize { width: 8, height: 8, antialias: true })],
        floats: Vec::new(),
        normalize: Normalize::imagenet(),
        erasing: None,
    };
    let source = ImageSource::new(read_image_folder(&root.path().join("train")).unwrap(), pipeline).unwrap();
    let batch = Loader::new(source, LoaderConfig::default()).unwrap().next_batch().unwrap();
    assert_eq!(batch.images.dims(), [5, 3, 8, 8]);
}

/// A million files are listed and hashed without being opened: a pipe would hold whoever opens it.
#[cfg(unix)]
#[test]
fn no_file_is_opened_before_it_is_asked_for() {
    let root = tree();
    let pipe = root.path().join("train/n01440764/pipe.JPEG");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (sender, hash) = std::sync::mpsc::channel();
    let train = root.path().join("train");
    std::thread::spawn(move || {
        let dataset = read_image_folder(&train).unwrap();
        sender.send((dataset.len(), dataset.content_hash().unwrap())).unwrap();
    });
    let (n, hash) = hash.recv_timeout(std::time::Duration::from_secs(60)).expect("a file was opened");
    assert_eq!((n, hash.len()), (6, 64));
}
