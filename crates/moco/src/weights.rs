//! Weights of others: the official pre-trained networks, and backbones that they can become.
//!
//! | file | names | what is taken |
//! |---|---|---|
//! | `moco_v1_200ep_pretrain.pth.tar` and the like (`state_dict`) | `module.encoder_q.conv1.weight`, …, `module.encoder_q.fc.*`, `module.encoder_k.*`, `module.queue` | the query encoder |
//! | a checkpoint of ours | `encoder_q.conv1.weight`, … | the query encoder |
//! | a backbone: torchvision's, timm's, of [`convert`] | `conv1.weight`, `layer1.0.conv1.weight`, … | all |
//!
//! Each may be safetensors, or either form of `.pth`. v1 has the head `fc.{weight,bias}`, v2 `fc.0.*` and `fc.2.*`.

use std::{fmt, path::Path};

use sconce_backbones::weights::{self, ConvertReport, Prefix, StateDict, wanted_names};
use sconce_core::{LoadReport, Params};
use sconce_engine::WeightFile;

use crate::{
    error::{MocoError, Result},
    moco::QUERY,
};

/// The projection head of an encoder, or the classifier of a backbone.
const HEAD: &str = "fc.";

/// Names that tell a ResNet.
const MARKS: [&str; 2] = ["conv1.weight", "layer1.0.conv1.weight"];

/// What a file of weights holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A model of MoCo, of whose encoders the query encoder counts.
    Moco,
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

/// Copies the query encoder of a file, its head included, into `params`, in which an [`Encoder`](crate::Encoder) has been built
/// at the root. It may stand below a prefix.
///
/// # Errors
/// [`MocoError::Weights`] if the file cannot be read, no prefix or several have the encoder, or a tensor is missing, unexpected
/// or misshapen; `params` is then as it was. [`MocoError::NoEncoder`] for a file of something else.
pub fn load_encoder(params: &Params, file: &WeightFile) -> Result<LoadReport> {
    let (_, encoder) = read(file, &wanted_names(params, &[HEAD]))?;
    Ok(weights::load_backbone(params, &encoder, &[])?)
}

/// Copies the backbone of a file into `params`; whatever stands under `fc.` stays as it is.
///
/// # Errors
/// As [`load_encoder`]: a start from nothing never goes unnoticed.
pub fn load_backbone(params: &Params, file: &WeightFile) -> Result<LoadReport> {
    let (_, encoder) = read(file, &wanted_names(params, &[HEAD]))?;
    Ok(weights::load_backbone(params, &encoder, &[HEAD])?)
}

/// [`load_encoder`] for a model of MoCo, [`load_backbone`] for a backbone, whose projection head begins anew; says
/// which it was.
///
/// # Errors
/// As [`load_encoder`].
pub(crate) fn load_encoder_or_backbone(params: &Params, file: &WeightFile) -> Result<Content> {
    let (content, encoder) = read(file, &wanted_names(params, &[HEAD]))?;
    let head: &[&str] = if content == Content::Moco { &[] } else { &[HEAD] };
    weights::load_backbone(params, &encoder, head)?;
    Ok(content)
}

/// Writes the backbone of `input` to the safetensors file `output` under torchvision's names, for a detector or a classifier to
/// start from. The projection head is left out, as everywhere downstream.
///
/// # Errors
/// [`MocoError::Weights`] if the file cannot be read, or `output` exists or cannot be written; [`MocoError::NoEncoder`] for a
/// file of something else.
pub fn convert(input: &WeightFile, output: &Path) -> Result<Converted> {
    let weights = weights::read_weights(&input.path)?;
    let network = weights::known_network(&weights);
    // Where all names of the network say which prefix is meant, and else where its first ones do.
    let whole = network.and_then(|network| encoder_in(weights.clone(), input, &network.names).ok());
    let (content, encoder) = whole.map_or_else(|| encoder_in(weights, input, &MARKS), Ok)?;
    let backbone = encoder.without(|name| name.starts_with(HEAD), "of the projection head or the classifier");
    let backbone = backbone.of_known_network();
    weights::write_weights(&backbone, output)?;
    Ok(Converted { content, tensors: backbone.tensors().len(), report: ConvertReport::new(&backbone, None) })
}

/// The encoder in a file under torchvision's names, and what the file was. `wanted` are the names to look for.
fn read<S: AsRef<str>>(file: &WeightFile, wanted: &[S]) -> Result<(Content, StateDict)> {
    encoder_in(weights::read_weights(&file.path)?, file, wanted)
}

/// [`read`] of what has been read from `file`.
fn encoder_in<S: AsRef<str>>(mut weights: StateDict, file: &WeightFile, wanted: &[S]) -> Result<(Content, StateDict)> {
    let (path, prefix) = (&file.path, &Prefix::from(file.prefix.clone()));
    if let Prefix::Named(name) = prefix {
        weights = weights.located(wanted, prefix)?;
        let name = name.strip_suffix('.').unwrap_or(name);
        if name == QUERY || name.ends_with(&format!(".{QUERY}")) {
            return Ok((Content::Moco, weights));
        }
    }
    // Of a model of MoCo, whatever it stands in, the query encoder.
    let query = format!("{QUERY}.");
    let mut queries: Vec<String> = weights.holders(&MARKS).into_iter().map(|holder| holder.prefix).collect();
    queries.retain(|prefix| *prefix == query || prefix.ends_with(&format!(".{query}")));
    if let [one] = &queries[..] {
        return Ok((Content::Moco, weights.below(one)));
    }
    if weights.holders(&MARKS).iter().any(|holder| holder.lacks.is_none()) {
        return Ok((Content::Backbone, weights.located(wanted, &Prefix::Find)?));
    }
    let names: Vec<&str> = weights.tensors().keys().map(String::as_str).take(3).collect();
    let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Err(MocoError::NoEncoder { path: path.clone(), found })
}

impl fmt::Display for Converted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = match self.content {
            Content::Moco => "the backbone of the query encoder",
            Content::Backbone => "a backbone",
        };
        write!(f, "{content} under torchvision's names: {}", self.report)
    }
}
