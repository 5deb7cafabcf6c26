//! Images on their way from files to batches.

use std::{error::Error as _, fs, path::Path};

use sconce_core::Batches as _;
use sconce_data::{
    DataError, HorizontalFlip, Image, ImageSource, Loader, LoaderConfig, Normalize, Pipeline, PixelTransform, Resize,
    read_image_folder,
};

/// Two classes of three grey images each, all pixels of the value 10 · class + number.
fn tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (class, name) in ["cat", "dog"].into_iter().enumerate() {
        fs::create_dir(root.path().join(name)).unwrap();
        for number in 0..3 {
            let size = 4 + number;
            let value = (10 * class + number) as u8;
            let image = Image::new(size, 4, 1, vec![value; 4 * size]).unwrap();
            fs::write(root.path().join(format!("{name}/{number}.png")), image.encode_png().unwrap()).unwrap();
        }
    }
    root
}

fn pipeline(pixels: Vec<PixelTransform>) -> Pipeline {
    Pipeline { pixels, floats: Vec::new(), normalize: Normalize { mean: vec![0.0], std: vec![1.0] }, erasing: None }
}

fn loader(root: &Path, pixels: Vec<PixelTransform>) -> Loader<ImageSource> {
    let source = ImageSource::new(read_image_folder(root).unwrap(), pipeline(pixels)).unwrap();
    Loader::new(source, LoaderConfig { batch_size: 6, ..LoaderConfig::default() }).unwrap()
}

fn resize() -> PixelTransform {
    PixelTransform::Resize(Resize { width: 5, height: 3, antialias: true })
}

#[test]
fn images_labels_and_indices_belong_together() {
    let root = tree();
    let batch = loader(root.path(), vec![resize()]).next_batch().unwrap();
    assert_eq!(batch.images.dims(), [6, 1, 3, 5]);
    let mut seen = batch.indices.clone();
    seen.sort();
    assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
    let first_pixels = batch.images.flatten_from(1).unwrap().to_vec2::<f32>().unwrap();
    for ((index, label), pixels) in batch.indices.iter().zip(&batch.labels).zip(first_pixels) {
        assert_eq!(*label as usize, index / 3);
        let value = (10 * (index / 3) + index % 3) as f32 / 255.0;
        assert!(pixels.iter().all(|&p| p == value), "{index}: {pixels:?}");
    }
}

#[test]
fn a_truncated_image_fails_its_batch_and_is_named() {
    let root = tree();
    let path = root.path().join("dog/1.png");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    let error = loader(root.path(), vec![resize()]).next_batch().unwrap_err();
    assert_eq!(error.to_string(), "sample 4");
    assert!(error.source().unwrap().to_string().contains("dog/1.png: cannot decode the image: the file is cut off"));
}

#[test]
fn images_that_do_not_fit_into_one_batch_are_an_error() {
    let error = loader(tree().path(), vec![]).next_batch().unwrap_err();
    assert!(matches!(error, DataError::Argument { what: "shape of an image", .. }), "{error}");
}

#[test]
fn a_pipeline_that_makes_no_sense_is_refused_before_the_first_image() {
    let root = tree();
    let flip = PixelTransform::HorizontalFlip(HorizontalFlip { p: -0.1 });
    let result = ImageSource::new(read_image_folder(root.path()).unwrap(), pipeline(vec![flip]));
    assert!(matches!(result, Err(DataError::Argument { .. })));
}
