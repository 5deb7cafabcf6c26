//! Weights of others: the official pre-trained networks, and backbones that they can become.
//!
//! | file | names | what is taken |
//! |---|---|---|
//! | `moco_v1_200ep_pretrain.pth.tar` and the like (`state_dict`) | `module.encoder_q.conv1.weight`, …, `module.encoder_q.fc.*`, `module.encoder_k.*`, `module.queue` | the query encoder |
//! | a checkpoint of ours | `encoder_q.conv1.weight`, … | the query encoder |
//! | a backbone: torchvision's, timm's, of [`convert`] | `conv1.weight`, `layer1.0.conv1.weight`, … | all |
//!
//! Each may be safetensors, or either form of `.pth`. v1 has the head `fc.{weight,bias}`, v2 `fc.0.*` and `fc.2.*`.

use std::{collections::BTreeMap, fmt, path::Path};

use sconce_backbones::weights::{self, StateDict};
use sconce_core::{LoadReport, Params, Tensor};

use crate::{
    error::{MocoError, Result},
    moco::QUERY,
};

/// The projection head of an encoder, or the classifier of a backbone.
const HEAD: &str = "fc.";

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
}

/// Copies the query encoder of a file, its head included, into `params`, in which an [`Encoder`](crate::Encoder) has been built
/// at the root.
///
/// # Errors
/// [`MocoError::Weights`] if the file cannot be read or a tensor is missing, unexpected or misshapen; `params` is then as it
/// was. [`MocoError::NoEncoder`] for a file of something else.
pub fn load_encoder(params: &Params, path: &Path) -> Result<LoadReport> {
    let (_, encoder) = read(path)?;
    Ok(weights::load_backbone(params, &encoder, &[])?)
}

/// Copies the backbone of a file into `params`; whatever stands under `fc.` stays as it is.
///
/// # Errors
/// As [`load_encoder`]: a start from nothing never goes unnoticed.
pub fn load_backbone(params: &Params, path: &Path) -> Result<LoadReport> {
    let (_, encoder) = read(path)?;
    Ok(weights::load_backbone(params, &encoder, &[HEAD])?)
}

/// [`load_encoder`] for a model of MoCo, [`load_backbone`] for a backbone: its projection head begins anew.
///
/// # Errors
/// As [`load_encoder`].
pub(crate) fn load_encoder_or_backbone(params: &Params, path: &Path) -> Result<LoadReport> {
    let (content, encoder) = read(path)?;
    let head: &[&str] = if content == Content::Moco { &[] } else { &[HEAD] };
    Ok(weights::load_backbone(params, &encoder, head)?)
}

/// Writes the backbone of `input` to the safetensors file `output` under torchvision's names, for a detector or a classifier to
/// start from. The projection head is left out, as everywhere downstream.
///
/// # Errors
/// [`MocoError::Weights`] if the file cannot be read, or `output` exists or cannot be written; [`MocoError::NoEncoder`] for a
/// file of something else.
pub fn convert(input: &Path, output: &Path) -> Result<Converted> {
    let (content, encoder) = read(input)?;
    let origin = encoder.origin().to_owned();
    let backbone: BTreeMap<String, Tensor> =
        encoder.into_tensors().into_iter().filter(|(name, _)| !name.starts_with(HEAD)).collect();
    let tensors = backbone.len();
    weights::write_weights(&StateDict::new(origin, backbone), output)?;
    Ok(Converted { content, tensors })
}

/// The encoder in a file under torchvision's names, and what the file was.
fn read(path: &Path) -> Result<(Content, StateDict)> {
    let weights = weights::read_weights(path)?.without_parallel();
    let prefix = format!("{QUERY}.");
    let (content, encoder) = if weights.tensors().keys().any(|name| name.starts_with(&prefix)) {
        (Content::Moco, weights.below(&prefix))
    } else {
        (Content::Backbone, weights)
    };
    let has = |name: &str| encoder.tensors().contains_key(name);
    if has("conv1.weight") && has("layer1.0.conv1.weight") {
        return Ok((content, encoder));
    }
    let names: Vec<&str> = encoder.tensors().keys().map(String::as_str).take(3).collect();
    let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Err(MocoError::NoEncoder { path: path.to_owned(), found })
}

impl fmt::Display for Converted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = match self.content {
            Content::Moco => "the backbone of the query encoder",
            Content::Backbone => "a backbone",
        };
        write!(f, "{content}: {} tensors written under torchvision's names", self.tensors)
    }
}
