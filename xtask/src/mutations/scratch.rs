//! A copy of the working tree that may be broken, and cargo in it.

use std::{
    collections::BTreeMap,
    fs::{self, File, Permissions, TryLockError},
    path::{Path, PathBuf},
    process::Output,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::patch::{FOLDER, Mutation};
use crate::workspace::{self, git};

/// Seconds that the tests of one executable may take: a mutation can make a loop endless.
const LIMIT_S: u32 = 900;

/// What `timeout` says by its exit code.
const TIMED_OUT: &str = "exit status: 124";

/// The copy, as it was when it was opened. One process has it at a time.
pub(super) struct Scratch {
    tree: PathBuf,
    target: PathBuf,
    files: BTreeMap<PathBuf, (Vec<u8>, Permissions)>,
    _lock: File,
}

/// How tests went.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// All passed.
    Passed { n: usize },
    /// These failed, or what else went wrong.
    Failed { tests: Vec<String> },
    /// The compiler's messages.
    DoesNotBuild(String),
}

impl Scratch {
    /// Copies the working tree `root`, uncommitted changes included, to a folder below `folder`. What is ignored stays out,
    /// and so do the mutations: `tidy` would notice each of them by its own patch, which no longer applies.
    pub(super) fn open(root: &Path, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let folder = folder.canonicalize().with_context(|| folder.display().to_string())?;
        let path = folder.join("lock");
        let lock = File::create(&path).with_context(|| path.display().to_string())?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("{} is in use by another `cargo xtask mutations`", folder.display()),
            Err(TryLockError::Error(error)) => return Err(error).context(path.display().to_string()),
        }
        let (tree, target) = (folder.join("tree"), folder.join("target"));
        let scratch = Self { tree, target, files: files(root)?, _lock: lock };
        scratch.restore()?;
        Ok(scratch)
    }

    /// Brings the copy back to what it was. Files that are the same are not touched, so that cargo does not build them again.
    pub(super) fn restore(&self) -> Result<()> {
        fs::create_dir_all(&self.tree).with_context(|| self.tree.display().to_string())?;
        self.remove_others(Path::new(""))?;
        for (path, (bytes, permissions)) in &self.files {
            let to = self.tree.join(path);
            if fs::read(&to).is_ok_and(|present| present == *bytes) {
                continue;
            }
            let parent = to.parent().unwrap_or(&self.tree);
            fs::create_dir_all(parent)
                .and_then(|()| fs::write(&to, bytes))
                .and_then(|()| fs::set_permissions(&to, permissions.clone()))
                .with_context(|| to.display().to_string())?;
        }
        Ok(())
    }

    /// Removes what a patch or a test has added to a folder of the copy.
    fn remove_others(&self, folder: &Path) -> Result<()> {
        let dir = self.tree.join(folder);
        for entry in fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
            let entry = entry.with_context(|| dir.display().to_string())?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                self.remove_others(&path)?;
            } else if !self.files.contains_key(&path) {
                fs::remove_file(entry.path()).with_context(|| entry.path().display().to_string())?;
            }
        }
        Ok(())
    }

    pub(super) fn apply(&self, mutation: &Mutation) -> Result<()> {
        mutation.apply(&self.tree)
    }

    /// Runs the tests of the package of `mutation` that `arguments` choose: none of these means all tests.
    pub(super) fn test(&self, mutation: &Mutation, arguments: &[String]) -> Result<Outcome> {
        // Apart, since cargo's exit code does not tell a failing build from a failing test.
        let build = self.cargo_test(mutation, &["--no-run"], arguments)?;
        if !build.status.success() {
            return Ok(Outcome::DoesNotBuild(String::from_utf8_lossy(&build.stderr).trim().to_owned()));
        }
        let limit = workspace::which("timeout").map(|timeout| {
            let runner = [timeout.display().to_string(), "--foreground".to_owned(), LIMIT_S.to_string()];
            ["--config".to_owned(), format!("target.'cfg(all())'.runner={runner:?}")]
        });
        let options: Vec<&str> = limit.iter().flatten().map(String::as_str).collect();
        let run = self.cargo_test(mutation, &options, arguments)?;
        let (stdout, stderr) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        Ok(if run.status.success() {
            Outcome::Passed { n: n_passed(&stdout) }
        } else {
            Outcome::Failed { tests: failed(&stdout, &stderr) }
        })
    }

    fn cargo_test(&self, mutation: &Mutation, options: &[&str], arguments: &[String]) -> Result<Output> {
        let mut command = workspace::cargo_in(&self.tree);
        command
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_INCREMENTAL", "1")
            .env("CARGO_TERM_COLOR", "never")
            .args(["test", "--release", "--package", &mutation.package, "--features", &mutation.features])
            .args(options)
            .args(arguments);
        command.output().context("cannot run cargo test")
    }
}

/// What belongs to the working tree `root`, tracked or not, but for what is ignored.
fn files(root: &Path) -> Result<BTreeMap<PathBuf, (Vec<u8>, Permissions)>> {
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"];
    let output = git(root).args(list).output().context("cannot run git")?;
    ensure!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim());
    let names = String::from_utf8(output.stdout).context("a file name that is not UTF-8")?;
    let mut files = BTreeMap::new();
    for name in names.split('\0').filter(|name| !name.is_empty() && !name.starts_with(FOLDER)) {
        let path = root.join(name);
        // A file that git knows may have been removed.
        if path.is_file() {
            let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
            let permissions = fs::metadata(&path).with_context(|| path.display().to_string())?.permissions();
            files.insert(PathBuf::from(name), (bytes, permissions));
        }
    }
    Ok(files)
}

/// The tests that passed, of all executables.
fn n_passed(stdout: &str) -> usize {
    let results = stdout.lines().filter_map(|line| line.strip_prefix("test result: ok. "));
    results.filter_map(|rest| rest.split_whitespace().next()?.parse::<usize>().ok()).sum()
}

/// The names of the tests that failed; without any, how cargo says that the executable failed.
fn failed(stdout: &str, stderr: &str) -> Vec<String> {
    let test = |line: &str| Some(line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?.to_owned());
    let tests: Vec<String> = stdout.lines().filter_map(test).collect();
    if stderr.contains(TIMED_OUT) {
        return vec![format!("more than {LIMIT_S} s")];
    }
    if !tests.is_empty() {
        return tests;
    }
    let last = stderr.lines().rev().find(|line| !line.trim().is_empty());
    vec![last.unwrap_or("cargo test failed").trim().to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_tests_of_all_executables_count() {
        let stdout = "running 2 tests\ntest a ... ok\n\ntest result: ok. 2 passed; 0 failed; 0 ignored\n\
                      test result: ok. 3 passed; 0 failed\n";
        assert_eq!(n_passed(stdout), 5);
        assert_eq!(n_passed("test result: ok. 0 passed; 0 failed; 7 filtered out"), 0);
    }

    #[test]
    fn failing_tests_are_named_or_the_way_in_which_the_executable_ended() {
        let stdout = "test a::b ... FAILED\ntest c ... ok\ntest d - should panic ... FAILED\n";
        assert_eq!(failed(stdout, ""), ["a::b", "d - should panic"]);
        assert_eq!(failed("test a ... ", "error\n  (signal: 6, SIGABRT)\n\n"), ["(signal: 6, SIGABRT)"]);
        assert_eq!(failed("", "process didn't exit successfully: `x` (exit status: 124)"), ["more than 900 s"]);
    }
}
