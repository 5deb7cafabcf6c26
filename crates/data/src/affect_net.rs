//! AffectNet (Mollahosseini et al., 2017): faces from the web in eight classes, in files of any size.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    DataError, ImageDataset, LeftOut, ListedImage, Result, Split,
    face_box::{FaceBox, FaceBoxes},
    listed::{check_files, not_empty},
    rows::{Row, Rows},
};

/// The class names of [`AffectNetClasses::Eight`], in the order of the numbers 0 to 7 of the column `expression`; without the
/// last one, those of [`AffectNetClasses::Seven`].
pub const AFFECT_NET_CLASSES: [&str; 8] =
    ["Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust", "Anger", "Contempt"];

const COLUMNS: [&str; 9] = [
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
];

/// Where the columns of the face begin.
const FACE: usize = 1;
const EXPRESSION: usize = 6;

/// Where the files of AffectNet are, and what is read of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct AffectNetConfig {
    /// The folder of the images below the root: that of the paths in the column `subDirectory_filePath`.
    pub images: PathBuf,
    /// The list of the training images below the root.
    pub training: PathBuf,
    /// The list of the validation images below the root, on which results are published: there is no public test list.
    pub validation: PathBuf,
    /// The expressions that are classes.
    pub classes: AffectNetClasses,
    /// What is seen of an image.
    pub crop: AffectNetCrop,
}

/// The expressions that are classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AffectNetClasses {
    /// Those but for contempt, whose samples are dropped.
    Seven,
    /// All.
    #[default]
    Eight,
}

/// What is seen of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AffectNetCrop {
    /// All of it. The columns of the face are not read.
    #[default]
    None,
    /// The face: the box of the columns `face_x` to `face_height`, in pixels, clipped to the image.
    Face,
}

/// How many rows a list has, and why samples were dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AffectNetCounts {
    /// Rows of the list.
    pub rows: usize,
    /// Samples of the dataset.
    pub kept: usize,
    /// Samples of contempt, where that is no class.
    pub contempt: usize,
    /// Samples of expression 8, `None`: none of the classes.
    pub none: usize,
    /// Samples of expression 9, `Uncertain`.
    pub uncertain: usize,
    /// Samples of expression 10, `No-Face`.
    pub no_face: usize,
}

/// What a list of AffectNet says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AffectNetList {
    /// The samples of the classes.
    pub samples: Vec<ListedImage>,
    /// The face of each sample, if it is to be cut out.
    pub faces: Option<Vec<FaceBox>>,
    /// What was kept, and what was not.
    pub counts: AffectNetCounts,
}

impl AffectNetCounts {
    /// What was dropped, for a summary.
    fn left_out(&self) -> [LeftOut; 4] {
        [
            LeftOut::new("of contempt", self.contempt),
            LeftOut::new("of no expression of the classes", self.none),
            LeftOut::new("uncertain", self.uncertain),
            LeftOut::new("without a face", self.no_face),
        ]
    }
}

impl Default for AffectNetConfig {
    fn default() -> Self {
        Self {
            images: "Manually_Annotated_Images".into(),
            training: "training.csv".into(),
            validation: "validation.csv".into(),
            classes: AffectNetClasses::default(),
            crop: AffectNetCrop::default(),
        }
    }
}

impl AffectNetClasses {
    /// The names of the classes.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Seven => &AFFECT_NET_CLASSES[..7],
            Self::Eight => &AFFECT_NET_CLASSES,
        }
    }
}

