//! Generated scenes: what their boxes and masks promise, and what a seed does.

use proptest::prelude::*;
use sconce_core::geometry::BBox;
use sconce_data::{Background, CutOut, CutOuts, DataError, Image, ImageDataset, Scene, SceneConfig, Scenes, Weather};

/// Cut-outs of plain colours: class 0 red, class 1 green, class 2 blue; some of them with holes and ragged edges.
fn cut_outs() -> CutOuts {
    let ragged = |i: usize, size: usize, colour: [u8; 3]| {
        let (x, y) = (i % size, i / size);
        let alpha = if x * y % 7 == 3 { 0 } else { 255 - 20 * ((x + 2 * y) % 9) as u8 };
        [colour[0], colour[1], colour[2], alpha]
    };
    let mut items = Vec::new();
    for label in 0..3u32 {
        let colour: [u8; 3] = std::array::from_fn(|k| if k == label as usize { 255 } else { 0 });
        for size in [5, 12, 40] {
            let name = format!("{label}/{size}");
            let pixels = (0..size * size).map(|i| ragged(i, size, colour)).collect();
            items.push(CutOut::new((&name, &name), label, (size, size), pixels).unwrap());
        }
    }
    CutOuts::new("test", vec!["red".into(), "green".into(), "blue".into()], items).unwrap()
}

fn scenes(config: SceneConfig, seed: u64) -> Scenes {
    Scenes::new(config, cut_outs(), seed).unwrap()
}

fn fog() -> SceneConfig {
    SceneConfig { weather: Weather::Fog { strength: [0.5, 0.9] }, ..SceneConfig::default() }
}

