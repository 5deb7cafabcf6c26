//! Every ban of `clippy.toml` has a test that asserts what is wrong with the method, and the other way round.

use super::{Violation, tree::Tree};
use crate::workspace::Metadata;

const BANS: &str = "clippy.toml";
const TESTS: &str = "crates/core/tests/";

/// What stands above a test of a ban, before the path of the method in backticks.
const MARK: &str = "/// Ban: ";

pub(super) fn check(tree: &Tree, _: &Metadata) -> Vec<Violation> {
    let Some(text) = tree.text(BANS) else {
        return vec![Violation::of_file(BANS, "is missing: it bans Candle's traps")];
    };
    let banned = match methods(text) {
        Ok(banned) => banned,
        Err(why) => return vec![Violation::of_file(BANS, why)],
    };
    let tested = tested(tree);
    let untested = banned.iter().filter(|ban| tested.iter().all(|(.., method)| method != *ban)).map(|ban| {
        let line = text.lines().position(|line| line.contains(&format!("\"{ban}\""))).map_or(1, |i| i + 1);
        Violation::at(BANS, line, format!("no test in {TESTS} says `{MARK}` and `{ban}`"))
    });
    let stale = tested
        .iter()
        .filter(|(.., method)| !banned.contains(method))
        .map(|(path, line, method)| Violation::at(path, *line, format!("`{method}` is not banned in {BANS}")));
    untested.chain(stale).collect()
}

/// The paths of all banned methods.
fn methods(text: &str) -> Result<Vec<String>, String> {
    let table: toml::Table = text.parse().map_err(|e| format!("is no TOML: {e}"))?;
    let bans = table.get("disallowed-methods").and_then(toml::Value::as_array).ok_or("has no `disallowed-methods`")?;
    let path = |ban: &toml::Value| {
        let path = ban.get("path").and_then(toml::Value::as_str);
        let reason = ban.get("reason").and_then(toml::Value::as_str);
        match (path, reason) {
            (Some(path), Some(_)) => Ok(path.to_owned()),
            _ => Err(format!("the ban `{ban}` has not both, a path and a reason")),
        }
    };
    bans.iter().map(path).collect()
}

/// The methods that tests name, with file and line.
fn tested(tree: &Tree) -> Vec<(String, usize, String)> {
    let tests = tree.rust().filter(|(file, _)| file.path.starts_with(TESTS));
    tests
        .flat_map(|(file, text)| {
            text.lines().enumerate().filter_map(move |(i, line)| {
                let method = line.trim_start().strip_prefix(MARK)?.trim_matches('`');
                Some((file.path.clone(), i + 1, method.to_owned()))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(toml: &str, test: &str) -> Vec<(String, Option<usize>)> {
        let metadata = Metadata { packages: vec![], target_directory: "target".into() };
        let tree = Tree::of(&[(BANS, toml), ("crates/core/tests/traps.rs", test)]);
        check(&tree, &metadata).into_iter().map(|v| (v.path.display().to_string(), v.line)).collect()
    }

    const TOML: &str = "disallowed-methods = [\n  { path = \"a::B::c\", reason = \"wrong\" },\n]\n";

    #[test]
    fn a_ban_and_its_test_belong_together() {
        assert_eq!(violations(TOML, "/// Ban: `a::B::c`\n#[test]"), []);
        assert_eq!(violations(TOML, ""), [(BANS.to_owned(), Some(2))]);
        let stale = violations(TOML, "/// Ban: `a::B::c`\n/// Ban: `a::B::d`");
        assert_eq!(stale, [("crates/core/tests/traps.rs".to_owned(), Some(2))]);
    }

    #[test]
    fn a_ban_has_a_reason() {
        assert_eq!(violations("disallowed-methods = [\"a::B::c\"]", ""), [(BANS.to_owned(), None)]);
    }
}
