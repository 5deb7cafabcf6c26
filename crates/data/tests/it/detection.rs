//! What a detector gets: images in one tensor, with boxes that follow them.

use proptest::{collection::vec, option, prelude::*};
use sconce_core::{
    Batches as _, Rng,
    geometry::{BBox, Object},
};
use sconce_data::{
    DataError, DetectionDataset, DetectionPipeline, DetectionSample, DetectionSource, DetectionTransform,
    FixedSizeCrop, FloatTransform, HorizontalFlip, Image, Loader, LoaderConfig, Normalize, ObjectMask, RandomGrayscale,
    RandomIouCrop, Resize, ResizeSides, ScaleJitter, Source as _,
};

fn plain() -> DetectionPipeline {
    DetectionPipeline::new(Normalize { mean: vec![0.5], std: vec![0.25] })
}

/// Grey images of different sizes; the third one has nothing on it.
fn dataset() -> DetectionDataset {
    let sample = |i: usize, (width, height): (usize, usize), objects| {
        let image = Image::new(width, height, 1, (0..width * height).map(|v| (v + 40 * i) as u8).collect()).unwrap();
        (image, DetectionSample { name: i.to_string(), size: (height, width), objects })
    };
    let object = |x1, y1, x2, y2, label| Object::new(BBox::new(x1, y1, x2, y2), label);
    let samples = vec![
        sample(0, (8, 6), vec![object(1.0, 2.0, 4.0, 6.0, 0)]),
        sample(1, (4, 10), vec![object(0.0, 0.0, 4.0, 3.0, 1), object(2.0, 5.0, 3.0, 10.0, 0)]),
        sample(2, (5, 5), vec![]),
    ];
    DetectionDataset::from_images("test", vec!["a".into(), "b".into()], samples).unwrap()
}

#[test]
fn a_batch_is_padded_after_normalisation_and_keeps_its_objects() {
    let source = DetectionSource::new(dataset(), DetectionPipeline { size_divisible: 4, ..plain() }).unwrap();
    let items = [2, 1, 0].map(|i| source.fetch(i, &mut Rng::new(0, "test")).unwrap());
    let batch = source.collate(items.to_vec()).unwrap();
    assert_eq!(batch.images.dims(), [3, 1, 12, 8]);
    assert_eq!((batch.indices, batch.sizes), (vec![2, 1, 0], vec![(5, 5), (10, 4), (6, 8)]));
    assert_eq!(batch.scales, [(1.0, 1.0); 3]);
    assert_eq!(batch.objects.iter().map(Vec::len).collect::<Vec<_>>(), [0, 2, 1]);
    assert_eq!(batch.objects[1], dataset().sample(1).objects);
    let values = batch.images.flatten_from(1).unwrap().to_vec2::<f32>().unwrap();
    for (row, (i, size)) in values.iter().zip([(2, (5, 5)), (1, (10, 4)), (0, (6, 8))]) {
        for (at, &value) in row.iter().enumerate() {
            let (y, x) = (at / 8, at % 8);
            let pixel = || (f32::from((y * size.1 + x + 40 * i) as u8) / 255.0 - 0.5) / 0.25;
            let expected = if y < size.0 && x < size.1 { pixel() } else { 0.0 };
            assert!((value - expected).abs() < 1e-6, "{i}: {x}, {y}: {value}, {expected}");
        }
    }
}

