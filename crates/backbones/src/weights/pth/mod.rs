//! Reading what `torch.save` wrote, both forms, without executing anything.

mod archive;
mod error;
mod globals;
mod legacy;
mod names;
mod opcode;
mod pickle;
mod reference;
mod storage;
mod words;

use std::collections::BTreeMap;

use sconce_core::Tensor;

use super::PassedOver;

pub use error::PthError;

/// How much of a checkpoint is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// The model's state dict: the dictionary under `state_dict`, `model_state_dict` or `model` where there is one, else all
    /// of it.
    #[default]
    StateDict,
    /// Every tensor, an optimiser's too, by its path: `state_dict.conv1.weight`, `optimizer.state.0.exp_avg`.
    Everything,
}

/// Whether `bytes` begin as one of the two forms that [`read_pth`] reads.
pub(super) fn is_pth(bytes: &[u8]) -> bool {
    archive::is_zip(bytes) || legacy::is_legacy(bytes)
}

/// What a file holds.
pub(super) struct Contents {
    pub(super) tensors: BTreeMap<String, Tensor>,
    /// What stands between the tensors and is none of numbers, by dotted name.
    pub(super) others: BTreeMap<String, String>,
    /// What stands beside the state dict.
    pub(super) beside: Vec<PassedOver>,
}

/// The tensors in the bytes of a `.pth` file, by dotted names: the zip form, and the one before PyTorch 1.6.
///
/// The pickle in it is not executed: of functions and classes other than those that tensors need, and of what they would make,
/// the names are read and no more. What is no tensor of numbers is passed over; [`StateDict::passed_over`] says what that was.
/// Types become others as [`read_weights`] says. Equal views of the same numbers become one tensor, others are copied; all of
/// them together may take four times the file, or 64 MiB.
///
/// # Errors
/// [`PthError`] says what is wrong with the file, whatever its bytes are.
///
/// [`StateDict::passed_over`]: super::StateDict::passed_over
/// [`read_weights`]: super::read_weights
pub fn read_pth(bytes: &[u8], extent: Extent) -> Result<BTreeMap<String, Tensor>, PthError> {
    Ok(read(bytes, extent)?.tensors)
}

/// [`read_pth`], with what was passed over.
pub(super) fn read(bytes: &[u8], extent: Extent) -> Result<Contents, PthError> {
    let (pickle, storages) = if archive::is_zip(bytes) {
        archive::read(bytes)?
    } else if legacy::is_legacy(bytes) {
        legacy::read(bytes)?
    } else {
        return Err(PthError::UnknownForm { found: unknown(bytes) });
    };
    let names::Found { views, mut others, beside } = names::find(&pickle, extent)?;
    let mut tensors = BTreeMap::new();
    for (name, made) in storage::materialise(&views, &storages, bytes.len())? {
        match made {
            Ok(tensor) => drop(tensors.insert(name, tensor)),
            Err(what) => drop(others.insert(name, what)),
        }
    }
    Ok(Contents { tensors, others, beside })
}

/// What a file that is no checkpoint begins as, for whoever wonders what was downloaded.
fn unknown(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "it is empty".to_owned();
    }
    if bytes.starts_with(b"version https://git-lfs") {
        return "it is a pointer of Git LFS, and not the file that this points to".to_owned();
    }
    // A tar archive has the name of its first file at the beginning, and this further on.
    if bytes.get(257..262) == Some(b"ustar") || bytes.starts_with(b"sys_info") {
        return "it is a tar archive, the form from before PyTorch 0.1.10; load it there and save it again".to_owned();
    }
    if matches!(bytes, [0x80, 2..=5, ..]) {
        return "it is a pickle alone, which is not read".to_owned();
    }
    let start = &bytes[..bytes.len().min(16)];
    match start.iter().all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()) {
        true => format!("it begins with the text {:?}", String::from_utf8_lossy(start)),
        false => format!("it begins with {}", start.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")),
    }
}
