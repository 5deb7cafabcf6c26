//! A folder of one's own images, from training to the list of doubtful labels.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use sconce_core::Rng;
use sconce_data::Image;
use serde_json::Value;

use crate::{fails_with, scn, succeeds};

/// Colour images of odd sizes: those of `reds` are red, others blue.
fn pictures(root: &Path, classes: &[&str], per_class: usize) {
    let rng = &mut Rng::new(1, "pictures");
    for (label, class) in classes.iter().enumerate() {
        fs::create_dir_all(root.join(class)).unwrap();
        for i in 0..per_class {
            let (width, height) = (20 + rng.below(60), 20 + rng.below(60));
            let mut pixels = Vec::new();
            for _ in 0..width * height {
                let mut pixel = [rng.below(120) as u8, rng.below(120) as u8, rng.below(120) as u8];
                pixel[label % 3] += 130;
                pixels.extend(pixel);
            }
            let image = Image::new(width, height, 3, pixels).unwrap();
            fs::write(root.join(class).join(format!("{i:02}.png")), image.encode_png().unwrap()).unwrap();
        }
    }
}

/// `scn train --preset own` on `train`, small and short.
fn own(train: &Path, out: &Path, more: &[&str]) -> Command {
    let images = format!("data.images.train={}", train.display());
    let mut command = scn(&["train", "--preset", "own", "--set", &images, "--out"]);
    command.arg(out).args(["--set", "scn.model.backbone.width=0.0625", "--set", "trainer.epochs=4"]);
    command.args(["--set", "scn.relabel.start_epoch=2", "--set", "data.batch_size=8"]).args(more);
    command
}

fn set(key: &str, path: &Path) -> [String; 2] {
    ["--set".to_owned(), format!("{key}={}", path.display())]
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn a_folder_is_trained_on_tested_and_its_doubtful_labels_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let (images, out) = (folder.path().join("my pictures"), folder.path().join("run"));
    pictures(&images, &["blue, \"dark\"", "green", "red"], 20);
    fs::write(images.join("green/broken.jpg"), "no image").unwrap();
    let said =
        succeeds(&mut own(&images, &out, &["--set", "scn.relabel.margin=0.0", "--set", "scn.relabel.warn_above=0"]));
    let (table, said) = (String::from_utf8(said.stdout).unwrap(), String::from_utf8(said.stderr).unwrap());
    assert!(table.contains("accuracy"), "{table}");
    assert!(said.contains("held out of") && said.contains("broken.jpg"), "{said}");
    // Nobody knows which labels are true.
    let log = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let summary = fs::read_to_string(out.join("summary.json")).unwrap();
    for unknown in ["noise_left", "relabel_precision", "relabel_recall", "relabel_broken", "alpha_auroc"] {
        assert!(!log.contains(unknown) && !summary.contains(unknown), "{unknown}");
    }
    assert!(!out.join("labels.txt").exists());

    // The list has what the log of changes has, in the names of files and classes.
    let changes = fs::read_to_string(out.join("logs/relabelled.jsonl")).unwrap_or_default();
    let mut labels: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for change in changes.lines().map(|line| json(line.as_bytes())) {
        let [index, from, to] = ["index", "from", "to"].map(|key| change[key].as_u64().unwrap());
        labels.entry(index).or_insert((from, to)).1 = to;
    }
    let changed = labels.values().filter(|(from, to)| from != to).count();
    assert!(changed > 0, "nothing was relabelled");
    let csv = fs::read_to_string(out.join("relabelled.csv")).unwrap();
    let first = "file,given_label,current_label,probability,alpha,status,given_probability,predicted_label,";
    assert!(csv.starts_with(first), "{csv}");
    assert_eq!(csv.lines().filter(|line| line.contains(",relabelled,")).count(), changed);
    for line in csv.lines().skip(1) {
        let file = line.split(',').next().unwrap();
        let path = line.strip_prefix('"').map_or(file, |quoted| &quoted[..quoted.find(".png").unwrap() + 4]);
        let path = path.replace("\"\"", "\"");
        assert!(Path::new(&path).is_file(), "{path}");
    }
    assert!(out.join("pictures/relabelled.png").exists());
    // More were changed than nothing at all.
    assert!(said.contains("warning: ") && said.contains("warn_above"), "{said}");
    assert!(fs::read_to_string(out.join("report.html")).unwrap().contains("warn_above"));

    let evaluated = json(&succeeds(scn(&["eval", "--json", "--checkpoint"]).arg(&out)).stdout);
    assert_eq!(evaluated["images"], 12);
    let accuracy = json(summary.as_bytes())["metrics"]["accuracy"].clone();
    assert_eq!(evaluated["accuracy"], accuracy, "on the images that were held out");
    let table = succeeds(scn(&["eval", "--checkpoint"]).arg(&out)).stdout;
    assert!(String::from_utf8(table).unwrap().contains("mean class accuracy"));
}

