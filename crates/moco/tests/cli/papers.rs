//! The presets of the papers, each for two steps on a few images in the dataset's real layout.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sconce_core::Rng;

use crate::{fails_with, moco, picture, succeeds};

/// ImageNet's layout: a folder a class, files of another extension than their form, greys among them.
fn image_net(root: &Path) {
    for (split, n) in [("train", 4), ("val", 1)] {
        for (class, wnid) in ["n01440764", "n01443537", "n01484850"].iter().enumerate() {
            for i in 0..n {
                let channels = if i == 1 { 1 } else { 3 };
                let name = format!("{wnid}_{i}.JPEG");
                picture(&root.join(split).join(wnid).join(name), (300, 280, channels), (class * 10 + i) as u64);
            }
        }
    }
}

/// CIFAR-10 in its binary version, with few records a file.
fn cifar10(root: &Path) {
    fs::create_dir_all(root).unwrap();
    let rng = &mut Rng::new(0, "cifar");
    let names = (1..=5).map(|i| format!("data_batch_{i}.bin")).chain(["test_batch.bin".to_owned()]);
    for name in names {
        let mut bytes = Vec::new();
        for label in 0..10 {
            bytes.push(label);
            bytes.extend((0..3072).map(|_| rng.below(256) as u8));
        }
        fs::write(root.join(name), bytes).unwrap();
    }
}

struct Tree {
    _folder: tempfile::TempDir,
    root: PathBuf,
}

impl Tree {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        image_net(&root.join("imagenet"));
        cifar10(&root.join("datasets/cifar-10-batches-bin"));
        Self { _folder: folder, root }
    }

    /// Two steps of a preset, on a network of another width and batches as small as the tree.
    fn train(&self, preset: &str, out: &str, more: &[&str]) -> std::process::Command {
        let mut command = moco(&["train", "--preset", preset, "--max-steps", "2", "--out", out]);
        for setting in
            ["data.batch_size=4", "data.workers=1", "moco.encoder.backbone.width=0.0625", "evaluation.probe.epochs=1"]
        {
            command.args(["--set", setting]);
        }
        if !preset.ends_with("linear") {
            command.args(["--set", "moco.batch_norm.groups=2", "--set", "moco.mechanism.length=10"]);
        }
        command.args(more).current_dir(&self.root);
        command
    }
}

#[test]
fn every_preset_for_pre_training_runs() {
    let tree = Tree::new();
    for preset in ["cifar10", "cifar10-symmetric", "paper-v1", "paper-v2", "paper-v2-800"] {
        succeeds(&mut tree.train(preset, preset, &[]));
        let summary = fs::read_to_string(tree.root.join(preset).join("summary.json")).unwrap();
        for metric in ["knn_accuracy", "linear_accuracy", "linear_few_accuracy"] {
            assert!(summary.contains(metric), "{preset}: {summary}");
        }
        assert!(tree.root.join(preset).join("pictures/nearest.png").exists());
    }
}

#[test]
fn images_without_labels_are_enough_to_train_on() {
    let tree = Tree::new();
    succeeds(&mut tree.train("paper-v2", "run", &["--set", "data.images.test="]));
    let summary = fs::read_to_string(tree.root.join("run/summary.json")).unwrap();
    assert!(summary.contains("\"metrics\": {}") && summary.contains("\"finished\": true"), "{summary}");
    fails_with(moco(&["eval", "--checkpoint", "run"]).current_dir(&tree.root), &["data.images.test"]);
}

#[test]
fn the_linear_classifier_leaves_everything_but_itself_as_it_was() {
    let tree = Tree::new();
    let needs = tree.train("paper-linear", "nothing", &[]).output().unwrap();
    assert!(String::from_utf8_lossy(&needs.stderr).contains("--init-from must name the backbone"));

    succeeds(&mut tree.train("paper-v1", "pre", &[]));
    let weights = tree.root.join("pre/checkpoints/last/model.safetensors");
    succeeds(&mut tree.train("paper-linear", "linear", &["--init-from", weights.to_str().unwrap()]));

    let before = sconce_core::read_tensors(&weights).unwrap();
    let after = sconce_core::read_tensors(&tree.root.join("linear/checkpoints/last/model.safetensors")).unwrap();
    let bytes = |tensor: &sconce_core::Tensor| {
        tensor.to_dtype(sconce_core::DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap()
    };
    let mut frozen = 0;
    for (name, tensor) in &after {
        if name.starts_with("fc.") {
            continue;
        }
        // Statistics and counters included.
        assert_eq!(bytes(tensor), bytes(&before[&format!("encoder_q.{name}")]), "{name}");
        frozen += 1;
    }
    assert_eq!(frozen, 318, "entries of a ResNet-50 without its classifier");
    let start = sconce_core::Tensor::zeros_like(&after["fc.bias"]).unwrap();
    assert_ne!(bytes(&after["fc.bias"]), bytes(&start), "the classifier learns");

    let checkpoint = tree.root.join("linear");
    let output = succeeds(moco(&["eval", "--json", "--checkpoint"]).arg(checkpoint).current_dir(&tree.root));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("{\"accuracy\":"));
}

#[test]
fn fine_tuning_starts_from_a_converted_backbone() {
    let tree = Tree::new();
    succeeds(&mut tree.train("paper-v2", "pre", &[]));
    let checkpoint = "pre/checkpoints/last/model.safetensors";
    succeeds(moco(&["convert", checkpoint, "backbone.safetensors"]).current_dir(&tree.root));
    let tuned = ["--init-from", "backbone.safetensors", "--set", "task=fine-tune", "--set", "trainer.lr=0.001"];
    succeeds(&mut tree.train("paper-v2", "tuned", &tuned));
    let before = sconce_core::read_tensors(&tree.root.join("backbone.safetensors")).unwrap();
    let after = sconce_core::read_tensors(&tree.root.join("tuned/checkpoints/last/model.safetensors")).unwrap();
    let moved = (&before["conv1.weight"] - &after["conv1.weight"]).unwrap().abs().unwrap().max_all().unwrap();
    let moved = moved.to_scalar::<f32>().unwrap();
    assert!(moved > 0.0 && moved < 0.01, "it begins as the file, and learns: {moved}");

    let file = tree.root.join("imagenet/val/n01443537/n01443537_0.JPEG");
    let output = succeeds(moco(&["predict", "--checkpoint", "tuned"]).arg(file).current_dir(&tree.root));
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let p = line["probabilities"].as_object().unwrap();
    assert_eq!(p.keys().collect::<Vec<_>>(), ["n01440764", "n01443537", "n01484850"]);
    assert!(p.contains_key(line["class"].as_str().unwrap()));
    fails_with(
        &mut tree.train("paper-v2", "wider", &[tuned[0], tuned[1], "--set", "moco.encoder.backbone.width=0.125"]),
        &["backbone.safetensors"],
    );
}
