//! `detection-eval coco`.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use sconce_detection::evaluation::coco::{
    CocoDetections, CocoEvaluation, CocoGroundTruth, CocoParams, CocoSummary, Unknown, evaluate,
};
use serde::{Serialize, Serializer};

use crate::note_skipped;

/// Files in COCO's formats.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The ground truth, as `instances_val2017.json`.
    #[arg(long, value_name = "FILE")]
    gt: PathBuf,
    /// The detections: a list of `{"image_id", "category_id", "bbox", "score"}`.
    #[arg(long, value_name = "FILE")]
    dt: PathBuf,
    /// What is compared.
    #[arg(long = "type", value_enum, default_value_t = IouType::Bbox)]
    iou_type: IouType,
    /// Prints `{"stats": [the twelve numbers], "per_class": {NAME: {"ap", "ap50", …}}}`.
    #[arg(long)]
    json: bool,
    /// Leaves out, and counts, records that are not as the format has them, and those of images and categories that the ground
    /// truth does not have.
    #[arg(long, visible_alias = "skip-invalid")]
    skip_unknown: bool,
}

/// What pycocotools calls `iouType`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum IouType {
    Bbox,
    Segm,
    Keypoints,
}

#[derive(Serialize)]
struct Report {
    stats: [f64; 12],
    per_class: PerClass,
}

/// A map in the order of the categories' ids.
struct PerClass(Vec<(String, CocoSummary)>);

impl Serialize for PerClass {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, summary)| (name, summary)))
    }
}

/// What is to be printed.
pub(crate) fn run(arguments: &Arguments) -> Result<String> {
    ensure!(arguments.iou_type == IouType::Bbox, "--type: only bbox is there yet");
    let unknown = if arguments.skip_unknown { Unknown::Skip } else { Unknown::Refuse };
    let ground_truth = CocoGroundTruth::read(&arguments.gt, unknown)?;
    let detections = CocoDetections::read(&arguments.dt, &ground_truth, unknown)?;
    note_skipped(&arguments.gt, ground_truth.skipped(), "records");
    note_skipped(&arguments.dt, detections.skipped(), "detections");
    if let Some(index) = ground_truth.zero_id() {
        let gt = arguments.gt.display();
        eprintln!("note: {gt}: annotations[{index}] has the id 0: as in pycocotools, what finds it counts as wrong");
    }
    let evaluation = evaluate(&ground_truth, &detections, &CocoParams::default())?;
    if arguments.json {
        return Ok(serde_json::to_string_pretty(&report(&ground_truth, &evaluation))? + "\n");
    }
    Ok(evaluation.to_string())
}

fn report(ground_truth: &CocoGroundTruth, evaluation: &CocoEvaluation) -> Report {
    let classes = ground_truth.categories().iter().enumerate();
    let per_class = classes.filter_map(|(k, category)| Some((category.name.clone(), evaluation.class_summary(k)?)));
    Report { stats: evaluation.summary().stats(), per_class: PerClass(per_class.collect()) }
}
