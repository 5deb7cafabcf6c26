//! Rules about single files.

use std::path::PathBuf;

use super::{
    Violation,
    rust::{code, line_of, lines_with},
    tree::{SourceFile, Tree},
};
use crate::workspace::Metadata;

/// Lines that a Rust file may have.
const LONGEST: usize = 600;

/// Lines from which on `tidy` wonders.
pub(super) const LONG: usize = 400;

/// Names of modules that say nothing.
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "common", "base", "types", "helpers"];

pub(super) fn check(tree: &Tree, _: &Metadata) -> Vec<Violation> {
    let mut violations = Vec::new();
    // An empty line of context in a patch is a blank.
    for (file, text) in tree.texts().filter(|(file, _)| !file.path.ends_with(".patch")) {
        violations.extend(trailing_whitespace(file, text));
    }
    for (file, text) in tree.rust() {
        let code = code(text);
        violations.extend(length(file, text));
        violations.extend(name(file));
        violations.extend(unsafe_code(file, &code));
        violations.extend(exceptions(file, &code));
        violations.extend(unfinished(file, &code));
    }
    for file in tree.files.iter().filter(|f| f.path.ends_with(".cu") || f.path.ends_with(".cuh")) {
        if !file.path.starts_with("crates/core/kernels/") {
            violations.push(Violation::of_file(&file.path, "kernels live in crates/core/kernels"));
        }
    }
    violations
}

/// Files that are longer than the rule of thumb.
pub(super) fn long_files(tree: &Tree) -> Vec<(PathBuf, usize)> {
    let lines = tree.rust().map(|(file, text)| (PathBuf::from(&file.path), text.lines().count()));
    lines.filter(|(_, n)| *n > LONG).collect()
}

fn trailing_whitespace(file: &SourceFile, text: &str) -> Vec<Violation> {
    let ends_blank = |line: &str| line.ends_with([' ', '\t', '\r']);
    let lines = text.split('\n').enumerate().filter(|(_, line)| ends_blank(line));
    lines.map(|(i, _)| Violation::at(&file.path, i + 1, "white space at the end of the line")).collect()
}

fn length(file: &SourceFile, text: &str) -> Option<Violation> {
    let n = text.lines().count();
    let what = || format!("{n} lines, more than {LONGEST}: split it by purpose");
    (n > LONGEST).then(|| Violation::of_file(&file.path, what()))
}

fn name(file: &SourceFile) -> Option<Violation> {
    let mut parts = file.path.trim_end_matches(".rs").rsplit('/');
    let stem = parts.next().unwrap_or_default();
    let module = if stem == "mod" { parts.next().unwrap_or_default() } else { stem };
    let what = || format!("`{module}` does not say what is in it");
    EMPTY_NAMES.contains(&module).then(|| Violation::of_file(&file.path, what()))
}

fn unsafe_code(file: &SourceFile, code: &str) -> Vec<Violation> {
    if file.path.starts_with("crates/core/") {
        return Vec::new();
    }
    let what = "unsafe code lives in crates/core";
    lines_with(code, "unsafe").into_iter().map(|line| Violation::at(&file.path, line, what)).collect()
}

/// Lints that are switched off, and tests that are left out, without a reason.
fn exceptions(file: &SourceFile, code: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (start, body) in attributes(code) {
        let line = line_of(code, start);
        // Blanks between the tokens do not matter.
        let tokens: String = body.chars().filter(|c| !c.is_whitespace()).collect();
        let switches_off =
            ["allow(", "expect("].iter().any(|a| tokens.starts_with(a) || tokens.contains(&format!(",{a}")));
        if switches_off && !tokens.contains("reason=") {
            violations.push(Violation::at(&file.path, line, "a lint is switched off without `reason = …`"));
        }
        if tokens == "ignore" {
            violations.push(Violation::at(&file.path, line, "a test is left out without a reason"));
        }
    }
    violations
}

