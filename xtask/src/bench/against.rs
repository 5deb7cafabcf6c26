//! The bench of another commit, built beside.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use crate::workspace::{self, Binary, git};

/// A commit, and its bench.
pub(super) struct Against {
    /// As it was asked for, with the beginning of its hash.
    pub(super) name: String,
    pub(super) hash: String,
    pub(super) binary: PathBuf,
    /// The names of its workloads.
    pub(super) workloads: Vec<String>,
}

impl Against {
    /// Checks `commit` out below the target folder, and builds its bench there.
    ///
    /// There is one such folder for all commits, so that what two of them share is not built again.
    pub(super) fn build(commit: &str, bench: &Binary<'_>) -> Result<Self> {
        let root = workspace::root();
        let hash = resolve(&root, commit)?;
        let name = format!("{commit} ({})", &hash[..10]);
        let folder = workspace::metadata()?.target_directory.join("against");
        let (tree, target) = (folder.join("tree"), folder.join("target"));
        check_out(&root, &hash, &tree, &folder.join("index"))?;
        eprintln!("building the bench of {name} in {}", folder.display());
        let mut cargo = workspace::cargo_in(&tree);
        cargo.env("CARGO_TARGET_DIR", &target);
        let of_commit = || format!("the bench of {name}");
        let binary = bench.build_by(&mut cargo, &target).with_context(of_commit)?;
        let workloads = super::workloads(&binary).with_context(of_commit)?;
        Ok(Self { name, hash, binary, workloads })
    }

    pub(super) fn has(&self, workload: &str) -> bool {
        self.workloads.iter().any(|name| name == workload)
    }

    /// Those of its workloads with the words of `filter` that are not among `ours`.
    pub(super) fn only_there<'a>(&'a self, ours: &[String], filter: Option<&str>) -> Vec<&'a str> {
        let is_missing = |name: &&String| super::has_words(name, filter) && !ours.contains(name);
        self.workloads.iter().filter(is_missing).map(String::as_str).collect()
    }
}

/// The hash of `commit`, which may be a branch, a tag, `HEAD~1`.
fn resolve(root: &Path, commit: &str) -> Result<String> {
    let revision = format!("{commit}^{{commit}}");
    let output = git(root)
        .args(["rev-parse", "--verify", "--quiet", "--end-of-options", &revision])
        .output()
        .context("cannot run git")?;
    ensure!(output.status.success(), "--against {commit}: the repository has no such commit");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Makes `tree` hold the files of a commit. Git's `index` of it says which are there already: these are not written again,
/// and cargo does not build them again.
fn check_out(root: &Path, hash: &str, tree: &Path, index: &Path) -> Result<()> {
    fs::create_dir_all(tree).with_context(|| tree.display().to_string())?;
    let output = git(root)
        .env("GIT_INDEX_FILE", index)
        .env("GIT_WORK_TREE", tree)
        .args(["read-tree", "--reset", "-u", hash])
        .output()
        .context("cannot run git")?;
    let messages = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cannot check {hash} out to {}: {}", tree.display(), messages.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_checked_out_beside_and_only_its_changes_are_written() {
        let root = std::env::temp_dir().join(format!("sconce-xtask-against-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let run = |arguments: &[&str]| {
            let identity = ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"];
            assert!(git(&root).args(identity).args(arguments).status().unwrap().success());
        };
        run(&["init", "--quiet"]);
        for (same, changed) in [("same", "1"), ("same", "2")] {
            fs::write(root.join("same.rs"), same).unwrap();
            fs::write(root.join("changed.rs"), changed).unwrap();
            fs::write(root.join(format!("of-{changed}.rs")), "").unwrap();
            run(&["add", "--all"]);
            run(&["commit", "--quiet", "--message", changed]);
            fs::remove_file(root.join(format!("of-{changed}.rs"))).unwrap();
        }
        let (tree, index) = (root.join("target/tree"), root.join("target/index"));
        let at = |revision: &str| {
            check_out(&root, &resolve(&root, revision)?, &tree, &index)?;
            let mut names: Vec<_> = fs::read_dir(&tree)?.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            let text = fs::read_to_string(tree.join("changed.rs"))?;
            Ok::<_, anyhow::Error>((names, text, fs::metadata(tree.join("same.rs"))?.modified()?))
        };
        let (old, new, unknown) = (at("HEAD~1"), at("HEAD"), resolve(&root, "HEAD~2"));
        let status = git(&root).args(["status", "--porcelain", "--", "same.rs", "changed.rs"]).output().unwrap();
        fs::remove_dir_all(&root).unwrap();
        let ((old_names, old, old_time), (new_names, new, new_time)) = (old.unwrap(), new.unwrap());
        assert_eq!((old.as_str(), new.as_str()), ("1", "2"));
        assert_eq!(
            (old_names, new_names),
            (
                vec!["changed.rs".into(), "of-1.rs".into(), "same.rs".into()],
                vec!["changed.rs".into(), "of-2.rs".into(), "same.rs".into()]
            )
        );
        assert_eq!(old_time, new_time, "what is the same is not written again");
        assert!(status.stdout.is_empty(), "the repository's own index and files are not touched");
        assert!(unknown.is_err_and(|error| error.to_string().contains("HEAD~2")));
    }
}
