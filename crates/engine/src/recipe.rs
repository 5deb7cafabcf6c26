//! What a method brings, so that the engine can give it a command line, a reproduction and a report.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use sconce_core::Device;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{EngineError, Predictions, Run, RunPlan, WeightFile, config};

/// Named results of an evaluation. Numbers, and what is no number, such as a confusion matrix.
pub type Evaluation = BTreeMap<String, serde_json::Value>;

/// Under this name an evaluation has lines of text that say what the data are, and what of them was left out: shown beside the
/// table, and a part of the JSON.
pub const EVALUATED_DATA: &str = "data";

/// A method: its configuration, its claims, and what its binary does. See [`cli::main`](crate::cli::main).
///
/// Every function is called within [`with_threads`](crate::with_threads), so that a deep graph finds a stack that holds it.
pub trait Recipe: Sized + 'static {
    /// The name of the binary, of the folder in `reproduce`'s output, and in `summary.json`.
    const METHOD: &'static str;
    /// The paper in a line.
    const ABOUT: &'static str;
    /// Everything that a run depends on, apart from seed and device.
    type Config: Clone + Serialize + DeserializeOwned + JsonSchema + Send + Sync;
    /// What a run needs besides its configuration, read and checked: data, and the weights that it starts from.
    type Prepared;

    /// Tables of the configuration that say where data are, such as `data.images`. A run that is resumed may find the same
    /// data, by their hash, in another place.
    const DATA_KEYS: &'static [&'static str] = &[];

    /// Named configurations, at least one; the first is the default.
    fn presets() -> Vec<Preset<Self::Config>>;

    /// What `reproduce` runs and claims on this profile; `None` if the method has no such profile.
    fn study(profile: Profile) -> Option<Study<Self::Config>>;

    /// Checks what types cannot say. It is called before anything is written.
    ///
    /// # Errors
    /// If a value is out of its range, or does not go with the weights that the run is to start from; the error names the
    /// key.
    fn validate(_config: &Self::Config, _initial: InitialWeights<'_>) -> anyhow::Result<()> {
        Ok(())
    }

    /// Whether a run of this configuration is the beginning of a longer one, so that it can be lengthened by a greater
    /// `trainer.epochs` when it is resumed; see [`TrainerConfig::may_lengthen`](crate::TrainerConfig::may_lengthen).
    ///
    /// # Errors
    /// The reason why it is not.
    fn may_lengthen(_config: &Self::Config) -> Result<(), String> {
        Err(format!("a run of {} keeps its length", Self::METHOD))
    }

    /// Reads and checks data and weights. It is called before the run's folder is taken, and writes nothing.
    ///
    /// # Errors
    /// If data or weights cannot be read, or do not go with the configuration; the error names the file, and the key to
    /// change.
    fn prepare(config: &Self::Config, plan: &RunPlan) -> anyhow::Result<Self::Prepared>;

    /// A hash of the data that a run sees.
    ///
    /// # Errors
    /// If the data cannot be read.
    fn data_hash(prepared: &Self::Prepared) -> anyhow::Result<Option<String>>;

    /// Trains, evaluates, and reports by [`Run::finish`]. It begins with [`Run::describe_data`]. Pictures for the report go to
    /// [`Run::pictures`] as PNG.
    ///
    /// # Errors
    /// Whatever stops it, [`EngineError::Interrupted`] among others.
    fn train(config: &Self::Config, prepared: Self::Prepared, run: &mut Run) -> anyhow::Result<()>;

    /// Evaluates a model; what the data are stands under [`EVALUATED_DATA`].
    ///
    /// # Errors
    /// If the data or the weights cannot be read.
    fn eval(config: &Self::Config, weights: &Weights, device: &Device) -> anyhow::Result<Evaluation>;

    /// Predicts for files: one line of JSON each to `lines`, in the order of the files. A file that cannot be read is
    /// reported by [`Predictions::failed`], and the others are predicted nevertheless. No dataset is needed for it.
    ///
    /// # Errors
    /// If the weights cannot be read, or nothing can be written.
    fn predict(config: &Self::Config, request: &PredictRequest, lines: &mut Predictions<'_>) -> anyhow::Result<()>;

    /// Whether predictions have scores of which [`PredictRequest::min_score`] keeps some.
    const HAS_SCORES: bool = false;

    /// Converts the official code's weights; says what it did, what it left out, and what the network lacks.
    ///
    /// # Errors
    /// If the input cannot be read, the output cannot be written, or the method has no such conversion.
    fn convert(_input: &WeightFile, _output: &Path) -> anyhow::Result<String> {
        anyhow::bail!("{} converts no weights", Self::METHOD)
    }
}

