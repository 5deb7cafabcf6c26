//! The paper's recipes run on trees in the datasets' real layouts, with networks that are narrow and images that are small.

use std::{fs, path::Path};

use crate::{fails_with, scene, succeeds, swda};

/// A dataset in VOC's layout below `root/folder`, whose lists have `n` images each, one of them without a `<pose>` and one without
/// an object.
fn tree(root: &Path, folder: &str, lists: &[&str], n: usize) {
    let root = root.join(folder);
    for name in ["Annotations", "ImageSets/Main", "JPEGImages"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    for (k, list) in lists.iter().enumerate() {
        let ids: Vec<String> = (0..n).map(|i| format!("{k:02}{i:04}")).collect();
        // With the line ends of another system.
        fs::write(root.join("ImageSets/Main").join(format!("{list}.txt")), ids.join("\r\n")).unwrap();
        for (i, id) in ids.iter().enumerate() {
            scene(&root.join("JPEGImages").join(format!("{id}.png")), (100 * k + i) as u64);
            let class = ["person", "dog", "car"][i % 3];
            let pose = if i == 0 { "" } else { "<pose>Left</pose>" };
            let object = format!(
                "<object><name>{class}</name>{pose}<difficult>0</difficult><bndbox><xmin>10</xmin><ymin>12</ymin>\
                 <xmax>60</xmax><ymax>70</ymax></bndbox></object>"
            );
            let objects = if i + 1 == n { String::new() } else { object };
            let xml = format!(
                "<annotation><filename>{id}.png</filename><size><width>128</width><height>96</height><depth>3</depth></size>\
                 {objects}</annotation>"
            );
            fs::write(root.join("Annotations").join(format!("{id}.xml")), xml).unwrap();
        }
    }
}

/// `--set KEY=VALUE` for each.
fn set<'a>(values: &[&'a str]) -> Vec<&'a str> {
    values.iter().flat_map(|&value| ["--set", value]).collect()
}

/// What makes a recipe small: images of 144 pixels, of which the classifier of images leaves two positions a side, a narrow network, few proposals.
const SMALL: [&str; 9] = [
    "swda.detector.backbone.network.width=0.0625",
    "swda.detector.rpn.hidden=16",
    "swda.detector.rpn.train.after_nms=40",
    "swda.local.channels=[16,8]",
    "swda.global.channels=[16,8,8]",
    // Both are one setting to the tests: SMALL[5..7].
    "start=random",
    "weights=",
    "data.train.transforms=[{name=\"rgb\"},{name=\"horizontal-flip\"},{name=\"resize-sides\",shorter=144}]",
    "data.eval.transforms=[{name=\"rgb\"},{name=\"resize-sides\",shorter=144}]",
];

/// Frozen batch normalisations that have learned nothing hold no activation in check, least of all in a hundred layers.
const SMALL_RESNET: [&str; 2] = ["swda.detector.backbone.network.blocks=[1,1,1,1]", "trainer.lr=1e-9"];

const SMALL_VGG: [&str; 1] = ["swda.detector.backbone.head.head.hidden=16"];

/// Two steps of `preset` in `folder`, and the summary.
fn two_steps(folder: &Path, preset: &str, settings: &[&str]) -> serde_json::Value {
    let out = folder.join(preset);
    let mut command = swda(&["train", "--preset", preset, "--max-steps", "2", "--out"]);
    succeeds(command.arg(&out).args(set(settings)).current_dir(folder));
    let summary: serde_json::Value = read(&out.join("summary.json"));
    assert_eq!((&summary["steps"], summary["metrics"]["ap50"].is_number()), (&2.into(), true), "{preset}");
    summary
}

/// What the readers kept and left out in the run of `preset`.
fn counts(folder: &Path, preset: &str) -> serde_json::Value {
    read(&folder.join(preset).join("data.json"))["details"].clone()
}

