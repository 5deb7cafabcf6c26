//! `doctor`: what this machine has of what the project needs or can use.

use std::{fs, process::Command, thread};

use anyhow::{Result, bail};

use crate::{data, workspace};

/// Programs that some commands use: name, and what for.
const OPTIONAL: [(&str, &str); 13] = [
    ("taskset", "bench on one pinned thread"),
    ("git", "bench --against, mutations, tidy"),
    ("timeout", "mutations that never end"),
    ("apt-get", "data fetch, Debian packages"),
    ("dpkg-deb", "data fetch, Debian packages"),
    ("pip", "data fetch, Python wheels"),
    ("npm", "data fetch, npm packages"),
    ("tar", "data fetch, npm packages"),
    ("python3", "bench --peer with torch and torchvision; data fetch, Python wheels"),
    ("cargo-fuzz", "fuzz"),
    ("nvcc", "the feature cuda"),
    ("mpirun", "reproduce --ranks, training by several processes"),
    ("mpicc", "the feature mpi"),
];

pub(crate) fn run() -> Result<()> {
    let wanted = pinned_toolchain()?;
    let found = version("rustc");
    println!("toolchain  wanted {wanted}, found {}", found.as_deref().unwrap_or("none"));
    for program in ["cargo", "cargo-clippy", "cargo-fmt"] {
        println!("           {program}: {}", if workspace::which(program).is_some() { "yes" } else { "no" });
    }
    println!("cores      {}", thread::available_parallelism().map_or(0, usize::from));
    println!("memory     {}", memory().map_or_else(|| "unknown".to_owned(), |gb| format!("{gb:.1} GB")));
    println!("vectors    {}", vectors());
    println!("programs, none of which is required");
    for (program, purpose) in OPTIONAL {
        let found = workspace::which(program).map_or_else(|| "-".to_owned(), |path| path.display().to_string());
        println!("  {program:10} {found:24} {purpose}");
    }
    println!("data in {}", data::default_dir().display());
    data::list(&data::default_dir())?;
    match found {
        Some(found) if found.split_whitespace().nth(1) == Some(wanted.as_str()) => Ok(()),
        Some(found) => bail!("the toolchain is `{found}`, rust-toolchain.toml asks for {wanted}"),
        None => bail!("no rustc on the search path; https://rustup.rs installs one"),
    }
}

/// The version that `rust-toolchain.toml` pins.
fn pinned_toolchain() -> Result<String> {
    let path = workspace::root().join("rust-toolchain.toml");
    let text = fs::read_to_string(&path)?;
    let table: toml::Table = text.parse()?;
    let channel = table.get("toolchain").and_then(|t| t.get("channel")).and_then(toml::Value::as_str);
    match channel {
        Some(channel) => Ok(channel.to_owned()),
        None => bail!("{}: no `toolchain.channel`", path.display()),
    }
}

/// The first line of `program --version`, as it is chosen in the workspace.
fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").current_dir(workspace::root()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.lines().next().unwrap_or_default().to_owned())
}

/// The machine's memory in GB, where `/proc` tells it.
fn memory() -> Option<f64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024. / 1e9)
}

/// The vector instructions that matter to `gemm`.
#[cfg(target_arch = "x86_64")]
fn vectors() -> String {
    let features = [
        ("AVX-512", std::arch::is_x86_feature_detected!("avx512f")),
        ("AVX2", std::arch::is_x86_feature_detected!("avx2")),
        ("FMA", std::arch::is_x86_feature_detected!("fma")),
    ];
    let found: Vec<_> = features.iter().filter(|(_, yes)| *yes).map(|(name, _)| *name).collect();
    if found.is_empty() { "none beyond SSE2: training will be slow".to_owned() } else { found.join(", ") }
}

/// The vector instructions that matter to `gemm`.
#[cfg(not(target_arch = "x86_64"))]
fn vectors() -> String {
    format!("those of {}", std::env::consts::ARCH)
}
