//! What only makes sense on the machine of whoever wrote it.

use super::{Violation, tree::Tree};
use crate::workspace::Metadata;

/// Folders of one machine, in two parts so that this file does not have them itself.
const FOLDERS: [(&str, &str); 5] = [("/ho", "me/"), ("/ro", "ot/"), ("/wo", "rk/"), ("/Us", "ers/"), ("C:\\", "Users")];

/// Hosts of package registries, and of what stands in front of them on one machine.
const HOSTS: [(&str, &str); 9] = [
    ("static.crates", ".io"),
    ("index.crates", ".io"),
    ("pypi", ".org"),
    ("files.pythonhosted", ".org"),
    ("registry.npmjs", ".org"),
    ("deb.debian", ".org"),
    ("proxy.golang", ".org"),
    ("127.0", ".0.1"),
    ("local", "host"),
];

pub(super) fn check(tree: &Tree, _: &Metadata) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (file, text) in tree.texts() {
        for (i, line) in text.lines().enumerate() {
            let mut broken = |what: String| violations.push(Violation::at(&file.path, i + 1, what));
            if let Some(folder) = find(&FOLDERS, |folder| begins_a_path(line, folder)) {
                broken(format!("`{folder}` is a folder of one machine"));
            }
            if let Some(host) = find(&HOSTS, |host| line.contains(host)) {
                broken(format!("`{host}`: registries are reached through their clients' own settings"));
            }
        }
        if file.name() == "Cargo.lock" {
            violations.extend(foreign_sources(&file.path, text));
        }
    }
    violations
}

fn find(parts: &[(&str, &str)], is_there: impl Fn(&str) -> bool) -> Option<String> {
    parts.iter().map(|(a, b)| format!("{a}{b}")).find(|whole| is_there(whole))
}

/// Whether `folder` stands in `line` as the beginning of an absolute path, not inside of a longer one.
fn begins_a_path(line: &str, folder: &str) -> bool {
    let continues = |c: char| c.is_alphanumeric() || "._-~/})>".contains(c);
    line.match_indices(folder).any(|(at, _)| line[..at].chars().next_back().is_none_or(|c| !continues(c)))
}

/// Packages of the lock file that come from elsewhere than crates.io.
fn foreign_sources(path: &str, text: &str) -> Vec<Violation> {
    const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
    let lines = text.lines().enumerate().filter_map(|(i, line)| Some((i, line.strip_prefix("source = ")?)));
    let foreign = lines.filter(|(_, source)| source.trim_matches('"') != REGISTRY);
    foreign.map(|(i, source)| Violation::at(path, i + 1, format!("{source} is not the public registry"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<Option<usize>> {
        let metadata = Metadata { packages: vec![], target_directory: "target".into() };
        check(&Tree::of(&[(path, text)]), &metadata).into_iter().map(|v| v.line).collect()
    }

    #[test]
    fn folders_of_one_machine_are_found() {
        assert_eq!(lines("a.md", &format!("run {}{}me/x", "/ho", "me/")), [Some(1)]);
        assert_eq!(lines("a.md", &format!("crates{}{}x", "/wo", "rk/")), []);
    }

    #[test]
    fn hosts_of_registries_are_found() {
        assert_eq!(lines("a.toml", &format!("\nindex = \"https://{}{}/simple\"", "pypi", ".org")), [Some(2)]);
        assert_eq!(lines("a.md", "the crates are not on crates.io yet"), []);
    }

    #[test]
    fn the_lock_file_knows_one_registry() {
        let public = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
        assert_eq!(lines("Cargo.lock", public), []);
        assert_eq!(lines("Cargo.lock", "\nsource = \"git+https://example.com/x\""), [Some(2)]);
    }
}
