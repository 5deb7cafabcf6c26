//! A folder of one's own pictures: flat or a folder a class, of any size, broken ones among them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{fails_with, moco, picture, succeeds};

/// Pictures of odd sizes, grey ones among them.
fn pictures(folder: &Path, n: usize) {
    for i in 0..n {
        let channels = if i % 4 == 1 { 1 } else { 3 };
        picture(&folder.join(format!("{i}.png")), (20 + 7 * (i % 5), 31 + 11 * (i % 3), channels), i as u64);
    }
}

/// `moco train --preset own` of a narrow network.
fn train(train: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = moco(&["train", "--preset", "own", "--set", "moco.encoder.backbone.width=0.0625"]);
    command.arg("--set").arg(format!("data.images.train={}", train.display()));
    command.arg("--out").arg(out).args(more);
    command
}

fn lines(output: &std::process::Output) -> Vec<serde_json::Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

struct Tree {
    folder: tempfile::TempDir,
}

impl Tree {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

#[test]
fn a_flat_folder_with_a_broken_picture_is_trained_on_and_predicted() {
    let tree = Tree::new();
    let (photos, out) = (tree.path("photos"), tree.path("run"));
    pictures(&photos, 9);
    fs::write(photos.join("broken.jpg"), b"\xff\xd8\xff\xe0 cut off").unwrap();
    fs::write(photos.join("notes.txt"), "no picture").unwrap();
    let said = succeeds(&mut train(&photos, &out, &["--max-steps", "2"]));
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    for part in
        ["9 images without labels", "1 undecodable", "broken.jpg", "a batch holds 8 images", "the queue holds 4 keys"]
    {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    assert!(fs::read_to_string(out.join("data.json")).unwrap().contains("broken.jpg"));
    let log = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 2, "two steps have a curve: {log}");

    // No data are needed any more.
    let copies = tree.path("copies");
    fs::rename(&photos, &copies).unwrap();
    let near = tree.path("near");
    let mut command = moco(&["predict", "--checkpoint"]);
    command.arg(&out).arg(&copies).arg(tree.path("missing.png")).arg("--out").arg(&near);
    let output = command.output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("broken.jpg") && message.contains("missing.png"), "{message}");
    assert!(message.contains("2 of 11 files could not be predicted"), "{message}");
    let lines = lines(&output);
    assert_eq!(lines.len(), 9);
    let names: Vec<String> = serde_json::from_slice(&fs::read(near.join("features.json")).unwrap()).unwrap();
    let stored = sconce_core::read_tensors(&near.join("features.safetensors")).unwrap();
    let rows = stored["features"].to_vec2::<f32>().unwrap();
    assert_eq!((names.len(), rows.len()), (9, 9));
    for ((line, name), row) in lines.iter().zip(names).zip(rows) {
        assert_eq!(line["file"], name.as_str());
        let features = line["features"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32);
        assert_eq!(features.collect::<Vec<_>>(), row, "{name}");
    }
    assert!(near.join("nearest.png").exists());
}

#[test]
fn a_test_set_is_measured_on() {
    let tree = Tree::new();
    for class in ["cat", "dog"] {
        pictures(&tree.path("train").join(class), 6);
        pictures(&tree.path("test").join(class), 2);
    }
    let test = format!("data.images.test={}", tree.path("test").display());
    let run = |out: &str, set: &str| {
        let more = ["--max-steps", "1", "--set", set, "--set", "evaluation.probe.epochs=1"];
        train(&tree.path("train"), &tree.path(out), &more)
    };
    let output = succeeds(&mut run("run", &test));
    let (said, shown) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert!(said.contains("train: 12 images in 2 classes (cat 6, dog 6)"), "{said}");
    assert!(said.contains("test: 4 images in 2 classes"), "{said}");
    assert!(shown.contains("knn accuracy") && shown.contains("report.html"), "{shown}");
    let table = succeeds(moco(&["eval", "--checkpoint"]).arg(tree.path("run")));
    assert!(String::from_utf8_lossy(&table.stdout).contains("knn accuracy"));

    // A test set without labels, or of other classes, is refused.
    pictures(&tree.path("flat"), 2);
    let flat = format!("data.images.test={}", tree.path("flat").display());
    fails_with(&mut run("flat-run", &flat), &["data.images.test", "flat", "folder a class"]);
    fs::rename(tree.path("test/dog"), tree.path("test/owl")).unwrap();
    fails_with(&mut run("other", &test), &["data.images.test", "owl", "dog"]);
    assert!(!tree.path("flat-run").exists() && !tree.path("other").exists());
}

