use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sconce_core::{Batches, DType, Init, Params, Position, Tensor};

use super::*;
use crate::{
    Arm, BatchTensors, ClaimSpec, ComparisonSpec, EngineError, Evaluation, Loss, Metrics, OptimizerConfig,
    PredictRequest, Predictions, Preset, Record, Run, RunPlan, ScheduleConfig, Study, Trainer, TrainerConfig, Weights,
    config,
};

/// What the fake method was asked to train, in any order. Tests that look at it take [`alone`] first.
static TRAINED: Mutex<Vec<(String, u64, bool)>> = Mutex::new(Vec::new());
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    TRAINED.lock().unwrap().clear();
    guard
}

fn trained() -> Vec<(String, u64, bool)> {
    let mut trained = std::mem::take(&mut *TRAINED.lock().unwrap());
    trained.sort();
    trained
}

#[derive(Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct FakeConfig {
    arm: String,
    gain: f64,
    /// Fails at this seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fails_at: Option<u64>,
}

fn train(config: &FakeConfig, run: &mut Run) -> anyhow::Result<()> {
    TRAINED.lock().unwrap().push((config.arm.clone(), run.seed(), run.is_resuming()));
    if config.fails_at == Some(run.seed()) {
        anyhow::bail!("the disk is on fire");
    }
    if config.arm == "start" {
        leave_weights(run)?;
    }
    let start = run.init_from().map_or(0.0, |file| read_weight(&file.path));
    let accuracy = config.gain + run.seed() as f64 + start;
    for epoch in 1..=3 {
        let values = Metrics::from([("accuracy".to_owned(), accuracy * epoch as f64 / 3.0)]);
        run.log(&Record { step: 10 * epoch, epoch, split: "test".into(), values })?;
    }
    let mut metrics = Metrics::from([("accuracy".to_owned(), accuracy)]);
    if config.arm == "fake" && run.seed() == 0 {
        metrics.insert("recall".to_owned(), 0.25);
    }
    run.finish(metrics)?;
    Ok(())
}

/// A step of nothing, so that there is a checkpoint, with the weight 40.
fn leave_weights(run: &mut Run) -> anyhow::Result<()> {
    struct Nothing;
    impl Batches for Nothing {
        type Batch = Empty;
        type Error = EngineError;
        fn batches_per_epoch(&self) -> usize {
            1
        }
        fn seek(&mut self, _: Position) -> crate::Result<()> {
            Ok(())
        }
        fn next_batch(&mut self) -> crate::Result<Empty> {
            Ok(Empty)
        }
    }
    struct Empty;
    impl BatchTensors for Empty {
        fn tensors(&self) -> BTreeMap<String, Tensor> {
            BTreeMap::new()
        }
    }
    let params = Params::new(0, DType::F64, &Device::Cpu);
    let weight = params.scope().param("weight", 1, Init::Constant(40.0))?;
    let config = TrainerConfig {
        lr: 1.0,
        epochs: 1,
        accumulate: 1,
        clip_norm: None,
        ema: None,
        log_every: 0,
        checkpoint_every: 0,
        optimizer: OptimizerConfig::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 },
        schedule: ScheduleConfig::CONSTANT,
    };
    let mut trainer = Trainer::new(&params, &config, run)?;
    while let Some(batch) = trainer.next(&mut Nothing)? {
        trainer.step(&Loss::new((weight.sum_all()? * 1e-9)?), &batch)?;
    }
    Ok(())
}

fn read_weight(path: &Path) -> f64 {
    sconce_core::read_tensors(path).unwrap()["weight"].to_vec1::<f64>().unwrap()[0].round()
}

fn study(gain: f64, fails_at: Option<u64>) -> Study<FakeConfig> {
    let arm = |id: &str, gain, fails_at| {
        Arm::new(id, format!("<{id}> & co"), FakeConfig { arm: id.to_owned(), gain, fails_at })
    };
    let claim = ClaimSpec {
        claim: "better <than> before".into(),
        paper: "+1.5".into(),
        source: "Table 2".into(),
        baseline: "ce".into(),
        ours: "fake".into(),
        metric: "accuracy".into(),
        higher_is_better: true,
        scaled: true,
    };
    Study {
        arms: vec![arm("ce", 0.0, None), arm("fake", gain, fails_at)],
        claims: vec![claim],
        comparisons: Vec::new(),
        seeds: 2,
        notes: vec!["scaled: 6 of 60 images".into()],
    }
}

