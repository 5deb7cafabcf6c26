//! What the command line looks like.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use super::DeviceSpec;
use crate::{Profile, WeightFile};

#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Train a model.
    Train(Train),
    /// Evaluate a checkpoint or a file of weights.
    Eval(Eval),
    /// Predict for files and folders of files: a line of JSON for each file.
    Predict(Predict),
    /// Convert weights that PyTorch wrote, the official code's among them, to safetensors.
    Convert(Convert),
    /// Print a complete configuration, each key with what it means.
    Config(Configuration),
    /// List the presets.
    Presets,
    /// Test the paper's claims: train every arm with every seed and compare.
    Reproduce(Reproduce),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page.
    Man,
}

/// Where a configuration comes from.
#[derive(Debug, Args)]
pub(super) struct Configuration {
    /// A TOML file over the preset; keys that it lacks keep the preset's values.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The preset to start from.
    #[arg(long, value_name = "NAME")]
    pub(super) preset: Option<String>,
    /// A value over preset and file, such as `trainer.lr=0.01`; nothing after `=` leaves an optional key out.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

/// Where in a file of weights the network stands.
#[derive(Debug, Args)]
pub(super) struct Prefix {
    /// What stands before the network's names in the file of weights, such as `backbone.`; found by itself where one prefix
    /// holds all of them.
    #[arg(long, value_name = "TEXT")]
    pub(super) prefix: Option<String>,
}

impl Prefix {
    /// The file at `path` with this prefix.
    pub(super) fn of(&self, path: &std::path::Path) -> WeightFile {
        WeightFile { path: path.to_owned(), prefix: self.prefix.clone() }
    }
}

/// What it runs on.
#[derive(Debug, Args)]
pub(super) struct Machine {
    /// `cpu` or `cuda:N`.
    #[arg(long, default_value = "cpu")]
    pub(super) device: DeviceSpec,
    /// Threads; one a core by default. They do not change any result.
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(super) threads: Option<usize>,
}

#[derive(Debug, Args)]
pub(super) struct Train {
    #[command(flatten)]
    pub(super) configuration: Configuration,
    /// The folder of the run, new or empty.
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// Go on with the run in the folder, with its own settings, seed and weights. `--set` may lengthen it
    /// (`trainer.epochs`), or name another place of the same data.
    #[arg(long, conflicts_with = "force")]
    pub(super) resume: bool,
    /// Start over in a folder that has a run; other files in it stay, but for pictures in `pictures` and lines in `logs`, which
    /// are the run's. A folder that holds something else is refused.
    #[arg(long)]
    pub(super) force: bool,
    /// Weights to start from: a safetensors file, or one that PyTorch wrote.
    #[arg(long, value_name = "FILE")]
    pub(super) init_from: Option<PathBuf>,
    #[command(flatten)]
    pub(super) prefix: Prefix,
    /// The seed of every random stream; 0 by default.
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Stop after so many steps.
    #[arg(long, value_name = "N")]
    pub(super) max_steps: Option<usize>,
    #[command(flatten)]
    pub(super) machine: Machine,
}

/// Which model.
#[derive(Debug, Args)]
pub(super) struct Model {
    /// The folder of a checkpoint, or of a run, whose last checkpoint it then is. It brings its configuration.
    #[arg(long, value_name = "PATH", required_unless_present = "weights")]
    pub(super) checkpoint: Option<PathBuf>,
    /// A file of weights: safetensors, or one that PyTorch wrote. Preset, file and values say the configuration; without
    /// any of them it is the default preset's.
    #[arg(long, value_name = "FILE", conflicts_with = "checkpoint")]
    pub(super) weights: Option<PathBuf>,
    #[command(flatten)]
    pub(super) prefix: Prefix,
    #[command(flatten)]
    pub(super) configuration: Configuration,
}

#[derive(Debug, Args)]
pub(super) struct Eval {
    #[command(flatten)]
    pub(super) model: Model,
    /// Print one JSON object, with all digits.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) machine: Machine,
}

#[derive(Debug, Args)]
pub(super) struct Predict {
    #[command(flatten)]
    pub(super) model: Model,
    /// Files, and folders of files.
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// A folder for pictures of the predictions, and other results.
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// The least score of a prediction that is shown and written.
    #[arg(long, value_name = "SCORE")]
    pub(super) min_score: Option<f64>,
    #[command(flatten)]
    pub(super) machine: Machine,
}

#[derive(Debug, Args)]
pub(super) struct Convert {
    /// The official weights.
    pub(super) input: PathBuf,
    /// The safetensors file to write; it must not exist.
    pub(super) output: PathBuf,
    #[command(flatten)]
    pub(super) prefix: Prefix,
}

#[derive(Debug, Args)]
pub(super) struct Reproduce {
    /// How much of the paper.
    #[arg(long, value_enum, default_value_t = Profile::Small)]
    pub(super) profile: Profile,
    /// Seeds 0 to N - 1; the profile's own number by default.
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(super) seeds: Option<usize>,
    /// The folder of the study. One that holds the same study is carried on.
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    #[command(flatten)]
    pub(super) machine: Machine,
}

/// Threads, or seeds: more would only be started, and never get to work.
const MOST: usize = 1024;

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (1..=MOST).contains(&n) => Ok(n),
        _ => Err(format!("expected a whole number from 1 to {MOST}")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Arguments::try_parse_from(line.split(' ')).map(|arguments| arguments.command)
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn train_takes_what_the_design_says() {
        let line = "scn train --config a.toml --preset smoke --set x=1 --set y= --out run --resume --init-from w \
                    --device cuda:1 --threads 2 --seed 7 --max-steps 20";
        let Command::Train(train) = parse(line).unwrap() else { panic!() };
        assert_eq!(train.configuration.set, ["x=1", "y="]);
        assert_eq!((train.seed, train.max_steps, train.resume), (Some(7), Some(20), true));
        assert_eq!((train.machine.device, train.machine.threads), (DeviceSpec::Cuda(1), Some(2)));
        let Command::Train(train) = parse("scn train --out run").unwrap() else { panic!() };
        assert_eq!((train.seed, train.machine.device, train.machine.threads), (None, DeviceSpec::Cpu, None));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "scn train",
            "scn train --out run --resume --force",
            "scn predict --checkpoint run",
            "scn predict a.png",
            "scn eval",
            "scn eval --checkpoint run --weights w.pth",
            "scn reproduce --out x --seeds 0",
            "scn reproduce --out x --profile huge",
            "scn eval --checkpoint run --threads 0",
            "scn eval --checkpoint run --threads 100000",
            "scn eval --checkpoint run --device gpu",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn reproduce_is_small_unless_told_otherwise() {
        let Command::Reproduce(reproduce) = parse("scn reproduce --out x").unwrap() else { panic!() };
        assert_eq!((reproduce.profile, reproduce.seeds), (Profile::Small, None));
    }
}
