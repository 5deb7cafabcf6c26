//! Prefixes of a file's names that have names of a network, as an error lists them.

use std::fmt;

/// Prefixes that an error lists.
const LISTED: usize = 6;

/// A prefix that has names of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// With a dot at its end, or nothing.
    pub prefix: String,
    /// How many of the network's names it has.
    pub n_names: usize,
    /// The first name that it lacks, if it lacks any.
    pub lacks: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.prefix[..] {
            "" => write!(f, "no prefix: {}", self.n_names)?,
            prefix => write!(f, "`{prefix}`: {}", self.n_names)?,
        }
        match &self.lacks {
            Some(name) => write!(f, " (not `{name}`)"),
            None => Ok(()),
        }
    }
}

/// Prefixes with how many names each has, for an error.
pub(super) fn list(holders: &[Holder], n_wanted: usize) -> String {
    if holders.is_empty() {
        return format!("none of its {n_wanted} names is in the file below any prefix");
    }
    let shown: Vec<String> = holders.iter().take(LISTED).map(Holder::to_string).collect();
    let more = if holders.len() > LISTED { ", …" } else { "" };
    format!("of its {n_wanted} names have {}{more}", shown.join(", "))
}
