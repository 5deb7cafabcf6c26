//! `detection-eval voc`.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use sconce_detection::{
    Detection,
    evaluation::{
        ImageResult,
        coco::{CocoDetections, CocoGroundTruth, Unknown},
        voc::{AbsentClasses, VocEvaluation, VocMetric, VocParams, VocRounding, evaluate, read_results},
    },
};
use serde_json::{Map, Value, json};

use crate::note_skipped;

/// Objects in COCO's format; detections in COCO's, or in the devkit's.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The ground truth, as `instances_val2017.json`; a crowd does not count, as a difficult object.
    #[arg(long, value_name = "FILE")]
    gt: PathBuf,
    /// The detections: a file in COCO's format, or a folder with a file `comp4_det_test_CLASS.txt` for every class, which
    /// calls images by the names of their files.
    #[arg(long, value_name = "FILE|FOLDER")]
    dt: PathBuf,
    /// How average precision is read from precision and recall: as in 2007, or as from 2010 on.
    #[arg(long, value_enum, default_value_t = Metric::ElevenPoint)]
    metric: Metric,
    /// A detection finds an object if they overlap by more than this.
    #[arg(long, value_name = "IOU", default_value_t = 0.5)]
    iou: f64,
    /// What becomes of classes without objects.
    #[arg(long, value_enum, default_value_t = Absent::LeaveOut)]
    absent: Absent,
    /// Rounds scores to three decimals and boxes to one, as py-faster-rcnn does.
    #[arg(long)]
    as_written: bool,
    /// Prints `{"mean_ap", "per_class": {NAME: {"ap", "objects"}}}`; what there is none of is null.
    #[arg(long)]
    json: bool,
    /// Leaves out records of images and categories that the ground truth does not have.
    #[arg(long)]
    skip_unknown: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Metric {
    ElevenPoint,
    AllPoint,
}

#[derive(Clone, Copy, ValueEnum)]
enum Absent {
    /// They have no average precision.
    LeaveOut,
    /// Their average precision is 0.
    Zero,
}

/// What is to be printed.
pub(crate) fn run(arguments: &Arguments) -> Result<String> {
    let unknown = if arguments.skip_unknown { Unknown::Skip } else { Unknown::Refuse };
    let ground_truth = CocoGroundTruth::read(&arguments.gt, unknown)?;
    note_skipped(&arguments.gt, ground_truth.n_skipped(), "annotations");
    let classes: Vec<String> = ground_truth.categories().iter().map(|category| category.name.clone()).collect();
    let detections = if arguments.dt.is_dir() {
        read_results(&arguments.dt, &stems(&ground_truth, &arguments.gt)?, &classes)?
    } else {
        from_coco(&arguments.dt, &ground_truth, unknown)?
    };
    let images = ground_truth.objects().into_iter().zip(detections);
    let images: Vec<ImageResult> = images.map(|(objects, detections)| ImageResult { objects, detections }).collect();
    let evaluation = evaluate(&images, classes.len(), &params(arguments))?;
    if arguments.json {
        return Ok(serde_json::to_string_pretty(&report(&classes, &evaluation))? + "\n");
    }
    Ok(table(&classes, &evaluation))
}

fn params(arguments: &Arguments) -> VocParams {
    VocParams {
        iou_threshold: arguments.iou,
        metric: match arguments.metric {
            Metric::ElevenPoint => VocMetric::ElevenPoint,
            Metric::AllPoint => VocMetric::AllPoint,
        },
        absent: match arguments.absent {
            Absent::LeaveOut => AbsentClasses::LeaveOut,
            Absent::Zero => AbsentClasses::Zero,
        },
        rounding: if arguments.as_written { VocRounding::AsWritten } else { VocRounding::None },
    }
}

fn from_coco(path: &Path, ground_truth: &CocoGroundTruth, unknown: Unknown) -> Result<Vec<Vec<Detection>>> {
    let detections = CocoDetections::read(path, ground_truth, unknown)?;
    note_skipped(path, detections.n_skipped(), "detections");
    Ok(detections.by_image(ground_truth))
}

/// What result files call the images: their files' names without an ending.
fn stems(ground_truth: &CocoGroundTruth, path: &Path) -> Result<Vec<String>> {
    let stem = |name: &String| Path::new(name).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let images = ground_truth.images().iter();
    images
        .map(|image| {
            let stem = image.file_name.as_ref().and_then(stem);
            stem.with_context(|| {
                format!(
                    "{}: the image {} has no file_name, by which result files would call it",
                    path.display(),
                    image.id
                )
            })
        })
        .collect()
}

fn report(classes: &[String], evaluation: &VocEvaluation) -> Value {
    let per_class = classes.iter().zip(&evaluation.classes);
    let per_class: Map<String, Value> =
        per_class.map(|(name, class)| (name.clone(), json!({"ap": class.ap, "objects": class.n_objects}))).collect();
    json!({"mean_ap": evaluation.mean_ap, "per_class": per_class})
}

fn table(classes: &[String], evaluation: &VocEvaluation) -> String {
    let width = classes.iter().map(|name| name.chars().count()).max().unwrap_or(0).max("mean".len());
    let number = |ap: Option<f64>| ap.map_or_else(|| "-".to_owned(), |ap| format!("{ap:.4}"));
    let mut text = String::new();
    for (name, class) in classes.iter().zip(&evaluation.classes) {
        let _ = writeln!(text, "{name:<width$}  {:>6}  {} objects", number(class.ap), class.n_objects);
    }
    let _ = writeln!(text, "{:<width$}  {:>6}", "mean", number(evaluation.mean_ap));
    text
}
