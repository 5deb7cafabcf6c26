//! `tidy`: the project's own rules, as a program and as a test.

mod arrows;
mod bans;
mod mutations;
mod packaging;
mod privacy;
mod rust;
mod source;
mod tree;

use std::{fmt, path::PathBuf};

use anyhow::{Result, ensure};

use crate::workspace::{self, Metadata};
use tree::Tree;

/// Where a rule is broken, and why it is one.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    /// Relative to the workspace's root.
    path: PathBuf,
    /// Counted from 1; `None` for the file as a whole.
    line: Option<usize>,
    what: String,
}

impl Violation {
    fn of_file(path: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        Self { path: path.into(), line: None, what: what.into() }
    }

    fn at(path: impl Into<PathBuf>, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.into(), line: Some(line), what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// A family of rules.
type Rule = fn(&Tree, &Metadata) -> Vec<Violation>;

/// All rules.
const RULES: [Rule; 6] =
    [source::check, arrows::check, packaging::check, privacy::check, bans::check, mutations::check];

pub(crate) fn run() -> Result<()> {
    let tree = Tree::read(&workspace::root())?;
    for (path, n_lines) in source::long_files(&tree) {
        println!("{}: {n_lines} lines; a room of more than {} is hard to take in", path.display(), source::LONG);
    }
    let violations = violations(&tree)?;
    violations.iter().for_each(|violation| println!("{violation}"));
    ensure!(violations.is_empty(), "{} rules are broken", violations.len());
    println!("{} files are tidy", tree.files.len());
    Ok(())
}

fn violations(tree: &Tree) -> Result<Vec<Violation>> {
    let metadata = workspace::metadata()?;
    let mut violations: Vec<_> = RULES.iter().flat_map(|rule| rule(tree, &metadata)).collect();
    violations.sort();
    Ok(violations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_tidy() {
        let tree = Tree::read(&workspace::root()).unwrap();
        let violations = violations(&tree).unwrap();
        let lines: Vec<_> = violations.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "{} rules are broken\n{}", lines.len(), lines.join("\n"));
    }
}
