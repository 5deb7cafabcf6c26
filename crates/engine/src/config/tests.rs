use serde::Deserialize;

use super::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
enum Optimizer {
    Sgd { momentum: f64, nesterov: bool },
    Adam { betas: [f64; 2], eps: f64 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Train {
    optimizer: Optimizer,
    lr: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clip_norm: Option<f64>,
    #[serde(default, skip_serializing_if = "is_mean")]
    reduction: Reduction,
}

/// Not written where it is what it was before there was a choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reduction {
    #[default]
    Mean,
    Sum,
}

fn is_mean(reduction: &Reduction) -> bool {
    *reduction == Reduction::Mean
}

/// Without `deny_unknown_fields`, as a careless method might have it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Data {
    folder: String,
    classes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    train: Train,
    data: Data,
    epochs: usize,
}

fn preset() -> Config {
    Config {
        train: Train {
            optimizer: Optimizer::Sgd { momentum: 0.9, nesterov: true },
            lr: 0.1,
            clip_norm: Some(5.0),
            reduction: Reduction::Mean,
        },
        data: Data { folder: "faces".into(), classes: vec!["a".into(), "b".into()] },
        epochs: 40,
    }
}

fn with(file: &str, sets: &[&str]) -> Result<Config> {
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    let file = if file.is_empty() { None } else { Some((Path::new("my.toml"), file)) };
    parse(&preset(), file, &sets)
}

#[track_caller]
fn fails(file: &str, sets: &[&str], expected: &str) {
    assert_eq!(with(file, sets).unwrap_err().to_string(), expected);
}

#[test]
fn a_partial_file_overlays_the_preset_and_sets_overlay_the_file() {
    let config = with("epochs = 3\n[train]\nlr = 1\n[train.optimizer]\nmomentum = 0.5", &["epochs=4"]).unwrap();
    let mut expected = preset();
    expected.epochs = 4;
    expected.train.lr = 1.0;
    expected.train.optimizer = Optimizer::Sgd { momentum: 0.5, nesterov: true };
    assert_eq!(config, expected);
}

#[test]
fn a_set_value_is_toml_and_a_bare_word_is_a_string() {
    let config = with("", &["data.folder=/my data/x", "data.classes=[\"c\"]", "train.lr = 1e-3"]).unwrap();
    assert_eq!(config.data, Data { folder: "/my data/x".into(), classes: vec!["c".into()] });
    assert_eq!(config.train.lr, 1e-3);
}

#[test]
fn another_variant_inherits_nothing() {
    let config = with("[train.optimizer]\nname = \"adam\"\nbetas = [0.9, 0.99]\neps = 1e-8", &[]).unwrap();
    assert_eq!(config.train.optimizer, Optimizer::Adam { betas: [0.9, 0.99], eps: 1e-8 });
    fails("[train.optimizer]\nname = \"adam\"", &[], "my.toml: `train.optimizer`: missing field `betas`");
}

#[test]
fn the_order_of_sets_does_not_matter_to_a_change_of_variant() {
    let name = "train.optimizer.name=adam";
    let rest = ["train.optimizer.betas=[0.9, 0.99]", "train.optimizer.eps=1e-8"];
    let first = with("", &[name, rest[0], rest[1]]).unwrap();
    assert_eq!(first, with("", &[rest[0], rest[1], name]).unwrap());
    // One part in the file, one on the command line.
    assert_eq!(first, with("[train.optimizer]\nname = \"adam\"\neps = 1e-8", &[rest[0]]).unwrap());
}

#[test]
fn the_same_variant_is_merged() {
    let config = with("[train.optimizer]\nname = \"sgd\"\nmomentum = 0.5", &[]).unwrap();
    assert_eq!(config.train.optimizer, Optimizer::Sgd { momentum: 0.5, nesterov: true });
}

#[test]
fn an_unknown_key_is_named_with_its_path_and_the_nearest() {
    let expected = "my.toml: unknown key `train.optimizer.momentun`; the nearest is `train.optimizer.momentum`";
    fails("[train.optimizer]\nmomentun = 0.5", &[], expected);
    fails("epochs = 2", &["epoch=3"], "--set: unknown key `epoch`; the nearest is `epochs`");
    fails("", &["lr=3"], "--set: unknown key `lr`; the nearest is `train.lr`");
    fails("", &["zzz=3"], "--set: unknown key `zzz`");
    fails("[trian]\nlr = 1", &[], "my.toml: unknown key `trian`; the nearest is `train`");
}

