//! The numbers of a training loop.

use serde::{Deserialize, Serialize};

use crate::{EngineError, OptimizerConfig, Result, ScheduleConfig};

/// How a [`Trainer`](crate::Trainer) trains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TrainerConfig {
    /// The base learning rate.
    pub lr: f64,
    /// Passes over the data.
    pub epochs: usize,
    /// Batches whose mean loss one update takes, 1 for plain training. What an epoch has left over is an update of its own.
    pub accumulate: usize,
    /// The norm beyond which gradients are clipped; absent for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// The decay of the averaged parameters; absent for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<f64>,
    /// Steps between two lines of the log, with some at the first steps; 0 for one at the end of each epoch.
    pub log_every: usize,
    /// Steps between two checkpoints; 0 for one at the end of each epoch.
    pub checkpoint_every: usize,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
    /// The learning rate over time.
    pub schedule: ScheduleConfig,
}

impl TrainerConfig {
    /// Whether a training of fewer epochs is the beginning of a longer one.
    ///
    /// # Errors
    /// The reason why it is not.
    pub fn may_lengthen(&self) -> std::result::Result<(), String> {
        match self.schedule.depends_on_length() {
            true => Err("the schedule of the learning rate depends on the number of epochs".to_owned()),
            false => Ok(()),
        }
    }

    /// Checks that every number is in its range.
    ///
    /// # Errors
    /// [`EngineError::Config`] with the first key whose value is not.
    pub fn validate(&self) -> Result<()> {
        let require = |key: &str, value: String, expected: &str, ok: bool| {
            if ok { Ok(()) } else { Err(EngineError::config(key, value, expected)) }
        };
        let positive = |x: f64| x > 0.0 && x.is_finite();
        require("lr", self.lr.to_string(), "a positive number", positive(self.lr))?;
        require("epochs", self.epochs.to_string(), "at least 1", self.epochs >= 1)?;
        require("accumulate", self.accumulate.to_string(), "at least 1", self.accumulate >= 1)?;
        if let Some(norm) = self.clip_norm {
            require("clip_norm", norm.to_string(), "a positive number", positive(norm))?;
        }
        if let Some(decay) = self.ema {
            require("ema", decay.to_string(), "at least 0 and less than 1", (0.0..1.0).contains(&decay))?;
        }
        self.optimizer.validate("optimizer")?;
        self.schedule.validate("schedule")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Decay;

    fn good() -> TrainerConfig {
        TrainerConfig {
            lr: 0.1,
            epochs: 1,
            accumulate: 1,
            clip_norm: None,
            ema: None,
            log_every: 0,
            checkpoint_every: 0,
            optimizer: OptimizerConfig::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 },
            schedule: ScheduleConfig::CONSTANT,
        }
    }

    #[test]
    fn it_is_written_and_read_as_toml() {
        let text = toml::to_string(&good()).unwrap();
        assert!(text.contains("[optimizer]\nname = \"sgd\"\nmomentum = 0.9\n"), "{text}");
        assert!(text.contains("[schedule.warmup]\nname = \"none\"\n"), "{text}");
        assert_eq!(toml::from_str::<TrainerConfig>(&text).unwrap(), good());
        let milestones = Decay::MultiStep { milestones: vec![15, 30], gamma: 0.1 };
        let schedule = ScheduleConfig { decay: milestones, ..ScheduleConfig::CONSTANT };
        let config = TrainerConfig { ema: Some(0.99), schedule, ..good() };
        assert_eq!(toml::from_str::<TrainerConfig>(&toml::to_string(&config).unwrap()).unwrap(), config);
        assert!(toml::from_str::<TrainerConfig>(&format!("momentum = 1\n{text}")).is_err(), "an unknown key");
    }

    #[test]
    fn a_value_out_of_range_is_named_by_its_key() {
        assert!(good().validate().is_ok());
        for (bad, key) in [
            (TrainerConfig { lr: 0.0, ..good() }, "lr"),
            (TrainerConfig { epochs: 0, ..good() }, "epochs"),
            (TrainerConfig { accumulate: 0, ..good() }, "accumulate"),
            (TrainerConfig { clip_norm: Some(f64::NAN), ..good() }, "clip_norm"),
            (TrainerConfig { ema: Some(1.0), ..good() }, "ema"),
        ] {
            let error = bad.validate().unwrap_err();
            assert!(matches!(&error, EngineError::Config { key: k, .. } if k == key), "{error}");
        }
    }
}