#[test]
fn other_classes_are_named_and_fewer_go_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let (images, out) = (folder.path().join("train"), folder.path().join("run"));
    pictures(&images, &["cat", "dog"], 12);
    succeeds(&mut own(&images, &out, &["--max-steps", "4"]));
    let test = |classes: &[&str], name: &str| {
        let root = folder.path().join(name);
        pictures(&images, &["cat", "dog"], 12);
        pictures(&root, &["cat", "dog"], 6);
        for unwanted in ["cat", "dog"].iter().filter(|class| !classes.contains(class)) {
            fs::remove_dir_all(root.join(unwanted)).unwrap();
        }
        root
    };
    let eval = |root: &Path| {
        let mut command = scn(&["eval", "--json", "--checkpoint"]);
        command.arg(&out).args(set("data.images.test", root));
        command
    };
    let both = json(&succeeds(&mut eval(&test(&["cat", "dog"], "both"))).stdout);
    let dogs = json(&succeeds(&mut eval(&test(&["dog"], "dogs"))).stdout);
    assert_eq!(dogs["images"], 6);
    assert_eq!(dogs["confusion_matrix"][1], both["confusion_matrix"][1], "dogs are still dogs");
    assert_eq!(dogs["confusion_matrix"][0], serde_json::json!([0, 0]));
    assert_eq!(dogs["classes_without_images"], serde_json::json!(["cat"]));

    let wolves = test(&["dog"], "wolves");
    fs::rename(wolves.join("dog"), wolves.join("wolf")).unwrap();
    fails_with(&mut eval(&wolves), &["wolf", "cat, dog"]);
    // Neither is such a folder taken to train with.
    let fresh = folder.path().join("fresh");
    fails_with(own(&images, &fresh, &[]).args(set("data.images.test", &wolves)), &["wolf", "cat, dog"]);
    assert!(!fresh.exists());
}

#[test]
fn mistakes_about_data_leave_no_folder_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (images, out) = (folder.path().join("train"), folder.path().join("run"));
    pictures(&images, &["cat", "dog"], 12);
    for (more, parts) in [
        (&["--set", "scn.model.n_classes=7"][..], &["scn.model.n_classes", "7", "2"][..]),
        (&["--set", "scn.model.backbone.in_channels=1"], &["in_channels", "[3, 64, 64]", "data.train"]),
        (&["--set", "data.eval.pixels=[{name=\"rgb\"}]"], &["data.eval", "resize"]),
        (&["--set", "data.images.test_share=1.5"], &["data.images.test_share"]),
        (&["--set", "data.noise_list={format=\"sconce\",path=\"nowhere.txt\"}"], &["nowhere.txt"]),
        (&["--set", "data.batch_size=1"], &["data.batch_size", "batch"]),
    ] {
        // One pixel is left of an image, where a batch of one has no variance.
        let small = "data.train.pixels=[{name=\"rgb\"},{name=\"resize\",width=32,height=32,antialias=true}]";
        let small = if more[1] == "data.batch_size=1" { vec!["--set", small] } else { Vec::new() };
        fails_with(own(&images, &out, more).args(&small), parts);
        assert!(!out.exists(), "{more:?}");
    }
    fails_with(&mut own(&folder.path().join("nowhere"), &out, &[]), &["nowhere"]);
    let weights = folder.path().join("weights.safetensors");
    fs::write(&weights, "none").unwrap();
    fails_with(own(&images, &out, &[]).arg("--init-from").arg(&weights), &["weights.safetensors"]);
    assert!(!out.exists());
    succeeds(&mut own(&images, &out, &["--max-steps", "2"]));
}