#[test]
fn what_is_wrong_is_said_with_its_key_before_the_folder_is_taken() {
    let tree = Tree::new();
    let out = tree.path("run");
    pictures(&tree.path("few"), 7);
    fails_with(
        moco(&["train", "--preset", "own", "--out"]).arg(&out),
        &["data.images.train", "--set data.images.train=PATH"],
    );
    fails_with(&mut train(&tree.path("nothing"), &out, &[]), &["data.images.train", "nothing"]);
    fails_with(&mut train(&tree.path("few"), &out, &[]), &["few", "moco.batch_norm.groups is 4", "at most 3"]);
    let off = ["--set", "fit_to_data=false", "--set", "moco.batch_norm.groups=2"];
    fails_with(&mut train(&tree.path("few"), &out, &off), &["data.batch_size is 32", "at most 6"]);
    let colour = ["--set", "moco.encoder.backbone.in_channels=1", "--set", "moco.batch_norm.groups=2"];
    fails_with(&mut train(&tree.path("few"), &out, &colour), &["in_channels", "data.train", "\"gray\""]);
    let weights = tree.path("few/0.png");
    let start = ["--set", "moco.batch_norm.groups=2", "--init-from", weights.to_str().unwrap()];
    fails_with(&mut train(&tree.path("few"), &out, &start), &["0.png"]);
    fails_with(moco(&["eval", "--checkpoint"]).arg(&out), &["run"]);
    assert!(!out.exists());
    succeeds(&mut train(&tree.path("few"), &out, &["--set", "moco.batch_norm.groups=2", "--max-steps", "1"]));
}

/// A classifier's file under torchvision's names, with 7 classes of its own.
#[test]
fn a_backbone_with_a_classifier_of_its_own_gives_its_features() {
    let tree = Tree::new();
    let (photos, out) = (tree.path("photos"), tree.path("run"));
    pictures(&photos, 9);
    succeeds(&mut train(&photos, &out, &["--max-steps", "1"]));
    let model = sconce_core::read_tensors(&out.join("checkpoints/last/model.safetensors")).unwrap();
    let backbone = model.into_iter().filter_map(|(name, tensor)| {
        let name = name.strip_prefix("encoder_q.")?.to_owned();
        (!name.starts_with("fc.")).then_some((name, tensor))
    });
    let mut backbone: std::collections::BTreeMap<_, _> = backbone.collect();
    let zeros = |shape: &[usize]| sconce_core::Tensor::zeros(shape, sconce_core::DType::F32, &sconce_core::Device::Cpu);
    backbone.insert("fc.weight".to_owned(), zeros(&[7, 32]).unwrap());
    backbone.insert("fc.bias".to_owned(), zeros(&[7]).unwrap());
    let file = tree.path("resnet18.safetensors");
    sconce_core::write_tensors(&file, &backbone).unwrap();

    let expected = lines(&succeeds(moco(&["predict", "--checkpoint"]).arg(&out).arg(&photos)));
    let settings = ["predict", "--preset", "own", "--set", "moco.encoder.backbone.width=0.0625", "--weights"];
    let found = lines(&succeeds(moco(&settings).arg(&file).arg(&photos)));
    assert_eq!(found, expected);

    // Below a prefix that alone has all names it is found, of two one must be named.
    let below = |prefixes: &[&str], name: &str| {
        let named = |prefix: &&str| {
            backbone.clone().into_iter().map(move |(name, t)| (format!("{prefix}.{name}"), t)).collect::<Vec<_>>()
        };
        let file = tree.path(name);
        sconce_core::write_tensors(&file, &prefixes.iter().flat_map(named).collect()).unwrap();
        file
    };
    let one = below(&["model.backbone"], "one.safetensors");
    assert_eq!(lines(&succeeds(moco(&settings).arg(&one).arg(&photos))), expected);
    let two = below(&["student.net", "teacher.net"], "two.safetensors");
    fails_with(moco(&settings).arg(&two).arg(&photos), &["two.safetensors", "`student.net.`", "`teacher.net.`"]);
    let named = succeeds(moco(&settings).arg(&two).args(["--prefix", "teacher.net"]).arg(&photos));
    assert_eq!(lines(&named), expected);
    let start = ["--prefix", "student.net", "--max-steps", "1", "--init-from", two.to_str().unwrap()];
    succeeds(&mut train(&photos, &tree.path("started"), &start));

    // What is left out is said.
    let convert = |file: &Path, name: &str, more: &[&str], part: &str| {
        let output = succeeds(moco(&["convert"]).arg(file).arg(tree.path(name)).args(more));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("passed over") && said.contains(part), "{said}");
    };
    convert(&file, "converted.safetensors", &[], "fc.weight");
    convert(&two, "of-two.safetensors", &["--prefix", "teacher.net"], "student.net");
}

