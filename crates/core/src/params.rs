//! The parameters and buffers of a model, by PyTorch's names.

use std::{
    collections::BTreeMap,
    fmt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    Communicator, DType, Device, Error, Init, Result, Rng, Shape, Tensor, Var, communicator, init::constant,
    read_tensors, write_tensors,
};

/// The parameters and buffers of a model, ordered by name.
///
/// A model is built from a [`Scope`]: [`Params::scope`] creates what it asks for, [`Params::detached`] hands out what is
/// there, cut off from the graph. So one set of weights can stand behind two models: one that trains, and one that follows it
/// to evaluate, without keeping activations alive.
///
/// ```
/// use sconce_core::{DType, Device, Init, Params};
///
/// let params = Params::new(0, DType::F32, &Device::Cpu);
/// let weight = params.scope().pp("fc").param("weight", (10, 512), Init::KAIMING_UNIFORM)?;
/// assert_eq!(params.names(), ["fc.weight"]);
/// let same = params.detached().pp("fc").param("weight", (10, 512), Init::KAIMING_UNIFORM)?;
/// assert!(weight.track_op() && !same.track_op());
/// # Ok::<(), sconce_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Params {
    entries: Arc<Mutex<BTreeMap<String, Entry>>>,
    seed: u64,
    dtype: DType,
    device: Device,
    communicator: Arc<dyn Communicator>,
}

#[derive(Clone, Debug)]
struct Entry {
    var: Var,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Parameter,
    Buffer,
    /// A buffer that a layer fills with what it sees of a batch.
    Statistic,
}

/// A place in the tree of names, from which a layer takes its parameters.
#[derive(Clone, Debug)]
pub struct Scope {
    params: Params,
    prefix: String,
    detached: bool,
}

impl Params {
    /// An empty store whose parameters will be of `dtype`, on `device`, drawn from `seed`.
    pub fn new(seed: u64, dtype: DType, device: &Device) -> Self {
        Self { entries: Arc::default(), seed, dtype, device: device.clone(), communicator: communicator::alone() }
    }

    /// The same store for a model that is trained by several ranks together, of which `communicator` tells: layers ask it
    /// where they need what other ranks see.
    #[must_use]
    pub fn with_communicator(self, communicator: Arc<dyn Communicator>) -> Self {
        Self { communicator, ..self }
    }

    /// The root scope of a model to be created. A name that is taken is an error.
    pub fn scope(&self) -> Scope {
        Scope { params: self.clone(), prefix: String::new(), detached: false }
    }

    /// The root scope of a model that shares this store's values and follows their updates, without a gradient.
    pub fn detached(&self) -> Scope {
        Scope { params: self.clone(), prefix: String::new(), detached: true }
    }

    /// The seed that parameters are drawn from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The device of all parameters.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The type of all parameters; buffers may differ.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The ranks that train the model.
    pub fn communicator(&self) -> &Arc<dyn Communicator> {
        &self.communicator
    }

    /// All names, parameters' and buffers', sorted.
    pub fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// What an optimiser updates: name and variable, sorted by name.
    pub fn trainable(&self) -> Vec<(String, Var)> {
        self.of_kind(Kind::Parameter)
    }

    /// The buffers that layers fill with what they see of batches ([`Scope::statistic`]), so that ranks have others: name and
    /// variable, sorted by name.
    pub fn statistics(&self) -> Vec<(String, Var)> {
        self.of_kind(Kind::Statistic)
    }

    fn of_kind(&self, kind: Kind) -> Vec<(String, Var)> {
        self.lock().iter().filter(|(_, e)| e.kind == kind).map(|(n, e)| (n.clone(), e.var.clone())).collect()
    }

