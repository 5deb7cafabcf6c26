//! Tensors by name, whichever file they came from.

use std::{collections::BTreeMap, fmt, fs::File, io::Read as _, path::Path};

use sconce_core::{Error, Tensor};

use super::{
    Extent, KeyMap,
    error::{Result, WeightsError},
    pth::{self, is_pth},
    safetensors,
};

/// What `torch.nn.DataParallel` and `torch.compile` put before every name.
const WRAPPED: [&str; 2] = ["module.", "_orig_mod."];

/// What `torch.optim.swa_utils.AveragedModel` has beside the names that it puts `module.` before.
const N_AVERAGED: &str = "n_averaged";

/// The tensors of a model by their names, where they came from, and what was passed over there.
#[derive(Clone, Debug)]
pub struct StateDict {
    origin: String,
    tensors: BTreeMap<String, Tensor>,
    /// What stands between the tensors and is none of numbers, by name.
    others: BTreeMap<String, String>,
    /// What stands elsewhere, or was left out.
    beside: Vec<PassedOver>,
}

/// Something in a file of weights that is not among the tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// Its name in the file, or that of what was left out.
    pub name: String,
    /// What it is: `an object of ...`, `a tensor of complex numbers of 64 bits, which are not read`.
    pub what: String,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({})", self.name, self.what)
    }
}

/// Reads the weights in a file: safetensors, or a `.pth` of either form; its bytes say which.
///
/// Of a `.pth` it takes what [`Extent::StateDict`] says; the prefixes `module.` and `_orig_mod.` go where every name has them.
///
/// What can be a tensor of numbers is one, whichever the form. Types that Candle has not are widened:
///
/// | in the file | here |
/// |---|---|
/// | booleans | `U8`, 0 or 1 |
/// | signed bytes | `I16` |
/// | unsigned integers of 16 bits | `I32` |
/// | unsigned integers of 64 bits | `I64`, if they fit |
/// | floats of 8 bits | `F32` |
///
/// Complex and quantised numbers, types of less than a byte, and whatever else stands between tensors, is passed over and told by
/// [`StateDict::passed_over`]; it is an error only where a model wants it.
///
/// # Errors
/// [`WeightsError`] names the file and what is wrong in it.
pub fn read_weights(path: &Path) -> Result<StateDict> {
    StateDict::read(path, Extent::StateDict).map(StateDict::without_parallel)
}

impl StateDict {
    /// These tensors; `origin` names where they came from, for errors.
    pub fn new(origin: impl Into<String>, tensors: BTreeMap<String, Tensor>) -> Self {
        Self { origin: origin.into(), tensors, others: BTreeMap::new(), beside: Vec::new() }
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
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let origin = path.display().to_string();
        Ok(if is_safetensors {
            let safetensors::Contents { tensors, others } = safetensors::read(&bytes, path)?;
            Self { origin, tensors, others, beside: Vec::new() }
        } else {
            let pth::Contents { tensors, others, beside } =
                pth::read(&bytes, extent).map_err(WeightsError::pth(path))?;
            Self { origin, tensors, others, beside }
        })
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

    /// What the file holds beside the tensors, and what was left out since: names, and what they are.
    pub fn passed_over(&self) -> Vec<PassedOver> {
        let between = self.others.iter().map(|(name, what)| PassedOver { name: name.clone(), what: what.clone() });
        between.chain(self.beside.iter().cloned()).collect()
    }

    /// All names, also of what is no tensor of numbers.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().chain(self.others.keys()).map(String::as_str)
    }

    /// Those whose name begins with `prefix` (`module.encoder_q.`), without it.
    #[must_use]
    pub fn below(self, prefix: &str) -> Self {
        let mut beside = self.beside;
        let mut tensors = BTreeMap::new();
        for (name, tensor) in self.tensors {
            match name.strip_prefix(prefix) {
                Some(rest) => drop(tensors.insert(rest.to_owned(), tensor)),
                None => beside.push(PassedOver { name, what: format!("a tensor that is not below `{prefix}`") }),
            }
        }
        let mut others = BTreeMap::new();
        for (name, what) in self.others {
            match name.strip_prefix(prefix) {
                Some(rest) => drop(others.insert(rest.to_owned(), what)),
                None => beside.push(PassedOver { name, what }),
            }
        }
        Self { origin: self.origin, tensors, others, beside }
    }

    /// Without the prefixes `module.` and `_orig_mod.` of wrapped models, as often as the name of every tensor has them.
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
    /// [`WeightsError::Collision`] if two tensors get the same one.
    pub fn renamed(self, map: &KeyMap) -> Result<Self> {
        let mut old: BTreeMap<String, String> = BTreeMap::new();
        let mut beside = self.beside;
        let mut tensors = BTreeMap::new();
        for (name, tensor) in self.tensors {
            let Some(new) = map.rename(&name) else {
                beside.push(PassedOver { name, what: "a tensor that no rule names".to_owned() });
                continue;
            };
            if let Some(first) = old.insert(new.clone(), name.clone()) {
                return Err(WeightsError::Collision { origin: self.origin, first, second: name, name: new });
            }
            tensors.insert(new, tensor);
        }
        let mut others = BTreeMap::new();
        for (name, what) in self.others {
            match map.rename(&name) {
                Some(new) => drop(others.insert(new, what)),
                None => beside.push(PassedOver { name, what }),
            }
        }
        Ok(Self { origin: self.origin, tensors, others, beside })
    }

    /// The tensor `name`.
    ///
    /// # Errors
    /// [`WeightsError::Tensor`] if it is not there, or says what is there instead.
    pub fn tensor(&self, name: &str) -> Result<&Tensor> {
        let what = || self.others.get(name).map_or_else(|| "is not there".to_owned(), |what| format!("is {what}"));
        self.tensors.get(name).ok_or_else(|| self.misfit(name, what()))
    }

    /// Without the tensors for which `is_left_out`, which are passed over for the reason `why` (`of the head`).
    #[must_use]
    pub fn without(mut self, is_left_out: impl Fn(&str) -> bool, why: &str) -> Self {
        let left_out = self.tensors.extract_if(.., |name, _| is_left_out(name));
        self.beside.extend(left_out.map(|(name, _)| PassedOver { name, what: format!("a tensor {why}") }));
        self
    }

    /// What stands in the place of a tensor that is none of numbers.
    pub(super) fn other(&self, name: &str) -> Option<&str> {
        self.others.get(name).map(String::as_str)
    }

    /// Puts `tensor` in the place of the one that is called so.
    pub(super) fn replace(&mut self, name: &str, tensor: Tensor) {
        self.tensors.insert(name.to_owned(), tensor);
    }

    pub(super) fn misfit(&self, name: &str, what: String) -> WeightsError {
        WeightsError::Tensor { origin: self.origin.clone(), name: name.to_owned(), what }
    }
}
