//! Which crate may depend on which.

use super::{Violation, tree::Tree};
use crate::workspace::{Dependency, Metadata, Package, root};

/// What a crate of the ground, or one of the tools, may depend on within the workspace.
const GROUND: [(&str, &[&str]); 6] = [
    ("sconce-core", &[]),
    ("sconce-backbones", &["sconce-core"]),
    ("sconce-data", &["sconce-core"]),
    ("sconce-engine", &["sconce-core"]),
    ("sconce-detection", &["sconce-core", "sconce-backbones"]),
    ("xtask", &[]),
];

/// What `sconce-detection` needs for its binary alone.
const DETECTION_BINARY: [&str; 2] = ["sconce-data", "sconce-engine"];

/// What a method may depend on.
const METHOD: [&str; 4] = ["sconce-core", "sconce-backbones", "sconce-engine", "sconce-detection"];

/// The parts of a command line: a library that a stranger adds brings none of them.
const COMMAND_LINE: [&str; 4] = ["anyhow", "clap", "indicatif", "plotters"];

/// This package crosses all crates.
const TESTS: &str = "sconce-tests";

pub(super) fn check(_: &Tree, metadata: &Metadata) -> Vec<Violation> {
    let names: Vec<&str> = metadata.packages.iter().map(|p| p.name.as_str()).collect();
    let mut violations = Vec::new();
    for package in &metadata.packages {
        let manifest = package.manifest_path.strip_prefix(root()).unwrap_or(&package.manifest_path);
        let mut broken = |what: String| violations.push(Violation::of_file(manifest, what));
        for dependency in &package.dependencies {
            let inside = names.contains(&dependency.name.as_str());
            if inside && let Some(why) = forbidden(package, dependency) {
                broken(format!("{} must not depend on {}: {why}", package.name, dependency.name));
            }
            let is_library = package.is_published() && dependency.kind.is_none();
            if is_library && COMMAND_LINE.contains(&dependency.name.as_str()) && !dependency.optional {
                broken(format!("{} is a part of a command line: it must be optional", dependency.name));
            }
        }
    }
    violations
}

/// Why `package` must not have `dependency`, which is a member of the workspace too.
fn forbidden(package: &Package, dependency: &Dependency) -> Option<String> {
    let name = dependency.name.as_str();
    // A crate may ask for a feature of its own for its tests.
    let itself = package.name == name && dependency.kind.as_deref() == Some("dev");
    if package.name == TESTS || itself {
        return None;
    }
    if let Some((_, allowed)) = GROUND.iter().find(|(ground, _)| *ground == package.name) {
        let for_the_binary =
            package.name == "sconce-detection" && DETECTION_BINARY.contains(&name) && dependency.optional;
        let fine = allowed.contains(&name) || for_the_binary;
        return (!fine).then(|| format!("it may depend on {allowed:?}"));
    }
    if package.method().is_none() {
        return Some("tidy does not know this package; say in its rule on arrows what it may depend on".to_owned());
    }
    if name == "sconce-data" {
        let fine = dependency.optional || dependency.kind.is_some();
        return (!fine).then(|| "a method reads data only with its feature `cli`".to_owned());
    }
    (!METHOD.contains(&name)).then(|| format!("a method may depend on {METHOD:?}; what two need moves down"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGES: [&str; 8] = [
        "sconce-core",
        "sconce-backbones",
        "sconce-data",
        "sconce-engine",
        "sconce-detection",
        "sconce-a",
        "sconce-b",
        "xtask",
    ];

    /// The number of violations if `package` has the dependency `name`, on the ground that all packages exist.
    fn n_broken(package: &str, name: &str, optional: bool) -> usize {
        let packages: Vec<_> = PACKAGES
            .iter()
            .map(|&p| {
                let method = matches!(p, "sconce-a" | "sconce-b");
                let reproduce = serde_json::json!({ "reproduce": { "paper": "", "binary": "" } });
                let dependency = serde_json::json!({ "name": name, "optional": optional, "kind": null });
                serde_json::json!({
                    "name": p,
                    "manifest_path": format!("{p}/Cargo.toml"),
                    "dependencies": if p == package { vec![dependency] } else { vec![] },
                    "metadata": method.then_some(reproduce),
                })
            })
            .collect();
        let metadata = serde_json::json!({ "packages": packages, "target_directory": "target" });
        check(&Tree::of(&[]), &serde_json::from_value(metadata).unwrap()).len()
    }

    #[test]
    fn arrows_point_down() {
        assert_eq!(n_broken("sconce-core", "sconce-data", false), 1);
        assert_eq!(n_broken("sconce-engine", "sconce-data", true), 1);
        assert_eq!(n_broken("sconce-data", "sconce-core", false), 0);
        assert_eq!(n_broken("xtask", "sconce-core", false), 1);
        assert_eq!(n_broken("sconce-detection", "sconce-engine", false), 1);
        assert_eq!(n_broken("sconce-detection", "sconce-engine", true), 0);
    }

    #[test]
    fn methods_do_not_know_each_other_and_read_data_only_on_request() {
        assert_eq!(n_broken("sconce-a", "sconce-b", true), 1);
        assert_eq!(n_broken("sconce-a", "sconce-detection", false), 0);
        assert_eq!(n_broken("sconce-a", "sconce-data", false), 1);
        assert_eq!(n_broken("sconce-a", "sconce-data", true), 0);
    }

    #[test]
    fn a_library_brings_no_command_line() {
        assert_eq!(n_broken("sconce-engine", "clap", false), 1);
        assert_eq!(n_broken("sconce-engine", "clap", true), 0);
    }
}
