//! The files of the repository.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};

/// All files that belong to the repository, sorted by path.
pub(super) struct Tree {
    pub(super) files: Vec<SourceFile>,
}

/// A file, by its path relative to the root with `/` between the folders.
pub(super) struct SourceFile {
    pub(super) path: String,
    pub(super) bytes: u64,
    /// What it says, if it is text.
    pub(super) text: Option<String>,
}

impl SourceFile {
    /// The file's name.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

impl Tree {
    /// Reads everything below `root` but for what `.gitignore` names. No git is needed for that: the entries there have the
    /// form `/PATH`.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let path = root.join(".gitignore");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let mut ignored = vec![".git".to_owned()];
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let name = line.strip_prefix('/').map(|name| name.trim_end_matches('/'));
            let plain = name.filter(|name| !name.contains(['*', '?', '[']));
            ensure!(
                plain.is_some(),
                "{}: `{line}` has not the form `/PATH`, which is all that tidy reads",
                path.display()
            );
            ignored.extend(plain.map(str::to_owned));
        }
        let mut files = Vec::new();
        walk(root, "", &ignored, &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    /// The text of a file.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path)?.text.as_deref()
    }

    /// Every file of text.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&SourceFile, &str)> {
        self.files.iter().filter_map(|file| Some((file, file.text.as_deref()?)))
    }

    /// Every Rust file.
    pub(super) fn rust(&self) -> impl Iterator<Item = (&SourceFile, &str)> {
        self.texts().filter(|(file, _)| file.path.ends_with(".rs"))
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| SourceFile {
            path: (*path).to_owned(),
            bytes: text.len() as u64,
            text: Some((*text).to_owned()),
        };
        Self { files: files.iter().map(file).collect() }
    }
}

fn walk(dir: &Path, prefix: &str, ignored: &[String], files: &mut Vec<SourceFile>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let entry = entry.with_context(|| dir.display().to_string())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        if ignored.contains(&path) || name == "__pycache__" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), &path, ignored, files)?;
        } else {
            let bytes = fs::read(entry.path()).with_context(|| path.clone())?;
            let n_bytes = bytes.len() as u64;
            let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
            files.push(SourceFile { path, bytes: n_bytes, text });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gitignore_names_is_left_out_there_alone() {
        let root = std::env::temp_dir().join(format!("sconce-xtask-tree-{}", std::process::id()));
        for dir in ["target", "a/target", "a/corpus", ".git"] {
            fs::create_dir_all(root.join(dir)).unwrap();
            fs::write(root.join(dir).join("f.rs"), "x").unwrap();
        }
        fs::write(root.join("a/b.bin"), [0, 1]).unwrap();
        fs::write(root.join(".gitignore"), "/target\n/a/corpus\n").unwrap();
        let tree = Tree::read(&root);
        fs::write(root.join(".gitignore"), "*.log\n").unwrap();
        let unreadable = Tree::read(&root);
        fs::remove_dir_all(&root).unwrap();
        let paths: Vec<_> = tree.unwrap().files.into_iter().map(|f| (f.path, f.text.is_some())).collect();
        let expected = [(".gitignore", true), ("a/b.bin", false), ("a/target/f.rs", true)];
        assert_eq!(paths, expected.map(|(p, t)| (p.to_owned(), t)));
        assert!(unreadable.is_err_and(|e| e.to_string().contains("*.log")));
    }
}
