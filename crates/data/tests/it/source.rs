//! Images on their way from files to batches.

use std::{error::Error as _, fs, path::Path};

use sconce_core::Batches as _;
use sconce_data::{
    DataError, DetectionPipeline, DetectionSource, HorizontalFlip, Image, ImageSource, Loader, LoaderConfig, Normalize,
    Pipeline, PixelTransform, RandomCrop, Resize, Source as _, TwoCropSource, read_image_folder, read_unlabelled,
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
    // The cause names the file, once.
    assert_eq!(error.to_string(), "sample 4");
    let cause = error.source().unwrap().to_string();
    assert!(cause.contains(&path.display().to_string()));
    assert!(cause.contains("dog/1.png: cannot decode the image: the file is cut off after "), "{cause}");
    assert!(cause.ends_with(" bytes; on_invalid = \"skip\" leaves such files out"), "{cause}");
}

/// What an error says, with its causes.
fn chain(error: &DataError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[test]
fn images_that_do_not_fit_into_one_batch_are_an_error_that_names_one() {
    let root = tree();
    let source = ImageSource::new(read_image_folder(root.path()).unwrap(), pipeline(vec![])).unwrap();
    let config = LoaderConfig { batch_size: 6, shuffle: false, ..LoaderConfig::default() };
    let error = Loader::new(source.with_key("data.train"), config).unwrap().next_batch().unwrap_err();
    let file = root.path().join("cat/1.png");
    let expected = format!(
        "data.train: sample 1 ({}): shape of an image is [1, 4, 5], expected [1, 4, 4] as the first of the batch; resize or crop \
         them",
        file.display()
    );
    assert_eq!(chain(&error), expected);
}

#[test]
fn a_step_that_an_image_does_not_fit_is_named_with_file_and_key() {
    let root = tree();
    let crop = PixelTransform::RandomCrop(RandomCrop { width: 5, height: 4, padding: 0 });
    let pixels = vec![PixelTransform::HorizontalFlip(HorizontalFlip { p: 0.0 }), crop];
    let dataset = read_image_folder(root.path()).unwrap();
    let config = LoaderConfig { batch_size: 2, shuffle: false, ..LoaderConfig::default() };
    let (file, step) =
        (root.path().join("cat/0.png"), "random crop: image is 4×4 with 0 of padding, expected at least 5×4");
    let images = ImageSource::new(dataset.clone(), pipeline(pixels.clone())).unwrap();
    let error = Loader::new(images.clone().with_key("data.train"), config).unwrap().next_batch().unwrap_err();
    let expected = format!("data.train: sample 0 ({}): data.train.pixels[1] random-crop: {step}", file.display());
    assert_eq!(chain(&error), expected);
    // Without a key, and with what a method makes of the batches.
    let mapped = images.map_batch(|batch| Ok(batch.labels));
    let error = Loader::new(mapped, config).unwrap().next_batch().unwrap_err();
    assert_eq!(chain(&error), format!("sample 0 ({}): pixels[1] random-crop: {step}", file.display()));
    // Of two views, each has its pipeline.
    let views = TwoCropSource::with_pipelines(dataset.clone(), pipeline(vec![]), pipeline(pixels)).unwrap();
    let error = Loader::new(views.with_keys("data.query", "data.key"), config).unwrap().next_batch().unwrap_err();
    let expected = format!("data.query: sample 0 ({}): data.key.pixels[1] random-crop: {step}", file.display());
    assert_eq!(chain(&error), expected);
    // A grey image where three channels are wanted.
    let rgb = Pipeline { normalize: Normalize::imagenet(), ..pipeline(vec![]) };
    let source = ImageSource::new(dataset, rgb).unwrap().with_key("data.eval");
    let error = chain(&Loader::new(source, config).unwrap().next_batch().unwrap_err());
    assert!(
        error.contains("cat/0.png): data.eval.normalize: ") && error.contains("one a channel of the image"),
        "{error}"
    );
}

#[test]
fn objects_are_named_with_their_files_too() {
    let root = tree();
    let dataset = read_unlabelled(root.path(), &["cat".to_owned()]).unwrap();
    let config = LoaderConfig { batch_size: 2, shuffle: false, ..LoaderConfig::default() };
    let with = |transforms| DetectionPipeline { transforms, ..DetectionPipeline::new(Normalize::imagenet()) };
    let source = DetectionSource::new(dataset.clone(), with(vec![])).unwrap().with_key("data.train");
    let error = chain(&Loader::new(source, config).unwrap().next_batch().unwrap_err());
    let file = root.path().join("cat/0.png");
    let expected = format!("data.train: sample 0 ({}): data.train.normalize: ", file.display());
    assert!(error.starts_with(&expected), "{error}");
    // Grey and coloured images in one batch.
    let colour = Image::new(4, 4, 3, vec![0; 48]).unwrap();
    std::fs::write(root.path().join("cat/1.png"), colour.encode_png().unwrap()).unwrap();
    let grey = DetectionPipeline::new(Normalize { mean: vec![0.0], std: vec![1.0] });
    let source = DetectionSource::new(read_unlabelled(root.path(), &[]).unwrap(), grey).unwrap();
    let error = chain(&Loader::new(source, config).unwrap().next_batch().unwrap_err());
    assert!(error.contains("sample 1 (") && error.contains("cat/1.png): normalize: "), "{error}");
}

#[test]
fn a_pipeline_that_makes_no_sense_is_refused_before_the_first_image() {
    let root = tree();
    let flip = PixelTransform::HorizontalFlip(HorizontalFlip { p: -0.1 });
    let result = ImageSource::new(read_image_folder(root.path()).unwrap(), pipeline(vec![flip]));
    assert!(matches!(result, Err(DataError::Argument { .. })));
}
