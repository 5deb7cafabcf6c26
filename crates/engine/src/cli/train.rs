//! `train`: everything is read and checked before the folder of the run is taken.

use std::path::PathBuf;

use super::{args, configuration::training_configuration, output::print, table};
use crate::{
    ChangeRule, InitialWeights, MayChange, Recipe, RunOptions, RunPlan, Start, Summary, config, dist::Session, report,
    with_threads,
};

pub(super) fn train<R: Recipe>(args: args::Train, session: &Session) -> anyhow::Result<()> {
    let config = training_configuration::<R>(&args)?;
    if let Some(path) = args.init_from.as_ref().filter(|path| !path.is_file()) {
        let what = if path.is_dir() { "a folder, expected a file of weights in it" } else { "no such file" };
        anyhow::bail!("--init-from {}: {what}", path.display());
    }
    let has_prefix = args.prefix.prefix.is_some();
    anyhow::ensure!(!has_prefix || args.init_from.is_some(), "--prefix goes with --init-from");
    let start = match (args.resume, args.force) {
        (true, _) => Start::Resume,
        (_, true) => Start::Force,
        _ => Start::Fresh,
    };
    let options = RunOptions {
        dir: args.out,
        start,
        method: R::METHOD.to_owned(),
        config_toml: config::to_toml(&config)?,
        rewrite: Some(config::rewrite::<R::Config>),
        seed: args.seed,
        max_steps: args.max_steps,
        device: args.machine.device.open()?,
        init_from: args.init_from.as_ref().map(|path| args.prefix.of(path)),
        may_change: may_change::<R>(&config),
        progress: true,
        communicator: session.ranks().clone(),
    };
    let dir = options.dir.clone();
    let result = with_threads(session.threads(args.machine.threads), || run::<R>(&config, options))??;
    match result {
        Some(summary) => {
            let mut text = table::metrics(&summary.metrics);
            if !text.is_empty() {
                text.push('\n');
            }
            print(&format!("{text}{}\n", dir.join("report.html").display()))
        }
        None => Ok(()),
    }
}

/// Trains, and gives what came out on the rank that writes.
fn run<R: Recipe>(config: &R::Config, options: RunOptions) -> anyhow::Result<Option<Summary>> {
    let is_resumed = options.start == Start::Resume;
    let plan = RunPlan::look(options)?;
    let initial = match plan.init_from() {
        _ if plan.is_resuming() => InitialWeights::Checkpoint,
        Some(file) => InitialWeights::File(file),
        None => InitialWeights::Unspecified,
    };
    R::validate(config, initial)?;
    let prepared = R::prepare(config, &plan)?;
    let data_hash = R::data_hash(&prepared)?;
    let is_root = plan.communicator().is_root();
    let from = resumption(&plan);
    let mut run = plan.open(data_hash)?;
    if is_resumed && is_root {
        eprintln!("{from}");
    }
    R::train(config, prepared, &mut run)?;
    if !is_root {
        return Ok(None);
    }
    let dir: PathBuf = run.dir().to_owned();
    report::write_run(&dir)?;
    Ok(Summary::read(&dir)?)
}

/// From where a run goes on, and with which changes.
fn resumption(plan: &RunPlan) -> String {
    let dir = plan.dir().display();
    let mut text = match plan.resumed() {
        Some(state) => format!("{dir} goes on from step {}", state.step),
        None => format!("{dir} has no checkpoint yet: it begins again, with seed {}", plan.seed()),
    };
    for change in plan.changes() {
        text += &format!("; {} is {} (was {})", change.key, change.to, change.from);
    }
    text
}

/// What a run of this configuration may change when it is resumed.
fn may_change<R: Recipe>(config: &R::Config) -> Vec<MayChange> {
    let length = R::may_lengthen(config).map_or_else(ChangeRule::Never, |()| ChangeRule::Grow);
    let rule = |key: &str, rule: ChangeRule| MayChange { key: key.to_owned(), rule };
    let mut rules = vec![rule("*.workers", ChangeRule::Free), rule("trainer.epochs", length)];
    rules.extend(R::DATA_KEYS.iter().map(|key| rule(key, ChangeRule::SameData)));
    rules
}
