//! The workloads that `cargo xtask bench` times, and the process that runs one of them on request.
//!
//! Every workload has a twin of the same name in `xtask/peers/bench.py`, which starts from the tensors that ours writes.

mod exchange;
mod memory;
mod photos;
mod workloads;

use std::{
    io::{BufRead, Write},
    path::Path,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

pub use workloads::{Workload, WorkloadSpec, workloads};

/// Runs the workload `name`, one line of JSON an answer.
///
/// What it starts from is written to `folder`. The first line says `{"check": […]}`, numbers on which a twin
/// has to agree: the losses of three steps of training, say. Then a line `run` is answered by `{"ms": …}` for one
/// repetition, and `memory` by `{"peak_mb": …}`, the growth since the model exists (null where the system does not
/// tell). The end of the input ends it.
///
/// # Errors
/// If there is no such workload, or it fails.
pub fn serve(name: &str, folder: &Path, requests: impl BufRead, mut answers: impl Write) -> Result<()> {
    let spec = workloads().find(|spec| spec.name == name);
    let spec = spec.with_context(|| format!("no workload is called `{name}`"))?;
    let mut workload = (spec.make)()?;
    workload.export(folder)?;
    let start = memory::Start::now();
    writeln!(answers, "{}", json!({ "check": workload.check()? }))?;
    answers.flush()?;
    for request in requests.lines() {
        let answer = match request?.as_str() {
            "run" => {
                let start = Instant::now();
                workload.run()?;
                json!({ "ms": start.elapsed().as_secs_f64() * 1e3 })
            }
            "memory" => json!({ "peak_mb": start.growth_mb() }),
            other => bail!("the request `{other}` is neither `run` nor `memory`"),
        };
        writeln!(answers, "{answer}")?;
        answers.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_follows_each_request() {
        let dir = tempfile::tempdir().unwrap();
        let mut answers = Vec::new();
        let name = "conv2d 3x3 64 ch 16x16 b16 forward+backward";
        serve(name, dir.path(), &b"run\nmemory\nrun\n"[..], &mut answers).unwrap();
        let answers: Vec<serde_json::Value> =
            String::from_utf8(answers).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(answers.len(), 4);
        assert!(answers[0]["check"].as_array().is_some_and(|numbers| numbers.len() == 3));
        assert!(answers[1]["ms"].as_f64().is_some_and(|ms| ms > 0.0) && answers[3]["ms"].is_number());
        assert!(answers[2].get("peak_mb").is_some());
    }

    #[test]
    fn unknown_workloads_and_requests_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        assert!(serve("nothing", dir.path(), &b""[..], Vec::new()).is_err());
        assert!(serve("sgd step resnet18", dir.path(), &b"walk\n"[..], Vec::new()).is_err());
    }

    #[test]
    fn names_are_unique() {
        let names: Vec<_> = workloads().map(|spec| spec.name).collect();
        for (i, name) in names.iter().enumerate() {
            assert!(!names[..i].contains(name), "{name}");
        }
    }
}
