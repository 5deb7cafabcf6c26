//! `study.json`: whose folder it is.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{EngineError, Profile, Result, json::write_json};

/// What a study is, apart from its results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    pub(super) method: String,
    pub(super) profile: Profile,
    pub(super) seeds: usize,
    /// The hash of each arm's configuration, by the arm's id.
    pub(super) arms: BTreeMap<String, String>,
}

/// The file, and the folder that it is in.
#[derive(Clone, Debug)]
pub(super) struct StudyRecord {
    path: PathBuf,
    identity: Identity,
    /// Wall-clock seconds of earlier processes.
    earlier: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    study: Identity,
    seconds: f64,
}

impl StudyRecord {
    const FILE: &str = "study.json";

    /// Takes `dir` for a study, or goes on with the one in it, which may have fewer seeds.
    ///
    /// # Errors
    /// [`EngineError::OtherRun`] if another study is there, [`EngineError::NotEmpty`] if it is something else.
    pub(super) fn open(dir: &Path, identity: Identity) -> Result<Self> {
        let path = dir.join(Self::FILE);
        let earlier = match fs::read(&path) {
            Ok(bytes) => {
                let there: Content = serde_json::from_slice(&bytes).map_err(|e| EngineError::format(&path, e))?;
                identity.goes_on_with(&there.study, dir)?;
                there.seconds
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                fs::create_dir_all(dir).map_err(EngineError::io(dir))?;
                if fs::read_dir(dir).map_err(EngineError::io(dir))?.next().is_some() {
                    let what =
                        "missing, but its folder is not empty: expected a folder of an earlier study, or a new one";
                    return Err(EngineError::format(path, what));
                }
                0.0
            }
            Err(e) => return Err(EngineError::io(path)(e)),
        };
        let record = Self { path, identity, earlier };
        record.write(0.0)?;
        Ok(record)
    }

    /// Notes that this process has worked for `seconds`; the sum of all processes.
    pub(super) fn write(&self, seconds: f64) -> Result<f64> {
        let content = Content { study: self.identity.clone(), seconds: self.earlier + seconds };
        write_json(&self.path, &content)?;
        Ok(content.seconds)
    }
}

impl Identity {
    fn goes_on_with(&self, there: &Self, dir: &Path) -> Result<()> {
        let same = |key: &str, found: &str, expected: &str| match found == expected {
            true => Ok(()),
            false => Err(EngineError::OtherRun {
                dir: dir.to_owned(),
                key: key.to_owned(),
                found: found.to_owned(),
                expected: expected.to_owned(),
            }),
        };
        same("method", &there.method, &self.method)?;
        same("profile", &there.profile.to_string(), &self.profile.to_string())?;
        let keys = |arms: &BTreeMap<String, String>| arms.keys().cloned().collect::<Vec<_>>().join(", ");
        same("arms", &keys(&there.arms), &keys(&self.arms))?;
        for (arm, hash) in &self.arms {
            let found = there.arms.get(arm).map_or("absent", String::as_str);
            same(&format!("configuration of arm {arm}"), found, hash)?;
        }
        if there.seeds > self.seeds {
            same("seeds", &there.seeds.to_string(), &self.seeds.to_string())?;
        }
        Ok(())
    }
}
