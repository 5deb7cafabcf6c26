//! From a decoded image with objects to what a detector takes.

use sconce_core::{Rng, geometry::Object};
use serde::{Deserialize, Serialize};

use super::{DetectionTransform, transform::Annotated};
use crate::{DataError, FloatImage, FloatTransform, Image, Normalize, Result};

/// Transforms of image and boxes in order, to [0, 1], transforms of these values in order, normalisation, and how images of
/// different sizes become one batch.
///
/// Channels are in the order of the image, RGB. Weights that were trained on BGR from 0 to 255 are folded instead:
/// `sconce_backbones::fold_input`.
///
/// ```
/// use sconce_core::{Rng, geometry::{BBox, Object}};
/// use sconce_data::{DetectionPipeline, DetectionTransform, HorizontalFlip, Image, Normalize, ResizeSides};
///
/// let pipeline = DetectionPipeline {
///     transforms: vec![
///         DetectionTransform::Rgb,
///         DetectionTransform::HorizontalFlip(HorizontalFlip { p: 1.0 }),
///         DetectionTransform::ResizeSides(ResizeSides { shorter: 60, longer: None, antialias: true }),
///     ],
///     ..DetectionPipeline::new(Normalize::imagenet())
/// };
/// let image = Image::new(40, 30, 3, vec![128; 3600])?;
/// let objects = [Object::new(BBox::new(0.0, 0.0, 10.0, 30.0), 2)];
/// let sample = pipeline.apply(image, &objects, &mut Rng::new(0, "augmentation"))?;
/// assert_eq!(sample.image.shape(), [3, 60, 80]);
/// assert_eq!(sample.scale, (2.0, 2.0));
/// assert_eq!(sample.objects[0].bbox, BBox::new(60.0, 0.0, 80.0, 60.0));
/// # Ok::<(), sconce_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DetectionPipeline {
    /// Transforms of the 8-bit image and its boxes, in order.
    pub transforms: Vec<DetectionTransform>,
    /// Transforms of the values in [0, 1], in order. None of them moves a pixel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub floats: Vec<FloatTransform>,
    /// The mean and standard deviation of each channel.
    pub normalize: Normalize,
    /// Height and width of a batch are multiples of it: 32 for a feature pyramid of torchvision's.
    #[serde(default = "one")]
    pub size_divisible: usize,
}

fn one() -> usize {
    1
}

/// An image as a detector takes it, with its objects in its own pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectorInput {
    /// (C, H, W).
    pub image: FloatImage,
    /// What of the objects the transforms have left, in pixels of `image`.
    pub objects: Vec<Object>,
    /// The factors by which x and y were multiplied. Without a crop or a flip, a box divided by them is one of the original
    /// image.
    pub scale: (f64, f64),
}

impl DetectionPipeline {
    /// Normalises, and does nothing else.
    pub fn new(normalize: Normalize) -> Self {
        Self { transforms: Vec::new(), floats: Vec::new(), normalize, size_divisible: 1 }
    }

    /// The transformed image with the transformed objects, of which there may be none.
    ///
    /// # Errors
    /// [`DataError::Step`] with the place and the name of the transform that the image does not fit, or that has a setting that
    /// makes no sense.
    pub fn apply(&self, image: Image, objects: &[Object], rng: &mut Rng) -> Result<DetectorInput> {
        let mut annotated = Annotated::new(image, objects.to_vec());
        for (i, transform) in self.transforms.iter().enumerate() {
            let step = || format!("transforms[{i}] {}", transform.name());
            annotated = transform.apply(annotated, rng).map_err(|e| DataError::step(step())(e))?;
        }
        let mut image = FloatImage::from(&annotated.image);
        for (i, transform) in self.floats.iter().enumerate() {
            let step = || format!("floats[{i}] {}", transform.name());
            transform.apply(&mut image, rng).map_err(|e| DataError::step(step())(e))?;
        }
        self.normalize.apply(&mut image).map_err(DataError::step("normalize".to_owned()))?;
        Ok(DetectorInput { image, objects: annotated.objects, scale: annotated.scale })
    }

    /// Checks the settings, before the first image.
    ///
    /// # Errors
    /// [`DataError::Argument`] with the first that makes no sense.
    pub fn validate(&self) -> Result<()> {
        self.transforms.iter().try_for_each(DetectionTransform::validate)?;
        self.floats.iter().try_for_each(FloatTransform::validate)?;
        self.normalize.validate()?;
        if (1..=1 << 20).contains(&self.size_divisible) {
            return Ok(());
        }
        Err(DataError::argument("detection pipeline: size_divisible", self.size_divisible, "1 to 1048576"))
    }
}
