//! A file that only grows, and whose length a checkpoint remembers.

use std::{
    fs::{File, OpenOptions},
    io::{Seek as _, SeekFrom, Write as _},
    path::PathBuf,
};

use crate::{EngineError, Result};

/// An append-only file. What it gains after a checkpoint is cut off again when a run resumes from there.
#[derive(Debug)]
pub(crate) struct AppendLog {
    path: PathBuf,
    file: File,
    len: u64,
}

impl AppendLog {
    /// Opens `path` and cuts it to its first `keep` bytes; of none it is created.
    ///
    /// # Errors
    /// If the file cannot be opened, or is shorter than that.
    pub(crate) fn open(path: PathBuf, keep: u64) -> Result<Self> {
        let io = |e| EngineError::io(&path)(e);
        let mut file = OpenOptions::new().create(keep == 0).truncate(false).write(true).open(&path).map_err(io)?;
        let found = file.metadata().map_err(io)?.len();
        if found < keep {
            return Err(EngineError::format(
                &path,
                format!("has {found} bytes, expected at least the {keep} that the checkpoint knows"),
            ));
        }
        if found > keep {
            file.set_len(keep).map_err(io)?;
        }
        file.seek(SeekFrom::Start(keep)).map_err(io)?;
        Ok(Self { path, file, len: keep })
    }

    /// Appends `bytes`.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(EngineError::io(&self.path))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// The bytes appended so far, those of earlier parts of the run included.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Waits until everything is on the disk, so that no checkpoint knows more than the disk does.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(EngineError::io(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening_cuts_off_what_the_checkpoint_does_not_know() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "one\ntwo\nthr").unwrap();
        let mut log = AppendLog::open(path.clone(), 8).unwrap();
        log.append(b"3\n").unwrap();
        assert_eq!(log.len(), 10);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "one\ntwo\n3\n");
    }

    #[test]
    fn a_file_shorter_than_the_checkpoint_knows_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "one").unwrap();
        let error = AppendLog::open(path.clone(), 4).unwrap_err().to_string();
        assert!(error.contains("log: has 3 bytes"), "{error}");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "one", "the file is left as it was");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_names_the_file() {
        let mut log = AppendLog::open("/dev/full".into(), 0).unwrap();
        let error = log.append(b"x").unwrap_err().to_string();
        assert!(error.starts_with("/dev/full: ") && error.contains("space"), "{error}");
        assert_eq!(log.len(), 0);
    }
}