/// Start and inside of every attribute `#[…]` and `#![…]`.
fn attributes(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices('#') {
        let rest = &code[start + 1..];
        let rest = rest.strip_prefix('!').unwrap_or(rest);
        let Some(body) = rest.strip_prefix('[') else { continue };
        let mut depth = 1;
        let end = body.char_indices().find(|(_, c)| {
            depth += match c {
                '[' => 1,
                ']' => -1,
                _ => 0,
            };
            depth == 0
        });
        found.push((start, &body[..end.map_or(body.len(), |(i, _)| i)]));
    }
    found
}

fn unfinished(file: &SourceFile, code: &str) -> Vec<Violation> {
    let macros = ["todo!", "unimplemented!"];
    let lines = macros.iter().flat_map(|m| code.match_indices(m).map(move |(at, _)| (at, m)));
    lines.map(|(at, m)| Violation::at(&file.path, line_of(code, at), format!("`{m}` is left over"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines that break a rule of a file with this text.
    fn broken(path: &str, text: &str) -> Vec<Option<usize>> {
        let metadata = Metadata { packages: vec![], target_directory: "target".into() };
        check(&Tree::of(&[(path, text)]), &metadata).into_iter().map(|v| v.line).collect()
    }

    #[test]
    fn long_files_are_found() {
        assert_eq!(broken("xtask/src/a.rs", &"\n".repeat(LONGEST)), []);
        assert_eq!(broken("xtask/src/a.rs", &"\n".repeat(LONGEST + 1)), [None]);
        let tree = Tree::of(&[("a.rs", &"\n".repeat(LONG)), ("b.rs", &"\n".repeat(LONG + 1))]);
        assert_eq!(long_files(&tree), [(PathBuf::from("b.rs"), LONG + 1)]);
    }

    #[test]
    fn empty_names_are_found() {
        assert_eq!(broken("crates/core/src/utils.rs", ""), [None]);
        assert_eq!(broken("crates/core/src/common/mod.rs", ""), [None]);
        assert_eq!(broken("crates/core/src/database.rs", ""), []);
    }

    #[test]
    fn unsafe_is_for_core() {
        assert_eq!(broken("crates/scn/src/a.rs", "\nunsafe {}"), [Some(2)]);
        assert_eq!(broken("crates/scn/src/a.rs", "// unsafe\n#![deny(unsafe_code)]"), []);
        assert_eq!(broken("crates/core/src/a.rs", "unsafe {}"), []);
    }

    #[test]
    fn kernels_are_for_core() {
        assert_eq!(broken("crates/core/kernels/a.cu", ""), []);
        assert_eq!(broken("crates/scn/kernels/a.cu", ""), [None]);
    }

    #[test]
    fn exceptions_have_reasons() {
        assert_eq!(broken("a.rs", "#[allow(dead_code)]"), [Some(1)]);
        assert_eq!(broken("a.rs", "\n#![expect(\n    dead_code,\n)]"), [Some(2)]);
        assert_eq!(broken("a.rs", "#[cfg_attr(test, allow(dead_code))]"), [Some(1)]);
        assert_eq!(broken("a.rs", "#[expect(dead_code, reason = \"why [x]\")]"), []);
        assert_eq!(broken("a.rs", "#[test]\n#[ignore]"), [Some(2)]);
        assert_eq!(broken("a.rs", "#[ignore = \"needs a GPU\"]"), []);
    }

    #[test]
    fn left_overs_and_trailing_blanks_are_found() {
        assert_eq!(broken("a.rs", "fn f() {\n    todo!()\n}"), [Some(2)]);
        assert_eq!(broken("a.rs", "let s = \"todo!\"; // unimplemented!"), []);
        assert_eq!(broken("a.md", "one\ntwo \n"), [Some(2)]);
        assert_eq!(broken("a.md", "one\r\n"), [Some(1)]);
        assert_eq!(broken("a.patch", "-one\n \n"), []);
    }
}
