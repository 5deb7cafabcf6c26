//! Tensors for a program in another language: raw little-endian numbers and a JSON index, which need no library there.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result, bail};
use sconce_core::{DType, Tensor, files::write_atomic};
use serde_json::json;

/// Writes `tensors.bin` and `tensors.json` (`{NAME: {"dtype", "shape", "offset"}}`, the offset in bytes) to `folder`.
pub(super) fn write(folder: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    let mut bytes = Vec::new();
    let mut index = serde_json::Map::new();
    for (name, tensor) in tensors {
        let dtype = match tensor.dtype() {
            DType::F32 => "<f4",
            DType::I64 => "<i8",
            other => bail!("`{name}` is of {other:?}, which is not exchanged"),
        };
        index.insert(name.clone(), json!({ "dtype": dtype, "shape": tensor.dims(), "offset": bytes.len() }));
        let flat = tensor.flatten_all()?;
        match tensor.dtype() {
            DType::I64 => flat.to_vec1::<i64>()?.iter().for_each(|v| bytes.extend(v.to_le_bytes())),
            _ => flat.to_vec1::<f32>()?.iter().for_each(|v| bytes.extend(v.to_le_bytes())),
        }
    }
    let index = serde_json::to_vec(&index).context("index of the tensors")?;
    write_atomic(&folder.join("tensors.bin"), &bytes)?;
    // The index comes last: who sees it finds the numbers.
    Ok(write_atomic(&folder.join("tensors.json"), &index)?)
}

#[cfg(test)]
mod tests {
    use sconce_core::Device;

    use super::*;

    #[test]
    fn offsets_find_the_numbers_again() {
        let dir = tempfile::tempdir().unwrap();
        let tensors = BTreeMap::from([
            ("a".to_owned(), Tensor::new(&[[1f32, 2.0]], &Device::Cpu).unwrap()),
            ("b".to_owned(), Tensor::new(&[-3i64], &Device::Cpu).unwrap()),
        ]);
        write(dir.path(), &tensors).unwrap();
        let index: serde_json::Value =
            serde_json::from_slice(&std::fs::read(dir.path().join("tensors.json")).unwrap()).unwrap();
        assert_eq!(index["a"], json!({ "dtype": "<f4", "shape": [1, 2], "offset": 0 }));
        assert_eq!(index["b"], json!({ "dtype": "<i8", "shape": [1], "offset": 8 }));
        let bytes = std::fs::read(dir.path().join("tensors.bin")).unwrap();
        assert_eq!(bytes[4..8], 2f32.to_le_bytes());
        assert_eq!(bytes[8..], (-3i64).to_le_bytes());
    }
}
