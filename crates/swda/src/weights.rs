//! Weights that others have trained: detectors of the official code, and the backbones from which they start.
//!
//! | file | names | here |
//! |---|---|---|
//! | the official code's (`model`) | `RCNN_base1.0.weight`, `RCNN_rpn.RPN_Conv.bias`, `netD.conv1.weight` | [`load_detector`] |
//! | ours | `backbone.features.0.weight`, `rpn.head.conv.0.0.bias`, `netD.conv1.weight` | [`load_detector`] |
//! | `vgg16_caffe.pth`, `resnet101_caffe.pth`, torchvision's, `moco convert`'s | `features.0.weight`; `conv1.weight` | [`load_start`] |
//!
//! Each may be safetensors or a `.pth`, and the names may stand below a prefix, which is found or named. The official code's
//! networks see blue, green, red, ours red, green, blue: the channels of the first convolution are exchanged. Their values are from 0 to 255 less a mean, which is what the normalisation of a
//! configuration says.

use std::{fmt, path::Path};

use sconce_backbones::weights::{
    self, ColourOrder, ConvertReport, FoldOffset, InputConvention, KeyMap, Prefix, Rule, StateDict, Unmatched,
};
use sconce_core::{LoadReport, Params};
use sconce_detection::StartReport;
use sconce_engine::WeightFile;

pub use sconce_detection::Predictors;

use crate::error::{Result, SwdaError};

/// What all detectors of the official code have beside the backbone.
const HEADS: [(&str, &str); 5] = [
    ("RCNN_rpn.RPN_Conv", "rpn.head.conv.0.0"),
    ("RCNN_rpn.RPN_cls_score", "rpn.head.cls_logits"),
    ("RCNN_rpn.RPN_bbox_pred", "rpn.head.bbox_pred"),
    ("RCNN_cls_score", "roi_heads.box_predictor.cls_score"),
    ("RCNN_bbox_pred", "roi_heads.box_predictor.bbox_pred"),
];

/// The parts of a ResNet; the model that aligns whole images alone has one `RCNN_base` in place of two.
const RESNET: [(&str, &str); 11] = [
    ("RCNN_base1.0", "conv1"),
    ("RCNN_base1.1", "bn1"),
    ("RCNN_base1.4", "layer1"),
    ("RCNN_base2.0", "layer2"),
    ("RCNN_base2.1", "layer3"),
    ("RCNN_base.0", "conv1"),
    ("RCNN_base.1", "bn1"),
    ("RCNN_base.4", "layer1"),
    ("RCNN_base.5", "layer2"),
    ("RCNN_base.6", "layer3"),
    ("RCNN_top.0", "layer4"),
];

/// How the names of the classifiers of domains begin.
pub(crate) const CLASSIFIERS: [&str; 4] = ["netD.", "netD_pixel.", "da_conv_", "dc_ip"];

/// The convolutions of VGG-16 at which `RCNN_base2` begins in torchvision's sequence.
const VGG_SECOND: i64 = 14;

/// The official code's trunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trunk {
    /// VGG-16.
    Vgg16,
    /// ResNet-101, or another one of its kind.
    ResNet,
}

/// Where the official names differ from ours.
pub fn official_key_map(trunk: Trunk) -> KeyMap {
    let heads = HEADS.map(|(official, ours)| Rule::prefix(official, ours));
    let backbone = match trunk {
        Trunk::Vgg16 => vec![
            Rule::index("RCNN_base1", "backbone.features", 0),
            Rule::index("RCNN_base2", "backbone.features", VGG_SECOND),
            Rule::index("RCNN_base", "backbone.features", 0),
            Rule::prefix("RCNN_top", "backbone.classifier"),
        ],
        Trunk::ResNet => {
            RESNET.map(|(official, ours)| Rule::prefix(official, format!("backbone.{ours}"))).into_iter().collect()
        }
    };
    KeyMap::new(heads.into_iter().chain(backbone), Unmatched::Keep)
}

/// What a file of weights holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A detector of the official code.
    Official(Trunk),
    /// A detector of ours.
    Detector,
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
    /// What a backbone lacks, and what was passed over.
    pub report: ConvertReport,
}

/// What [`load_start`] has copied, and what begins anew.
#[derive(Clone, Debug, PartialEq)]
pub struct Started {
    /// The detector's part.
    pub detector: StartReport,
    /// The classifiers of domains that begin anew, each with the reason, by how their names begin.
    pub anew: Vec<(&'static str, &'static str)>,
    /// Those of the file that are not used.
    pub unused: Vec<&'static str>,
}

impl fmt::Display for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.detector)?;
        self.anew.iter().try_for_each(|(name, why)| write!(f, "; {name}* begins anew: {why}"))?;
        self.unused.iter().try_for_each(|name| write!(f, "; the file's {name}* is not used"))
    }
}

/// Copies all weights of a detector into `params`: those of the official code, or our own.
///
/// # Errors
/// [`SwdaError::Weights`] if the file cannot be read or a tensor is missing, unexpected or misshapen; `params` is then as it
/// was. [`SwdaError::NoNetwork`] for anything else.
pub fn load_detector(params: &Params, file: &WeightFile) -> Result<LoadReport> {
    let (_, weights) = read(file, &[])?;
    Ok(weights::load_backbone(params, &weights, &[])?)
}

