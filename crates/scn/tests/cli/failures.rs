//! What goes wrong is said, names its culprit, and loses nothing.

use std::{fs, path::Path, process::Command};

use sconce_data::{Image, ImageDataset, NoisyLabels, Split, fashion_mnist_subset};

use crate::{fails_with, files, succeeds, train};

/// Folders `train` and `test` with two classes of a dozen images each.
fn image_folder(root: &Path) {
    let dataset: ImageDataset = fashion_mnist_subset(Split::Train).unwrap();
    for split in ["train", "test"] {
        for class in [0u32, 1] {
            let folder = root.join(split).join(format!("class-{class}"));
            fs::create_dir_all(&folder).unwrap();
            let members = (0..dataset.len()).filter(|&i| dataset.label(i) == class).take(12);
            for (n, index) in members.enumerate() {
                let image: Image = dataset.image(index).unwrap();
                fs::write(folder.join(format!("{n:02}.png")), image.encode_png().unwrap()).unwrap();
            }
        }
    }
}

fn on_folder(root: &Path, out: &Path) -> Command {
    let (train_at, test_at) = (root.join("train"), root.join("test"));
    let images = format!(
        "data.images={{kind=\"image-folder\",train=\"{}\",test=\"{}\"}}",
        train_at.display(),
        test_at.display()
    );
    train(
        out,
        &["--set", &images, "--set", "scn.model.n_classes=2", "--set", "data.validation=0.25", "--max-steps", "2"],
    )
}

#[test]
fn a_folder_of_images_is_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    image_folder(folder.path());
    succeeds(&mut on_folder(folder.path(), &folder.path().join("run")));
}

#[test]
fn a_truncated_image_is_named() {
    let folder = tempfile::tempdir().unwrap();
    image_folder(folder.path());
    let victim = folder.path().join("train/class-1/05.png");
    let bytes = fs::read(&victim).unwrap();
    fs::write(&victim, &bytes[..bytes.len() / 2]).unwrap();
    fails_with(&mut on_folder(folder.path(), &folder.path().join("run")), &["05.png"]);
}

#[test]
fn a_label_out_of_range_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    image_folder(folder.path());
    let list = folder.path().join("list.txt");
    let clean = sconce_data::read_image_folder(&folder.path().join("train")).unwrap();
    let labels = NoisyLabels::new(clean.labels().to_vec(), clean.labels().to_vec(), 2, None).unwrap();
    labels.write(&list, &clean).unwrap();
    let text = fs::read_to_string(&list).unwrap();
    let number = text.lines().position(|l| l.contains("05.png")).unwrap();
    let bad: Vec<String> = text
        .lines()
        .enumerate()
        .map(|(i, l)| if i == number { format!("{}7", &l[..l.len() - 1]) } else { l.to_owned() })
        .collect();
    fs::write(&list, bad.join("\n")).unwrap();
    let with_list = format!("data.noise_list={{format=\"sconce\",path=\"{}\"}}", list.display());
    let mut command = on_folder(folder.path(), &folder.path().join("run"));
    fails_with(command.args(["--set", &with_list]), &["list.txt", &(number + 1).to_string(), "7"]);
}

#[test]
fn classes_that_the_network_does_not_have_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    fails_with(&mut train(&out, &["--set", "scn.model.n_classes=7"]), &["n_classes", "7", "10"]);
}

#[test]
fn an_unknown_key_is_named_with_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    fails_with(&mut train(&out, &["--set", "trainer.epoch=3"]), &["epoch", "epochs"]);
    let file = folder.path().join("mine.toml");
    fs::write(&file, "[scn.relabel]\nmargn = 0.3\n").unwrap();
    fails_with(train(&out, &[]).arg("--config").arg(&file), &["mine.toml", "margn", "margin"]);
    assert!(!out.exists(), "a refused run left a folder");
}

#[test]
fn a_checkpoint_of_another_architecture_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    succeeds(&mut train(&out, &["--max-steps", "10"]));
    let before = files(&out);
    let wider = ["--set", "scn.model.backbone.width=0.125", "--max-steps", "20", "--resume"];
    fails_with(&mut train(&out, &wider), &["width"]);
    // Weights of another network under the right configuration: the tensor is named, with both shapes.
    let other = folder.path().join("other");
    succeeds(&mut train(&other, &["--set", "scn.model.backbone.width=0.125", "--max-steps", "10"]));
    let model = Path::new("checkpoints/last/model.safetensors");
    fs::copy(other.join(model), out.join(model)).unwrap();
    let image = folder.path().join("image.png");
    let picture = fashion_mnist_subset(Split::Test).unwrap().image(0).unwrap();
    fs::write(&image, picture.encode_png().unwrap()).unwrap();
    let mut predict = crate::scn(&["predict", "--checkpoint"]);
    fails_with(predict.arg(&out).arg(&image), &["model.safetensors", "expected"]);
    fs::write(out.join(model), &before.iter().find(|(p, _)| p == model).unwrap().1).unwrap();
    assert_eq!(files(&out), before, "a refusal changed the run");
}