/// Reads AffectNet's training list ([`Split::Train`]) or its validation list ([`Split::Test`]).
///
/// ```text
/// root/training.csv                                   subDirectory_filePath,face_x,face_y,…,expression,valence,arousal
/// root/validation.csv
/// root/Manually_Annotated_Images/103/29a31ebf….jpg    as 103/29a31ebf….jpg in a list
/// ```
///
/// A sample's name is its path in the list; an image with several faces is several samples of one name. Images are decoded
/// when they are asked for.
///
/// # Errors
/// [`DataError::Io`], [`DataError::Empty`] if no sample is left, [`DataError::Line`] as [`parse_affect_net`] and for an image
/// that is missing. A face outside of its image is an error of [`ImageDataset::image`].
pub fn read_affect_net(root: &Path, split: Split, config: &AffectNetConfig) -> Result<(ImageDataset, AffectNetCounts)> {
    let list = root.join(match split {
        Split::Train => &config.training,
        Split::Test => &config.validation,
    });
    let input = BufReader::new(File::open(&list).map_err(DataError::io(&list))?);
    let AffectNetList { samples, faces, counts } = parse_affect_net(input, &list, config)?;
    let samples = not_empty(samples, &list, "samples of the classes")?;
    let images = root.join(&config.images);
    check_files(&samples, &images, &list)?;
    let faces = faces.map(|faces| {
        let boxes = faces.into_iter().zip(samples.iter().map(|sample| sample.line)).collect();
        FaceBoxes { list, boxes }
    });
    let classes = config.classes.names().iter().map(|&name| name.to_owned()).collect();
    let samples = samples.into_iter().map(|sample| (sample.name, sample.label)).collect();
    let dataset = ImageDataset::from_faces(&images, classes, samples, faces)?;
    Ok((dataset.with_left_out(counts.left_out()), counts))
}

/// The samples of a list that are of one of the classes; `origin` names it in errors.
///
/// The header may be missing, as it is in some copies of the validation list. Landmarks, valence and arousal are not read.
///
/// # Errors
/// [`DataError::Io`], or [`DataError::Line`] for another header, a row that has not nine fields, an empty path or one that
/// leaves the folder, an expression that is not 0 to 10, and, where faces are cut out, a face that is no box.
pub fn parse_affect_net(input: impl BufRead, origin: &Path, config: &AffectNetConfig) -> Result<AffectNetList> {
    let mut rows = Rows::new(input, origin);
    let mut samples = Vec::new();
    let mut faces = (config.crop == AffectNetCrop::Face).then(Vec::new);
    let mut counts = AffectNetCounts::default();
    while let Some(row) = rows.next(COLUMNS.len())? {
        if row.line.number == 1 && row.text(0)? == COLUMNS[0] {
            row.check_header(&COLUMNS)?;
            continue;
        }
        let name = row.line.path_below(row.text(0)?)?;
        if let Some(label) = counts.count(expression(&row)?, config.classes) {
            samples.push(ListedImage { name: name.to_owned(), label, line: row.line.number });
            if let Some(faces) = &mut faces {
                faces.push(face(&row)?);
            }
        }
    }
    Ok(AffectNetList { samples, faces, counts })
}

impl AffectNetCounts {
    /// Counts a row; the label, if it is kept.
    fn count(&mut self, expression: u32, classes: AffectNetClasses) -> Option<u32> {
        self.rows += 1;
        let is_class = (expression as usize) < classes.names().len();
        let count = match expression {
            _ if is_class => &mut self.kept,
            8 => &mut self.none,
            9 => &mut self.uncertain,
            10 => &mut self.no_face,
            _ => &mut self.contempt,
        };
        *count += 1;
        is_class.then_some(expression)
    }
}

fn expression(row: &Row<'_>) -> Result<u32> {
    let expected = || "an expression from 0 to 10".to_owned();
    match row.number(EXPRESSION, expected)? {
        expression @ 0..=10 => Ok(expression),
        other => Err(row.line.fail(format!("`{other}`"), expected())),
    }
}

fn face(row: &Row<'_>) -> Result<FaceBox> {
    let pixels = |i: usize| move || format!("`{}` in pixels", COLUMNS[i]);
    let [x, y] = [FACE, FACE + 1];
    let [width, height] = [FACE + 2, FACE + 3];
    Ok(FaceBox {
        x: row.number(x, pixels(x))?,
        y: row.number(y, pixels(y))?,
        width: row.number(width, pixels(width))?,
        height: row.number(height, pixels(height))?,
    })
}
