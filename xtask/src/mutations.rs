//! `mutations`: breaks the code in known ways, one at a time, and says which of them no test notices.

mod patch;
mod scratch;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt, fs,
    io::{self, Write as _},
    path::Path,
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::workspace;
pub(crate) use patch::{FOLDER, Mutation};
use scratch::{Outcome, Scratch};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only mutations that have one of these words in their names [default: all].
    filters: Vec<String>,
    /// Only check that every patch applies; builds nothing.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let root = workspace::root();
    let mutations = select(read(&root.join(FOLDER))?, &args.filters)?;
    let stale: Vec<String> = mutations
        .iter()
        .filter_map(|mutation| mutation.check(&root).err().map(|error| format!("{}: {error:#}", mutation.name)))
        .collect();
    ensure!(stale.is_empty(), "{} patches do not apply\n{}", stale.len(), stale.join("\n"));
    if args.check {
        println!("{} mutations apply", mutations.len());
        return Ok(());
    }
    let begin = Instant::now();
    let scratch = Scratch::open(&root, &workspace::metadata()?.target_directory.join("mutations"))?;
    let verdicts = run_all(&scratch, &mutations)?;
    println!("{}, {} s", summary(&verdicts), begin.elapsed().as_secs());
    ensure!(verdicts.iter().all(Verdict::is_caught), "not every mutation is caught");
    Ok(())
}

/// Every mutation of a folder, by name.
fn read(folder: &Path) -> Result<Vec<Mutation>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "patch"));
    paths.sort();
    paths.iter().map(|path| Mutation::read(path)).collect()
}

fn select(all: Vec<Mutation>, filters: &[String]) -> Result<Vec<Mutation>> {
    let is_wanted = |name: &str| filters.is_empty() || filters.iter().any(|word| name.contains(word.as_str()));
    let names = all.iter().map(|mutation| mutation.name.as_str()).collect::<Vec<_>>().join(", ");
    let wanted: Vec<_> = all.into_iter().filter(|mutation| is_wanted(&mutation.name)).collect();
    if wanted.is_empty() {
        bail!("no mutation has one of the words `{}` in its name; there are: {names}", filters.join(" "));
    }
    Ok(wanted)
}

/// What became of a mutation.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// The test that the patch names noticed it: `tests` failed.
    Caught { tests: Vec<String> },
    /// That test passed, but others of the package failed.
    CaughtByOthers { tests: Vec<String> },
    /// Every test of the package passed.
    Survived,
    /// It does not compile; the compiler's messages.
    DoesNotBuild(String),
    /// The tests cannot tell, since they fail without the mutation too, or do not exist.
    Undecided(String),
}

impl Verdict {
    fn is_caught(&self) -> bool {
        matches!(self, Self::Caught { .. } | Self::CaughtByOthers { .. })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caught { tests } => write!(f, "caught by {}", listed(tests)),
            Self::CaughtByOthers { tests } => write!(f, "not caught by its own test, but by {}", listed(tests)),
            Self::Survived => write!(f, "SURVIVED"),
            Self::DoesNotBuild(messages) => write!(f, "DOES NOT BUILD\n{messages}"),
            Self::Undecided(why) => write!(f, "UNDECIDED: {why}"),
        }
    }
}

/// The first names, and how many there are beside them.
fn listed(tests: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = tests.iter().take(SHOWN).map(|test| format!("`{test}`")).collect::<Vec<_>>().join(", ");
    match tests.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Tries the mutations one after the other, and prints a line for each.
fn run_all(scratch: &Scratch, mutations: &[Mutation]) -> Result<Vec<Verdict>> {
    // All unchanged runs come first: code that alternates between changed and unchanged is built twice as often.
    let mut sound = Soundness::default();
    for mutation in mutations {
        sound.named(scratch, mutation)?;
    }
    let mut verdicts = Vec::new();
    for mutation in mutations {
        print!("{}: ", mutation.name);
        io::stdout().flush()?;
        let begin = Instant::now();
        let verdict = judge(scratch, mutation, &mut sound);
        // An error must not leave a mutation in the copy either.
        scratch.restore()?;
        let verdict = verdict.with_context(|| mutation.name.clone())?;
        println!("{verdict} ({} s)", begin.elapsed().as_secs());
        verdicts.push(verdict);
    }
    Ok(verdicts)
}

fn judge(scratch: &Scratch, mutation: &Mutation, sound: &mut Soundness) -> Result<Verdict> {
    if let Some(why) = sound.named(scratch, mutation)? {
        return Ok(Verdict::Undecided(why));
    }
    scratch.apply(mutation)?;
    match scratch.test(mutation, &mutation.test)? {
        Outcome::DoesNotBuild(messages) => return Ok(Verdict::DoesNotBuild(messages)),
        Outcome::Failed { tests } => return Ok(Verdict::Caught { tests }),
        Outcome::Passed { .. } => {}
    }
    match scratch.test(mutation, &[])? {
        Outcome::DoesNotBuild(messages) => Ok(Verdict::DoesNotBuild(messages)),
        Outcome::Passed { .. } => Ok(Verdict::Survived),
        Outcome::Failed { tests } => {
            scratch.restore()?;
            let unsound = sound.package(scratch, mutation)?;
            Ok(unsound.map_or(Verdict::CaughtByOthers { tests }, Verdict::Undecided))
        }
    }
}

/// Which tests pass without a mutation. A test that fails anyway catches nothing.
#[derive(Default)]
struct Soundness(HashMap<(String, String, Vec<String>), Option<String>>);

impl Soundness {
    /// Why the test that `mutation` names cannot tell.
    fn named(&mut self, scratch: &Scratch, mutation: &Mutation) -> Result<Option<String>> {
        self.get(scratch, mutation, &mutation.test)
    }

    /// Why all tests of its package together cannot tell.
    fn package(&mut self, scratch: &Scratch, mutation: &Mutation) -> Result<Option<String>> {
        self.get(scratch, mutation, &[])
    }

    fn get(&mut self, scratch: &Scratch, mutation: &Mutation, arguments: &[String]) -> Result<Option<String>> {
        let key = (mutation.package.clone(), mutation.features.clone(), arguments.to_vec());
        if let Some(known) = self.0.get(&key) {
            return Ok(known.clone());
        }
        let what = format!("`cargo test -p {} {}`", mutation.package, arguments.join(" "));
        eprintln!("{what} without a mutation");
        let why = match scratch.test(mutation, arguments)? {
            Outcome::Passed { n: 0 } => Some(format!("{what} runs no test")),
            Outcome::Passed { .. } => None,
            Outcome::Failed { tests } => Some(format!("{what} fails without the mutation: {}", listed(&tests))),
            Outcome::DoesNotBuild(messages) => Some(format!("{what} does not build without it\n{messages}")),
        };
        self.0.insert(key, why.clone());
        Ok(why)
    }
}

fn summary(verdicts: &[Verdict]) -> String {
    let count = |is: fn(&Verdict) -> bool| verdicts.iter().filter(|verdict| is(verdict)).count();
    let parts = [
        ("caught", count(|v| matches!(v, Verdict::Caught { .. }))),
        ("caught by other tests than their own", count(|v| matches!(v, Verdict::CaughtByOthers { .. }))),
        ("survived", count(|v| *v == Verdict::Survived)),
        ("do not build", count(|v| matches!(v, Verdict::DoesNotBuild(_)))),
        ("undecided", count(|v| matches!(v, Verdict::Undecided(_)))),
    ];
    let parts = parts.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{n} {what}"));
    format!("{} mutations: {}", verdicts.len(), parts.collect::<Vec<_>>().join(", "))
}
