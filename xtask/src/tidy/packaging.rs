//! What goes to a registry: every crate stands alone there, and is small.

use super::{Violation, tree::Tree};
use crate::workspace::{Metadata, Package, root};

/// Bytes of one crate's files: a registry takes 10 MB.
const CRATE: u64 = 10_000_000;

/// Bytes of all data inside the repository's binaries.
const EMBEDDED: u64 = 8_000_000;

pub(super) fn check(tree: &Tree, metadata: &Metadata) -> Vec<Violation> {
    let mut violations: Vec<_> = metadata.packages.iter().flat_map(|package| of_package(tree, package)).collect();
    let embedded: u64 = tree.files.iter().filter(|f| is_asset(&f.path)).map(|f| f.bytes).sum();
    if embedded > EMBEDDED {
        let what = format!("the assets of all crates have {embedded} bytes, more than {EMBEDDED}");
        violations.push(Violation::of_file("crates", what));
    }
    violations.extend(embedded_elsewhere(tree));
    violations
}

fn of_package(tree: &Tree, package: &Package) -> Vec<Violation> {
    let mut violations = Vec::new();
    let dir = package.dir().strip_prefix(root()).unwrap_or(package.dir()).display().to_string();
    let mut broken = |what: String| violations.push(Violation::of_file(&dir, what));
    if package.description.as_ref().is_none_or(|text| text.trim().is_empty()) {
        broken("Cargo.toml has no description".to_owned());
    }
    if package.is_published() && tree.text(&format!("{dir}/README.md")).is_none() {
        broken("a published crate has a README.md of its own".to_owned());
    }
    let bytes: u64 = tree.files.iter().filter(|f| f.path.starts_with(&format!("{dir}/"))).map(|f| f.bytes).sum();
    if bytes > CRATE {
        broken(format!("its files have {bytes} bytes, more than {CRATE}"));
    }
    violations
}

/// Whether a file lies in the folder of what binaries embed.
fn is_asset(path: &str) -> bool {
    let mut parts = path.split('/');
    parts.next() == Some("crates") && parts.nth(1) == Some("assets")
}

/// Data that is embedded from elsewhere would not be counted.
fn embedded_elsewhere(tree: &Tree) -> Vec<Violation> {
    let embeds = |(_, line): &(usize, &str)| line.contains(concat!("include_", "bytes!")) && !line.contains("assets/");
    let of_file = |path: &str, text: &str| -> Vec<Violation> {
        let lines = text.lines().enumerate().filter(embeds);
        lines.map(|(i, _)| Violation::at(path, i + 1, "what a binary embeds lies in the crate's `assets`")).collect()
    };
    tree.rust().filter(|(f, _)| f.path.contains("/src/")).flat_map(|(f, text)| of_file(&f.path, text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(tree: &Tree, package: &str) -> Vec<String> {
        let packages = serde_json::from_str(package).unwrap();
        let metadata = Metadata { packages: vec![packages], target_directory: "target".into() };
        check(tree, &metadata).into_iter().map(|v| v.what).collect()
    }

    const COMPLETE: &str =
        r#"{"name": "a", "description": "a crate", "manifest_path": "crates/a/Cargo.toml", "dependencies": []}"#;

    #[test]
    fn a_published_crate_has_a_readme_and_a_description() {
        assert!(violations(&Tree::of(&[("crates/a/README.md", "# a")]), COMPLETE).is_empty());
        assert_eq!(violations(&Tree::of(&[]), COMPLETE).len(), 1);
        let plain = r#"{"name": "a", "manifest_path": "crates/a/Cargo.toml", "dependencies": [], "publish": []}"#;
        assert_eq!(violations(&Tree::of(&[]), plain), ["Cargo.toml has no description"]);
    }

    #[test]
    fn large_crates_and_assets_are_found() {
        let mut tree = Tree::of(&[("crates/a/README.md", "# a"), ("crates/a/assets/x.gz", "")]);
        tree.files[1].bytes = EMBEDDED;
        assert!(violations(&tree, COMPLETE).is_empty());
        tree.files[1].bytes = CRATE;
        assert_eq!(violations(&tree, COMPLETE).len(), 2);
    }

    #[test]
    fn embedding_from_elsewhere_is_found() {
        let embed = |from: &str| format!("const X: &[u8] = {}!(\"{from}\");", concat!("include_", "bytes"));
        let n = |from: &str| embedded_elsewhere(&Tree::of(&[("crates/a/src/x.rs", &embed(from))])).len();
        assert_eq!((n("../assets/x.gz"), n("../x.gz")), (0, 1));
    }
}
