use std::fs;

use super::{
    curves::{Axis, Quantity, curve, quantities},
    html::{Cell, Page, escape, number},
    *,
};
use crate::{Metrics, Run, RunOptions};

fn record(step: usize, epoch: usize, split: &str, values: &[(&str, f64)]) -> Record {
    let values = values.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
    Record { step, epoch, split: split.to_owned(), values }
}

fn quantity(split: &str, name: &str) -> Quantity {
    Quantity { split: split.to_owned(), name: name.to_owned() }
}

#[test]
fn every_character_that_means_something_is_escaped() {
    assert_eq!(escape(r#"<a href="x">'&'</a>"#), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
}

#[test]
fn nothing_of_a_page_is_taken_as_html() {
    let evil = "<script>alert(1)</script>";
    let mut page = Page::new(evil, evil);
    page.head(evil);
    page.paragraph(evil);
    page.list(&[evil.to_owned()]);
    page.table(&[evil], &[vec![evil.to_owned()]]);
    page.table_of_cells(&[evil], &[vec![Cell::badge(evil, "good")]]);
    let html = page.finish();
    assert!(!html.contains("<script"), "{html}");
    assert_eq!(html.matches("&lt;script&gt;").count(), 10);
}

#[test]
fn numbers_are_short_and_small_ones_stay_visible() {
    let expected = [(0.12345, "0.1235"), (3.0, "3"), (123.456, "123.46"), (1e-5, "1.000e-5"), (f64::NAN, "–")];
    for (value, text) in expected {
        assert_eq!(number(value), text);
    }
}

#[test]
fn a_curve_is_the_mean_over_runs_of_each_epochs_mean() {
    let first = [
        record(1, 1, "train", &[("loss", 1.0)]),
        record(2, 1, "train", &[("loss", 3.0)]),
        record(2, 1, "test", &[("loss", 9.0)]),
        record(3, 2, "train", &[("loss", f64::NAN)]),
    ];
    let second = [record(2, 1, "train", &[("loss", 4.0)])];
    let points = curve(&[&first, &second], &quantity("train", "loss"), Axis::Epoch);
    let points: Vec<_> = points.iter().map(|p| (p.x, p.y, p.low, p.high)).collect();
    assert_eq!(points, [(1.0, 3.0, 2.0, 4.0)], "a value that is not defined is no point");
}

#[test]
fn what_the_claims_are_about_comes_first() {
    let run = [
        record(1, 1, "train", &[("loss", 1.0), ("lr", 0.1)]),
        record(1, 1, "test", &[("accuracy", 0.5), ("zeta", 1.0)]),
        record(1, 1, "validation", &[("accuracy", 0.5)]),
    ];
    let expected = [
        quantity("test", "zeta"),
        quantity("test", "accuracy"),
        quantity("validation", "accuracy"),
        quantity("train", "loss"),
        quantity("train", "lr"),
    ];
    assert_eq!(quantities(&[&run], &["test_zeta"]), expected);
}

#[test]
fn a_run_has_a_report_with_curves_pictures_and_its_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::open(RunOptions {
        seed: Some(5),
        ..RunOptions::new(dir.path(), "fake", "title = \"<b>\"\n[train]\nlr = 0.1\n")
    })
    .unwrap();
    for step in 1..4 {
        run.log(&record(step, 1, "train", &[("loss", 1.0 / step as f64)])).unwrap();
    }
    run.describe_data(&["train: 4 <images>".to_owned()], &serde_json::json!({ "left_out": 1 })).unwrap();
    fs::write(run.pictures().unwrap().join("least-certain.png"), b"PNG").unwrap();
    let metrics = Metrics::from([("test_accuracy".to_owned(), 0.875)]);
    run.finish(metrics).unwrap();
    write_run(dir.path()).unwrap();
    let html = fs::read_to_string(dir.path().join("report.html")).unwrap();
    for part in [
        "0.8750",
        "<svg",
        "data:image/png;base64,UE5H",
        "least certain",
        "4 &lt;images&gt;",
        "train.lr",
        "&lt;b&gt;",
        "seed 5",
    ] {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("<b>"));
}

#[test]
fn a_broken_log_names_file_and_line() {
    let dir = tempfile::tempdir().unwrap();
    let good = serde_json::to_string(&record(1, 1, "train", &[])).unwrap();
    fs::write(dir.path().join("metrics.jsonl"), format!("{good}\nnonsense\n")).unwrap();
    let error = records(dir.path()).unwrap_err().to_string();
    assert!(error.contains("metrics.jsonl: line 2"), "{error}");
}
