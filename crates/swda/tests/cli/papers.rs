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

/// What makes a recipe small: images of 144 pixels, of which the classifier of images leaves two positions a side, a narrow network, few proposals.
///
/// Frozen batch normalisations that have learned nothing hold no activation in check, least of all in a hundred layers.
const SMALL: [&str; 20] = [
    "--set",
    "swda.detector.backbone.network.blocks=[1,1,1,1]",
    "--set",
    "trainer.lr=1e-9",
    "--set",
    "swda.detector.backbone.network.width=0.0625",
    "--set",
    "swda.detector.rpn.hidden=16",
    "--set",
    "swda.detector.rpn.train.after_nms=40",
    "--set",
    "swda.local.channels=[16,8]",
    "--set",
    "swda.global.channels=[16,8,8]",
    "--set",
    "start=random",
    "--set",
    "data.train.transforms=[{name=\"rgb\"},{name=\"horizontal-flip\"},{name=\"resize-sides\",shorter=144}]",
    "--set",
    "data.eval.transforms=[{name=\"rgb\"},{name=\"resize-sides\",shorter=144}]",
];

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
        let out = folder.path().join(preset);
        let mut command = swda(&["train", "--preset", preset, "--max-steps", "2", "--out"]);
        succeeds(command.arg(&out).args(SMALL).current_dir(folder.path()));
        let counts: serde_json::Value = serde_json::from_slice(&fs::read(out.join("data.json")).unwrap()).unwrap();
        // Of VOC for Watercolor2k, the images without an object of the six classes are left out.
        assert_eq!(counts["source"]["images"]["kept"], source, "{preset}");
        assert_eq!(counts["target"]["images"]["kept"], if preset == "paper-clipart" { 6 } else { 3 });
        let summary: serde_json::Value = serde_json::from_slice(&fs::read(out.join("summary.json")).unwrap()).unwrap();
        assert_eq!((&summary["steps"], summary["metrics"]["ap50"].is_number()), (&2.into(), true));
    }
}

#[test]
fn a_recipe_without_its_data_or_its_start_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let run = |preset: &str, more: &[&str]| {
        let mut command = swda(&["train", "--preset", preset, "--out"]);
        command.arg(folder.path().join(preset)).args(more).current_dir(folder.path());
        command
    };
    fails_with(&mut run("paper-clipart", &[]), &["--init-from"]);
    for preset in ["paper-clipart", "paper-foggy", "paper-sim10k"] {
        fails_with(&mut run(preset, &["--set", "start=random"]), &["datasets/"]);
    }
}