#[test]
fn a_last_batch_of_one_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let (images, test) = (folder.path().join("train"), folder.path().join("test"));
    pictures(&images, &["cat", "dog"], 9);
    fs::remove_file(images.join("dog/08.png")).unwrap();
    pictures(&test, &["cat", "dog"], 9);
    fs::remove_file(test.join("dog/08.png")).unwrap();
    let small = "[{name=\"rgb\"},{name=\"resize\",width=24,height=24,antialias=true}]";
    let pixels = ["train", "eval"].map(|part| format!("data.{part}.pixels={small}"));
    let run = |out: &Path, batch: &str| {
        let mut command = own(&images, out, &["--set", &pixels[0], "--set", &pixels[1], "--set", "data.validation=0"]);
        command.args(set("data.images.test", &test)).args(["--set", &format!("data.batch_size={batch}")]);
        command
    };
    let out = folder.path().join("run");
    succeeds(&mut run(&out, "8"));
    let summary = json(&fs::read(out.join("summary.json")).unwrap());
    assert_eq!((&summary["finished"], &summary["steps"]), (&Value::Bool(true), &serde_json::json!(8)));
    // All are evaluated, the last one too.
    let evaluated = json(&succeeds(scn(&["eval", "--json", "--checkpoint"]).arg(&out)).stdout);
    assert_eq!(evaluated["images"], 17);
    let refused = folder.path().join("refused");
    fails_with(&mut run(&refused, "1"), &["data.batch_size is 1", "batch normalisation"]);
    assert!(!refused.exists());
}

#[test]
fn a_folder_is_predicted_and_what_is_broken_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let (images, out) = (folder.path().join("train"), folder.path().join("run"));
    pictures(&images, &["cat", "dog"], 12);
    succeeds(&mut own(&images, &out, &["--max-steps", "2"]));
    let seen = folder.path().join("seen");
    pictures(&seen, &["some"], 9);
    fs::write(seen.join("some/05a.png"), "no image").unwrap();
    // Nothing but the checkpoint and the files is needed.
    fs::remove_dir_all(&images).unwrap();
    let pictures = folder.path().join("pictures");
    let output = scn(&["predict", "--checkpoint"]).arg(&out).arg(&seen).arg("--out").arg(&pictures).output().unwrap();
    let (lines, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!((output.status.code(), lines.lines().count()), (Some(1), 9), "{said}");
    assert!(said.contains("05a.png") && said.contains("1 of 10"), "{said}");
    assert!(lines.lines().all(|line| json(line.as_bytes())["class"].is_string()));
    assert!(pictures.join("least-certain.png").exists());
    let weights = out.join("checkpoints/last/model.safetensors");
    let narrow = ["--set", "scn.model.backbone.width=0.0625"];
    let mut bare = scn(&["predict", "--preset", "own"]);
    fails_with(bare.args(narrow).arg("--weights").arg(&weights).arg(&seen), &["--checkpoint"]);
}