/// What a run starts from, as its user says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialWeights<'a> {
    /// Nothing is said.
    Unspecified,
    /// The file that `--init-from` names.
    File(&'a WeightFile),
    /// The run goes on from its last checkpoint.
    Checkpoint,
}

/// The weights of a model to evaluate or to predict with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weights {
    /// The folder of a checkpoint; it has brought its configuration.
    Checkpoint(PathBuf),
    /// A file of weights alone, of this method or of the official code. Preset, file and command line say the configuration.
    File(WeightFile),
}

/// A named configuration.
#[derive(Clone, Debug)]
pub struct Preset<C> {
    /// The name.
    pub name: String,
    /// What it is, citing the section that its numbers come from.
    pub about: String,
    /// The configuration.
    pub config: C,
}

impl<C> Preset<C> {
    /// The configuration `config` under a name.
    pub fn new(name: impl Into<String>, about: impl Into<String>, config: C) -> Self {
        Self { name: name.into(), about: about.into(), config }
    }
}

/// What to predict, and with what.
#[derive(Clone, Debug)]
pub struct PredictRequest {
    /// The model's weights.
    pub weights: Weights,
    /// Files, and folders of files.
    pub files: Vec<PathBuf>,
    /// The folder for pictures and other results, if they are wanted. It exists.
    pub out: Option<PathBuf>,
    /// The least score of what is shown and written; `None` for the method's own.
    pub min_score: Option<f64>,
    /// Where to compute.
    pub device: Device,
}

/// How much of a paper `reproduce` goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Everything runs: within 2 minutes on 2 cores.
    Smoke,
    /// The headline claim over 3 seeds: within 15 minutes.
    Small,
    /// Every sweep and ablation: within an hour.
    Study,
    /// The paper's recipe on the paper's data.
    Paper,
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Smoke => "smoke",
            Self::Small => "small",
            Self::Study => "study",
            Self::Paper => "paper",
        })
    }
}

/// What `reproduce` runs, and what the paper says about it.
#[derive(Clone, Debug)]
pub struct Study<C> {
    /// The configurations. Each runs once a seed.
    pub arms: Vec<Arm<C>>,
    /// What is claimed.
    pub claims: Vec<ClaimSpec>,
    /// What is laid side by side, such as a sweep or an ablation.
    pub comparisons: Vec<ComparisonSpec>,
    /// The seeds are `0..seeds`, unless the user says otherwise.
    pub seeds: usize,
    /// What a reader of the report must know, such as what is smaller than in the paper.
    pub notes: Vec<String>,
}

/// A configuration that takes part in a study, with every seed of it.
#[derive(Clone, Debug)]
pub struct Arm<C> {
    /// A short name in letters, digits, `-`, `_` and `.`: it names folders.
    pub id: String,
    /// What it is, for a reader.
    pub label: String,
    /// Its configuration.
    pub config: C,
    /// The arm whose trained weights it starts from, as if `--init-from` named them. What others start from does not vary with
    /// the seed: it runs once, with the first one, before all others.
    pub starts_from: Option<String>,
}

impl<C> Arm<C> {
    /// An arm that starts from nothing but its configuration.
    pub fn new(id: impl Into<String>, label: impl Into<String>, config: C) -> Self {
        Self { id: id.into(), label: label.into(), config, starts_from: None }
    }

    /// The same, starting from the weights of the arm `id`.
    #[must_use]
    pub fn starting_from(self, id: impl Into<String>) -> Self {
        Self { starts_from: Some(id.into()), ..self }
    }
}

