//! Any form of weights to safetensors.

use std::{
    fs::{self, OpenOptions},
    io::ErrorKind,
    path::Path,
};

use sconce_core::{Error, write_tensors};

use super::{
    Extent, KeyMap, StateDict,
    error::{Result, WeightsError},
};

/// What [`convert`] takes, and how it names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConvertOptions {
    /// How much of a checkpoint.
    pub extent: Extent,
    /// New names; applied after the prefix `module.` is gone, which only [`Extent::StateDict`] takes away.
    pub map: KeyMap,
}

/// Reads the weights in `input`, whichever form it has, and writes them to `output` as safetensors. Returns what it wrote.
///
/// # Errors
/// As [`read_weights`](super::read_weights) and [`StateDict::renamed`]; [`WeightsError::Exists`] if there is an `output`,
/// which stays as it is.
pub fn convert(input: &Path, output: &Path, options: &ConvertOptions) -> Result<StateDict> {
    let weights = StateDict::read(input, options.extent)?;
    let weights = match options.extent {
        Extent::StateDict => weights.without_parallel(),
        Extent::Everything => weights,
    };
    let weights = weights.renamed(&options.map)?;
    write_weights(&weights, output)?;
    Ok(weights)
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
