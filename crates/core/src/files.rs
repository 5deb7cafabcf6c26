//! Writing files so that a reader sees the old one or the new one, never half of it.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::Path,
};

use crate::{Error, Result};

/// Replaces `path` by `bytes`: written beside it, synced, then renamed.
///
/// # Errors
/// If any of it fails (a full disk, say); `path` is then as it was before, and nothing is left beside it.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomic_with(path, |file| file.write_all(bytes))
}

/// [`write_atomic`] of what `write` writes, so that it need not be in memory all at once.
///
/// # Errors
/// As [`write_atomic`], and if `write` fails.
pub fn write_atomic_with(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = Path::new(&temporary);
    let written = File::create(temporary)
        .and_then(|file| {
            let mut file = BufWriter::new(file);
            write(&mut file)?;
            file.flush()?;
            file.get_ref().sync_all()
        })
        .and_then(|()| fs::rename(temporary, path));
    written.map_err(|e| {
        // The error that matters is the first one.
        let _ = fs::remove_file(temporary);
        Error::io(path)(e)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_atomic(&path, b"a long first text").unwrap();
        write_atomic(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(names(dir.path()), ["a.json"]);
    }

    /// What a full disk does.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_that_cannot_be_written_is_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_atomic(&path, b"first").unwrap();
        std::os::unix::fs::symlink("/dev/full", dir.path().join("a.json.tmp")).unwrap();
        let error = write_atomic(&path, b"second").unwrap_err();
        assert!(matches!(&error, Error::Io { path: named, .. } if *named == path), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(dir.path()), ["a.json"]);
    }

    /// A name that reaches the disk before the bytes is an empty file after a power failure. No test can cut the power, but
    /// `/dev/null` takes bytes and refuses to be synced: without a sync, or with one after the rename, it would have the name.
    #[test]
    #[cfg(target_os = "linux")]
    fn bytes_are_synced_before_they_have_the_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_atomic(&path, b"first").unwrap();
        std::os::unix::fs::symlink("/dev/null", dir.path().join("a.json.tmp")).unwrap();
        let error = write_atomic(&path, b"second").unwrap_err();
        assert!(matches!(&error, Error::Io { path: named, .. } if *named == path), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(dir.path()), ["a.json"]);
    }
}
