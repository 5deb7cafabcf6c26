//! Weights into a model that has a head of its own.

use std::collections::BTreeMap;

use sconce_core::{Error, LoadReport, Params, Tensor, Tolerance, first_not_finite};

use super::{Prefix, StateDict, error::Result};

/// Counters that files from before PyTorch 0.4.1 lack, and that nothing is computed from.
const COUNTER: &str = "num_batches_tracked";

/// The names that a file must have for [`load_backbone`]: those of `params` without the classifiers that begin with one of `head`,
/// and without counters.
pub fn wanted_names(params: &Params, head: &[&str]) -> Vec<String> {
    params.names().into_iter().filter(|name| is_wanted(name, head)).collect()
}

fn is_wanted(name: &str, head: &[&str]) -> bool {
    !name.ends_with(COUNTER) && !head.iter().any(|prefix| name.starts_with(prefix))
}

/// Copies a backbone's weights into `params`.
///
/// Names that begin with one of `head` belong to classifiers: the file's own one is left out, the model's stays as it is.
/// All others must be the same on both sides; only `num_batches_tracked` may be missing, as in files from before PyTorch 0.4.1.
/// The report counts as missing what the model has besides: the counters and its head.
///
/// Where the names stand below a prefix (`backbone.`), it is found if one alone has all of them; [`StateDict::located`] takes one
/// that is named.
///
/// ```
/// use sconce_backbones::{ResNet, ResNetClassifier, ResNetConfig, weights::{StateDict, load_backbone}};
/// use sconce_core::{DType, Device, Params};
///
/// let config = ResNetConfig { width: 0.0625, ..ResNetConfig::resnet18() };
/// let trained = Params::new(1, DType::F32, &Device::Cpu);
/// ResNetClassifier::new(&trained.scope(), &config, 1000)?;
/// let params = Params::new(2, DType::F32, &Device::Cpu);
/// ResNet::new(&params.scope(), &config)?;
///
/// // In earnest: `read_weights(path)?`.
/// let weights = StateDict::new("resnet18.pth", trained.tensors());
/// let report = load_backbone(&params, &weights, &["fc."])?;
/// assert_eq!(report.loaded.len(), 120);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Load`] names what is missing, unexpected or misshapen, [`WeightsError::Tensor`] what is no tensor of numbers, or
/// holds NaN or infinity, [`WeightsError::Prefix`] the prefixes that have some of the names; `params` is then as it was.
///
/// [`WeightsError::Tensor`]: super::WeightsError::Tensor
/// [`WeightsError::Prefix`]: super::WeightsError::Prefix
pub fn load_backbone(params: &Params, weights: &StateDict, head: &[&str]) -> Result<LoadReport> {
    let of_head = |name: &str| head.iter().any(|prefix| name.starts_with(prefix));
    let weights = weights.clone().located(&wanted_names(params, head), &Prefix::Find)?;
    let tensors: BTreeMap<String, Tensor> = weights
        .tensors()
        .iter()
        .filter(|(name, _)| !of_head(name))
        .map(|(name, t)| (name.clone(), t.clone()))
        .collect();
    let mut report = params.compare(&tensors);
    report.loaded.clear(); // nothing is, if there is anything to report
    report.missing.retain(|name| is_wanted(name, head));
    if let Some(name) = report.missing.iter().find(|name| weights.other(name).is_some()) {
        weights.tensor(name)?;
    }
    if report != LoadReport::default() {
        return Err(Error::Load { origin: weights.origin().to_owned(), report: Box::new(report) }.into());
    }
    if let Some((name, value)) = first_not_finite(tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)))? {
        return Err(weights.misfit(name, format!("holds {value}, expected finite numbers")));
    }
    Ok(params.load(weights.origin(), &tensors, Tolerance::Missing)?)
}