#[test]
fn what_is_not_there_is_reported_and_pictures_of_other_kinds_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let (images, out) = (folder.path().join("train"), folder.path().join("run"));
    pictures(&images, &["cat", "dog"], 12);
    fs::write(images.join("cat/film.gif"), "GIF89a").unwrap();
    let said = succeeds(&mut own(&images, &out, &["--max-steps", "2"])).stderr;
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("1 of kinds that are not read)") && said.contains("1 gif, as cat/film.gif"), "{said}");
    let mut command = scn(&["predict", "--checkpoint"]);
    let output = command.arg(&out).arg(folder.path().join("gone.png")).arg(images.join("cat")).output().unwrap();
    let (lines, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!((output.status.code(), lines.lines().count()), (Some(1), 12), "{said}");
    assert!(said.contains("gone.png") && said.contains("1 of 13") && said.contains("1 gif, as film.gif"), "{said}");
    // What a table does not count is told beside it.
    let test = folder.path().join("test");
    pictures(&test, &["cat", "dog"], 4);
    fs::write(test.join("cat/broken.png"), "no image").unwrap();
    let at = set("data.images.test", &test);
    let output = succeeds(scn(&["eval", "--checkpoint"]).arg(&out).args(&at));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("test: 8 images") && said.contains("broken.png"), "{said}");
    let lines = json(&succeeds(scn(&["eval", "--json", "--checkpoint"]).arg(&out).args(&at)).stdout)["data"].clone();
    assert!(
        lines[0].as_str().unwrap().starts_with("test: 8 images in 2 classes (cat 4, dog 4), 1 left out"),
        "{lines}"
    );
}

#[test]
fn a_network_that_says_nothing_is_not_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let (images, out) = (folder.path().join("train"), folder.path().join("run"));
    pictures(&images, &["cat", "dog"], 12);
    succeeds(&mut own(&images, &out, &["--max-steps", "2"]));
    let weights = out.join("checkpoints/last/model.safetensors");
    let whole = sconce_core::read_tensors(&weights).unwrap();
    let name = whole.keys().find(|name| name.ends_with("conv1.weight")).unwrap().clone();
    let mut tensors = whole.clone();
    let nan = (whole[&name].clone() * f64::NAN).unwrap();
    tensors.insert(name.clone(), nan);
    sconce_core::write_tensors(&weights, &tensors).unwrap();
    fails_with(scn(&["eval", "--json", "--checkpoint"]).arg(&out), &["is not finite", "weights"]);
    let fresh = folder.path().join("fresh");
    let start = ["--init-from", weights.to_str().unwrap()];
    fails_with(&mut own(&images, &fresh, &start), &["model.safetensors", "conv1.weight", "holds NaN"]);
    assert!(!fresh.exists());
    // Of variances below zero no root can be taken: training sees its batches alone, and evaluation NaN.
    let mut tensors = whole.clone();
    let name = whole.keys().find(|name| name.ends_with("bn1.running_var")).unwrap().clone();
    tensors.insert(name.clone(), (whole[&name].clone() * -5.0).unwrap());
    sconce_core::write_tensors(&weights, &tensors).unwrap();
    fails_with(scn(&["eval", "--checkpoint"]).arg(&out), &["is not finite"]);
}

#[test]
fn small_classes_are_split_and_one_class_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("train");
    let classes: Vec<String> = (0..10).map(|i| format!("class {i}")).collect();
    let names: Vec<&str> = classes.iter().map(String::as_str).collect();
    pictures(&images, &names, 4);
    let said = succeeds(&mut own(&images, &folder.path().join("run"), &["--max-steps", "2"])).stderr;
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("validation: ") && said.contains("10 classes"), "{said}");
    let one = folder.path().join("one");
    pictures(&one, &["cat"], 12);
    let out = folder.path().join("none");
    fails_with(&mut own(&one, &out, &[]), &["data.images", "1 class in", "at least 2"]);
    pictures(&one, &["dog"], 1);
    fs::remove_dir_all(one.join("cat")).unwrap();
    pictures(&one, &["cat"], 1);
    fails_with(&mut own(&one, &out, &[]), &["data.images.test_share", "2 images in 2 classes", "data.images.test"]);
    assert!(!out.exists());
}