/// Copies a backbone's weights into `params`, or those of a detector. Of a detector of other classes, or with other context
/// vectors or anchors, the predictors that depend on it begin anew, by `predictors`; so does what aligns the domains where the file
/// does not have it, or has it in another size. The report says so. `channels` says what the file's backbone was trained on; of a
/// detector that is known.
///
/// # Errors
/// As [`load_detector`]: a start from nothing never goes unnoticed.
pub fn load_start(
    params: &Params,
    file: &WeightFile,
    channels: ColourOrder,
    predictors: Predictors,
) -> Result<Started> {
    // The trunk alone: a classifier may be missing, or another's.
    let trunk = |name: &String| Some(name.strip_prefix("backbone.")?.to_owned());
    let is_trunk = |name: &String| !["classifier.", "fc."].iter().any(|head| name.starts_with(head));
    let wanted: Vec<String> = weights::wanted_names(params, &[]).iter().filter_map(trunk).filter(is_trunk).collect();
    match read(file, &wanted)? {
        (Content::Backbone, weights) => {
            let is_vgg = weights.tensors().contains_key("features.0.weight");
            let weights = match channels {
                ColourOrder::Rgb => weights,
                ColourOrder::Bgr => exchanged(&weights, if is_vgg { "features.0.weight" } else { "conv1.weight" })?,
            };
            let report = sconce_detection::load_backbone(params, &weights)?;
            let detector = StartReport { report, left_out: Vec::new() };
            Ok(Started { detector, anew: Vec::new(), unused: Vec::new() })
        }
        (_, weights) => {
            let names = params.names();
            let wrong_shape = params.compare(weights.tensors()).wrong_shape;
            let (mut anew, mut unused) = (Vec::new(), Vec::new());
            for prefix in CLASSIFIERS {
                let is_here = names.iter().any(|name| name.starts_with(prefix));
                let is_in_file = weights.tensors().keys().any(|name| name.starts_with(prefix));
                match (is_here, is_in_file) {
                    // A detector that has seen the source alone has no classifiers of domains.
                    (true, false) => anew.push((prefix, "the file has none")),
                    (false, true) => unused.push(prefix),
                    (true, true) if wrong_shape.iter().any(|wrong| wrong.name.starts_with(prefix)) => {
                        anew.push((prefix, "the file's has another size"));
                    }
                    _ => {}
                }
            }
            let apart: Vec<&str> = anew.iter().map(|(prefix, _)| *prefix).chain(unused.iter().copied()).collect();
            let detector = sconce_detection::load_start(params, &weights, &apart, predictors)?;
            Ok(Started { detector, anew, unused })
        }
    }
}

/// Writes the weights in `input`, of any of the forms above, to the safetensors file `output` under our names.
///
/// # Errors
/// [`SwdaError::Weights`] if the file cannot be read, or `output` exists or cannot be written; [`SwdaError::NoNetwork`] for
/// tensors of something else.
pub fn convert(input: &WeightFile, output: &Path) -> Result<Converted> {
    let (content, weights) = read(input, &[])?;
    weights::write_weights(&weights, output)?;
    Ok(Converted { content, tensors: weights.tensors().len(), report: ConvertReport::new(&weights, None) })
}

/// Names that tell what a file holds: the official code's detectors, ours, and backbones.
const OFFICIAL_MARKS: [&str; 1] = ["RCNN_rpn.RPN_Conv.weight"];
const MARKS: [&str; 1] = ["rpn.head.conv.0.0.weight"];
const BACKBONE_MARKS: [&[&str]; 2] = [&["conv1.weight", "layer1.0.conv1.weight"], &["features.0.weight"]];

/// The weights in a file under our names, and what they were. `wanted` are the names of a backbone to look for, if they are known.
fn read(WeightFile { path, prefix }: &WeightFile, wanted: &[String]) -> Result<(Content, StateDict)> {
    let mut weights = weights::read_weights(path)?;
    if prefix.is_some() {
        weights = weights.located(wanted, &Prefix::from(prefix.clone()))?;
    }
    let hold = |marks: &[&str]| weights.holders(marks).iter().any(|holder| holder.lacks.is_none());
    if hold(&OFFICIAL_MARKS) {
        let weights = weights.located(&OFFICIAL_MARKS, &Prefix::Find)?;
        let has_stages = |name: &String| name.starts_with("RCNN_base1.4.") || name.starts_with("RCNN_base.4.");
        let trunk = if weights.tensors().keys().any(has_stages) { Trunk::ResNet } else { Trunk::Vgg16 };
        let renamed = weights.renamed(&official_key_map(trunk))?;
        let first = if trunk == Trunk::Vgg16 { "backbone.features.0.weight" } else { "backbone.conv1.weight" };
        return Ok((Content::Official(trunk), exchanged(&renamed, first)?));
    }
    if hold(&MARKS) {
        return Ok((Content::Detector, weights.located(&MARKS, &Prefix::Find)?));
    }
    if let Some(marks) = BACKBONE_MARKS.into_iter().find(|marks| hold(marks)) {
        let weights = match wanted {
            [] => weights.located(marks, &Prefix::Find)?,
            wanted => weights.located(wanted, &Prefix::Find)?,
        };
        return Ok((Content::Backbone, weights));
    }
    let names: Vec<&str> = weights.tensors().keys().map(String::as_str).take(3).collect();
    let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Err(SwdaError::NoNetwork { path: path.to_owned(), found })
}

/// The weights for red, green, blue of a network whose first convolution sees blue, green, red, or the other way round.
fn exchanged(weights: &StateDict, first: &str) -> Result<StateDict> {
    let rgb = InputConvention { order: ColourOrder::Rgb, ..InputConvention::CAFFE };
    Ok(weights::fold_input(weights, first, (&InputConvention::CAFFE, &rgb), FoldOffset::ToInput)?.weights)
}

impl fmt::Display for Converted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = match self.content {
            Content::Official(Trunk::Vgg16) => "a detector of the official code on VGG-16",
            Content::Official(Trunk::ResNet) => "a detector of the official code on a ResNet",
            Content::Detector => "a detector under our names already",
            Content::Backbone => "a backbone",
        };
        write!(f, "{content}: {}", self.report)
    }
}