    /// Every tensor by name, detached; they share this store's memory and see later updates.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.lock().iter().map(|(n, e)| (n.clone(), e.var.as_detached_tensor())).collect()
    }

    /// The number of values in all parameters, buffers not counted.
    pub fn parameter_count(&self) -> usize {
        self.trainable().iter().map(|(_, v)| v.elem_count()).sum()
    }

    /// Writes every tensor to a safetensors file, which replaces `path` only when it is complete.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        write_tensors(path, &self.tensors())
    }

    /// Copies `tensors` into the store, converting types, and reports what matched.
    ///
    /// `origin` names where they came from, for the error.
    ///
    /// # Errors
    /// [`Error::Load`] if the report has anything that `tolerance` does not allow; the store is then unchanged.
    pub fn load(&self, origin: &str, tensors: &BTreeMap<String, Tensor>, tolerance: Tolerance) -> Result<LoadReport> {
        let report = self.compare(tensors);
        let fits = report.wrong_shape.is_empty()
            && (report.missing.is_empty() || tolerance != Tolerance::Exact)
            && (report.unexpected.is_empty() || tolerance == Tolerance::Any);
        if !fits {
            return Err(Error::Load { origin: origin.to_owned(), report: Box::new(report) });
        }
        let entries = self.lock();
        for name in &report.loaded {
            let (entry, tensor) = (&entries[name], &tensors[name]);
            // A copy: the tensor on offer may be the store's own.
            entry.var.set(&tensor.to_dtype(entry.var.dtype())?.to_device(&self.device)?.copy()?)?;
        }
        Ok(report)
    }

    /// What [`Params::load`] would say of `tensors`; as loaded counts what would be.
    pub fn compare(&self, tensors: &BTreeMap<String, Tensor>) -> LoadReport {
        let entries = self.lock();
        let mut report = LoadReport::default();
        for (name, entry) in entries.iter() {
            match tensors.get(name) {
                None => report.missing.push(name.clone()),
                Some(t) if t.shape() != entry.var.shape() => report.wrong_shape.push(WrongShape {
                    name: name.clone(),
                    found: t.dims().to_vec(),
                    expected: entry.var.dims().to_vec(),
                }),
                Some(_) => report.loaded.push(name.clone()),
            }
        }
        report.unexpected = tensors.keys().filter(|n| !entries.contains_key(*n)).cloned().collect();
        report
    }

    /// [`Params::load`] from a safetensors file.
    ///
    /// # Errors
    /// As `load`, and [`Error::Io`] or [`Error::Format`] if the file cannot be read.
    pub fn load_file(&self, path: &Path, tolerance: Tolerance) -> Result<LoadReport> {
        self.load(&path.display().to_string(), &read_tensors(path)?, tolerance)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        // Entries are inserted whole, so that a panic elsewhere leaves nothing half done.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scope {
    /// The scope `name` below this one, as Candle's `VarBuilder::pp`.
    #[must_use]
    pub fn pp(&self, name: impl fmt::Display) -> Self {
        Self { prefix: self.path(&name.to_string()), ..self.clone() }
    }

    /// The parameter `name`, drawn by `init` from the stream of its full name.
    ///
    /// # Errors
    /// [`Error::DuplicateParam`] if a model to be created finds the name taken, [`Error::UnknownParam`] if a detached one
    /// does not find it, [`Error::Argument`] if it has another shape there.
    pub fn param(&self, name: &str, shape: impl Into<Shape>, init: Init) -> Result<Tensor> {
        self.entry(name, shape.into(), Kind::Parameter, |path, shape, params| {
            init.tensor(shape, &mut Rng::new(params.seed, path), params.dtype, &params.device)
        })
    }

    /// The buffer `name`: saved with the model, but without a gradient. It starts at `value`.
    ///
    /// # Errors
    /// As [`Scope::param`].
    pub fn buffer(&self, name: &str, shape: impl Into<Shape>, value: f64, dtype: DType) -> Result<Tensor> {
        self.filled(name, shape.into(), Kind::Buffer, (value, dtype))
    }

    /// A buffer of the parameters' type that a layer fills with what it sees of batches, as the running mean of a batch
    /// normalisation. Of ranks that train together each sees its own samples; who trains them takes the mean of theirs.
    ///
    /// # Errors
    /// As [`Scope::param`].
    pub fn statistic(&self, name: &str, shape: impl Into<Shape>, value: f64) -> Result<Tensor> {
        self.filled(name, shape.into(), Kind::Statistic, (value, self.dtype()))
    }

    fn filled(&self, name: &str, shape: Shape, kind: Kind, (value, dtype): (f64, DType)) -> Result<Tensor> {
        self.entry(name, shape, kind, |_, shape, params| constant(value, shape, dtype, &params.device))
    }

    /// The ranks that train the model.
    pub fn communicator(&self) -> &Arc<dyn Communicator> {
        &self.params.communicator
    }

    /// The type of the parameters.
    pub fn dtype(&self) -> DType {
        self.params.dtype
    }

    /// The device of the parameters.
    pub fn device(&self) -> &Device {
        &self.params.device
    }

    fn entry(
        &self,
        name: &str,
        shape: Shape,
        kind: Kind,
        create: impl FnOnce(&str, Shape, &Params) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let path = self.path(name);
        let mut entries = self.params.lock();
        match entries.get(&path) {
            Some(_) if !self.detached => Err(Error::DuplicateParam { name: path }),
            Some(e) if e.var.shape() != &shape => Err(Error::argument(
                "detached model",
                "the shape of a parameter",
                e.var.shape(),
                format!("{shape:?} for {path}"),
            )),
            Some(e) => Ok(e.var.as_detached_tensor()),
            None if self.detached => {
                let nearest = nearest(&path, entries.keys().map(String::as_str)).map(str::to_owned);
                Err(Error::UnknownParam { name: path, nearest })
            }
            None => {
                let var = Var::from_tensor(&create(&path, shape, &self.params)?)?;
                let tensor = match kind {
                    Kind::Parameter => var.as_tensor().clone(),
                    Kind::Buffer | Kind::Statistic => var.as_detached_tensor(),
                };
                entries.insert(path, Entry { var, kind });
                Ok(tensor)
            }
        }
    }

    fn path(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }
}