#[test]
fn a_resized_box_is_scaled_by_the_sizes_that_came_out() {
    let resize = ResizeSides { shorter: 7, longer: None, antialias: true };
    let pipeline = DetectionPipeline { transforms: vec![DetectionTransform::ResizeSides(resize)], ..plain() };
    let source = DetectionSource::new(dataset(), pipeline).unwrap();
    let (_, input) = source.fetch(0, &mut Rng::new(0, "test")).unwrap();
    // 8 columns times 7/6 are 9.33, which are cut to 9.
    assert_eq!(input.image.shape(), [1, 7, 9]);
    assert_eq!(input.scale, (9.0 / 8.0, 7.0 / 6.0));
    let expected = BBox::new(9.0 / 8.0, 14.0 / 6.0, 36.0 / 8.0, 7.0);
    let found = input.objects[0].bbox;
    assert!(found.xyxy().iter().zip(expected.xyxy()).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
}

/// All that draws, with the defaults of a file.
fn everything() -> DetectionPipeline {
    toml::from_str(
        r#"
        normalize = { mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }
        transforms = [
            { name = "rgb" },
            { name = "gaussian-noise", std = 4.0 },
            { name = "horizontal-flip" },
            { name = "random-iou-crop" },
            { name = "scale-jitter", width = 24, height = 20 },
            { name = "fixed-size-crop", width = 24, height = 20, min_visible = 0.2 },
            { name = "resize-sides", shorter = 16, longer = 20 },
        ]
        floats = [{ name = "color-jitter", brightness = 0.4 }, { name = "random-grayscale", p = 0.2 }]
        "#,
    )
    .unwrap()
}

#[test]
fn batches_depend_on_the_seed_and_not_on_the_number_of_threads() {
    let pipeline = everything();
    assert_eq!(toml::from_str::<DetectionPipeline>(&toml::to_string(&pipeline).unwrap()).unwrap(), pipeline);
    let batches = |seed, workers| {
        let config = LoaderConfig { batch_size: 2, workers, seed, ..LoaderConfig::default() };
        let mut loader = Loader::new(DetectionSource::new(dataset(), pipeline.clone()).unwrap(), config).unwrap();
        let batch = |_| {
            let batch = loader.next_batch().unwrap();
            (batch.images.flatten_all().unwrap().to_vec1::<f32>().unwrap(), batch.objects, batch.sizes, batch.indices)
        };
        (0..6).map(batch).collect::<Vec<_>>()
    };
    assert_eq!(batches(1, 0), batches(1, 3));
    assert_ne!(batches(1, 0), batches(2, 0));
}

#[test]
fn settings_that_make_no_sense_are_refused_before_the_first_image() {
    let with = |transform| DetectionPipeline { transforms: vec![transform], ..plain() };
    let bad = [
        with(DetectionTransform::HorizontalFlip(HorizontalFlip { p: 1.5 })),
        with(DetectionTransform::Resize(Resize { width: 0, height: 1, antialias: true })),
        with(DetectionTransform::ResizeSides(ResizeSides { shorter: 9, longer: Some(8), antialias: true })),
        with(DetectionTransform::ScaleJitter(ScaleJitter { width: 1, height: 1, scale: [2.0, 1.0], antialias: true })),
        with(DetectionTransform::FixedSizeCrop(FixedSizeCrop { width: 1, height: 0, min_visible: 0.0 })),
        with(DetectionTransform::RandomIouCrop(RandomIouCrop { trials: 0, ..RandomIouCrop::default() })),
        DetectionPipeline { floats: vec![FloatTransform::RandomGrayscale(RandomGrayscale { p: -1.0 })], ..plain() },
        DetectionPipeline { normalize: Normalize { mean: vec![], std: vec![1.0] }, ..plain() },
        DetectionPipeline { size_divisible: 0, ..plain() },
    ];
    for pipeline in bad {
        let result = DetectionSource::new(dataset(), pipeline.clone());
        assert!(matches!(result, Err(DataError::Argument { .. })), "{pipeline:?}");
    }
}

/// A transform that gives every pixel a new place and no new value.
fn moving() -> impl Strategy<Value = DetectionTransform> {
    let part = |(width, height)| DetectionTransform::FixedSizeCrop(FixedSizeCrop { width, height, min_visible: 0.0 });
    prop_oneof![
        Just(DetectionTransform::HorizontalFlip(HorizontalFlip { p: 0.5 })),
        Just(DetectionTransform::RandomIouCrop(RandomIouCrop::default())),
        (6usize..50, 6usize..50).prop_map(part),
    ]
}

/// A transform that draws an image anew at another size.
fn resizing() -> impl Strategy<Value = DetectionTransform> {
    let resize = |(width, height, antialias)| DetectionTransform::Resize(Resize { width, height, antialias });
    let jitter = |(width, height)| {
        DetectionTransform::ScaleJitter(ScaleJitter { width, height, scale: [0.3, 2.0], antialias: true })
    };
    let sides = |(shorter, more)| {
        DetectionTransform::ResizeSides(ResizeSides { shorter, longer: Some(shorter + more), antialias: false })
    };
    prop_oneof![
        (6usize..50, 6usize..50, any::<bool>()).prop_map(resize),
        (6usize..50, 6usize..50).prop_map(jitter),
        (6usize..30, 0usize..30).prop_map(sides),
    ]
}

/// The box around the pixels of a plane that are at least half white.
fn white_box(values: &[f32], width: usize) -> Option<BBox> {
    let mask = ObjectMask::from_fn(width, values.len() / width, |x, y| values[y * width + x] >= 0.5);
    mask.map(|mask| mask.bbox())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    /// The image of a white rectangle stays in the rectangle's box, whatever moves or resizes it.
    ///
    /// Where pixels are only moved it does so exactly. A pixel of a resized image is white by half or more only if its centre
    /// lies in the scaled rectangle, for the filter is symmetric; from the centre to the pixel's edge it is half a pixel. At the
    /// image's border an antialiasing filter is cut off: in the outermost row or column up to 0.065 of a pixel outside weigh as much
    /// as what is left inside. Rounding to 256 greys moves an edge by a hundredth.
    #[test]
    fn what_is_in_a_box_stays_in_it(
        (width, height) in (10usize..40, 10usize..40),
        place in (0.0..0.7, 0.0..0.7, 0.2..1.0, 0.2..1.0),
        (before, resize, after) in (vec(moving(), 0..3), option::of(resizing()), vec(moving(), 0..3)),
        seed in any::<u64>(),
    ) {
        let edge = |part: f64, side: usize| (part * side as f64).floor();
        let (x1, y1) = (edge(place.0, width), edge(place.1, height));
        let (x2, y2) = ((x1 + edge(place.2, width)).min(width as f64), (y1 + edge(place.3, height)).min(height as f64));
        let bbox = BBox::new(x1, y1, x2, y2);
        let inside = |x: usize, y: usize| {
            let (x, y) = (x as f64, y as f64);
            x1 <= x && x < x2 && y1 <= y && y < y2
        };
        let pixels = (0..width * height).map(|i| if inside(i % width, i / width) { 255 } else { 0 }).collect();
        let image = Image::new(width, height, 1, pixels).unwrap();
        let reach = if resize.is_some() { 0.6 } else { 0.0 };
        let transforms = before.into_iter().chain(resize).chain(after).collect();
        let pipeline = DetectionPipeline {
            transforms,
            ..DetectionPipeline::new(Normalize { mean: vec![0.0], std: vec![1.0] })
        };
        let input = pipeline.apply(image, &[Object::new(bbox, 0)], &mut Rng::new(seed, "test")).unwrap();
        let [_, out_height, out_width] = input.image.shape();
        prop_assert!(input.objects.iter().all(|o| o.bbox.has_extent()
            && o.bbox == o.bbox.clipped(out_width as f64, out_height as f64)));
        let (Some(object), Some(white)) = (input.objects.first(), white_box(input.image.data(), out_width)) else {
            return Ok(());
        };
        let found = object.bbox;
        prop_assert!(white.x1 >= found.x1 - reach && white.x2 <= found.x2 + reach, "{white:?} {found:?}");
        prop_assert!(white.y1 >= found.y1 - reach && white.y2 <= found.y2 + reach, "{white:?} {found:?}");
    }
}
