//! The hash of a dataset's content.

use sha2::{Digest as _, Sha256};

/// A SHA-256 over fields, none of which can run into the next.
pub(crate) struct ContentHash(Sha256);

impl ContentHash {
    /// One that begins with the names of the classes.
    pub(crate) fn new(classes: &[String]) -> Self {
        let mut hash = Self(Sha256::new());
        hash.field(&(classes.len() as u64).to_le_bytes());
        classes.iter().for_each(|class| hash.field(class.as_bytes()));
        hash
    }

    /// Adds a field, with its length in front.
    pub(crate) fn field(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// In hexadecimal.
    pub(crate) fn finish(self) -> String {
        format!("{:x}", self.0.finalize())
    }
}
