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
/// Equal views of the same numbers become one tensor, others are copied; all of them together may take four times the file, or 64 MiB.
///
/// # Errors
/// [`PthError`] says what is wrong with the file, whatever its bytes are.
pub fn read_pth(bytes: &[u8], extent: Extent) -> Result<BTreeMap<String, Tensor>, PthError> {
    let (pickle, storages) = if archive::is_zip(bytes) {
        archive::read(bytes)?
    } else if legacy::is_legacy(bytes) {
        legacy::read(bytes)?
    } else {
        return Err(PthError::UnknownForm { found: unknown(bytes) });
    };
    storage::materialise(&names::tensors(&pickle, extent)?, &storages, bytes.len())
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