#[test]
fn an_unknown_key_of_another_variant_is_named() {
    let file = "[train.optimizer]\nname = \"adam\"\nbetas = [0.9, 0.99]\nepsilon = 1e-8";
    fails(file, &[], "my.toml: unknown key `train.optimizer.epsilon`; the nearest is `train.optimizer.eps`");
}

#[test]
fn a_key_that_a_lenient_type_drops_is_unknown_too() {
    fails("[data]\nfolders = \"x\"", &[], "my.toml: unknown key `data.folders`; the nearest is `data.folder`");
}

#[test]
fn a_key_that_is_not_written_at_its_default_is_known_there_too() {
    assert_eq!(with("", &["train.reduction=mean"]).unwrap(), preset());
    assert_eq!(
        with("[train]\nreduction = \"mean\"", &["train.reduction=sum"]).unwrap().train.reduction,
        Reduction::Sum
    );
    fails("", &["train.reducton=mean"], "--set: unknown key `train.reducton`; the nearest is `train.reduction`");
    let text = to_toml(&preset()).unwrap();
    assert!(!text.contains("reduction"), "{text}");
    let whole = text.replace("[train]", "[train]\nreduction = \"mean\"");
    assert_eq!(rewrite::<Config>(Path::new("config.toml"), &whole).unwrap(), text);
}

#[test]
fn a_wrong_type_names_the_key_and_what_was_expected() {
    fails("", &["train.lr=fast"], "--set: `train.lr`: invalid type: string \"fast\", expected f64");
    fails("epochs = -1", &[], "my.toml: `epochs`: invalid value: integer `-1`, expected usize");
    fails("train = 3", &[], "my.toml: `train`: invalid type: integer `3`, expected struct Train");
    let expected =
        "--set: `train.optimizer.name`: unknown variant `sdg`, expected `sgd` or `adam`; the nearest is `sgd`";
    fails("", &["train.optimizer.name=sdg"], expected);
}

#[test]
fn the_culprit_is_named_among_good_keys() {
    let expected = "my.toml: `train.lr`: invalid type: boolean `true`, expected f64";
    fails("epochs = 3\n[data]\nfolder = \"x\"\n[train]\nlr = true\nclip_norm = 1.0", &["epochs=5"], expected);
}

#[test]
fn of_two_values_for_a_key_the_last_counts() {
    let clip_norm = |sets: &[&str]| with("", sets).unwrap().train.clip_norm;
    assert_eq!(clip_norm(&["train.clip_norm=", "train.clip_norm=3.0"]), Some(3.0));
    assert_eq!(clip_norm(&["train.clip_norm=3.0", "train.clip_norm="]), None);
    assert_eq!(clip_norm(&["train.clip_norm=3.0", "train.clip_norm=4.0"]), Some(4.0));
}

#[test]
fn an_optional_key_can_be_left_out() {
    assert_eq!(with("", &["train.clip_norm="]).unwrap().train.clip_norm, None);
    fails("", &["train.clip_nrm="], "--set: unknown key `train.clip_nrm`; the nearest is `train.clip_norm`");
    fails("", &["train.lr="], "--set: `train.lr`: missing field `lr`");
}

#[test]
fn a_complete_file_stands_for_itself() {
    let mut config = preset();
    config.train.clip_norm = None;
    let text = to_toml(&config).unwrap();
    assert_eq!(with(&text, &[]).unwrap(), config, "the preset's clip_norm is not taken");
    assert_eq!(read::<Config>(Path::new("config.toml"), &text).unwrap(), config);
}

#[test]
fn a_file_that_should_be_complete_but_is_not_is_an_error() {
    let error = read::<Config>(Path::new("config.toml"), "epochs = 3").unwrap_err();
    assert!(error.to_string().starts_with("config.toml: missing field `train`"), "{error}");
}

#[test]
fn a_syntax_error_names_the_file_and_the_line() {
    let error = with("epochs = 3\nlr = = 4", &[]).unwrap_err().to_string();
    assert!(error.starts_with("my.toml: ") && error.contains("line 2"), "{error}");
    fails("", &["epochs"], "--set: `epochs`: expected `key=value`, where the key may have dots");
    fails("", &["train..lr=1"], "--set: `train..lr=1`: expected `key=value`, where the key may have dots");
}

#[test]
fn a_configuration_comes_back_from_its_text() {
    // Tables stand before plain keys in the struct, which TOML does not allow in the text.
    let text = to_toml(&preset()).unwrap();
    assert_eq!(toml::from_str::<Config>(&text).unwrap(), preset());
    assert_eq!(text, to_toml(&toml::from_str::<Config>(&text).unwrap()).unwrap());
}

#[test]
fn the_hash_is_that_of_sha256sum() {
    assert_eq!(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