macro_rules! fake {
    ($name:ident, $study:expr) => {
        struct $name;
        impl Recipe for $name {
            const METHOD: &'static str = "fake";
            const ABOUT: &'static str = "Fake et al.";
            type Config = FakeConfig;
            type Prepared = ();
            fn presets() -> Vec<Preset<FakeConfig>> {
                Vec::new()
            }
            fn study(profile: Profile) -> Option<Study<FakeConfig>> {
                (profile != Profile::Paper).then(|| $study)
            }
            fn prepare(_: &FakeConfig, _: &RunPlan) -> anyhow::Result<()> {
                Ok(())
            }
            fn data_hash(_: &()) -> anyhow::Result<Option<String>> {
                Ok(Some("da7a".into()))
            }
            fn train(config: &FakeConfig, _: (), run: &mut Run) -> anyhow::Result<()> {
                train(config, run)
            }
            fn eval(_: &FakeConfig, _: &Weights, _: &Device) -> anyhow::Result<Evaluation> {
                Ok(BTreeMap::new())
            }
            fn predict(_: &FakeConfig, _: &PredictRequest, _: &mut Predictions<'_>) -> anyhow::Result<()> {
                Ok(())
            }
        }
    };
}

fake!(Good, study(2.0, None));
fake!(Other, study(3.0, None));
fake!(Failing, study(2.0, Some(1)));
fake!(SideBySide, {
    let mut study = study(2.0, None);
    study.comparisons = vec![ComparisonSpec {
        title: "side <by> side".into(),
        arms: vec!["fake".into(), "ce".into()],
        metrics: vec!["accuracy".into(), "recall".into()],
        curves: vec!["test_accuracy".into()],
    }];
    study
});
fake!(Started, {
    let mut study = study(2.0, None);
    let config = FakeConfig { arm: "start".into(), gain: 0.0, fails_at: None };
    // Last in the list: it runs first nevertheless.
    study.arms = study.arms.into_iter().map(|arm| arm.starting_from("start")).collect();
    study.arms.push(Arm::new("start", "what both start from", config));
    study
});
fake!(NoSuchColumn, {
    let mut study = SideBySide::study(Profile::Smoke).unwrap_or_else(|| study(2.0, None));
    study.comparisons[0].metrics[1] = "precision".into();
    study
});
fake!(Misspelled, {
    let mut study = study(2.0, None);
    study.claims[0].metric = "acuracy".into();
    study
});

fn options(out: &Path, seeds: Option<usize>) -> StudyOptions {
    StudyOptions {
        profile: Profile::Smoke,
        seeds,
        out: out.to_owned(),
        device: Device::Cpu,
        threads: Some(2),
        communicator: crate::dist::alone(),
    }
}

fn names(trained: &[(String, u64, bool)]) -> Vec<String> {
    trained.iter().map(|(arm, seed, _)| format!("{arm}{seed}")).collect()
}

#[test]
fn every_arm_runs_with_every_seed_and_the_claim_is_judged() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("new/fake");
    let report = reproduce::<Good>(&options(&out, None)).unwrap();
    assert_eq!(names(&trained()), ["ce0", "ce1", "fake0", "fake1"]);
    assert_eq!(report.claims[0].verdict, Verdict::Reproduced);
    for run in ["ce-seed0", "ce-seed1", "fake-seed0", "fake-seed1"] {
        assert!(out.join("runs").join(run).join("report.html").is_file(), "{run}");
    }
}

#[test]
fn report_json_has_the_form_of_the_design() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    reproduce::<Good>(&options(dir.path(), None)).unwrap();
    let text = fs::read_to_string(dir.path().join("report.json")).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let seconds = json["seconds"].take();
    assert!(seconds.as_f64().unwrap() > 0.0);
    let half = 0.5f64.sqrt();
    let expected = serde_json::json!({
        "method": "fake", "profile": "smoke", "seconds": null,
        "claims": [{
            "claim": "better <than> before", "paper": "+1.5", "source": "Table 2",
            "baseline": {"mean": 0.5, "std": half, "n": 2},
            "ours": {"mean": 2.5, "std": half, "n": 2},
            "difference": {"mean": 2.0, "std": 0.0, "n": 2},
            "verdict": "reproduced", "scaled": true,
        }],
    });
    assert_eq!(json, expected);
}

