//! Weights that others have trained: the official network, and the backbones from which it starts.
//!
//! | file | names | here |
//! |---|---|---|
//! | the official code's (`model_state_dict`) | `features.0.weight`, `features.4.1.bn2.bias`, `alpha.0.*`, `fc.*` | [`load_network`] |
//! | ours | `conv1.weight`, `layer1.1.bn2.bias`, `alpha.0.*`, `fc.*` | [`load_network`] |
//! | ResNet-18 pre-trained on faces (`state_dict`, `module.`), torchvision's, timm's | `conv1.weight`, …, `fc.*` of its own | [`load_backbone`] |
//!
//! Each may be safetensors or a `.pth`. The IR-50 with which the authors reach 89.35 % on FERPlus is not supported.

use std::{fmt, path::Path};

use sconce_backbones::weights::{self, ConvertReport, KeyMap, Prefix, Rule, StateDict, Unmatched, wanted_names};
use sconce_core::{LoadReport, Params};
use sconce_engine::WeightFile;

use crate::error::{Result, ScnError};

/// The official network is a sequence of torchvision's ResNet-18 without its classifier; 2, 3 and 8 of it are the ReLU and
/// the pools.
const FEATURES: [(&str, &str); 6] = [
    ("features.0", "conv1"),
    ("features.1", "bn1"),
    ("features.4", "layer1"),
    ("features.5", "layer2"),
    ("features.6", "layer3"),
    ("features.7", "layer4"),
];

/// What a network has besides a backbone. `fc` is also the name of a pre-trained backbone's own classifier, and `feature` that
/// of a layer before it, which loaders of the face-pretrained file leave out.
const HEAD: [&str; 4] = ["alpha.0.", "fc.", "feature.", "margin"];

/// Names that tell a ResNet under our names.
const MARKS: [&str; 2] = ["conv1.weight", "layer1.0.conv1.weight"];

/// Names that tell a network of the official code.
const OFFICIAL_MARKS: [&str; 3] = ["features.0.weight", "features.4.0.conv1.weight", "alpha.0.weight"];

/// Where the official names differ from ours.
pub fn official_key_map() -> KeyMap {
    KeyMap::new(FEATURES.map(|(official, ours)| Rule::prefix(official, ours)), Unmatched::Keep)
}

/// What a file of weights holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A network of the official code.
    Official,
    /// A network of ours.
    Network,
    /// A backbone, with or without a classifier of its own.
    Backbone,
}

/// The result of [`convert`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// What the file held.
    pub content: Content,
    /// How many tensors were written.
    pub tensors: usize,
    /// What a ResNet lacks, and what was passed over.
    pub report: ConvertReport,
}

/// Copies all weights of a network into `params`: those of the official code, or our own. They may stand below a prefix.
///
/// # Errors
/// [`ScnError::Weights`] if the file cannot be read, no prefix or several have the network, or a tensor is missing, unexpected or
/// misshapen; `params` is then as it was. [`ScnError::Ir50`] for that network, [`ScnError::NoResNet`] for anything else.
pub fn load_network(params: &Params, file: &WeightFile) -> Result<LoadReport> {
    let (_, weights) = read(file, &wanted_names(params, &[]))?;
    Ok(weights::load_backbone(params, &weights, &[])?)
}

/// Copies a backbone's weights into `params`; α and classifier stay as they are. Of a whole network the backbone is taken.
///
/// # Errors
/// As [`load_network`]: a start from nothing never goes unnoticed.
pub fn load_backbone(params: &Params, file: &WeightFile) -> Result<LoadReport> {
    let (_, weights) = read(file, &wanted_names(params, &HEAD))?;
    Ok(weights::load_backbone(params, &weights, &HEAD)?)
}

/// Writes the weights in `input`, of any of the forms above, to the safetensors file `output` under our names.
///
/// # Errors
/// [`ScnError::Weights`] if the file cannot be read, or `output` exists or cannot be written; [`ScnError::NoResNet`] for
/// tensors of something else.
pub fn convert(input: &WeightFile, output: &Path) -> Result<Converted> {
    let (content, weights) = read(input, &MARKS)?;
    weights::write_weights(&weights, output)?;
    Ok(Converted { content, tensors: weights.tensors().len(), report: ConvertReport::new(&weights, None) })
}

/// The weights in a file under our names, and what they were. `wanted` are the names to look for.
fn read<S: AsRef<str>>(file: &WeightFile, wanted: &[S]) -> Result<(Content, StateDict)> {
    let (path, prefix) = (&file.path, &Prefix::from(file.prefix.clone()));
    let mut weights = weights::read_weights(path)?;
    if matches!(prefix, Prefix::Named(_)) {
        weights = weights.located(wanted, prefix)?;
    }
    let has = |name: &str| weights.tensors().contains_key(name);
    if has("input_layer.0.weight") && weights.tensors().keys().any(|name| name.starts_with("body.")) {
        return Err(ScnError::Ir50 { path: path.clone() });
    }
    let hold = |marks: &[&str]| weights.holders(marks).iter().any(|holder| holder.lacks.is_none());
    if hold(&OFFICIAL_MARKS) {
        let weights = weights.located(&OFFICIAL_MARKS, &Prefix::Find)?;
        return Ok((Content::Official, weights.renamed(&official_key_map())?));
    }
    if !hold(&MARKS) {
        let names: Vec<&str> = weights.tensors().keys().map(String::as_str).take(3).collect();
        let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(ScnError::NoResNet { path: path.clone(), found });
    }
    let weights = weights.located(wanted, &Prefix::Find)?;
    let has_alpha = weights.tensors().contains_key("alpha.0.weight");
    Ok((if has_alpha { Content::Network } else { Content::Backbone }, weights))
}

impl fmt::Display for Converted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = match self.content {
            Content::Official => "a network of the official code",
            Content::Network => "a network under our names already",
            Content::Backbone => "a backbone",
        };
        write!(f, "{content}: {}", self.report)
    }
}
