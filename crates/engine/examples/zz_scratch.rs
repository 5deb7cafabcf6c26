//! Scratch, removed afterwards.
use sconce_core::{Device, Rng};
use sconce_engine::*;
use serde::{Deserialize, Serialize};
use std::{io::Write, path::Path, process::ExitCode};
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct C {
    gain: f64,
    epochs: usize,
    weighting: String,
    optimizer: OptimizerConfig,
    clip: Option<f64>,
}
struct R;
fn c(gain: f64, w: &str) -> C {
    C {
        gain,
        epochs: 12,
        weighting: w.into(),
        optimizer: OptimizerConfig::Sgd { momentum: 0.9, nesterov: true, weight_decay: 1e-4 },
        clip: None,
    }
}
impl Recipe for R {
    const METHOD: &'static str = "fake";
    const ABOUT: &'static str = "A paper about nothing (Nobody et al., CVPR 2020)";
    type Config = C;
    fn presets() -> Vec<Preset<C>> {
        vec![
            Preset { name: "paper", about: "as in §4.2", config: c(0.2, "logits") },
            Preset { name: "smoke", about: "tiny", config: c(0.1, "off") },
        ]
    }
    fn study(_: Profile) -> Option<Study<C>> {
        let arm = |id: &str, label: &str, g, w| Arm { id: id.into(), label: label.into(), config: c(g, w) };
        let claim = |claim: &str, ours: &str, metric: &str, h| ClaimSpec {
            claim: claim.into(),
            paper: "82.8 → 87.0".into(),
            source: "Table 3".into(),
            baseline: "ce".into(),
            ours: ours.into(),
            metric: metric.into(),
            higher_is_better: h,
            scaled: true,
        };
        Some(Study {
            arms: vec![
                arm("ce", "cross-entropy", 0.1, "off"),
                arm("scn", "SCN", 0.2, "logits"),
                arm("scn-low", "SCN, low group", 0.1, "logits"),
            ],
            claims: vec![
                claim("SCN beats cross-entropy at 30 % noise", "scn", "test_accuracy", true),
                claim("so does its low group", "scn-low", "test_accuracy", true),
            ],
            seeds: 3,
            notes: vec!["scaled: 6,000 of 60,000 images, 12 epochs".into()],
        })
    }
    fn train(c: &C, run: &mut Run) -> anyhow::Result<()> {
        let mut rng = Rng::new(run.seed(), &format!("{}", c.gain));
        let mut acc = 0.0;
        for epoch in 1..=c.epochs {
            for k in 1..=5 {
                let l = 2.0 / (epoch as f64) + 0.1 * rng.normal();
                run.log(&Record {
                    step: (epoch - 1) * 5 + k,
                    epoch,
                    split: "train".into(),
                    values: [
                        ("loss".to_owned(), l),
                        ("wce".to_owned(), l * 0.9),
                        ("lr".to_owned(), 0.1 * 0.9f64.powi(epoch as i32)),
                    ]
                    .into(),
                })?;
                std::thread::sleep(std::time::Duration::from_millis(
                    std::env::var("SLOW").ok().and_then(|s| s.parse().ok()).unwrap_or(2),
                ));
                if let Some(signal) = signals::Interrupt::process().requested() {
                    return Err(EngineError::Interrupted { signal, step: 3, dir: run.dir().into() }.into());
                }
            }
            acc = 0.6 + c.gain * (1.0 - 1.0 / epoch as f64) + 0.02 * rng.normal();
            run.log(&Record {
                step: epoch * 5,
                epoch,
                split: "test".into(),
                values: [("accuracy".to_owned(), acc), ("relabelled".to_owned(), 30.0 * epoch as f64)].into(),
            })?;
        }
        if let Ok(png) = std::env::var("PNG") {
            std::fs::copy(png, run.pictures()?.join("least_certain.png"))?;
        }
        run.finish(Outcome {
            metrics: [("test_accuracy".to_owned(), acc), ("alpha_auroc".to_owned(), f64::NAN)].into(),
            data_hash: Some(config::hash("x")),
        })?;
        Ok(())
    }
    fn eval(_: &C, _: &Path, _: &Device) -> anyhow::Result<Evaluation> {
        anyhow::bail!("no")
    }
    fn predict(_: &C, _: &PredictRequest, _: &mut dyn Write) -> anyhow::Result<()> {
        anyhow::bail!("no")
    }
}
fn main() -> ExitCode {
    cli::main::<R>()
}
