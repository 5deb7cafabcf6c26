//! Tensors by name, whichever file they came from.

use std::{collections::BTreeMap, fs::File, io::Read as _, path::Path};

use sconce_core::{Error, Tensor, read_tensors};

use super::{
    Extent, KeyMap,
    error::{Result, WeightsError},
    pth::{is_pth, read_pth},
};

/// What `torch.nn.DataParallel` and `torch.compile` put before every name.
const WRAPPED: [&str; 2] = ["module.", "_orig_mod."];

/// What `torch.optim.swa_utils.AveragedModel` has beside the names that it puts `module.` before.
const N_AVERAGED: &str = "n_averaged";

/// The tensors of a model by their names, and where they came from.
#[derive(Clone, Debug)]
pub struct StateDict {
    origin: String,
    tensors: BTreeMap<String, Tensor>,
}

/// Reads the weights in a file: safetensors, or a `.pth` of either form; its bytes say which.
///
/// Of a `.pth` it takes what [`Extent::StateDict`] says; the prefixes `module.` and `_orig_mod.` go where every name has them.
///
/// # Errors
/// [`WeightsError`] names the file and what is wrong in it.
pub fn read_weights(path: &Path) -> Result<StateDict> {
    StateDict::read(path, Extent::StateDict).map(StateDict::without_parallel)
}

impl StateDict {
    /// These tensors; `origin` names where they came from, for errors.
    pub fn new(origin: impl Into<String>, tensors: BTreeMap<String, Tensor>) -> Self {
        Self { origin: origin.into(), tensors }
    }

    /// Reads a file of any form, with the names that are in it.
    ///
    /// # Errors
    /// As [`read_weights`].
    pub fn read(path: &Path, extent: Extent) -> Result<Self> {
        let mut start = Vec::with_capacity(64);
        let opened = File::open(path).and_then(|file| file.take(64).read_to_end(&mut start));
        opened.map_err(Error::io(path))?;
        // A safetensors file begins with the length of a header, which is JSON.
        let is_safetensors = start.get(8) == Some(&b'{') && !is_pth(&start);
        let tensors = if is_safetensors {
            read_tensors(path)?
        } else {
            let bytes = std::fs::read(path).map_err(Error::io(path))?;
            read_pth(&bytes, extent).map_err(WeightsError::pth(path))?
        };
        Ok(Self::new(path.display().to_string(), tensors))
    }

    /// Where the tensors came from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }

    /// The tensors by name.
    pub fn into_tensors(self) -> BTreeMap<String, Tensor> {
        self.tensors
    }

    /// Those whose name begins with `prefix` (`module.encoder_q.`), without it.
    #[must_use]
    pub fn below(self, prefix: &str) -> Self {
        let tensors = self.tensors.into_iter();
        let tensors = tensors.filter_map(|(name, t)| Some((name.strip_prefix(prefix)?.to_owned(), t))).collect();
        Self { tensors, ..self }
    }

    /// Without the prefixes `module.` and `_orig_mod.` of wrapped models, as often as every name has them.
    #[must_use]
    pub fn without_parallel(mut self) -> Self {
        let shared = |tensors: &BTreeMap<String, Tensor>| {
            let mut names = tensors.keys().filter(|name| *name != N_AVERAGED).peekable();
            names.peek()?;
            let names: Vec<&String> = names.collect();
            WRAPPED.into_iter().find(|prefix| names.iter().all(|name| name.starts_with(prefix)))
        };
        while let Some(prefix) = shared(&self.tensors) {
            self = self.below(prefix);
        }
        self
    }

    /// With the names that `map` gives.
    ///
    /// # Errors
    /// [`WeightsError::Collision`] if two get the same one.
    pub fn renamed(self, map: &KeyMap) -> Result<Self> {
        let mut old: BTreeMap<String, String> = BTreeMap::new();
        let mut tensors = BTreeMap::new();
        for (name, tensor) in self.tensors {
            let Some(new) = map.rename(&name) else { continue };
            if let Some(first) = old.insert(new.clone(), name.clone()) {
                return Err(WeightsError::Collision { origin: self.origin, first, second: name, name: new });
            }
            tensors.insert(new, tensor);
        }
        Ok(Self { origin: self.origin, tensors })
    }

    /// The tensor `name`.
    ///
    /// # Errors
    /// [`WeightsError::Tensor`] if it is not there.
    pub fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.tensors.get(name).ok_or_else(|| self.misfit(name, "is not there".to_owned()))
    }

    /// Puts `tensor` in the place of the one that is called so.
    pub(super) fn replace(&mut self, name: &str, tensor: Tensor) {
        self.tensors.insert(name.to_owned(), tensor);
    }

    pub(super) fn misfit(&self, name: &str, what: String) -> WeightsError {
        WeightsError::Tensor { origin: self.origin.clone(), name: name.to_owned(), what }
    }
}
