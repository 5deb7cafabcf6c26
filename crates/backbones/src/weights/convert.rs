//! Any form of weights to safetensors.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::ErrorKind,
    path::Path,
};

use sconce_core::{Error, write_tensors};

use super::{
    Extent, KeyMap, PassedOver, Prefix, StateDict,
    error::{Result, WeightsError},
    network::known_network,
};

/// Names that a report tells of each kind.
const TOLD: usize = 5;

/// What [`convert`] takes, and how it names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConvertOptions {
    /// How much of a checkpoint.
    pub extent: Extent,
    /// New names; applied after the prefix `module.` is gone, which only [`Extent::StateDict`] takes away.
    pub map: KeyMap,
    /// Where the network stands, under its new names; looked for only where `wanted` says what to look for.
    pub prefix: Prefix,
    /// The names that the network has which the weights are for, if it is known. Else it is taken for the network of this crate
    /// that has most of the file's names.
    pub wanted: Option<Vec<String>>,
}

/// The result of [`convert`].
#[derive(Clone, Debug)]
pub struct Conversion {
    /// What was written.
    pub weights: StateDict,
    /// What was not.
    pub report: ConvertReport,
}

/// What a file that was written has, and what it has not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConvertReport {
    /// How many tensors were written.
    pub written: usize,
    /// The network that the weights are for, if one was given or has most of the names.
    pub network: Option<String>,
    /// The names of that network that are not among the tensors.
    pub lacks: Vec<String>,
    /// What the file that was read has besides: what was left out, and why.
    pub passed_over: Vec<PassedOver>,
}

impl ConvertReport {
    /// The report on `weights` that are written as they are, for the network `wanted`, or for the nearest one.
    pub fn new(weights: &StateDict, wanted: Option<&[String]>) -> Self {
        let (network, lacks) = match wanted {
            Some(names) => {
                let lacks = |name: &&String| !weights.tensors().contains_key(*name);
                (Some("the network".to_owned()), Some(names.iter().filter(lacks).cloned().collect()))
            }
            None => known_network(weights).map(|network| (network.name, network.lacks)).unzip(),
        };
        let passed_over = weights.passed_over();
        Self { written: weights.tensors().len(), network, lacks: lacks.unwrap_or_default(), passed_over }
    }
}

impl fmt::Display for ConvertReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tensors written", self.written)?;
        if let Some(network) = self.network.as_ref().filter(|_| !self.lacks.is_empty()) {
            let names: Vec<String> = self.lacks.iter().map(|name| format!("`{name}`")).collect();
            write!(f, "; {network} lacks {}: {}", names.len(), some(&names))?;
        }
        if !self.passed_over.is_empty() {
            let what: Vec<String> = self.passed_over.iter().map(PassedOver::to_string).collect();
            write!(f, "; passed over: {}", some(&what))?;
        }
        Ok(())
    }
}

/// The first of `all`, and how many more there are.
fn some(all: &[String]) -> String {
    let shown = all[..all.len().min(TOLD)].join(", ");
    if all.len() > TOLD { format!("{shown} and {} more", all.len() - TOLD) } else { shown }
}

/// Reads the weights in `input`, whichever form it has, and writes them to `output` as safetensors. Returns what it wrote, and
/// what of the network is not in it.
///
/// # Errors
/// As [`read_weights`](super::read_weights), [`StateDict::renamed`] and [`StateDict::located`]; [`WeightsError::Exists`] if there
/// is an `output`, which stays as it is.
pub fn convert(input: &Path, output: &Path, options: &ConvertOptions) -> Result<Conversion> {
    let weights = StateDict::read(input, options.extent)?;
    let weights = match options.extent {
        Extent::StateDict => weights.without_parallel(),
        Extent::Everything => weights,
    };
    let weights = weights.renamed(&options.map)?;
    let weights = match (&options.wanted, &options.prefix) {
        (None, Prefix::Find) => weights,
        (wanted, prefix) => weights.located(wanted.as_deref().unwrap_or_default(), prefix)?,
    };
    write_weights(&weights, output)?;
    let report = ConvertReport::new(&weights, options.wanted.as_deref());
    Ok(Conversion { weights, report })
}

/// Writes `weights` to the new safetensors file `output`.
///
/// # Errors
/// [`WeightsError::Exists`] if there is an `output`, which stays as it is; [`WeightsError::Core`] if it cannot be written.
pub fn write_weights(weights: &StateDict, output: &Path) -> Result<()> {
    let exists = || WeightsError::Exists { path: output.to_owned() };
    // Claims the name: of two at the same time, one is told that the other was first.
    if let Err(e) = OpenOptions::new().write(true).create_new(true).open(output) {
        return Err(if e.kind() == ErrorKind::AlreadyExists { exists() } else { Error::io(output)(e).into() });
    }
    write_tensors(output, weights.tensors()).inspect_err(|_| {
        // The error that matters is the first one; the empty file is our own.
        let _ = fs::remove_file(output);
    })?;
    Ok(())
}
