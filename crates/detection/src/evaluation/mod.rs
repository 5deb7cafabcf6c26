//! How good detections are: Pascal VOC's and COCO's average precision.
//!
//! | measure | here | equal to |
//! |---|---|---|
//! | AP at an overlap of 0.5, by 11 points (2007) or all (2010) | [`voc`] | the devkit's formulas as py-faster-rcnn has them |
//! | AP and AR over ten overlaps, by size: twelve numbers | [`coco`] | pycocotools |
//!
//! Both take what a training loop has, an [`ImageResult`] an image; [`coco`] also reads COCO's files.
//! Boxes are continuous ([`BBox`](sconce_core::geometry::BBox)), so that the overlap that Pascal VOC defines on inclusive
//! pixels, with a 1 added to every length, is the plain one.
//!
//! ```
//! use sconce_core::geometry::{BBox, Object};
//! use sconce_detection::{Detection, evaluation::{ImageResult, coco, voc}};
//!
//! let bbox = BBox::new(10.0, 20.0, 50.0, 80.0);
//! let images = [ImageResult {
//!     objects: vec![Object::new(bbox, 0)],
//!     detections: vec![Detection { bbox: bbox.translated(4.0, 0.0), label: 0, score: 0.9 }],
//! }];
//! let voc = voc::evaluate(&images, 2, &voc::VocParams::voc2007())?;
//! assert!((voc.mean_ap.unwrap_or_default() - 1.0).abs() < 1e-12);
//! // The boxes overlap by 0.82, which is enough for seven of COCO's ten thresholds.
//! let coco = coco::evaluate_images(&images, 2, &coco::CocoParams::default())?;
//! assert!((coco.summary().ap - 0.7).abs() < 1e-12);
//! # Ok::<(), sconce_detection::evaluation::EvaluationError>(())
//! ```

pub mod coco;
mod error;
mod image_result;
pub mod voc;

pub use error::{EvaluationError, Result};
pub use image_result::ImageResult;