/// A claim of the paper, and how it is tested: one arm against another, paired by seed.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimSpec {
    /// The claim, in a line.
    pub claim: String,
    /// The paper's value, as text.
    pub paper: String,
    /// Where the paper has it.
    pub source: String,
    /// The arm to beat, by its id.
    pub baseline: String,
    /// The arm that should win, by its id.
    pub ours: String,
    /// A name among the final metrics of both arms, of their last checkpoint.
    pub metric: String,
    /// Whether more of it is better.
    pub higher_is_better: bool,
    /// Whether data or size differ from the paper's.
    pub scaled: bool,
}

/// Arms side by side, without a verdict: they have a table and curves of their own in the report.
#[derive(Clone, Debug, PartialEq)]
pub struct ComparisonSpec {
    /// What is compared.
    pub title: String,
    /// The arms by their ids, a row each.
    pub arms: Vec<String>,
    /// Names among the final metrics, a column each. What an arm does not have is left blank.
    pub metrics: Vec<String>,
    /// What is drawn over the epochs: values that runs log, as `test_accuracy` for `accuracy` on the split `test`.
    pub curves: Vec<String>,
}

impl<C> Study<C> {
    /// Whether others start from the arm `id`.
    pub(crate) fn is_start(&self, id: &str) -> bool {
        self.arms.iter().any(|arm| arm.starts_from.as_deref() == Some(id))
    }

    /// Checks that the arms are named well, that every claim names two of them and every comparison some of them.
    ///
    /// # Errors
    /// [`EngineError::Mismatch`] with the first flaw.
    pub fn validate(&self) -> crate::Result<()> {
        let ids: Vec<&str> = self.arms.iter().map(|arm| arm.id.as_str()).collect();
        for (i, id) in ids.iter().enumerate() {
            let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if id.is_empty() || id.starts_with('.') || !id.chars().all(is_name) {
                return Err(EngineError::mismatch("id of an arm", format!("`{id}`"), "letters, digits, `-`, `_`, `.`"));
            }
            if ids[..i].contains(id) {
                return Err(EngineError::mismatch("id of an arm", format!("`{id}` twice"), "an id for each"));
            }
        }
        let known = |id: &String, kind: &str, name: &str| match ids.contains(&id.as_str()) {
            true => Ok(()),
            false => {
                let what = format!("arm of the {kind} \"{name}\"");
                Err(EngineError::mismatch(what, format!("`{id}`"), format!("one of {}", ids.join(", "))))
            }
        };
        for arm in &self.arms {
            let Some(start) = &arm.starts_from else { continue };
            known(start, "start of the arm", &arm.id)?;
            if self.arms.iter().any(|other| other.id == *start && other.starts_from.is_some()) {
                let what = format!("start of the arm `{}`", arm.id);
                return Err(EngineError::mismatch(what, format!("`{start}`"), "an arm that starts from no other"));
            }
        }
        for claim in &self.claims {
            [&claim.baseline, &claim.ours].into_iter().try_for_each(|id| known(id, "claim", &claim.claim))?;
        }
        for comparison in &self.comparisons {
            comparison.arms.iter().try_for_each(|id| known(id, "comparison", &comparison.title))?;
        }
        if ids.is_empty() || self.seeds == 0 {
            let found = format!("{} arms, {} seeds", ids.len(), self.seeds);
            return Err(EngineError::mismatch("study", found, "at least one of each"));
        }
        Ok(())
    }
}

/// The preset `name` of a method, or its default.
///
/// # Errors
/// If there is no such preset; the error lists those that there are.
pub fn preset<R: Recipe>(name: Option<&str>) -> anyhow::Result<Preset<R::Config>> {
    let presets = R::presets();
    let names: Vec<String> = presets.iter().map(|preset| preset.name.clone()).collect();
    let found = match name {
        None => presets.into_iter().next(),
        Some(name) => presets.into_iter().find(|preset| preset.name == name),
    };
    found.ok_or_else(|| {
        let name = name.unwrap_or_default();
        let hint = config::nearest(name, &names).map(|n| format!(" (did you mean `{n}`?)")).unwrap_or_default();
        anyhow::anyhow!("{} has no preset `{name}`{hint}; it has {}", R::METHOD, names.join(", "))
    })
}
