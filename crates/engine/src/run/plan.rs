//! A run before its folder is taken: what it is, and where it goes on from.

use std::{path::Path, sync::Arc};

use sconce_core::{Communicator, Device};
use serde::{Deserialize, Serialize};

use super::{
    ConfigChange, Run, RunOptions, Start, WeightFile,
    folder::{self, CHECKPOINTS, Difference},
    identity::{Identity, StartWeights},
};
use crate::{Checkpoint, CheckpointState, EngineError, Result, checkpoint::CONFIG, dist::on_root};

/// A key of the configuration, or a table of it, that a run which is resumed may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MayChange {
    /// The path of the key or the table, such as `trainer.epochs`. `*` stands for any one part.
    pub key: String,
    /// What is asked of the change.
    pub rule: ChangeRule,
}

/// What is asked of a change of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeRule {
    /// Nothing: it changes no result.
    Free,
    /// A greater number.
    Grow,
    /// Another place of the same data: a text other than the `kind`, where the hash of the data stays.
    SameData,
    /// It is refused, for this reason.
    Never(String),
}

/// A run that is known, but for which nothing has been written yet.
///
/// Between [`RunPlan::look`] and [`RunPlan::open`] a caller reads and checks its data, model and weights, so that a mistake
/// there leaves no folder behind.
#[derive(Debug)]
pub struct RunPlan {
    options: RunOptions,
    found: Found,
}

/// What rank 0 finds in the folder.
#[derive(Debug, Serialize, Deserialize)]
struct Found {
    /// What the run is.
    identity: Identity,
    /// The state of the checkpoint that it goes on from.
    resumed: Option<CheckpointState>,
    /// What its configuration changes.
    changes: Vec<ConfigChange>,
    /// Whether a change is right only if the data are the same.
    needs_same_data: bool,
}

impl RunPlan {
    /// Looks into the folder, without writing to it. Of several ranks rank 0 looks, and tells the others.
    ///
    /// # Errors
    /// [`EngineError::InUse`] if another run has the folder; [`EngineError::NotEmpty`], [`EngineError::NoRun`],
    /// [`EngineError::NothingToResume`] or [`EngineError::OtherRun`] if what it holds does not go with the kind of start;
    /// [`EngineError::StartWeights`] if the run begins again and its weights are not there any more; else
    /// [`EngineError::Io`] or [`EngineError::Format`], which name the file. Of several ranks the others get
    /// [`EngineError::OnRank`].
    pub fn look(mut options: RunOptions) -> Result<Self> {
        let ranks = options.communicator.clone();
        let found = on_root(&*ranks, || look(&options))?;
        options.init_from = found.identity.init_from.as_ref().map(|weights| weights.file.clone());
        Ok(Self { options, found })
    }

    /// The run's folder.
    pub fn dir(&self) -> &Path {
        &self.options.dir
    }

    /// The seed of every random stream.
    pub fn seed(&self) -> u64 {
        self.found.identity.seed
    }

    /// Where tensors live.
    pub fn device(&self) -> &Device {
        &self.options.device
    }

    /// The ranks that share the run.
    pub fn communicator(&self) -> &Arc<dyn Communicator> {
        &self.options.communicator
    }

    /// The state of the checkpoint that the run goes on from.
    pub fn resumed(&self) -> Option<&CheckpointState> {
        self.found.resumed.as_ref()
    }

    /// Whether the run goes on from a checkpoint.
    pub fn is_resuming(&self) -> bool {
        self.resumed().is_some()
    }

    /// The weights to start from; `None` for a run that goes on from a checkpoint, which has its own.
    pub fn init_from(&self) -> Option<&WeightFile> {
        self.options.init_from.as_ref().filter(|_| !self.is_resuming())
    }

    /// What the configuration changes of the run that is resumed.
    pub fn changes(&self) -> &[ConfigChange] {
        &self.found.changes
    }

    /// Takes the folder. `data_hash` is the hash of the data that the run sees, if there is one: a run that goes on must see
    /// the same.
    ///
    /// # Errors
    /// [`EngineError::InUse`] or [`EngineError::NotEmpty`] if another run has taken the folder since; [`EngineError::OtherData`];
    /// [`EngineError::Io`]. Of several ranks the others get [`EngineError::OnRank`].
    pub fn open(self, data_hash: Option<String>) -> Result<Run> {
        let ranks = self.options.communicator.clone();
        let mut lock = None;
        let identity = on_root(&*ranks, || {
            self.check_data(data_hash.as_deref())?;
            let mut identity = self.found.identity.clone();
            identity.data_hash = data_hash.or(identity.data_hash);
            identity.changes.extend(self.changes().iter().cloned());
            lock = Some(folder::take(&self.options, &identity, !self.changes().is_empty())?);
            Ok::<_, EngineError>(identity)
        })?;
        let last = self.options.dir.join(CHECKPOINTS).join("last");
        let resumed = if self.is_resuming() { Some(Checkpoint::open(&last)?) } else { None };
        Run::new(self.options, identity, lock, resumed)
    }

