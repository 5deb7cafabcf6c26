//! Writing files so that a reader sees the old one or the new one, never half of it.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
};

use crate::{Error, Result};

/// Replaces `path` by `bytes`: written beside it, synced, then renamed.
///
/// # Errors
/// If any of it fails (a full disk, say); `path` is then as it was before, and nothing is left beside it.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = Path::new(&temporary);
    let written = File::create(temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(temporary, path));
    written.map_err(|e| {
        // The error that matters is the first one.
        let _ = fs::remove_file(temporary);
        Error::io(path)(e)
    })
}
