//! From the names of one code base to those of another.

use serde::{Deserialize, Serialize};

/// How tensors are renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Rule {
    /// `from` and what is below it: `features.0` → `conv1` makes `features.0.weight` to `conv1.weight`, and leaves
    /// `features.01.weight` alone. An empty `from` is everything; an empty `to` cuts `from` off.
    Prefix {
        /// What a name begins with, without a dot at its end.
        from: String,
        /// What it begins with then.
        to: String,
    },
    /// The numbered children of `from`: with an offset of 14 `RCNN_base2.3.bias` becomes `features.17.bias`.
    Index {
        /// What stands before the number, without a dot at its end.
        from: String,
        /// What stands there then.
        to: String,
        /// Added to the number; where the sum is negative, the rule does not apply.
        offset: i64,
    },
}

impl Rule {
    /// A [`Rule::Prefix`].
    pub fn prefix(from: impl Into<String>, to: impl Into<String>) -> Self {
        Self::Prefix { from: from.into(), to: to.into() }
    }

    /// A [`Rule::Index`].
    pub fn index(from: impl Into<String>, to: impl Into<String>, offset: i64) -> Self {
        Self::Index { from: from.into(), to: to.into(), offset }
    }

    fn apply(&self, name: &str) -> Option<String> {
        match self {
            Self::Prefix { from, to } => Some(join(to, below(name, from)?)),
            Self::Index { from, to, offset } => {
                let rest = below(name, from)?;
                let (number, tail) = rest.split_once('.').unwrap_or((rest, ""));
                let index = number.parse::<i64>().ok()?.checked_add(*offset).filter(|&index| index >= 0)?;
                Some(join(&join(to, &index.to_string()), tail))
            }
        }
    }

    fn reversed(&self) -> Self {
        match self.clone() {
            Self::Prefix { from, to } => Self::Prefix { from: to, to: from },
            Self::Index { from, to, offset } => Self::Index { from: to, to: from, offset: offset.saturating_neg() },
        }
    }
}

/// What becomes of a name that no rule applies to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unmatched {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is left out.
    Drop,
}

/// Rules in order; the first one that applies renames.
///
/// ```
/// use sconce_backbones::weights::{KeyMap, Rule, Unmatched};
///
/// let map = KeyMap::new([Rule::prefix("features.0", "conv1"), Rule::prefix("features.1", "bn1")], Unmatched::Keep);
/// assert_eq!(map.rename("features.0.weight").as_deref(), Some("conv1.weight"));
/// assert_eq!(map.reversed().rename("conv1.weight").as_deref(), Some("features.0.weight"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyMap {
    /// The rules.
    pub rules: Vec<Rule>,
    /// For names that none applies to.
    #[serde(default)]
    pub unmatched: Unmatched,
}

impl KeyMap {
    /// These rules.
    pub fn new(rules: impl IntoIterator<Item = Rule>, unmatched: Unmatched) -> Self {
        Self { rules: rules.into_iter().collect(), unmatched }
    }

    /// The new name of the tensor `name`; `None` if it is left out.
    pub fn rename(&self, name: &str) -> Option<String> {
        let unmatched = || (self.unmatched == Unmatched::Keep).then(|| name.to_owned());
        self.rules.iter().find_map(|rule| rule.apply(name)).or_else(unmatched)
    }

    /// The way back, for what this map does not leave out: every rule the other way round.
    ///
    /// It gives the old names back if no rule's `to` lies below that of an earlier one.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self { rules: self.rules.iter().map(Rule::reversed).collect(), unmatched: self.unmatched }
    }
}

/// What is left of `name` below `prefix`; `""` for `prefix` itself.
fn below<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    if prefix.is_empty() {
        return Some(name);
    }
    let rest = name.strip_prefix(prefix)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
}

fn join(prefix: &str, rest: &str) -> String {
    match (prefix, rest) {
        ("", name) | (name, "") => name.to_owned(),
        (prefix, rest) => format!("{prefix}.{rest}"),
    }
}