#[test]
fn a_backbone_of_another_architecture_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other");
    succeeds(&mut train(&other, &["--set", "scn.model.backbone.width=0.125", "--max-steps", "1"]));
    let weights = other.join("checkpoints/last/model.safetensors");
    let out = folder.path().join("run");
    fails_with(train(&out, &["--max-steps", "1"]).arg("--init-from").arg(&weights), &["model.safetensors", "shape"]);
    let empty = folder.path().join("empty.safetensors");
    sconce_core::write_tensors(&empty, &Default::default()).unwrap();
    let out = folder.path().join("second");
    fails_with(train(&out, &["--max-steps", "1"]).arg("--init-from").arg(&empty), &["empty.safetensors", "no ResNet"]);
}

#[test]
fn a_folder_with_something_in_it_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("mine.txt"), "mine").unwrap();
    fails_with(&mut train(&out, &["--max-steps", "1"]), &["run", "mine.txt"]);
    fails_with(train(&out, &["--max-steps", "1"]).arg("--force"), &["run", "mine.txt"]);
    assert_eq!(files(&out).len(), 1);
}

#[test]
fn another_seed_takes_the_place_of_a_run_by_force() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    succeeds(&mut train(&out, &["--max-steps", "1"]));
    let labels = fs::read_to_string(out.join("labels.txt")).unwrap();
    succeeds(train(&out, &["--max-steps", "1"]).args(["--force", "--seed", "1"]));
    assert_ne!(fs::read_to_string(out.join("labels.txt")).unwrap(), labels);
}

#[test]
fn a_setting_without_sense_is_named_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    for (setting, key) in [
        ("scn.rank.high_ratio=7", "scn.rank.high_ratio"),
        ("scn.relabel.margin=-0.1", "scn.relabel.margin"),
        ("scn.relabel.start_epoch=0", "scn.relabel.start_epoch"),
        ("scn.combine={kind=\"mix\",gamma=5}", "scn.combine.gamma"),
        ("data.batch_size=0", "data.batch_size"),
        ("data.validation=1.0", "data.validation"),
        ("data.noise.rate=2", "rate"),
        ("trainer.ema=0.9", "trainer.ema"),
    ] {
        fails_with(&mut train(&out, &["--set", setting]), &[key]);
        assert!(!out.exists(), "{setting}");
    }
}

#[test]
fn a_folder_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut first = train(&out, &["--set", "trainer.epochs=1000"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    while !out.join("checkpoints/last/state.json").exists() {
        assert!(first.try_wait().unwrap().is_none());
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let second = train(&out, &["--set", "trainer.epochs=1000"]).arg("--resume").output().unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    let message = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success() && message.contains("in use"), "{message}");
}

#[cfg(unix)]
#[test]
fn a_disk_that_fills_up_is_named_and_the_last_checkpoint_survives() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let whole = folder.path().join("whole");
    let steps = ["--max-steps", "60"];
    succeeds(&mut train(&whole, &steps));
    succeeds(&mut train(&out, &["--max-steps", "10"]));
    let checkpoint = files(&out.join("checkpoints"));
    // No file may grow beyond 64 blocks of 512 bytes, as if the disk were full; the signal that tells so is ignored.
    let resume = train(&out, &steps);
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\""]);
    limited.arg(resume.get_program()).args(resume.get_args()).arg("--resume");
    fails_with(&mut limited, &["safetensors"]);
    assert_eq!(files(&out.join("checkpoints")), checkpoint, "the last checkpoint is not what it was");
    succeeds(train(&out, &steps).arg("--resume"));
    crate::assert_same_files(&whole, &out);
}

#[test]
fn what_cannot_be_read_is_named() {
    fails_with(&mut crate::scn(&["eval", "--checkpoint", "nowhere"]), &["nowhere"]);
    fails_with(&mut crate::scn(&["config", "--preset", "smal"]), &["smal", "small"]);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    fails_with(train(&out, &[]).args(["--device", "cuda:0"]), &["cuda"]);
    fails_with(train(&out, &[]).args(["--device", "tpu"]), &["tpu", "cpu"]);
}
