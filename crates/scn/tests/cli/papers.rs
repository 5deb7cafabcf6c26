//! The presets of the paper, each for two steps on a dozen images or a few in the dataset's real layout.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use sconce_core::{DType, Device, Params, Rng};
use sconce_scn::{ResNetConfig, Scn, ScnConfig};

use crate::{fails_with, scn, succeeds};

/// Images of a class in the training part.
const PER_CLASS: usize = 2;

fn jpeg(path: &Path, rng: &mut Rng) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let pixels: Vec<u8> = (0..100 * 100 * 3).map(|_| rng.below(256) as u8).collect();
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new(&mut bytes);
    image::ImageEncoder::write_image(encoder, &pixels, 100, 100, image::ExtendedColorType::Rgb8).unwrap();
    fs::write(path, bytes).unwrap();
}

/// RAF-DB, its list with CRLF.
fn raf_db(root: &Path) {
    let rng = &mut Rng::new(0, "faces");
    let mut list = String::new();
    for (split, per_class, digits) in [("train", PER_CLASS, 5), ("test", 1, 4)] {
        for i in 0..7 * per_class {
            let stem = format!("{split}_{:0digits$}", i + 1);
            write!(list, "{stem}.jpg {}\r\n", i % 7 + 1).unwrap();
            jpeg(&root.join("Image/aligned").join(format!("{stem}_aligned.jpg")), rng);
        }
    }
    fs::create_dir_all(root.join("EmoLabel")).unwrap();
    fs::write(root.join("EmoLabel/list_patition_label.txt"), list).unwrap();
}

/// FERPlus, a row of each split without an image name.
fn fer_plus(root: &Path) {
    fs::create_dir_all(root).unwrap();
    let rng = &mut Rng::new(0, "faces");
    let mut pixels = "emotion,pixels,Usage\n".to_owned();
    let mut votes =
        "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n".to_owned();
    let mut number = 0;
    for (usage, per_class) in [("Training", PER_CLASS), ("PublicTest", 1), ("PrivateTest", 1)] {
        for i in 0..=8 * per_class {
            let values: Vec<String> = (0..48 * 48).map(|_| rng.below(256).to_string()).collect();
            writeln!(pixels, "0,{},{usage}", values.join(" ")).unwrap();
            let name = if i == 0 { String::new() } else { format!("fer{number:07}.png") };
            let row: Vec<&str> = (0..10).map(|c| if i > 0 && c == i % 8 { "10" } else { "0" }).collect();
            writeln!(votes, "{usage},{name},{}", row.join(",")).unwrap();
            number += 1;
        }
    }
    fs::write(root.join("fer2013.csv"), pixels).unwrap();
    fs::write(root.join("fer2013new.csv"), votes).unwrap();
}

/// AffectNet, with a row of each kind that is no class, and a validation list without heads.
fn affect_net(root: &Path) {
    let rng = &mut Rng::new(0, "faces");
    let heads =
        "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal\n";
    for (list, per_class) in [("training", PER_CLASS), ("validation", 1)] {
        let mut text = if list == "training" { heads.to_owned() } else { String::new() };
        for i in 0..8 * per_class + 3 {
            let name = format!("{}/{list}{i:032x}.jpg", 100 + i % 3);
            let expression = if i < 8 * per_class { i % 8 } else { 8 + i % 8 };
            writeln!(text, "{name},10,12,70,72,1.5;2.5;3.5;4.5,{expression},0.1,-0.2").unwrap();
            jpeg(&root.join("Manually_Annotated_Images").join(name), rng);
        }
        fs::write(root.join(format!("{list}.csv")), text).unwrap();
    }
}

/// Weights of a ResNet-18 of an eighth of the width.
fn weights(folder: &Path) -> PathBuf {
    let path = folder.join("weights.safetensors");
    let backbone = ResNetConfig { width: 0.125, ..ResNetConfig::resnet18() };
    let params = Params::new(1, DType::F32, &Device::Cpu);
    Scn::new(&params.scope(), &ScnConfig::paper(backbone, 3)).unwrap();
    params.save(&path).unwrap();
    path
}

/// `scn train` with a preset on the tree below `root`, for two steps of a narrow network.
fn two_steps(preset: &str, root: &Path, out: &Path, weights: Option<&Path>) -> std::process::Command {
    let root = format!("data.images.root=\"{}\"", root.display());
    let narrow = "scn.model.backbone.width=0.125";
    let mut command = scn(&["train", "--preset", preset, "--set", &root, "--set", narrow, "--max-steps", "2", "--out"]);
    command.arg(out);
    if let Some(weights) = weights {
        command.arg("--init-from").arg(weights);
    }
    command
}

fn presets(dataset: &str) -> Vec<String> {
    let listed = succeeds(&mut scn(&["presets"])).stdout;
    let names = String::from_utf8(listed).unwrap();
    let names = names.lines().filter_map(|line| line.split_whitespace().next()).filter(|name| name.contains(dataset));
    names.map(str::to_owned).collect()
}

/// Runs every preset of a dataset, pre-trained where it is meant to be.
#[track_caller]
fn check_presets(dataset: &str, tree: fn(&Path), n_presets: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join(dataset);
    tree(&root);
    let weights = weights(folder.path());
    let presets = presets(dataset);
    assert_eq!(presets.len(), n_presets, "{presets:?}");
    for preset in presets {
        let out = folder.path().join(&preset);
        let weights = (!preset.contains("scratch")).then_some(weights.as_path());
        succeeds(&mut two_steps(&preset, &root, &out, weights));
        let summary = fs::read_to_string(out.join("summary.json")).unwrap();
        assert!(summary.contains("\"steps\": 2"), "{preset}: {summary}");
    }
    folder
}

