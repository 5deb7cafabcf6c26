//! Classes by their names.

use std::collections::HashMap;

use crate::{DataError, Result};

/// The labels of classes by their names, without regard to case.
#[derive(Debug)]
pub(super) struct ClassIndex {
    names: Vec<String>,
    labels: HashMap<String, u32>,
}

impl ClassIndex {
    /// # Errors
    /// [`DataError::Argument`] for no classes, an empty name, or one that stands there twice.
    pub(super) fn new(classes: &[String]) -> Result<Self> {
        if classes.is_empty() {
            return Err(DataError::argument("number of classes", 0, "at least 1"));
        }
        let names: Vec<String> = classes.iter().map(|name| lower(name)).collect();
        let mut labels = HashMap::new();
        for (label, name) in names.iter().enumerate() {
            if name.is_empty() || labels.insert(name.clone(), label as u32).is_some() {
                return Err(DataError::argument("class", format!("`{name}` as number {label}"), "names, each once"));
            }
        }
        Ok(Self { names, labels })
    }

    /// The names, in lower case.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The label of the class `name`.
    pub(super) fn label(&self, name: &str) -> Option<u32> {
        self.labels.get(&lower(name)).copied()
    }
}

/// A class's name as it is compared and counted.
pub(super) fn lower(name: &str) -> String {
    name.trim().to_lowercase()
}