    fn check_data(&self, found: Option<&str>) -> Result<()> {
        let known = self.found.identity.data_hash.as_deref();
        let differ = match (known, found) {
            (Some(known), Some(found)) => known != found,
            // What cannot be compared cannot be said to be the same.
            (known, found) => self.found.needs_same_data && (known.is_none() || found.is_none()),
        };
        if self.options.start != Start::Resume || !differ {
            return Ok(());
        }
        let text = |hash: Option<&str>| hash.unwrap_or("unknown").to_owned();
        Err(EngineError::OtherData { dir: self.options.dir.clone(), expected: text(known), found: text(found) })
    }
}

/// What the run of `options` is, by what its folder holds.
fn look(options: &RunOptions) -> Result<Found> {
    let dir = &options.dir;
    folder::check_free(dir)?;
    match options.start {
        Start::Resume => return resume(options),
        Start::Fresh | Start::Force if folder::is_vacant(dir)? => {}
        Start::Fresh if folder::is_run(dir) => return Err(EngineError::NotEmpty { dir: dir.clone() }),
        Start::Force if folder::is_run(dir) => folder::check_foreign(dir)?,
        Start::Fresh | Start::Force => {
            let present = folder::names(dir)?;
            let first = present.first().cloned().unwrap_or_default();
            return Err(EngineError::NoRun { dir: dir.clone(), first, n: present.len() });
        }
    }
    let identity = Identity {
        method: options.method.clone(),
        seed: options.seed.unwrap_or(0),
        init_from: options.init_from.as_ref().map(StartWeights::of).transpose()?,
        data_hash: None,
        changes: Vec::new(),
    };
    Ok(Found { identity, resumed: None, changes: Vec::new(), needs_same_data: false })
}

fn resume(options: &RunOptions) -> Result<Found> {
    let dir = &options.dir;
    let nothing = |what: &str| EngineError::NothingToResume { dir: dir.clone(), what: what.to_owned() };
    if !folder::is_run(dir) || !folder::has_config(dir) {
        return Err(nothing("start it without --resume"));
    }
    let checkpoint = match Checkpoint::open(&dir.join(CHECKPOINTS).join("last")) {
        Ok(checkpoint) => Some(checkpoint),
        Err(EngineError::NoCheckpoint { .. }) => None,
        Err(e) => return Err(e),
    };
    let identity = match (Identity::read(dir)?, &checkpoint) {
        (Some(identity), _) => identity,
        (None, Some(checkpoint)) => Identity::of_checkpoint(checkpoint.state()),
        (None, None) => {
            return Err(nothing("it has no checkpoint, and does not say how it began; --force starts over"));
        }
    };
    let other = |key: &str, found: String, expected: String| EngineError::OtherRun {
        dir: dir.clone(),
        key: key.to_owned(),
        found,
        expected,
    };
    if identity.method != options.method {
        return Err(other("method", identity.method, options.method.clone()));
    }
    if let Some(seed) = options.seed.filter(|&seed| seed != identity.seed) {
        return Err(other("seed", identity.seed.to_string(), seed.to_string()));
    }
    check_weights(options, &identity, checkpoint.is_some(), other)?;
    let step = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.state().step);
    let (mut changes, mut needs_same_data) = (Vec::new(), false);
    let mut differences = folder::differences(options)?;
    if let Some(checkpoint) = &checkpoint {
        // What it was trained with, which a hand may have changed in the folder's file; what was changed before is known.
        let is_known = |found: &Difference| {
            differences.iter().any(|d| d.key == found.key)
                || identity.changes.iter().any(|change| change.key == found.key && change.to == found.expected)
        };
        let file = checkpoint.dir().join(CONFIG);
        let by_hand = folder::differences_from(&file, checkpoint.config_toml().to_owned(), options)?;
        let by_hand: Vec<Difference> = by_hand.into_iter().filter(|found| !is_known(found)).collect();
        differences.extend(by_hand);
    }
    for difference in differences {
        match judge(&difference, &options.may_change) {
            Ok(same_data) => needs_same_data |= same_data,
            Err(reason) => {
                let Difference { key, found, expected } = difference;
                return Err(other(&key, found, expected + &reason));
            }
        }
        let Difference { key, found, expected } = difference;
        changes.push(ConfigChange { step, key, from: found, to: expected });
    }
    let resumed = checkpoint.map(|checkpoint| checkpoint.state().clone());
    Ok(Found { identity, resumed, changes, needs_same_data })
}

