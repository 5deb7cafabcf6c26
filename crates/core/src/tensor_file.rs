//! Tensors in a safetensors file.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::Path,
};

use safetensors::tensor::{Metadata, TensorInfo, View};

use crate::{Device, Error, Result, Tensor, files};

/// Elements that are copied at a time on their way into a file.
const PIECE: usize = 1 << 20;

/// The header's length is a multiple of it.
const ALIGNMENT: usize = 8;

/// Reads every tensor of a safetensors file.
///
/// # Errors
/// [`Error::Io`] if it cannot be read, [`Error::Format`] if it is no safetensors file.
pub fn read_tensors(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
        .map_err(|e| Error::Format { path: path.to_owned(), what: format!("cannot be read as safetensors: {e}") })?;
    Ok(tensors.into_iter().collect())
}

/// Writes `tensors` to a safetensors file, which replaces `path` only when it is complete. It takes the memory of a piece of a
/// tensor, however large the tensors are.
///
/// # Errors
/// [`Error::Io`] if it cannot be written; `path` is then as it was before.
pub fn write_tensors(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    let format = |what: String| Error::Format { path: path.to_owned(), what };
    let ordered = in_file_order(tensors);
    let header = header(&ordered).map_err(format)?;
    // Not `safetensors::serialize_to_file`: that does not sync, and its file is readable by its owner alone.
    files::write_atomic_with(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        ordered.iter().try_for_each(|(_, tensor)| write_elements(file, tensor))
    })
}

/// The tensors as `safetensors::serialize` has them: those of large elements first, then by name.
fn in_file_order(tensors: &BTreeMap<String, Tensor>) -> Vec<(&String, &Tensor)> {
    let mut ordered: Vec<_> = tensors.iter().collect();
    ordered.sort_by(|(a_name, a), (b_name, b)| View::dtype(b).cmp(&View::dtype(a)).then_with(|| a_name.cmp(b_name)));
    ordered
}

fn header(ordered: &[(&String, &Tensor)]) -> std::result::Result<Vec<u8>, String> {
    let mut end = 0;
    let info = |(name, tensor): &(&String, &Tensor)| {
        let start = end;
        end += tensor.data_len();
        let shape = tensor.dims().to_vec();
        ((*name).clone(), TensorInfo { dtype: View::dtype(tensor), shape, data_offsets: (start, end) })
    };
    let metadata = Metadata::new(None, ordered.iter().map(info).collect()).map_err(|e| e.to_string())?;
    let mut header = serde_json::to_vec(&metadata).map_err(|e| e.to_string())?;
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
    Ok(header)
}

/// Writes a tensor's bytes, some elements at a time.
fn write_elements(file: &mut impl Write, tensor: &Tensor) -> io::Result<()> {
    let n = tensor.elem_count();
    if n == 0 {
        return Ok(());
    }
    let flat = tensor.flatten_all().map_err(io::Error::other)?;
    (0..n).step_by(PIECE).try_for_each(|start| {
        let piece = flat.narrow(0, start, PIECE.min(n - start)).map_err(io::Error::other)?;
        file.write_all(&piece.data())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    fn tensors() -> BTreeMap<String, Tensor> {
        let count = |n: usize, dtype| Tensor::arange(0u32, n as u32, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let named = [
            ("b.weight", count(24, DType::F32).reshape((2, 3, 4)).unwrap()),
            ("a.turned", count(12, DType::F32).reshape((3, 4)).unwrap().t().unwrap()),
            ("narrow", count(40, DType::F64).narrow(0, 3, 5).unwrap()),
            ("scalar", Tensor::new(7i64, &Device::Cpu).unwrap()),
            ("half", count(3, DType::BF16)),
            ("empty", Tensor::zeros((0, 3), DType::F32, &Device::Cpu).unwrap()),
            ("bytes", count(PIECE + 3, DType::U8)),
        ];
        named.map(|(name, tensor)| (name.to_owned(), tensor)).into()
    }

    #[test]
    fn the_bytes_are_those_of_safetensors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        for tensors in [tensors(), BTreeMap::new()] {
            write_tensors(&path, &tensors).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), safetensors::serialize(&tensors, None).unwrap());
        }
        write_tensors(&path, &tensors()).unwrap();
        let read = read_tensors(&path).unwrap();
        assert_eq!(read["a.turned"].to_vec2::<f32>().unwrap(), tensors()["a.turned"].to_vec2::<f32>().unwrap());
        assert_eq!(read.len(), tensors().len());
    }

    /// What is handed to the file at a time is what is copied at a time.
    #[test]
    fn a_large_tensor_is_written_piece_by_piece() {
        struct Recorder(Vec<usize>);
        impl Write for Recorder {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.push(bytes.len());
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut recorder = Recorder(Vec::new());
        let tensor = Tensor::zeros((5, PIECE / 2), DType::F32, &Device::Cpu).unwrap();
        write_elements(&mut recorder, &tensor).unwrap();
        assert_eq!(recorder.0, [4 * PIECE, 4 * PIECE, 2 * PIECE]);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named_and_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing/a.safetensors");
        let error = write_tensors(&missing, &tensors()).unwrap_err();
        assert!(matches!(&error, Error::Io { path, .. } if *path == missing), "{error}");
        assert!(!folder.path().join("missing").exists());
    }

    /// What a full disk does.
    #[test]
    #[cfg(target_os = "linux")]
    fn nothing_is_left_of_a_file_that_did_not_fit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        std::fs::write(&path, "old").unwrap();
        std::os::unix::fs::symlink("/dev/full", folder.path().join("a.safetensors.tmp")).unwrap();
        let error = write_tensors(&path, &tensors()).unwrap_err();
        assert!(matches!(&error, Error::Io { path: named, .. } if *named == path), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
