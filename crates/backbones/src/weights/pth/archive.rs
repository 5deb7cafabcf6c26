//! What `torch.save` writes since PyTorch 1.6: a zip archive with the pickle and one file a storage.

use std::{collections::BTreeMap, io::Cursor};

use zip::{
    CompressionMethod, ZipArchive,
    read::{ArchiveOffset, Config},
};

use super::{
    error::{PthError, Result},
    pickle::Pickle,
    storage::Storages,
};

/// Whether `bytes` begin as a zip archive does.
pub(super) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

/// The pickle and the numbers of the storages that it refers to.
pub(super) fn read(bytes: &[u8]) -> Result<(Pickle<'_>, Storages<'_>)> {
    let archive = Archive::open(bytes)?;
    if archive.file("byteorder")?.is_some_and(|order| order.trim_ascii() == b"big") {
        return Err(PthError::BigEndian);
    }
    let pickle = archive.file("data.pkl")?.ok_or_else(|| fail("it has no data.pkl"))?;
    let pickle = Pickle::read(pickle)?;
    let mut storages = Storages::new();
    for (&key, storage) in &pickle.storages {
        let fail = |what: String| PthError::Storage { key: key.to_owned(), what };
        let path = format!("data/{key}");
        let data = archive.file(&path)?.ok_or_else(|| fail(format!("the archive has no `{path}`")))?;
        let expected = usize::try_from(storage.n_elements).ok().and_then(|n| n.checked_mul(storage.element.size()));
        if expected.is_none_or(|n| n > data.len()) {
            let (n, element) = (storage.n_elements, storage.element);
            return Err(fail(format!("it has {} bytes, expected {n} elements of {element:?}", data.len())));
        }
        storages.insert(key, data);
    }
    Ok((pickle, storages))
}

/// Files within an archive, which lie in it as they are.
struct Archive<'a> {
    bytes: &'a [u8],
    /// `archive/`, whatever the archive is called.
    folder: String,
    entries: BTreeMap<String, Entry>,
}

struct Entry {
    start: u64,
    n_bytes: u64,
    crc32: u32,
    is_plain: bool,
}

impl<'a> Archive<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self> {
        // These files begin with the archive. To look for where it begins goes wrong where the directory's second entry has
        // as many bytes from its first as there are between the directory and its end, which a name's length decides.
        let config = Config { archive_offset: ArchiveOffset::Known(0) };
        let mut archive = ZipArchive::with_config(config, Cursor::new(bytes)).map_err(fail)?;
        let mut entries = BTreeMap::new();
        for i in 0..archive.len() {
            let file = archive.by_index_raw(i).map_err(fail)?;
            let name = file.name().map_err(fail)?.into_owned();
            let is_plain = file.compression() == CompressionMethod::Stored && !file.encrypted();
            let start = file.data_start().ok_or_else(|| fail(format!("`{name}` has no place")))?;
            entries.insert(name, Entry { start, n_bytes: file.compressed_size(), crc32: file.crc32(), is_plain });
        }
        let mut pickles = entries.keys().filter_map(|name| name.strip_suffix("data.pkl"));
        let folder = pickles.find(|folder| folder.is_empty() || folder.find('/') == Some(folder.len() - 1));
        let folder = folder.ok_or_else(|| fail("it has no data.pkl"))?.to_owned();
        Ok(Self { bytes, folder, entries })
    }

    /// The file `name` of the checkpoint, if it is there.
    fn file(&self, name: &str) -> Result<Option<&'a [u8]>> {
        let path = format!("{}{name}", self.folder);
        let Some(entry) = self.entries.get(&path) else { return Ok(None) };
        if !entry.is_plain {
            return Err(fail(format!("`{path}` is compressed or encrypted, which torch.save never does")));
        }
        let place = usize::try_from(entry.start).ok().zip(usize::try_from(entry.n_bytes).ok());
        let data = place.and_then(|(start, n)| self.bytes.get(start..start.checked_add(n)?));
        let data = data.ok_or_else(|| fail(format!("`{path}` reaches beyond the file")))?;
        if crc32fast::hash(data) != entry.crc32 {
            return Err(fail(format!("the checksum of `{path}` is not that of its bytes")));
        }
        Ok(Some(data))
    }
}

fn fail(what: impl ToString) -> PthError {
    PthError::Archive { what: what.to_string() }
}