fn read(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn voc_to_clipart_and_to_watercolor() {
    let folder = tempfile::tempdir().unwrap();
    let datasets = folder.path().join("datasets");
    tree(&datasets.join("VOCdevkit"), "VOC2007", &["trainval"], 4);
    tree(&datasets.join("VOCdevkit"), "VOC2012", &["trainval"], 3);
    // As it is downloaded, Clipart1k has no list `trainval`.
    tree(&datasets, "clipart", &["train", "test"], 3);
    tree(&datasets, "watercolor", &["train", "test"], 3);
    for (preset, source) in [("paper-clipart", 7), ("paper-watercolor", 5)] {
        two_steps(folder.path(), preset, &[&SMALL[..], &SMALL_RESNET].concat());
        let counts = counts(folder.path(), preset);
        // Of VOC for Watercolor2k, the images without an object of the six classes are left out.
        assert_eq!(counts["source"]["images"]["kept"], source, "{preset}");
        assert_eq!(counts["target"]["images"]["kept"], if preset == "paper-clipart" { 6 } else { 3 });
    }
}

/// Cityscapes and its foggy twin: in each part `n` images, with a car and a person on each.
fn cityscapes(root: &Path, n: usize) {
    for split in ["train", "val"] {
        let folder = |name: &str| root.join(name).join(split).join("ulm");
        for name in ["leftImg8bit", "leftImg8bit_foggy", "gtFine"] {
            fs::create_dir_all(folder(name)).unwrap();
        }
        for i in 0..n {
            let frame = format!("ulm_{i:06}_000019");
            scene(&folder("leftImg8bit").join(format!("{frame}_leftImg8bit.png")), i as u64);
            let foggy = format!("{frame}_leftImg8bit_foggy_beta_0.02.png");
            scene(&folder("leftImg8bit_foggy").join(foggy), i as u64);
            let map = image::ImageBuffer::from_fn(128, 96, |x, y| {
                let is_in = |x1: u32, y1: u32, x2: u32, y2: u32| (x1..x2).contains(&x) && (y1..y2).contains(&y);
                // The road is 7; a car has 26, a person 24, with a number behind.
                image::Luma([if is_in(10, 12, 60, 70) {
                    26_000
                } else if is_in(80, 20, 100, 90) {
                    24_001
                } else {
                    7u16
                }])
            });
            map.save(folder("gtFine").join(format!("{frame}_gtFine_instanceIds.png"))).unwrap();
        }
    }
}

#[test]
fn cityscapes_to_fog_and_sim10k_to_cityscapes() {
    let folder = tempfile::tempdir().unwrap();
    let datasets = folder.path().join("datasets");
    cityscapes(&datasets.join("cityscapes"), 3);
    tree(&datasets.join("sim10k"), "VOC2012", &["train"], 4);
    for (preset, images, objects) in [("paper-foggy", 3, 6), ("paper-sim10k", 4, 1)] {
        two_steps(folder.path(), preset, &[&SMALL[..], &SMALL_VGG].concat());
        let counts = counts(folder.path(), preset);
        let source = (&counts["source"]["images"]["kept"], &counts["source"]["objects"]["kept"]);
        assert_eq!(source, (&images.into(), &objects.into()), "{preset}");
        // What is on the target is not looked at.
        let target = (&counts["target"]["images"]["kept"], &counts["target"]["objects"]["listed"]);
        assert_eq!(target, (&3.into(), &0.into()), "{preset}");
    }
}

#[test]
fn composed_photos_to_clipart() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for (c, class) in ["bird", "insect", "mammal", "fruit", "flower"].into_iter().enumerate() {
        let root = data.join("photo-cut-outs").join(class);
        fs::create_dir_all(&root).unwrap();
        for i in 0..2u8 {
            let pixel =
                |x: u32, y: u32| image::Rgba([40 * c as u8, 100 * i, (x * y) as u8, if x > 3 { 255 } else { 0 }]);
            image::RgbaImage::from_fn(40, 30, pixel).save(root.join(format!("{i}.png"))).unwrap();
        }
    }
    for split in ["train", "test"] {
        fs::create_dir_all(data.join("campus-photos").join(split)).unwrap();
        scene(&data.join("campus-photos").join(split).join("photo.png"), 7);
    }
    let small = [
        "data.source.n=4",
        "data.target.n=4",
        "data.test.n=4",
        "data.source_test.n=4",
        "swda.detector.backbone.head.hidden=16",
    ];
    // Photos of 192 pixels, as the recipe has them.
    let summary = two_steps(folder.path(), "photo-clipart", &[&SMALL[..7], &small].concat());
    assert!(summary["metrics"]["source_ap50"].is_number(), "{summary}");
    fs::remove_dir_all(data.join("photo-cut-outs/fruit")).unwrap();
    let mut command = swda(&["train", "--preset", "photo-clipart-source-only", "--out"]);
    command.arg(folder.path().join("without")).args(set(&SMALL[5..7])).current_dir(folder.path());
    fails_with(&mut command, &["cut-outs", "fruit"]);
}

#[test]
fn a_recipe_without_its_data_or_its_start_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let run = |preset: &str, more: &[&str]| {
        let mut command = swda(&["train", "--preset", preset, "--out"]);
        command.arg(folder.path().join(preset)).args(more).current_dir(folder.path());
        command
    };
    fails_with(&mut run("paper-watercolor", &[]), &["datasets/resnet101_caffe.pth", "--init-from"]);
    for preset in ["paper-clipart", "paper-foggy", "paper-sim10k"] {
        fails_with(&mut run(preset, &set(&SMALL[5..7])), &["datasets/"]);
    }
}
