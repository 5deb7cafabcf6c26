//! Every mutation says what it breaks and which test notices, and still applies.

use std::path::Path;

use super::{Violation, tree::Tree};
use crate::{
    mutations::{FOLDER, Mutation},
    workspace::{self, Metadata},
};

pub(super) fn check(tree: &Tree, metadata: &Metadata) -> Vec<Violation> {
    let root = workspace::root();
    let (mutations, mut violations) = headers(tree, metadata, &root);
    for mutation in mutations {
        if let Err(error) = mutation.check(&root) {
            let path = format!("{FOLDER}/{}.patch", mutation.name);
            violations.push(Violation::of_file(path, format!("{error:#}")));
        }
    }
    violations
}

/// The mutations with a header, and what is wrong with the others.
fn headers(tree: &Tree, metadata: &Metadata, root: &Path) -> (Vec<Mutation>, Vec<Violation>) {
    let (mut mutations, mut violations) = (Vec::new(), Vec::new());
    let below = |path: &str| path.strip_prefix(FOLDER).is_some_and(|rest| rest.starts_with('/'));
    for file in tree.files.iter().filter(|file| below(&file.path) && file.name() != "README.md") {
        let is_one = file.path.ends_with(".patch") && !file.path[FOLDER.len() + 1..].contains('/');
        let Some(text) = file.text.as_deref().filter(|_| is_one) else {
            violations
                .push(Violation::of_file(&file.path, "is no patch directly in the folder: it would not be applied"));
            continue;
        };
        match Mutation::parse(&root.join(&file.path), text) {
            Err(error) => violations.push(Violation::of_file(&file.path, format!("{error:#}"))),
            Ok(mutation) if metadata.packages.iter().all(|package| package.name != mutation.package) => {
                let what = format!("the workspace has no package `{}`", mutation.package);
                violations.push(Violation::of_file(&file.path, what));
            }
            Ok(mutation) => mutations.push(mutation),
        }
    }
    (mutations, violations)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many mutations there are, and what is wrong.
    fn found(path: &str, text: &str) -> (usize, Vec<String>) {
        let package = r#"{"name": "a", "manifest_path": "crates/a/Cargo.toml", "dependencies": []}"#;
        let metadata =
            Metadata { packages: vec![serde_json::from_str(package).unwrap()], target_directory: "target".into() };
        let tree = Tree::of(&[(path, text), ("tests/mutations/README.md", ""), ("tests/mutations.rs", "")]);
        let (mutations, violations) = headers(&tree, &metadata, Path::new("root"));
        (mutations.len(), violations.into_iter().map(|violation| violation.what).collect())
    }

    #[test]
    fn a_mutation_has_a_header_and_a_package() {
        let text = "Broken.\npackage: a\nfeatures:\ntest: --lib\n\ndiff --git a/x b/x\n";
        assert_eq!(found("tests/mutations/a-x.patch", text), (1, vec![]));
        let (n, what) = found("tests/mutations/a-x.patch", &text.replace("package: a", "package: b"));
        assert!(n == 0 && what[0].contains("no package `b`"), "{what:?}");
        let (n, what) = found("tests/mutations/a-x.patch", &text.replace("test: --lib\n", ""));
        assert!(n == 0 && what[0].contains("`test: …`"), "{what:?}");
    }

    #[test]
    fn what_would_not_be_applied_is_found() {
        for path in ["tests/mutations/a-x.diff", "tests/mutations/a/x.patch"] {
            assert!(matches!(found(path, ""), (0, what) if what.len() == 1), "{path}");
        }
    }
}
