//! Two views of every image.

use proptest::prelude::*;
use sconce_core::{Batches as _, Rng};
use sconce_data::{
    DataError, FloatImage, GaussianNoise, HorizontalFlip, Image, ImageDataset, Loader, LoaderConfig, Normalize,
    Pipeline, PixelTransform, RandomResizedCrop, Source as _, TwoCropBatch, TwoCropSource,
};

/// Images of no symmetry, each of another size.
fn dataset(n: usize) -> ImageDataset {
    let image = |i: usize| {
        let (width, height) = (24 + i, 20);
        let data = (0..width * height * 3).map(|at| ((at * 37 + at * at % 251 + i * 91) % 256) as u8).collect();
        Image::new(width, height, 3, data).unwrap()
    };
    ImageDataset::from_images("train", vec!["all".to_owned()], (0..n).map(image).collect(), vec![0; n]).unwrap()
}

/// A crop to 8×8 after `before`.
fn pipeline(before: Vec<PixelTransform>) -> Pipeline {
    let crop = PixelTransform::RandomResizedCrop(RandomResizedCrop::new(8, 8));
    Pipeline {
        pixels: [before, vec![crop]].concat(),
        floats: Vec::new(),
        normalize: Normalize { mean: vec![0.5; 3], std: vec![0.25; 3] },
        erasing: None,
    }
}

fn noise() -> PixelTransform {
    PixelTransform::GaussianNoise(GaussianNoise::default())
}

fn batches(workers: usize, seed: u64, n: usize) -> Vec<TwoCropBatch> {
    let source = TwoCropSource::new(dataset(7), pipeline(vec![noise()])).unwrap();
    let config = LoaderConfig { batch_size: 3, workers, seed, ..LoaderConfig::default() };
    let mut loader = Loader::new(source, config).unwrap();
    (0..n).map(|_| loader.next_batch().unwrap()).collect()
}

fn values(batch: &TwoCropBatch) -> [Vec<f32>; 2] {
    [&batch.query, &batch.key].map(|views| views.flatten_all().unwrap().to_vec1().unwrap())
}

#[test]
fn a_batch_holds_both_views_of_the_same_images_in_the_same_order() {
    let source = TwoCropSource::new(dataset(7), pipeline(Vec::new())).unwrap();
    let items = [4, 2].map(|i| source.fetch(i, &mut Rng::keyed(5, "test", [i as u64, 0])).unwrap());
    let stacked = |view: usize| -> Vec<f32> { items.iter().flat_map(|(_, v)| v[view].data().to_vec()).collect() };
    let expected = [stacked(0), stacked(1)];
    let batch = source.collate(items.to_vec()).unwrap();
    assert_eq!((batch.query.dims(), batch.key.dims()), (&[2, 3, 8, 8][..], &[2, 3, 8, 8][..]));
    assert_eq!(batch.indices, [4, 2]);
    assert_eq!(values(&batch), expected);
}

#[test]
fn a_view_is_its_pipelines_of_the_image_from_a_stream_of_its_own() {
    let (data, both) = (dataset(2), pipeline(vec![noise()]));
    let source = TwoCropSource::new(data.clone(), both.clone()).unwrap();
    let (index, views) = source.fetch(1, &mut Rng::new(3, "test")).unwrap();
    assert_eq!(index, 1);
    let mut rng = Rng::new(3, "test");
    let expected = ["query", "key"].map(|view| both.apply(data.image(1).unwrap(), &mut rng.fork(view)).unwrap());
    assert_eq!(views, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn views_differ_and_neither_shifts_the_other(seed in any::<u64>(), n_draws in 0usize..6) {
        let plain = pipeline(Vec::new());
        let longer = pipeline(vec![PixelTransform::HorizontalFlip(HorizontalFlip { p: 0.5 }); n_draws]);
        let views_of = |seed: u64, query: &Pipeline, key: &Pipeline| -> [FloatImage; 2] {
            let source = TwoCropSource::with_pipelines(dataset(3), query.clone(), key.clone()).unwrap();
            source.fetch(2, &mut Rng::new(seed, "test")).unwrap().1
        };
        let views = |query: &Pipeline, key: &Pipeline| views_of(seed, query, key);
        let [query, key] = views(&plain, &plain);
        // Two draws may give one crop; not ten times.
        let differ = (0..10).any(|i| {
            let [query, key] = views_of(seed.wrapping_add(i), &plain, &plain);
            query != key
        });
        prop_assert!(differ);
        prop_assert_eq!(&views(&longer, &plain)[1], &key);
        prop_assert_eq!(&views(&plain, &longer)[0], &query);
    }

    #[test]
    fn batches_are_the_same_for_any_number_of_workers(seed in any::<u64>(), workers in 1usize..5) {
        for (ours, expected) in batches(workers, seed, 5).iter().zip(&batches(0, seed, 5)) {
            prop_assert_eq!(&ours.indices, &expected.indices);
            prop_assert_eq!(values(ours), values(expected));
        }
    }
}

#[test]
fn another_epoch_draws_other_views() {
    let batches = batches(0, 0, 6);
    let of = |epoch: usize| -> Vec<(usize, Vec<f32>)> {
        let mut found: Vec<_> = batches[3 * epoch..3 * epoch + 3]
            .iter()
            .flat_map(|batch| {
                let views = batch.query.flatten_from(1).unwrap().to_vec2::<f32>().unwrap();
                batch.indices.clone().into_iter().zip(views)
            })
            .collect();
        found.sort_by_key(|(index, _)| *index);
        found
    };
    assert!(of(0).iter().zip(&of(1)).all(|((i, a), (j, b))| i == j && a != b));
}

#[test]
fn either_pipeline_is_checked_before_the_first_image() {
    let good = pipeline(Vec::new());
    let bad = pipeline(vec![PixelTransform::HorizontalFlip(HorizontalFlip { p: 2.0 })]);
    for (query, key) in [(&good, &bad), (&bad, &good)] {
        let result = TwoCropSource::with_pipelines(dataset(1), query.clone(), key.clone());
        assert!(matches!(result, Err(DataError::Argument { .. })));
    }
}
