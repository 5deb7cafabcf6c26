//! Weights of others into a detector.

use std::fmt;

use sconce_backbones::weights::{self, KeyMap, Prefix, Rule, StateDict, Unmatched, WeightsError};
use sconce_core::{LoadReport, Params, WrongShape};

/// The parts that say how many classes and anchors there are, each with how the names of its parameters begin.
const PREDICTORS: [(&str, &[&str]); 2] = [
    (BOX_PREDICTOR, &["roi_heads.box_predictor."]),
    ("rpn.head.{cls_logits,bbox_pred}", &["rpn.head.cls_logits.", "rpn.head.bbox_pred."]),
];

const BOX_PREDICTOR: &str = "roi_heads.box_predictor";

/// What becomes of the layers of a detector that say what a region is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Predictors {
    /// They are copied if they have the same shapes, and begin anew else: other classes, other context.
    #[default]
    WhereTheyFit,
    /// Those of regions begin anew: the file's classes are known to be others, though they may be as many.
    Anew,
}

/// What [`load_start`] has copied, and what begins anew.
#[derive(Clone, Debug, PartialEq)]
pub struct StartReport {
    /// What was copied, and what the detector has besides.
    pub report: LoadReport,
    /// The parts of the file that were left out.
    pub left_out: Vec<LeftOutPart>,
}

/// A part of a detector in a file that does not fit.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftOutPart {
    /// Its name, as `roi_heads.box_predictor`.
    pub name: &'static str,
    /// The parameters that have other shapes; none where the part was to be left out.
    pub wrong_shape: Vec<WrongShape>,
}

impl fmt::Display for LeftOutPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} begins anew: ", self.name)?;
        let Some(first) = self.wrong_shape.first() else { return f.write_str("the file's classes are others") };
        write!(f, "{} is {:?} in the file, and {:?} here", first.name, first.found, first.expected)
    }
}

impl fmt::Display for StartReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tensors were copied", self.report.loaded.len())?;
        self.left_out.iter().try_for_each(|part| write!(f, "; {part}"))
    }
}

/// Copies the weights of a detector under our names into another one's parameters. Where both have other classes, other context
/// or another number of anchors, the predictors that depend on it are left out as a whole, and begin anew; the report says so.
///
/// Names that begin with one of `apart` are a method's own, and stay as they are on both sides.
///
/// # Errors
/// As [`weights::load_backbone`] for everything else that is missing, unexpected or misshapen; `params` is then as it was.
pub fn load_start(
    params: &Params,
    weights: &StateDict,
    apart: &[&str],
    predictors: Predictors,
) -> std::result::Result<StartReport, WeightsError> {
    let mut own = apart.to_vec();
    own.extend(PREDICTORS.iter().flat_map(|(_, prefixes)| *prefixes));
    let weights = weights.clone().located(&weights::wanted_names(params, &own), &Prefix::Find)?;
    let wrong_shape = params.compare(weights.tensors()).wrong_shape;
    let mut left_out = Vec::new();
    let mut apart = apart.to_vec();
    for (name, prefixes) in PREDICTORS {
        let is_of = |wrong: &&WrongShape| prefixes.iter().any(|prefix| wrong.name.starts_with(prefix));
        let wrong_shape: Vec<WrongShape> = wrong_shape.iter().filter(is_of).cloned().collect();
        let is_asked = predictors == Predictors::Anew && name == BOX_PREDICTOR;
        if is_asked || !wrong_shape.is_empty() {
            apart.extend(prefixes);
            left_out.push(LeftOutPart { name, wrong_shape });
        }
    }
    Ok(StartReport { report: weights::load_backbone(params, &weights, &apart)?, left_out })
}

/// Copies a backbone's weights under torchvision's names (a classifier's, or what `moco convert` writes) into a detector's
/// parameters. The file's classifier is used where the detector has it, and left out where it has not.
///
/// # Errors
/// As [`weights::load_backbone`].
pub fn load_backbone(params: &Params, weights: &StateDict) -> std::result::Result<LoadReport, WeightsError> {
    let names = params.names();
    let is_used = |name: &str| !is_classifier(name) || names.iter().any(|n| n.strip_prefix("backbone.") == Some(name));
    let trunk = weights::wanted_names(params, &[])
        .into_iter()
        .filter_map(|name| Some(name.strip_prefix("backbone.")?.to_owned()));
    let trunk: Vec<String> = trunk.filter(|name| !is_classifier(name)).collect();
    let weights = weights.clone().located(&trunk, &Prefix::Find)?;
    let rules = weights.names().filter(|name| is_used(name)).map(|name| Rule::prefix(name, format!("backbone.{name}")));
    let rules = KeyMap::new(rules.collect::<Vec<_>>(), Unmatched::Drop);
    let renamed = weights.renamed(&rules)?;
    // Everything else is the detector's own, or the method's that stands on it.
    let others: Vec<&str> = names.iter().map(String::as_str).filter(|name| !name.starts_with("backbone.")).collect();
    weights::load_backbone(params, &renamed, &others)
}

fn is_classifier(name: &str) -> bool {
    name.starts_with("fc.") || name.starts_with("classifier.")
}
