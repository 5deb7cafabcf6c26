//! Reading a case.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use safetensors::SafeTensors;
use sconce_core::{Tensor, read_tensors};
use serde::de::DeserializeOwned;

/// What goes into an operation, and what PyTorch made of it.
#[derive(Debug)]
pub struct Case {
    /// The operation's name.
    pub op: String,
    /// The operation's attributes, one JSON object.
    attrs: String,
    /// Tolerance relative to the expected value.
    pub rtol: f64,
    /// Tolerance added to it.
    pub atol: f64,
    /// `in.NAME`, `out.NAME`, `gout.NAME` and `grad.NAME`.
    tensors: BTreeMap<String, Tensor>,
}

/// The four roles of a tensor, as prefixes of its name.
const ROLES: [&str; 4] = ["in.", "out.", "gout.", "grad."];

impl Case {
    /// Reads a case from a safetensors file.
    ///
    /// # Errors
    /// If the file or one of its metadata cannot be read, a tensor has no role, or nothing is expected.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| path.display().to_string())?;
        let (_, header) = SafeTensors::read_metadata(&bytes).with_context(|| path.display().to_string())?;
        let field = |name: &str| {
            let value = header.metadata().as_ref().and_then(|fields| fields.get(name));
            value.with_context(|| format!("the metadata have no `{name}`"))
        };
        let number = |name: &str| -> Result<f64> {
            let text = field(name)?;
            text.parse().with_context(|| format!("`{name}` is `{text}`, expected a number"))
        };
        let case = Self {
            op: field("op")?.clone(),
            attrs: field("attrs")?.clone(),
            rtol: number("rtol")?,
            atol: number("atol")?,
            tensors: read_tensors(path)?,
        };
        for name in case.tensors.keys() {
            ensure!(ROLES.iter().any(|role| name.starts_with(role)), "the tensor `{name}` has no role of {ROLES:?}");
        }
        ensure!(case.expected().next().is_some(), "nothing is expected of this case");
        Ok(case)
    }

    /// The attributes. An attribute that `T` does not know is an error: it would be ignored otherwise.
    pub(super) fn attrs<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.attrs).with_context(|| format!("attrs `{}`", self.attrs))
    }

    /// The inputs by name.
    pub(super) fn inputs(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.with_role("in.")
    }

    /// The gradients to be fed in, by the name of the output.
    pub(super) fn output_gradients(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.with_role("gout.")
    }

    /// Whether the gradient of an input is expected.
    pub(super) fn expects_gradient_of(&self, input: &str) -> bool {
        self.tensors.contains_key(&format!("grad.{input}"))
    }

    /// What is expected, by full name: `out.NAME` and `grad.NAME`.
    pub(super) fn expected(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        let expected = |name: &str| name.starts_with("out.") || name.starts_with("grad.");
        self.tensors.iter().filter(move |(name, _)| expected(name)).map(|(name, tensor)| (name.as_str(), tensor))
    }

    fn with_role(&self, role: &'static str) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().filter_map(move |(name, tensor)| Some((name.strip_prefix(role)?, tensor)))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A case with the tolerances 0.1 and 0.01.
    pub(in crate::parity) fn case(op: &str, attrs: &str, tensors: Vec<(&str, Tensor)>) -> Case {
        let tensors = tensors.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect();
        Case { op: op.to_owned(), attrs: attrs.to_owned(), rtol: 0.1, atol: 0.01, tensors }
    }
}
