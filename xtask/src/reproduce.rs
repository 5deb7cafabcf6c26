//! `reproduce`: builds and runs the methods, whichever the workspace has.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;

use crate::{
    mpi,
    workspace::{self, Binary, Metadata, Package, Reproduce},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The methods, by the names of their binaries [default: all].
    #[arg(value_name = "METHOD")]
    methods: Vec<String>,
    /// How much of the paper.
    #[arg(long, value_enum, default_value_t = Profile::Small)]
    profile: Profile,
    /// Seeds of every arm [default: what the profile says].
    #[arg(long, value_name = "N")]
    seeds: Option<u32>,
    /// Where the results go, a folder a method. What is finished there is not repeated.
    #[arg(long, value_name = "DIR", default_value = "reproduction")]
    out: PathBuf,
    /// `cpu` or `cuda:N`.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Processes that share the work of one run; more than one want an MPI.
    #[arg(long, value_name = "N", default_value_t = 1)]
    ranks: u32,
    /// Threads of each process [default: all cores together].
    #[arg(long, value_name = "N")]
    threads: Option<u32>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Profile {
    /// Shows that everything runs, within 2 minutes.
    Smoke,
    /// The headline claim on embedded data, within 15 minutes.
    Small,
    /// Every sweep and ablation, within an hour.
    Study,
    /// The paper's recipe on the paper's data.
    Paper,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let metadata = workspace::metadata()?;
    let methods = select(&metadata, &args.methods)?;
    ensure!(args.ranks > 0, "--ranks must be at least 1");
    if args.ranks > 1 {
        mpi::require()?;
    }

    // One that fails must not keep the others from running.
    let mut done = Vec::new();
    let mut failed = Vec::new();
    for (_, method) in methods {
        let out = args.out.join(&method.binary);
        eprintln!("{}: {}", method.binary, method.paper);
        match reproduce(method, &out, args) {
            Ok(()) => done.push(out),
            Err(error) => {
                eprintln!("error: {}: {error:#}", method.binary);
                failed.push(method.binary.as_str());
            }
        }
    }
    for out in &done {
        println!("report: {}", out.join("report.html").display());
    }
    if failed.is_empty() { Ok(()) } else { bail!("not reproduced to the end: {}", failed.join(", ")) }
}

/// The methods called `names`, or all of them, by the order of the workspace.
fn select<'a>(metadata: &'a Metadata, names: &[String]) -> Result<Vec<(&'a Package, &'a Reproduce)>> {
    let all: Vec<_> = metadata.packages.iter().filter_map(|p| Some((p, p.method()?))).collect();
    if let Some(unknown) = names.iter().find(|name| all.iter().all(|(_, m)| m.binary != **name)) {
        let known: Vec<_> = all.iter().map(|(_, m)| m.binary.as_str()).collect();
        bail!("no method is called `{unknown}`; there is {}", known.join(", "));
    }
    Ok(all.into_iter().filter(|(_, m)| names.is_empty() || names.contains(&m.binary)).collect())
}

fn reproduce(method: &Reproduce, out: &Path, args: &Args) -> Result<()> {
    let mut features = vec!["cli"];
    features.extend(args.device.starts_with("cuda").then_some("cuda"));
    features.extend((args.ranks > 1).then_some("mpi"));
    let binary = Binary { name: &method.binary, features: &features }.build()?;
    let mut command = if args.ranks > 1 { mpi::command(&binary, args.ranks)? } else { Command::new(&binary) };
    let status = command
        .args(arguments(args))
        .arg("--out")
        .arg(out)
        .status()
        .with_context(|| format!("cannot run {}", binary.display()))?;
    ensure!(status.success(), "`{} reproduce` failed: {status}", method.binary);
    Ok(())
}

/// What a method's binary is told, but for its folder.
fn arguments(args: &Args) -> Vec<String> {
    let profile = args.profile.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default();
    let mut line = vec!["reproduce".to_owned(), "--profile".to_owned(), profile];
    let mut option =
        |name: &str, value: Option<String>| line.extend(value.into_iter().flat_map(|v| [name.to_owned(), v]));
    option("--seeds", args.seeds.map(|n| n.to_string()));
    option("--threads", args.threads.map(|n| n.to_string()));
    option("--device", Some(args.device.clone()));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Metadata {
        serde_json::from_str(
            r#"{"target_directory": "target", "packages": [
                {"name": "sconce-a", "manifest_path": "a/Cargo.toml", "dependencies": [],
                 "metadata": {"reproduce": {"paper": "A", "binary": "a"}}},
                {"name": "sconce-ground", "manifest_path": "g/Cargo.toml", "dependencies": [], "metadata": null},
                {"name": "sconce-b", "manifest_path": "b/Cargo.toml", "dependencies": [],
                 "metadata": {"reproduce": {"paper": "B", "binary": "b"}}}]}"#,
        )
        .unwrap()
    }

    fn names(wanted: &[&str]) -> Result<Vec<String>> {
        let wanted: Vec<_> = wanted.iter().map(|s| (*s).to_owned()).collect();
        Ok(select(&metadata(), &wanted)?.into_iter().map(|(p, _)| p.name.clone()).collect())
    }

    #[test]
    fn packages_with_the_table_are_the_methods() {
        assert_eq!(names(&[]).unwrap(), ["sconce-a", "sconce-b"]);
        assert_eq!(names(&["b"]).unwrap(), ["sconce-b"]);
    }

    #[test]
    fn an_unknown_method_is_an_error_that_lists_the_known_ones() {
        let error = names(&["a", "c"]).unwrap_err().to_string();
        assert!(error.contains("`c`") && error.contains("a, b"), "{error}");
    }

    #[test]
    fn options_are_passed_on_and_defaults_are_left_to_the_method() {
        let mut args = Args {
            methods: vec![],
            profile: Profile::Smoke,
            seeds: None,
            out: "out".into(),
            device: "cpu".into(),
            ranks: 1,
            threads: None,
        };
        assert_eq!(arguments(&args).join(" "), "reproduce --profile smoke --device cpu");
        args.seeds = Some(3);
        args.threads = Some(2);
        assert_eq!(arguments(&args).join(" "), "reproduce --profile smoke --seeds 3 --threads 2 --device cpu");
    }
}
