//! A mutation: a patch below a header that says what it breaks and which test notices.

use std::{fs, io::Write as _, path::Path, process::Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::workspace::git;

/// Where the patches lie.
pub(crate) const FOLDER: &str = "tests/mutations";

/// One way to break the code.
#[derive(Debug)]
pub(crate) struct Mutation {
    /// The name of its file, without the extension.
    pub(crate) name: String,
    /// The whole file as it was read: what becomes of it later does not change what is applied.
    text: String,
    /// The package whose tests have to notice.
    pub(crate) package: String,
    /// The features to test it with, separated by commas; may be empty.
    pub(crate) features: String,
    /// Arguments of `cargo test` that choose the test which notices.
    pub(crate) test: Vec<String>,
}

impl Mutation {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(path, &text).with_context(|| path.display().to_string())
    }

    /// Reads what stands in the file `path`.
    ///
    /// # Errors
    /// If a line of the header is missing, doubled or empty, or there is no diff.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let diff = text.lines().position(|line| line.starts_with("diff --git ")).context("no line `diff --git …`")?;
        let (mut package, mut features, mut test) = (None, None, None);
        let mut is_described = false;
        for line in text.lines().take(diff) {
            let (slot, key, value) = match line.split_once(':') {
                Some(("package", value)) => (&mut package, "package", value),
                Some(("features", value)) => (&mut features, "features", value),
                Some(("test", value)) => (&mut test, "test", value),
                _ => {
                    is_described |= !line.trim().is_empty();
                    continue;
                }
            };
            ensure!(slot.replace(value.trim().to_owned()).is_none(), "two lines `{key}: …`");
        }
        ensure!(is_described, "the header does not say what is broken");
        let present = |key: &str, value: Option<String>| value.with_context(|| format!("no line `{key}: …`"));
        let (package, features) = (present("package", package)?, present("features", features)?);
        let test: Vec<String> = present("test", test)?.split_whitespace().map(str::to_owned).collect();
        ensure!(!package.is_empty() && !package.contains(char::is_whitespace), "`package: {package}` is no package");
        ensure!(!features.contains(char::is_whitespace), "`features: {features}`: names are separated by commas");
        ensure!(!test.is_empty(), "`test:` names no test");
        Ok(Self { name, text: text.to_owned(), package, features, test })
    }

    /// Checks that it applies to the files below `root`.
    ///
    /// # Errors
    /// If it does not, with what git says.
    pub(crate) fn check(&self, root: &Path) -> Result<()> {
        self.git_apply(root, &["--check"])
    }

    /// Changes the files below `root`.
    ///
    /// # Errors
    /// If it does not apply; nothing is changed then.
    pub(super) fn apply(&self, root: &Path) -> Result<()> {
        self.git_apply(root, &[])
    }

    fn git_apply(&self, root: &Path, options: &[&str]) -> Result<()> {
        let mut command = git(root);
        // Below a repository git would take the paths to be the repository's, and pass over all that are not below `root`.
        if let Some(parent) = root.parent() {
            command.env("GIT_CEILING_DIRECTORIES", parent);
        }
        command.args(["apply", "--whitespace=nowarn"]).args(options).arg("-");
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().context("cannot run git")?;
        if let Some(mut stdin) = child.stdin.take() {
            // Where git ends before it has read all, it says why.
            let _ = stdin.write_all(self.text.as_bytes());
        }
        let output = child.wait_with_output().context("cannot run git")?;
        if output.status.success() {
            return Ok(());
        }
        let messages = String::from_utf8_lossy(&output.stderr);
        bail!("{}", messages.trim().replace('\n', "; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "The sum keeps its last term only.\npackage: sconce-core\nfeatures: cli,hub\ntest: --test it sum\n\n\
                         diff --git a/x b/x\ntest: not the header's\n";

    fn parse(text: &str) -> Result<Mutation> {
        Mutation::parse(Path::new("tests/mutations/core-sum.patch"), text)
    }

    #[test]
    fn the_header_says_package_features_and_test() {
        let mutation = parse(WHOLE).unwrap();
        assert_eq!((mutation.name.as_str(), mutation.package.as_str()), ("core-sum", "sconce-core"));
        assert_eq!((mutation.features.as_str(), mutation.test.join("|").as_str()), ("cli,hub", "--test|it|sum"));
        let plain = parse(&WHOLE.replace(" cli,hub", "")).unwrap();
        assert_eq!(plain.features, "");
    }

    #[test]
    fn what_a_header_lacks_is_named() {
        for (from, to, expected) in [
            ("The sum keeps its last term only.\n", "", "what is broken"),
            ("package: sconce-core\n", "", "`package: …`"),
            ("features: cli,hub\n", "", "`features: …`"),
            ("features: cli,hub", "features: cli hub", "commas"),
            ("features:", "package: b\nfeatures:", "two lines `package"),
            ("--test it sum", "", "names no test"),
            ("diff --git a/x b/x", "", "diff --git"),
        ] {
            let error = parse(&WHOLE.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}, expected {expected}");
        }
    }
}