/// Checks that the weights named by `options` are those that the run began with, and if it begins again, that they are still
/// there.
fn check_weights(
    options: &RunOptions,
    identity: &Identity,
    has_checkpoint: bool,
    other: impl Fn(&str, String, String) -> EngineError,
) -> Result<()> {
    let named = |weights: &StartWeights| {
        let WeightFile { path, prefix } = &weights.file;
        let prefix = prefix.as_ref().map(|prefix| format!(" with the prefix `{prefix}`")).unwrap_or_default();
        format!("{}{prefix} (SHA-256 {:.12}…)", path.display(), weights.sha256)
    };
    let is_same = |a: &StartWeights, b: &StartWeights| a.sha256 == b.sha256 && a.file.prefix == b.file.prefix;
    match (&options.init_from, &identity.init_from) {
        (None, None) => Ok(()),
        // A run from before `run.json` does not say; its checkpoint has the weights.
        (Some(_), None) if has_checkpoint && Identity::read(&options.dir)?.is_none() => Ok(()),
        (Some(given), known) => {
            let given = StartWeights::of(given)?;
            match known {
                Some(known) if is_same(&given, known) => Ok(()),
                known => Err(other("init_from", known.as_ref().map_or("absent".to_owned(), named), named(&given))),
            }
        }
        (None, Some(_)) if has_checkpoint => Ok(()),
        (None, Some(known)) => {
            let error = |found: String| EngineError::StartWeights {
                dir: options.dir.clone(),
                path: known.file.path.clone(),
                found,
                expected: known.sha256.clone(),
            };
            let now = StartWeights::of(&known.file).map_err(|e| error(e.to_string()))?;
            if is_same(&now, known) { Ok(()) } else { Err(error(now.sha256)) }
        }
    }
}

/// Whether a change asks for the same data.
///
/// # Errors
/// For one that is refused, with the reason if there is one.
fn judge(difference: &Difference, rules: &[MayChange]) -> std::result::Result<bool, String> {
    let Some(MayChange { rule, .. }) = rules.iter().find(|rule| covers(&rule.key, &difference.key)) else {
        return Err(String::new());
    };
    match rule {
        ChangeRule::Free => Ok(false),
        ChangeRule::SameData if difference.is_text() && !difference.key.ends_with(".kind") => Ok(true),
        ChangeRule::SameData => Err(String::new()),
        ChangeRule::Grow => match (difference.found.parse::<u64>(), difference.expected.parse::<u64>()) {
            (Ok(found), Ok(expected)) if expected > found => Ok(false),
            _ => Err(": a run that is resumed may only be lengthened".to_owned()),
        },
        ChangeRule::Never(reason) => Err(format!(": {reason}")),
    }
}

/// Whether `rule` names `key` or a table that it is in.
fn covers(rule: &str, key: &str) -> bool {
    let mut parts = key.split('.');
    rule.split('.').all(|wanted| parts.next().is_some_and(|part| wanted == "*" || wanted == part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Vec<MayChange> {
        let rule = |key: &str, rule| MayChange { key: key.to_owned(), rule };
        vec![
            rule("data.workers", ChangeRule::Free),
            rule("data.images", ChangeRule::SameData),
            rule("trainer.epochs", ChangeRule::Grow),
        ]
    }

    fn judged(key: &str, found: &str, expected: &str) -> std::result::Result<bool, String> {
        let difference = Difference { key: key.into(), found: found.into(), expected: expected.into() };
        judge(&difference, &rules())
    }

    #[test]
    fn what_may_change_is_named_by_key_or_table() {
        assert_eq!(judged("data.workers", "2", "4"), Ok(false));
        assert_eq!(judged("data.images.train", "\"a\"", "\"b\""), Ok(true));
        assert!(judged("data.images.kind", "\"a\"", "\"b\"").is_err());
        assert!(judged("data.images.n", "3", "4").is_err());
        assert!(judged("data.noise.kind", "\"a\"", "\"b\"").is_err());
        assert!(judged("data.imagesque", "\"a\"", "\"b\"").is_err());
    }

    #[test]
    fn a_run_is_lengthened_but_not_shortened() {
        assert_eq!(judged("trainer.epochs", "9", "10"), Ok(false));
        assert!(judged("trainer.epochs", "10", "9").is_err());
        let never = vec![MayChange { key: "trainer.epochs".into(), rule: ChangeRule::Never("the rate falls".into()) }];
        let difference = Difference { key: "trainer.epochs".into(), found: "1".into(), expected: "2".into() };
        assert_eq!(judge(&difference, &never), Err(": the rate falls".into()));
    }
}