/// How exactly tensors must fit a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Tolerance {
    /// Every name of the model and no other.
    #[default]
    Exact,
    /// Names of the model may be missing: a backbone into a whole model.
    Missing,
    /// Names may be missing or unexpected: only shapes must agree.
    Any,
}

/// What became of the tensors that were offered to a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Copied into the model.
    pub loaded: Vec<String>,
    /// In the model but not on offer.
    pub missing: Vec<String>,
    /// On offer but not in the model.
    pub unexpected: Vec<String>,
    /// In both, but of different shapes.
    pub wrong_shape: Vec<WrongShape>,
}

/// A tensor on offer whose shape is not the model's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongShape {
    /// Its name.
    pub name: String,
    /// The shape on offer.
    pub found: Vec<usize>,
    /// The model's shape.
    pub expected: Vec<usize>,
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} loaded", self.loaded.len())?;
        for (what, names) in [("missing", &self.missing), ("unexpected", &self.unexpected)] {
            if let Some(first) = names.first() {
                write!(f, ", {} {what} (`{first}`{})", names.len(), if names.len() > 1 { ", …" } else { "" })?;
            }
        }
        for w in &self.wrong_shape {
            write!(f, ", `{}` has shape {:?}, expected {:?}", w.name, w.found, w.expected)?;
        }
        Ok(())
    }
}

/// The candidate that shares the longest beginning and end with `name`.
fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let common = |a: &mut dyn Iterator<Item = (u8, u8)>| a.take_while(|(x, y)| x == y).count();
    candidates
        .max_by_key(|c| common(&mut name.bytes().zip(c.bytes())) + common(&mut name.bytes().rev().zip(c.bytes().rev())))
}
