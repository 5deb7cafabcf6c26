//! What the commands do.

use std::{
    fs,
    io::{self, BufWriter, Write as _},
    path::Path,
};

use anyhow::Context as _;

use super::{
    args, command_line, configuration::configuration, explain, output::print, print_completions, print_manual, table,
    train::train,
};
use crate::{
    Checkpoint, EVALUATED_DATA, EngineError, PredictRequest, Predictions, Recipe, Weights, config,
    dist::Session,
    study::{StudyOptions, reproduce},
    with_threads,
};

pub(super) fn run<R: Recipe>(command: args::Command, session: &Session) -> anyhow::Result<()> {
    match command {
        args::Command::Train(args) => train::<R>(args, session),
        args::Command::Reproduce(args) => study::<R>(args, session),
        // Not worth sharing.
        _ if !session.ranks().is_root() => Ok(()),
        args::Command::Eval(args) => eval::<R>(args),
        args::Command::Predict(args) => predict::<R>(args),
        args::Command::Convert(args) => convert::<R>(args),
        args::Command::Config(args) => print(&explain::to_toml(&configuration::<R>(&args)?)?),
        args::Command::Presets => presets::<R>(),
        args::Command::Completions { shell } => {
            print_completions(command_line::<R>(), shell).context("standard output")
        }
        args::Command::Man => print_manual(command_line::<R>()).context("standard output"),
    }
}

fn study<R: Recipe>(args: args::Reproduce, session: &Session) -> anyhow::Result<()> {
    let options = StudyOptions {
        profile: args.profile,
        seeds: args.seeds,
        out: args.out,
        device: args.machine.device.open()?,
        threads: session.threads(args.machine.threads),
        communicator: session.ranks().clone(),
    };
    let report = reproduce::<R>(&options)?;
    if !session.ranks().is_root() {
        return Ok(());
    }
    let (profile, seconds) = (report.profile, report.seconds);
    let place = options.out.join("report.html");
    let table = report.table();
    print(&format!("{}, profile {profile}, {seconds:.0} s\n\n{table}\n{}\n", R::METHOD, place.display()))
}

fn eval<R: Recipe>(args: args::Eval) -> anyhow::Result<()> {
    let (config, weights) = open_model::<R>(&args.model)?;
    let device = args.machine.device.open()?;
    let mut results = with_threads(args.machine.threads, || R::eval(&config, &weights, &device))??;
    let lines = results.get(EVALUATED_DATA).and_then(serde_json::Value::as_array);
    lines.into_iter().flatten().filter_map(serde_json::Value::as_str).for_each(|line| eprintln!("{line}"));
    if !args.json {
        results.remove(EVALUATED_DATA);
    }
    if args.json {
        return print(&(serde_json::to_string(&results)? + "\n"));
    }
    print(&table::evaluation(&results))
}

fn predict<R: Recipe>(args: args::Predict) -> anyhow::Result<()> {
    let (config, weights) = open_model::<R>(&args.model)?;
    if let Some(score) = args.min_score {
        anyhow::ensure!(R::HAS_SCORES, "--min-score: the predictions of {} have no scores to choose by", R::METHOD);
        anyhow::ensure!((0.0..=1.0).contains(&score), "--min-score is {score}, expected 0 to 1");
    }
    if let Some(out) = &args.out {
        fs::create_dir_all(out).map_err(EngineError::io(out))?;
    }
    let request = PredictRequest {
        weights,
        files: args.files,
        out: args.out,
        min_score: args.min_score,
        device: args.machine.device.open()?,
    };
    with_threads(args.machine.threads, || {
        let mut lines = BufWriter::new(io::stdout());
        let mut predictions = Predictions::new(&mut lines);
        let predicted = R::predict(&config, &request, &mut predictions);
        let finished = predictions.finish();
        // What came before an error is printed nevertheless; the first error is the one that matters.
        let flushed = lines.flush().context("standard output");
        predicted.and(finished).and(flushed)
    })?
}

fn convert<R: Recipe>(args: args::Convert) -> anyhow::Result<()> {
    anyhow::ensure!(!args.output.exists(), "{} exists: convert overwrites nothing", args.output.display());
    let said = with_threads(None, || R::convert(&args.prefix.of(&args.input), &args.output))??;
    print(&(said + "\n"))
}

fn presets<R: Recipe>() -> anyhow::Result<()> {
    let presets = R::presets();
    let width = presets.iter().map(|preset| preset.name.len()).max().unwrap_or(0);
    let lines = presets.iter().enumerate().map(|(i, preset)| {
        let default = if i == 0 { " (default)" } else { "" };
        format!("{:<width$}  {}{default}\n", preset.name, preset.about)
    });
    print(&lines.collect::<String>())
}

/// The weights of a model and its configuration.
fn open_model<R: Recipe>(args: &args::Model) -> anyhow::Result<(R::Config, Weights)> {
    match (&args.checkpoint, &args.weights) {
        (Some(path), _) => {
            let args::Configuration { config, preset, set } = &args.configuration;
            anyhow::ensure!(
                config.is_none() && preset.is_none(),
                "--checkpoint brings its own configuration, which --set may change"
            );
            anyhow::ensure!(args.prefix.prefix.is_none(), "--prefix: a checkpoint has none; it is for --weights");
            let (config, checkpoint) = open_checkpoint::<R>(path)?;
            let config = config::parse(&config, None, set)?;
            Ok((config, Weights::Checkpoint(checkpoint.dir().to_owned())))
        }
        (None, Some(file)) => Ok((configuration::<R>(&args.configuration)?, Weights::File(args.prefix.of(file)))),
        (None, None) => anyhow::bail!("either --checkpoint or --weights is needed"),
    }
}

/// A checkpoint and the configuration of its run.
fn open_checkpoint<R: Recipe>(path: &Path) -> anyhow::Result<(R::Config, Checkpoint)> {
    let checkpoint = Checkpoint::open(path)?;
    let method = &checkpoint.state().method;
    anyhow::ensure!(
        method == R::METHOD,
        "{} is a checkpoint of {method}, expected one of {}",
        checkpoint.dir().display(),
        R::METHOD
    );
    let config = config::read(&checkpoint.dir().join("config.toml"), checkpoint.config_toml())?;
    Ok((config, checkpoint))
}
