//! The images that a run holds out to test on, as a part of its checkpoints.

use sconce_engine::{Checkpoint, EngineError, Source, Stateful};

/// The names of the images that a run holds out of its training folder. Whoever evaluates a checkpoint gets the same ones, and
/// never one that was trained on, also where images were added since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeldOut(Vec<String>);

impl HeldOut {
    /// The name of this state in a checkpoint.
    pub(crate) const STATE: &str = "held-out";

    pub(crate) fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// The names that `checkpoint` carries.
    ///
    /// # Errors
    /// [`EngineError::Io`] or [`EngineError::State`] if it has none.
    pub(crate) fn of(checkpoint: &Checkpoint) -> sconce_engine::Result<Vec<String>> {
        let bytes = checkpoint.tracked(Self::STATE)?;
        serde_json::from_slice(&bytes)
            .map_err(|e| EngineError::State { name: Self::STATE.to_owned(), source: e.into() })
    }
}

impl Stateful for HeldOut {
    fn save(&self) -> Result<Vec<u8>, Source> {
        Ok(serde_json::to_vec(&self.0)?)
    }

    fn load(&self, bytes: &[u8]) -> Result<(), Source> {
        let stored: Vec<String> = serde_json::from_slice(bytes)?;
        match stored == self.0 {
            true => Ok(()),
            false => Err("other test images were held out: the training folder has changed since".into()),
        }
    }
}