/// 17 images in batches of 8, on maps of one place: the last batch has one image, and batch normalisation no variance.
#[test]
fn an_epoch_whose_last_batch_is_one_image_is_trained_to_its_end() {
    let tree = Tree::new();
    for (class, n) in [("cat", 9), ("dog", 8)] {
        pictures(&tree.path("train").join(class), n);
        pictures(&tree.path("test").join(class), 2);
    }
    let test = format!("data.images.test={}", tree.path("test").display());
    let pixels = "pixels=[{name=\"rgb\"},{name=\"resize\",width=24,height=24}]";
    let (train_pixels, eval_pixels) = (format!("data.train.{pixels}"), format!("data.eval.{pixels}"));
    let run = |out: &str, more: &[&str]| {
        let settings =
            [&test, &train_pixels, &eval_pixels, "data.batch_size=8", "trainer.epochs=1", "evaluation.probe.epochs=1"];
        let mut command = train(&tree.path("train"), &tree.path(out), more);
        settings.iter().for_each(|setting| {
            command.arg("--set").arg(setting);
        });
        command
    };
    succeeds(&mut run("pretrained", &[]));
    let weights = tree.path("pretrained/checkpoints/last/model.safetensors");
    let start = ["--init-from", weights.to_str().unwrap()];
    for (task, steps) in [("fine-tune", "\"step\": 2"), ("linear-classifier", "\"step\": 3")] {
        succeeds(run(task, &start).args(["--set", &format!("task={task}")]));
        let state = fs::read_to_string(tree.path(task).join("checkpoints/last/state.json")).unwrap();
        assert!(state.contains(steps) || state.contains(&steps.replace(": ", ":")), "{task}: {state}");
    }
    let tuned = "evaluation.fine_tune={labels=17,epochs=1,batch_size=8,lr=0.01,weight_decay=0.0}";
    succeeds(&mut run("random", &["--set", "task=random-features", "--set", tuned]));
    fails_with(
        run("one", &["--set", "task=fine-tune"]).args(["--set", "data.batch_size=1"]),
        &["data.batch_size is 1"],
    );
}

/// Twelve megapixels are read, shrunk and looked at, not convolved as they are; also by a network of images of one size.
#[test]
fn a_photograph_of_twelve_megapixels_takes_seconds() {
    let tree = Tree::new();
    let photo = tree.path("photo.png");
    let image = sconce_data::Image::new(4000, 3000, 3, vec![90; 4000 * 3000 * 3]).unwrap();
    fs::write(&photo, image.encode_png().unwrap()).unwrap();
    let out = tree.path("run");
    succeeds(&mut crate::train(&out, &["--max-steps", "1"]));
    let begun = std::time::Instant::now();
    let output = succeeds(moco(&["predict", "--checkpoint"]).arg(&out).arg(&photo).arg("--out").arg(tree.path("near")));
    assert_eq!(lines(&output).len(), 1);
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

#[test]
fn a_mistake_costs_no_earlier_run() {
    let tree = Tree::new();
    let (photos, out) = (tree.path("photos"), tree.path("run"));
    pictures(&photos, 9);
    succeeds(&mut train(&photos, &out, &["--max-steps", "1"]));
    let model = out.join("checkpoints/last/model.safetensors");
    let before = fs::read(&model).unwrap();
    for (setting, parts) in [
        ("data.workers=999", &["workers", "999"][..]),
        ("data.train.pixels=[{name=\"rgb\"}]", &["data.train", ".png", "shape"]),
        ("data.eval.pixels=[{name=\"rgb\"}]", &["data.eval", ".png", "shape"]),
        ("moco.encoder.backbone.blocks=[1000000000000,1,1,1]", &["blocks", "1024"]),
    ] {
        fails_with(&mut train(&photos, &out, &["--force", "--set", setting]), parts);
        fails_with(&mut train(&photos, &tree.path("fresh"), &["--set", setting]), parts);
        assert!(!tree.path("fresh").exists(), "{setting}");
        assert_eq!(fs::read(&model).unwrap(), before, "{setting}");
    }
}