fn geometry(scene: &Scene) -> Vec<(BBox, u32)> {
    scene.objects.iter().map(|object| (object.bbox, object.label)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn boxes_and_masks_are_those_of_the_visible_pixels(
        seed in any::<u64>(),
        objects in 1usize..12,
        size in 6.0..60.0,
        stretch in 1.0..8.0,
        rotation in 0.0..180.0,
        max_occlusion in 0.0..0.9,
    ) {
        let config = SceneConfig {
            objects: [1, objects],
            size: [size / 2.0 + 1.0, size],
            stretch: [1.0 / stretch, stretch],
            rotation,
            max_occlusion,
            ..SceneConfig::default()
        };
        let scene = scenes(config, seed).scene(seed % 7).unwrap();
        let (width, height) = (scene.image.width(), scene.image.height());
        prop_assert_eq!((width, height, scene.masks.len()), (128, 96, scene.objects.len()));
        prop_assert!(!scene.objects.is_empty() && scene.objects.len() <= objects);
        for (object, mask) in scene.objects.iter().zip(&scene.masks) {
            prop_assert_eq!(object.bbox, mask.bbox());
            prop_assert_eq!(object.area, Some(mask.area() as f64));
            prop_assert!(object.bbox.has_extent() && object.bbox == object.bbox.clipped(128.0, 96.0));
            prop_assert!(object.bbox.width().max(object.bbox.height()) <= size.ceil());
        }
        for y in 0..height {
            for x in 0..width {
                let mut owners = (0..scene.masks.len()).filter(|&k| scene.masks[k].covers(x, y));
                let owner = owners.next();
                prop_assert!(owners.next().is_none(), "two objects at {x}, {y}");
                // What an object covers by half shows its colour by half, and each nearer one may hide less than half of that.
                if let Some(owner) = owner {
                    let label = scene.objects[owner].label as usize;
                    let pixel = &scene.image.data()[(y * width + x) * 3..][..3];
                    let least = 255.0 * 0.5f64.powi((scene.masks.len() - owner) as i32) - 1.0;
                    prop_assert!(f64::from(pixel[label]) >= least, "{pixel:?} of class {label} at {x}, {y}");
                }
            }
        }
    }
}

#[test]
fn a_scene_is_the_same_whatever_the_number() {
    let scenes = scenes(SceneConfig::default(), 3);
    let (few, many) = (scenes.dataset(3).unwrap(), scenes.dataset(9).unwrap());
    assert_eq!(many.subset(&[0, 1, 2]).unwrap().content_hash(), few.content_hash());
    for i in 0..3 {
        let scene = scenes.scene(i).unwrap();
        assert_eq!((few.image(i as usize).unwrap(), &few.sample(i as usize).objects), (scene.image, &scene.objects));
    }
    let other = Scenes::new(SceneConfig::default(), cut_outs(), 4).unwrap();
    assert_ne!(other.dataset(3).unwrap().content_hash(), few.content_hash());
    assert!(scenes.dataset(0).is_err());
}

#[test]
fn weather_and_background_change_no_box() {
    let (clear, fog) = (scenes(SceneConfig::default(), 5), scenes(fog(), 5));
    let flat = scenes(SceneConfig { background: Background::Flat, ..SceneConfig::default() }, 5);
    for i in 0..20 {
        let [clear, fog, flat] = [&clear, &fog, &flat].map(|scenes| scenes.scene(i).unwrap());
        assert_eq!((&fog.masks, geometry(&fog)), (&clear.masks, geometry(&clear)));
        assert_eq!((&flat.masks, geometry(&flat)), (&clear.masks, geometry(&clear)));
        // Fog is white: nothing becomes darker, apart from rounding.
        assert!(fog.image.data().iter().zip(clear.image.data()).all(|(fog, clear)| *fog >= *clear));
        assert_ne!(fog.image, clear.image);
    }
}

#[test]
fn every_class_and_every_number_of_objects_is_drawn() {
    let small = SceneConfig { size: [8.0, 12.0], max_occlusion: 0.9, ..SceneConfig::default() };
    let dataset = scenes(small, 0).dataset(300).unwrap();
    let mut classes = [0; 3];
    let mut numbers = [0; 5];
    for sample in dataset.samples() {
        numbers[sample.objects.len()] += 1;
        sample.objects.iter().for_each(|object| classes[object.label as usize] += 1);
    }
    // Five standard deviations around a quarter of 300 and around a third of 750.
    assert!(numbers[0] == 0 && numbers[1..].iter().all(|&n: &usize| n.abs_diff(75) < 38), "{numbers:?}");
    assert!(classes.iter().all(|&n: &usize| n.abs_diff(250) < 65), "{classes:?}");
}

#[test]
fn photos_are_the_background_and_crops_are_a_classification_set() {
    let photo = Image::new(50, 40, 3, [10, 200, 30].repeat(2000)).unwrap();
    let photos = ImageDataset::from_images("photos", vec!["photo".into()], vec![photo], vec![0]).unwrap();
    let config = SceneConfig { width: 60, height: 50, size: [10.0, 12.0], objects: [1, 1], ..SceneConfig::default() };
    let scenes = Scenes::with_photos(config, cut_outs(), photos, 0).unwrap();
    let image = scenes.scene(0).unwrap().image;
    let n_photo = image.data().chunks_exact(3).filter(|pixel| pixel == &[10, 200, 30]).count();
    assert!((60 * 50 - 14 * 14..60 * 50).contains(&n_photo), "{n_photo}");

    let crops = scenes.crops(7, 20).unwrap();
    assert_eq!((crops.len(), crops.labels()), (7, &[0, 1, 2, 0, 1, 2, 0][..]));
    assert_eq!(crops.classes(), ["red", "green", "blue"]);
    let first = crops.image(0).unwrap();
    assert_eq!((first.width(), first.height()), (20, 20));
    assert_eq!(scenes.crops(3, 20).unwrap().image(2).unwrap(), crops.image(2).unwrap());
    assert!(scenes.crops(3, 3).is_err());
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let good = SceneConfig::default();
    let bad = [
        SceneConfig { width: 0, ..good.clone() },
        SceneConfig { objects: [0, 2], ..good.clone() },
        SceneConfig { objects: [3, 2], ..good.clone() },
        SceneConfig { objects: [1, usize::MAX], ..good.clone() },
        SceneConfig { size: [20.0, 97.0], ..good.clone() },
        SceneConfig { size: [0.0, 20.0], ..good.clone() },
        SceneConfig { size: [f64::NAN, 20.0], ..good.clone() },
        SceneConfig { stretch: [0.0, 1.0], ..good.clone() },
        SceneConfig { rotation: f64::INFINITY, ..good.clone() },
        SceneConfig { flip: 2.0, ..good.clone() },
        SceneConfig { max_occlusion: 1.0, ..good.clone() },
        SceneConfig { background: Background::Photo, ..good.clone() },
        SceneConfig { weather: Weather::Fog { strength: [0.5, 1.5] }, ..good.clone() },
    ];
    for config in bad {
        let result = Scenes::new(config.clone(), cut_outs(), 0);
        assert!(matches!(result, Err(DataError::Argument { .. })), "{config:?}");
    }
}

#[test]
fn a_configuration_is_read_as_it_is_written() {
    for config in [SceneConfig::default(), fog()] {
        assert_eq!(toml::from_str::<SceneConfig>(&toml::to_string(&config).unwrap()).unwrap(), config);
    }
    let text = "weather = { name = \"fog\", strength = [0.5, 0.9] }";
    assert_eq!(toml::from_str::<SceneConfig>(text).unwrap(), fog());
    assert!(toml::from_str::<SceneConfig>("wether = { name = \"fog\" }").is_err());
}

#[cfg(feature = "embedded")]
#[test]
fn training_and_test_scenes_share_no_drawing_and_no_picture() {
    use sconce_data::{CutOutStyle, Split};
    for style in CutOutStyle::ALL {
        let parts = [Split::Train, Split::Test].map(|split| sconce_data::cut_outs(style, split).unwrap());
        let [train, test] = &parts;
        for item in test.items() {
            let is_same = |other: &&CutOut| other.subject() == item.subject() || other.pixels() == item.pixels();
            assert!(!train.items().iter().any(|other| is_same(&other)), "{}", item.name());
        }
        // From one seed too, whose scenes have the same layout.
        let sets = parts.map(|cut_outs| Scenes::new(SceneConfig::default(), cut_outs, 7).unwrap().dataset(12).unwrap());
        assert_ne!(sets[0].content_hash(), sets[1].content_hash());
        for (i, j) in (0..12).flat_map(|i| (0..12).map(move |j| (i, j))) {
            assert_ne!(sets[0].image(i).unwrap(), sets[1].image(j).unwrap(), "{i} and {j}");
        }
    }
}

#[test]
fn sets_of_other_seeds_share_no_scene_and_no_layout() {
    for config in [SceneConfig::default(), fog()] {
        let sets: Vec<_> = (0..4).map(|seed| scenes(config.clone(), seed).dataset(6).unwrap()).collect();
        let all: Vec<_> = sets.iter().flat_map(|set| (0..6).map(|i| (set.image(i).unwrap(), set.sample(i)))).collect();
        for (i, (image, sample)) in all.iter().enumerate() {
            for (other, of_other) in &all[..i] {
                assert!(image != other && sample.objects != of_other.objects, "{}", sample.name);
            }
        }
        // In other weather, one seed gives the layouts that another one does not.
        let clear: Vec<_> = (0..2).map(|seed| scenes(SceneConfig::default(), seed).dataset(6).unwrap()).collect();
        assert_eq!(clear[1].sample(3).objects, sets[1].sample(3).objects);
        assert_ne!(clear[0].sample(3).objects, sets[1].sample(3).objects);
    }
}