#[test]
fn raf_db_with_and_without_pre_training_and_noise() {
    check_presets("raf-db", raf_db, 9);
}

#[test]
fn fer_plus_with_and_without_pre_training_and_noise() {
    let folder = check_presets("fer-plus", fer_plus, 8);
    let counts = fs::read_to_string(folder.path().join("paper-fer-plus/data.json")).unwrap();
    let counts: serde_json::Value = serde_json::from_str(&counts).unwrap();
    for (part, rows) in [("train", 8 * PER_CLASS + 1), ("validation", 9), ("test", 9)] {
        let counts = &counts["details"][part];
        assert_eq!(counts["rows"], rows);
        assert_eq!(counts["unnamed"], 1);
        assert_eq!(counts["kept"], rows - 1);
    }
}

#[test]
fn affect_net_with_and_without_pre_training_and_noise() {
    let folder = check_presets("affect-net", affect_net, 8);
    let counts = fs::read_to_string(folder.path().join("paper-affect-net/data.json")).unwrap();
    let counts: serde_json::Value = serde_json::from_str(&counts).unwrap();
    assert_eq!(counts["details"]["train"]["kept"], 8 * PER_CLASS);
    assert_eq!(counts["details"]["test"]["kept"], 8);
}

#[test]
fn a_pre_trained_preset_without_weights_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    fails_with(&mut two_steps("paper-raf-db", folder.path(), &out, None), &["--init-from", "pretraining"]);
    assert!(!out.exists());
    let hub = "pretraining={kind=\"hub\",repo=\"a/b\",file=\"c\",revision=\"main\"}";
    // A binary with that feature would ask the hub.
    if cfg!(not(feature = "hub")) {
        fails_with(
            two_steps("paper-raf-db", folder.path(), &out, None).args(["--set", hub]),
            &["a/b", "feature `hub`"],
        );
        assert!(!out.exists());
    }
}

#[test]
fn a_missing_image_names_the_line_of_the_list() {
    let folder = tempfile::tempdir().unwrap();
    raf_db(folder.path());
    fs::remove_file(folder.path().join("Image/aligned/train_00003_aligned.jpg")).unwrap();
    let mut command = two_steps("paper-raf-db-scratch", folder.path(), &folder.path().join("run"), None);
    fails_with(&mut command, &["list_patition_label.txt:3", "train_00003_aligned.jpg"]);
}

#[test]
fn the_official_lists_of_noisy_labels_are_used() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("raf");
    raf_db(&root);
    let lines = (0..7 * PER_CLASS).map(|i| {
        let label = if i == 0 { 6 } else { i % 7 };
        format!("/somebody/else/train_{:05}_aligned.jpg {label}\r\n", i + 1)
    });
    let list = folder.path().join("0.1noise_train.txt");
    fs::write(&list, lines.collect::<String>()).unwrap();
    let out = folder.path().join("run");
    let noise_list = format!("data.noise_list={{format=\"path-label\",path=\"{}\"}}", list.display());
    succeeds(two_steps("paper-raf-db-scratch", &root, &out, None).args(["--set", &noise_list]));
    let labels = fs::read_to_string(out.join("labels.txt")).unwrap();
    assert!(labels.contains("# flips = 1\n") && labels.contains("train_00001_aligned.jpg 0 6\n"), "{labels}");
}

#[test]
fn the_official_weights_are_converted_evaluated_and_predict() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("raf");
    raf_db(&root);
    let official = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/official.pth");
    let converted = folder.path().join("official.safetensors");
    let said = succeeds(scn(&["convert"]).args([&official, &converted])).stdout;
    assert!(String::from_utf8(said).unwrap().contains("official code: 124 tensors"));
    fails_with(scn(&["convert"]).args([&official, &converted]), &["official.safetensors", "exists"]);

    let root_at = format!("data.images.root=\"{}\"", root.display());
    let on = |command: &str, weights: &Path| {
        let mut command = scn(&[command, "--preset", "code-raf-db", "--set", &root_at]);
        command.args(["--set", "scn.model.backbone.width=0.0625", "--weights"]).arg(weights);
        command
    };
    let evaluated: serde_json::Value =
        serde_json::from_slice(&succeeds(on("eval", &official).arg("--json")).stdout).unwrap();
    assert_eq!(evaluated["images"], 7);
    let image = root.join("Image/aligned/test_0001_aligned.jpg");
    let line = succeeds(on("predict", &official).arg(&image)).stdout;
    assert_eq!(line, succeeds(on("predict", &converted).arg(&image)).stdout);
    let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(line["probabilities"].as_object().unwrap().len(), 7);
    assert!(line["probabilities"]["Surprise"].is_f64() && line["alpha"].is_f64());

    // A narrower file in a wider network: the tensor is named.
    let wide = ["--set", "scn.model.backbone.width=0.125"];
    fails_with(on("predict", &official).args(wide).arg(&image), &["official.pth", "shape"]);
    fails_with(on("predict", &folder.path().join("none.pth")).arg(&image), &["none.pth"]);
}