#[test]
fn the_table_and_the_page_show_the_claim_and_escape_it() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let report = reproduce::<Good>(&options(dir.path(), None)).unwrap();
    let table = report.table();
    let row = "better <than> before  +1.5 (Table 2)  0.5000 ± 0.7071 (n=2)  2.5000 ± 0.7071 (n=2)  \
               +2.0000 ± 0.0000 (n=2)  reproduced  yes";
    assert_eq!(table.lines().last(), Some(row));
    let html = fs::read_to_string(dir.path().join("report.html")).unwrap();
    for part in
        ["better &lt;than&gt; before", "&lt;fake&gt; &amp; co", "<svg", "scaled: 6 of 60 images", "da7a", "gain"]
    {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("<than>") && !html.contains("<fake>"));
}

#[test]
fn arms_side_by_side_have_a_table_and_curves_and_a_blank_for_what_they_lack() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let report = reproduce::<SideBySide>(&options(dir.path(), None)).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&fs::read(dir.path().join("report.json")).unwrap()).unwrap();
    let rows = &json["comparisons"][0]["rows"];
    assert_eq!((&rows[0]["arm"], &rows[1]["arm"]), (&"fake".into(), &"ce".into()), "in the order of the comparison");
    assert_eq!(rows[0]["values"][0]["mean"], 2.5);
    assert_eq!(rows[1]["values"][1], serde_json::json!({"mean": null, "std": null, "n": 0}));
    let table = report.table();
    let lines: Vec<&str> = table.lines().rev().take(5).collect();
    assert_eq!(lines[0], "<ce> & co    0.5000 ± 0.7071  –");
    assert_eq!(lines[1], "<fake> & co  2.5000 ± 0.7071  0.2500 (n=1)");
    assert_eq!(lines[3], "arm          accuracy         recall");
    let error = reproduce::<NoSuchColumn>(&options(&dir.path().join("new"), Some(1))).unwrap_err();
    assert_eq!(error.to_string(), "comparison \"side <by> side\": no arm has a metric `precision`");
    let html = fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert!(html.contains("side &lt;by&gt; side") && html.contains("<svg") && !html.contains("<by>"));
}

#[test]
fn what_is_finished_is_not_repeated() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let first = reproduce::<Good>(&options(dir.path(), None)).unwrap();
    trained();
    let again = reproduce::<Good>(&options(dir.path(), None)).unwrap();
    assert!(trained().is_empty());
    assert_eq!(again.seconds, first.seconds, "printing again takes no time");
    assert_eq!(again.table(), first.table());
}

#[test]
fn a_run_without_its_end_goes_on_and_the_others_are_left_alone() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let first = reproduce::<Good>(&options(dir.path(), None)).unwrap();
    trained();
    fs::remove_file(dir.path().join("runs/fake-seed1/summary.json")).unwrap();
    fs::remove_dir_all(dir.path().join("runs/ce-seed0")).unwrap();
    let again = reproduce::<Good>(&options(dir.path(), None)).unwrap();
    assert_eq!(names(&trained()), ["ce0", "fake1"]);
    assert_eq!(again.table(), first.table());
    assert!(again.seconds > first.seconds, "the parts are added");
}

#[test]
fn more_seeds_go_on_and_fewer_are_refused() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    reproduce::<Good>(&options(dir.path(), Some(1))).unwrap();
    trained();
    let report = reproduce::<Good>(&options(dir.path(), Some(2))).unwrap();
    assert_eq!(names(&trained()), ["ce1", "fake1"]);
    assert_eq!(report.claims[0].ours.n, 2);
    let error = reproduce::<Good>(&options(dir.path(), Some(1))).unwrap_err();
    assert!(error.to_string().contains("`seeds` is 2 there, not 1"), "{error}");
}

#[test]
fn another_configuration_in_its_place_is_refused() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    reproduce::<Good>(&options(dir.path(), None)).unwrap();
    let before = fs::read(dir.path().join("report.json")).unwrap();
    trained();
    let error = reproduce::<Other>(&options(dir.path(), None)).unwrap_err();
    assert!(error.to_string().contains("`configuration of arm fake`"), "{error}");
    let small = StudyOptions { profile: Profile::Small, ..options(dir.path(), None) };
    let error = reproduce::<Good>(&small).unwrap_err();
    assert!(error.to_string().contains("`profile` is smoke there, not small"), "{error}");
    assert!(trained().is_empty());
    assert_eq!(fs::read(dir.path().join("report.json")).unwrap(), before);
}

