//! Files of JSON, as a run and a study have them.

use std::path::Path;

use sconce_core::files::write_atomic;
use serde::Serialize;

use crate::{EngineError, Result};

/// Replaces `path` by `value`, a line of text for each field.
///
/// # Errors
/// [`EngineError::Format`] if JSON cannot hold the value, or the errors of writing; `path` is then as it was.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| EngineError::format(path, e))? + "\n";
    Ok(write_atomic(path, text.as_bytes())?)
}
