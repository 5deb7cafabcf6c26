//! Below which prefix of a file's names a network's stand.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Holder, StateDict,
    error::{Result, WeightsError},
};

/// Below which prefix of a file's names (`backbone.`, `student.encoder.`) a network's stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prefix {
    /// Below the one that has all names of the network; below none, if they stand there as they are.
    #[default]
    Find,
    /// Below this one, with or without a dot at its end.
    Named(String),
}

impl From<Option<String>> for Prefix {
    /// As an optional argument `--prefix` says it.
    fn from(prefix: Option<String>) -> Self {
        prefix.map_or(Self::Find, Self::Named)
    }
}

impl StateDict {
    /// The prefixes that have any of the names `wanted`, those with most first.
    pub fn holders<S: AsRef<str>>(&self, wanted: &[S]) -> Vec<Holder> {
        let wanted: BTreeSet<&str> = wanted.iter().map(AsRef::as_ref).collect();
        let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for name in self.names() {
            // Where a part of the name begins.
            let parts = std::iter::once(0).chain(name.match_indices('.').map(|(dot, _)| dot + 1));
            for (prefix, rest) in parts.map(|at| name.split_at(at)) {
                if wanted.contains(rest) {
                    found.entry(prefix).or_default().insert(rest);
                }
            }
        }
        let holder = |(prefix, names): (&str, BTreeSet<&str>)| Holder {
            prefix: prefix.to_owned(),
            n_names: names.len(),
            lacks: wanted.iter().find(|name| !names.contains(*name)).map(|&name| name.to_owned()),
        };
        let mut holders: Vec<Holder> = found.into_iter().map(holder).collect();
        holders.sort_by(|a, b| b.n_names.cmp(&a.n_names).then_with(|| a.prefix.len().cmp(&b.prefix.len())));
        holders
    }

    /// What stands below `prefix`, where it is to be found below the one that has all names of `wanted`. Where none has, it
    /// stays as it is if no prefix has more of them than there are as they are: who loads it says what is missing.
    ///
    /// # Errors
    /// [`WeightsError::Prefix`] lists the prefixes that have some of the names, where there is not one to be chosen.
    pub fn located<S: AsRef<str>>(self, wanted: &[S], prefix: &Prefix) -> Result<Self> {
        let holders = || self.holders(wanted);
        if let Prefix::Named(prefix) = prefix {
            let prefix = match &prefix[..] {
                "" => return Ok(self),
                whole if whole.ends_with('.') => whole.to_owned(),
                short => format!("{short}."),
            };
            if !self.names().any(|name| name.starts_with(&prefix)) {
                return Err(self.no_prefix(format!("no name begins with `{prefix}`"), wanted.len(), holders()));
            }
            return Ok(self.below(&prefix));
        }
        let holders = holders();
        let whole: Vec<&Holder> = holders.iter().filter(|holder| holder.lacks.is_none()).collect();
        let as_it_is = |holder: &Holder| holder.prefix.is_empty();
        match &whole[..] {
            _ if whole.iter().any(|holder| as_it_is(holder)) => Ok(self),
            [one] => {
                let prefix = one.prefix.clone();
                Ok(self.below(&prefix))
            }
            [] => {
                let most = holders.first().map_or(0, |holder| holder.n_names);
                let here = holders.iter().find(|holder| as_it_is(holder)).map_or(0, |holder| holder.n_names);
                if here == most {
                    return Ok(self);
                }
                Err(self.no_prefix("no prefix has all names of the network".to_owned(), wanted.len(), holders))
            }
            _ => {
                let what = "several prefixes have all names of the network, and one must be named".to_owned();
                Err(self.no_prefix(what, wanted.len(), holders))
            }
        }
    }

    fn no_prefix(&self, what: String, n_wanted: usize, holders: Vec<Holder>) -> WeightsError {
        WeightsError::Prefix { origin: self.origin().to_owned(), what, n_wanted, holders }
    }
}
