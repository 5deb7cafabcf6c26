//! `detection-eval voc`.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};
use sconce_core::geometry::Object;
use sconce_data::{DetectionCounts, OnInvalid, VOC_CLASSES, VocConfig, VocCoordinates, VocPart, VocSizes, read_voc};
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

/// Objects in COCO's format or in a folder of VOC's layout; detections in COCO's format, or in the devkit's.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The ground truth, as `instances_val2017.json`; a crowd does not count, as a difficult object.
    #[arg(long, value_name = "FILE", required_unless_present = "root", conflicts_with = "root")]
    gt: Option<PathBuf>,
    /// The ground truth in VOC's layout: the folder of `Annotations`, `ImageSets` and `JPEGImages`, as `VOCdevkit/VOC2007`.
    /// Images need not be there where annotations have sizes.
    #[arg(long, value_name = "FOLDER", requires = "split")]
    root: Option<PathBuf>,
    /// Which list of `ImageSets/Main` below the root counts, as `test`.
    #[arg(long, value_name = "NAME", requires = "root")]
    split: Option<String>,
    /// The classes below the root that count, divided by commas, without regard to case [default: the twenty of Pascal VOC, which
    /// must be all].
    #[arg(long, value_name = "NAME", requires = "root", value_delimiter = ',')]
    classes: Vec<String>,
    /// Boxes below the root count columns and rows from 0, not from 1.
    #[arg(long, requires = "root")]
    zero_based: bool,
    /// What becomes of boxes below the root that reach out of their image. By a pixel at most they are always clipped.
    #[arg(long, value_enum, default_value_t = Outside::Clip, requires = "root")]
    outside: Outside,
    /// The detections: a folder with a file `comp4_det_test_CLASS.txt` for every class, which calls images by the names of
    /// their files; with --gt also a file in COCO's format. Of equal scores that of the earlier image of the ground truth comes
    /// first, wherever it stands in the file.
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
    /// Leaves out, and counts, records in COCO's format that are not as the format has them, and those of images and categories
    /// that the ground truth does not have.
    #[arg(long, visible_alias = "skip-invalid", requires = "gt")]
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

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Outside {
    /// They are clipped, and counted. The devkit takes them as they are.
    Clip,
    /// They are left out, and counted.
    Skip,
    /// They are an error.
    Refuse,
}

/// By how many pixels a box may reach out of its image to be clipped: further than any does, and not at all but for what comes of
/// counting from 0.
const OVERHANGS: [u32; 2] = [1_000_000, 1];

/// The names of the classes, and what is on each image and was found there.
struct Case {
    classes: Vec<String>,
    images: Vec<ImageResult>,
}

/// What is to be printed.
pub(crate) fn run(arguments: &Arguments) -> Result<String> {
    let Case { classes, images } = match (&arguments.gt, &arguments.root, &arguments.split) {
        (Some(gt), _, _) => in_coco_format(gt, arguments)?,
        (None, Some(root), Some(split)) => in_voc_layout(root, split, arguments)?,
        // The command line is refused without either.
        _ => anyhow::bail!("--gt FILE, or --root FOLDER and --split NAME: missing"),
    };
    let evaluation = evaluate(&images, classes.len(), &params(arguments))?;
    if arguments.json {
        return Ok(serde_json::to_string_pretty(&report(&classes, &evaluation))? + "\n");
    }
    Ok(table(&classes, &evaluation))
}

fn in_coco_format(gt: &Path, arguments: &Arguments) -> Result<Case> {
    let unknown = if arguments.skip_unknown { Unknown::Skip } else { Unknown::Refuse };
    let ground_truth = CocoGroundTruth::read(gt, unknown)?;
    note_skipped(gt, ground_truth.skipped(), "records");
    let classes: Vec<String> = ground_truth.categories().iter().map(|category| category.name.clone()).collect();
    let detections = if arguments.dt.is_dir() {
        read_results(&arguments.dt, &ids(&ground_truth, gt)?, &classes)?
    } else {
        from_coco(&arguments.dt, &ground_truth, unknown)?
    };
    Ok(Case { classes, images: pairs(ground_truth.objects(), detections) })
}

fn in_voc_layout(root: &Path, split: &str, arguments: &Arguments) -> Result<Case> {
    let dt = &arguments.dt;
    ensure!(dt.is_dir(), "{}: no folder: images below --root have no ids, expected files of the devkit", dt.display());
    let parts = vec![VocPart::new("", split)];
    let config = if arguments.classes.is_empty() {
        VocConfig::new(parts, &VOC_CLASSES)
    } else {
        VocConfig::new(parts, &[]).only(&arguments.classes.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let coordinates = if arguments.zero_based { VocCoordinates::ZeroBased } else { VocCoordinates::OneBased };
    let [far, near] = OVERHANGS;
    let (max_overhang, on_invalid) = match arguments.outside {
        Outside::Clip => (far, OnInvalid::Fail),
        Outside::Skip => (near, OnInvalid::Skip),
        Outside::Refuse => (near, OnInvalid::Fail),
    };
    let config = VocConfig { coordinates, sizes: VocSizes::Annotated, max_overhang, on_invalid, ..config };
    let (dataset, counts) = read_voc(root, &config)?;
    let unknown: Vec<&str> = counts.objects.other_classes.keys().map(String::as_str).collect();
    ensure!(
        !arguments.classes.is_empty() || unknown.is_empty(),
        "{}: classes {}, expected those of Pascal VOC; --classes names those that count",
        root.display(),
        unknown.join(", ")
    );
    note_boxes(root, &counts)?;
    let names = dataset.samples().iter().map(|sample| id(sample.name.trim_start_matches("JPEGImages/")));
    let names: Vec<String> = names.collect();
    let classes = dataset.classes().to_vec();
    let detections = read_results(dt, &names, &classes)?;
    let objects = dataset.samples().iter().map(|sample| sample.objects.clone()).collect();
    Ok(Case { classes, images: pairs(objects, detections) })
}

/// Says which boxes were clipped or left out. An image that is wrong is an error whatever becomes of boxes.
fn note_boxes(root: &Path, counts: &DetectionCounts) -> Result<()> {
    if let Some(wrong) = counts.images.skipped.first() {
        anyhow::bail!("{}", wrong.error);
    }
    let objects = &counts.objects;
    for (n, what) in [
        (objects.clamped, "reach out of their image and are clipped"),
        (objects.outside, "reach out of their image and are left out"),
        (objects.without_extent, "have no extent and are left out"),
        (objects.broken, "cannot be read and are left out"),
    ] {
        if n > 0 {
            eprintln!("note: {}: {n} boxes {what}", root.display());
        }
    }
    Ok(())
}

fn pairs(objects: Vec<Vec<Object>>, detections: Vec<Vec<Detection>>) -> Vec<ImageResult> {
    let images = objects.into_iter().zip(detections);
    images.map(|(objects, detections)| ImageResult { objects, detections }).collect()
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
    note_skipped(path, detections.skipped(), "detections");
    Ok(detections.by_image(ground_truth))
}

/// What result files call the images.
fn ids(ground_truth: &CocoGroundTruth, path: &Path) -> Result<Vec<String>> {
    let images = ground_truth.images().iter();
    images
        .map(|image| {
            image.file_name.as_deref().map(id).with_context(|| {
                format!(
                    "{}: the image {} has no file_name, by which result files would call it",
                    path.display(),
                    image.id
                )
            })
        })
        .collect()
}

/// What result files call the image in the file `name`: the same without the ending.
fn id(name: &str) -> String {
    Path::new(name).with_extension("").to_string_lossy().into_owned()
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