#[test]
fn a_foreign_run_in_the_place_of_one_is_refused_by_name() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    reproduce::<Good>(&options(dir.path(), None)).unwrap();
    let run = dir.path().join("runs/fake-seed1");
    let mut summary = Summary::read(&run).unwrap().unwrap();
    let foreign = config::to_toml(&study(9.0, None).arms[1].config).unwrap();
    summary.config_hash = config::hash(&foreign);
    fs::write(run.join("config.toml"), &foreign).unwrap();
    fs::write(run.join("summary.json"), serde_json::to_vec(&summary).unwrap()).unwrap();
    let error = format!("{:#}", reproduce::<Good>(&options(dir.path(), None)).unwrap_err());
    assert!(error.starts_with("arm `fake`, seed 1: "), "{error}");
    assert!(error.contains("`gain` is 9.0 there, not 2.0"), "{error}");
    assert_eq!(fs::read_to_string(run.join("config.toml")).unwrap(), foreign, "it is left as it was");
}

#[test]
fn a_folder_of_something_else_is_refused() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.tex"), "mine").unwrap();
    let error = reproduce::<Good>(&options(dir.path(), None)).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(EngineError::Format { .. })), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is written into it");
}

#[test]
fn a_run_that_fails_is_named() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let one_thread = StudyOptions { threads: Some(1), ..options(dir.path(), None) };
    let error = format!("{:#}", reproduce::<Failing>(&one_thread).unwrap_err());
    assert_eq!(error, "arm `fake`, seed 1: the disk is on fire");
    assert_eq!(names(&trained()), ["ce0", "ce1", "fake0", "fake1"], "seed by seed, so that it is the last");
    assert!(!dir.path().join("report.json").exists());
}

#[test]
fn a_metric_that_no_run_reports_is_named_with_the_nearest() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let error = reproduce::<Misspelled>(&options(dir.path(), Some(1))).unwrap_err();
    assert_eq!(error.to_string(), "arm `ce`, seed 0: no metric `acuracy`; the nearest is `accuracy`");
}

#[test]
fn a_profile_that_a_method_lacks_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let paper = StudyOptions { profile: Profile::Paper, ..options(dir.path(), None) };
    let error = reproduce::<Good>(&paper).unwrap_err();
    assert_eq!(error.to_string(), "fake has nothing to reproduce at the profile paper");
}

#[test]
fn a_study_that_contradicts_itself_is_refused() {
    let mut twice = study(1.0, None);
    twice.arms[1].id = "ce".into();
    assert!(twice.validate().unwrap_err().to_string().contains("`ce` twice"));
    let mut path = study(1.0, None);
    path.arms[0].id = "../ce".into();
    assert!(path.validate().unwrap_err().to_string().contains("`../ce`"));
    let mut unknown = study(1.0, None);
    unknown.claims[0].ours = "scn".into();
    assert!(unknown.validate().unwrap_err().to_string().contains("found `scn`, expected one of ce, fake"));
    let mut unknown = SideBySide::study(Profile::Smoke).unwrap();
    unknown.comparisons[0].arms[1] = "scn".into();
    assert!(unknown.validate().unwrap_err().to_string().contains("comparison \"side <by> side\": found `scn`"));
}

#[test]
fn what_others_start_from_runs_once_and_first() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let report = reproduce::<Started>(&options(dir.path(), None)).unwrap();
    assert_eq!(names(&trained()), ["ce0", "ce1", "fake0", "fake1", "start0"]);
    assert_eq!((report.claims[0].baseline.mean, report.claims[0].ours.mean), (40.5, 42.5));
    // An arm that starts from another is no start itself.
    let mut study = Started::study(Profile::Smoke).unwrap();
    study.arms[2].starts_from = Some("ce".into());
    assert!(study.validate().unwrap_err().to_string().contains("starts from no other"));
    study.arms[2].starts_from = None;
    study.arms[0].starts_from = Some("nobody".into());
    assert!(study.validate().unwrap_err().to_string().contains("nobody"));
}
