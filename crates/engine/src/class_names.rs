//! The names of classes, as a part of a checkpoint.

use crate::{Checkpoint, EngineError, Result, Source, Stateful};

/// The names of the classes, which a checkpoint carries to whoever evaluates or predicts with it. A run that resumes with data of
/// other classes is refused.
///
/// ```
/// use sconce_engine::{ClassNames, Stateful as _};
///
/// let names = ClassNames::new(["cat", "dog"].map(str::to_owned).into());
/// let stored = names.save()?;
/// assert!(names.load(&stored).is_ok());
/// assert!(ClassNames::new(vec!["dog".into()]).load(&stored).is_err());
/// # Ok::<(), sconce_engine::Source>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassNames(Vec<String>);

impl ClassNames {
    /// By this name [`Trainer::track`](crate::Trainer::track) has them.
    pub const STATE: &str = "classes";

    /// Names in the order of the classes.
    pub fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// Those that `checkpoint` carries.
    ///
    /// # Errors
    /// [`EngineError::Io`] or [`EngineError::State`] if it has none.
    pub fn of(checkpoint: &Checkpoint) -> Result<Vec<String>> {
        let bytes = checkpoint.tracked(Self::STATE)?;
        serde_json::from_slice(&bytes)
            .map_err(|e| EngineError::State { name: Self::STATE.to_owned(), source: e.into() })
    }
}

impl Stateful for ClassNames {
    fn save(&self) -> std::result::Result<Vec<u8>, Source> {
        Ok(serde_json::to_vec(&self.0)?)
    }

    fn load(&self, bytes: &[u8]) -> std::result::Result<(), Source> {
        let stored: Vec<String> = serde_json::from_slice(bytes)?;
        if stored == self.0 {
            return Ok(());
        }
        Err(format!("the checkpoint's classes are {stored:?}, the data's {:?}", self.0).into())
    }
}
