//! Where a command's configuration comes from.

use std::fs;

use super::args;
use crate::{EngineError, Recipe, config, preset, run_config};

/// The preset, overlaid by the file, overlaid by the values of the command line.
pub(super) fn configuration<R: Recipe>(args: &args::Configuration) -> anyhow::Result<R::Config> {
    let preset = preset::<R>(args.preset.as_deref())?.config;
    let text = match &args.config {
        Some(path) => Some((path, fs::read_to_string(path).map_err(EngineError::io(path))?)),
        None => None,
    };
    let file = text.as_ref().map(|(path, text)| (path.as_path(), text.as_str()));
    Ok(config::parse(&preset, file, &args.set)?)
}

/// The configuration of a run. One that is resumed has its own, unless a preset or a file is named.
pub(super) fn training_configuration<R: Recipe>(args: &args::Train) -> anyhow::Result<R::Config> {
    let args::Configuration { config, preset, set } = &args.configuration;
    let own = if args.resume && config.is_none() && preset.is_none() { run_config(&args.out)? } else { None };
    if let Some(text) = own {
        let own: R::Config = config::read(&args.out.join("config.toml"), &text)?;
        return Ok(config::parse(&own, None, set)?);
    }
    configuration::<R>(&args.configuration)
}
