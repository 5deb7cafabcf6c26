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

use std::collections::BTreeMap;

use sconce_core::Tensor;

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

/// The tensors in the bytes of a `.pth` file, by dotted names: the zip form, and the one before PyTorch 1.6.
///
/// The pickle in it is not executed: names of functions and classes other than those that tensors need are refused.
/// Values that are no tensors are passed over, as are lists. Signed bytes become 16-bit integers, booleans bytes of 0 and 1.
/// Equal views of the same numbers become one tensor, others are copied; all of them together may take four times the file.
///
/// # Errors
/// [`PthError`] says what is wrong with the file, whatever its bytes are.
pub fn read_pth(bytes: &[u8], extent: Extent) -> Result<BTreeMap<String, Tensor>, PthError> {
    let (pickle, storages) = if archive::is_zip(bytes) {
        archive::read(bytes)?
    } else if legacy::is_legacy(bytes) {
        legacy::read(bytes)?
    } else {
        let start = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
        return Err(PthError::UnknownForm { start });
    };
    storage::materialise(&names::tensors(&pickle, extent)?, &storages, bytes.len())
}
