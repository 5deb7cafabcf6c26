//! Parts of images with objects.

use sconce_core::{
    Rng,
    geometry::{BBox, Object},
};
use serde::{Deserialize, Serialize};

use super::transform::Annotated;
use crate::{
    DataError, Result,
    resample::check_size,
    transform::{check_range, cut},
};

/// How often the overlap that a crop must have is drawn anew. torchvision does not stop; where no object can be met it would
/// wait for the option 1.
const ROUNDS: usize = 50;

/// A part of the image that overlaps some object by a drawn part: torchvision's `RandomIoUCrop`, from SSD (Liu et al., 2016).
///
/// The least IoU is drawn among `options`; one of 1 or more leaves the image as it is. Then width and height are uniform in
/// `scale`, the place is uniform, and all are drawn anew, up to `trials` times, until the aspect lies within `aspect`, the
/// centre of an object lies in the part, and the IoU of the part with the box of such an object is large enough; else the least
/// IoU is drawn anew. Objects whose centres lie in the part stay, their boxes cut to it. An image without objects gets a part of
/// the drawn size and place. Draws: which option; then, a trial, width, height, left, top.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RandomIouCrop {
    /// The least and the largest side, as parts of the image's.
    pub scale: [f64; 2],
    /// The least and the largest aspect, width over height.
    pub aspect: [f64; 2],
    /// What the least IoU is drawn from.
    pub options: Vec<f64>,
    /// Tries for each draw of the least IoU.
    pub trials: usize,
}

impl Default for RandomIouCrop {
    /// torchvision's.
    fn default() -> Self {
        let options = vec![0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0];
        Self { scale: [0.3, 1.0], aspect: [0.5, 2.0], options, trials: 40 }
    }
}

/// A part of `width` × `height` pixels at a uniformly random place; what the image lacks is black, on the right and below: the
/// second half of large-scale jitter.
///
/// Boxes are cut to the part. An object stays if at least `min_visible` of its box, and something of it, is in the part.
/// Draws: the row, then the column, each only where the image is longer than the part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FixedSizeCrop {
    /// Pixels in a row of the result.
    pub width: usize,
    /// Rows of the result.
    pub height: usize,
    /// The least part of a box that must remain, 0 to 1.
    #[serde(default)]
    pub min_visible: f64,
}

impl RandomIouCrop {
    pub(super) fn apply(&self, annotated: Annotated, rng: &mut Rng) -> Result<Annotated> {
        self.validate()?;
        let Some(part) = self.part(&annotated, rng) else { return Ok(annotated) };
        cut_out(annotated, part, |object, part| has_centre(part, object.bbox))
    }

    fn part(&self, annotated: &Annotated, rng: &mut Rng) -> Option<Part> {
        for _ in 0..ROUNDS {
            let least = self.options.get(rng.below(self.options.len()))?;
            if *least >= 1.0 {
                return None;
            }
            let part = (0..self.trials).find_map(|_| self.trial(annotated, *least, rng));
            if part.is_some() {
                return part;
            }
        }
        None
    }

    fn trial(&self, annotated: &Annotated, least: f64, rng: &mut Rng) -> Option<Part> {
        let sides = [annotated.image.width(), annotated.image.height()];
        let [width, height] = sides.map(|side| (side as f64 * rng.uniform(self.scale[0], self.scale[1])) as usize);
        if width == 0 || height == 0 {
            return None;
        }
        let aspect = width as f64 / height as f64;
        if !(self.aspect[0]..=self.aspect[1]).contains(&aspect) {
            return None;
        }
        let mut place = |room: usize| (room as f64 * rng.uniform(0.0, 1.0)) as usize;
        let part = Part { left: place(sides[0] - width), top: place(sides[1] - height), width, height };
        let boxes = || annotated.objects.iter().map(|object| object.bbox);
        let overlaps = |bbox: BBox| has_centre(part.bbox(), bbox) && part.bbox().iou(bbox) >= least;
        (annotated.objects.is_empty() || boxes().any(overlaps)).then_some(part)
    }

    pub(super) fn validate(&self) -> Result<()> {
        check_range("random iou crop: scale", self.scale, [f64::MIN_POSITIVE, 1.0])?;
        check_range("random iou crop: aspect", self.aspect, [f64::MIN_POSITIVE, f64::MAX])?;
        if self.options.is_empty() {
            return Err(DataError::argument("random iou crop: options", "empty", "at least one"));
        }
        if self.trials == 0 {
            return Err(DataError::argument("random iou crop: trials", 0, "at least 1"));
        }
        match self.options.iter().find(|option| option.is_nan() || **option < 0.0) {
            Some(option) => Err(DataError::argument("random iou crop: options", option, "0 or more each")),
            None => Ok(()),
        }
    }
}

impl FixedSizeCrop {
    pub(super) fn apply(&self, annotated: Annotated, rng: &mut Rng) -> Result<Annotated> {
        self.validate()?;
        let mut place = |side: usize, part: usize| if side > part { rng.below(side - part + 1) } else { 0 };
        let top = place(annotated.image.height(), self.height);
        let left = place(annotated.image.width(), self.width);
        let part = Part { left, top, width: self.width, height: self.height };
        cut_out(annotated, part, |object, part| {
            let visible = object.bbox.intersection(part).area();
            visible > 0.0 && visible >= self.min_visible * object.bbox.area()
        })
    }

    pub(super) fn validate(&self) -> Result<()> {
        check_size("fixed size crop: size", self.width, self.height)?;
        crate::transform::probability("fixed size crop: min_visible", self.min_visible)
    }
}

/// A part of an image, in pixels; it may be larger than the image.
#[derive(Clone, Copy, Debug)]
struct Part {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl Part {
    fn bbox(self) -> BBox {
        let [x, y, width, height] = [self.left, self.top, self.width, self.height].map(|n| n as f64);
        BBox::from_xywh(x, y, width, height)
    }
}

fn has_centre(part: BBox, bbox: BBox) -> bool {
    let (x, y) = ((bbox.x1 + bbox.x2) / 2.0, (bbox.y1 + bbox.y2) / 2.0);
    part.x1 < x && x < part.x2 && part.y1 < y && y < part.y2
}

/// The part of the image, with the objects for which `stays` says so, their boxes cut to it.
fn cut_out(annotated: Annotated, part: Part, stays: impl Fn(&Object, BBox) -> bool) -> Result<Annotated> {
    let Annotated { image, objects, scale } = annotated;
    let corner = [part.top, part.left].map(|v| v as isize);
    let image = cut(&image, corner, (part.width, part.height))?;
    let whole = part.bbox();
    let objects = objects.into_iter().filter(|object| stays(object, whole)).map(|mut object| {
        let visible = object.bbox.intersection(whole);
        if visible != object.bbox {
            // How many of its pixels remain is not known.
            object.area = None;
        }
        object.bbox = visible.translated(-whole.x1, -whole.y1);
        object
    });
    Ok(Annotated { image, objects: objects.collect(), scale })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Image, transform::tests::draws};

    fn annotated(boxes: &[[f64; 4]]) -> Annotated {
        let object = |b: &[f64; 4]| Object { area: Some(7.0), ..Object::new(BBox::new(b[0], b[1], b[2], b[3]), 0) };
        Annotated::new(Image::pattern(40, 30, 1), boxes.iter().map(object).collect())
    }

    #[test]
    fn a_part_overlaps_an_object_as_far_as_was_drawn() {
        let crop = RandomIouCrop { options: vec![0.5], ..RandomIouCrop::default() };
        let parts = draws(300, |rng| crop.part(&annotated(&[[8.0, 6.0, 30.0, 25.0]]), rng));
        let bbox = BBox::new(8.0, 6.0, 30.0, 25.0);
        let mut n = 0;
        for part in parts.into_iter().flatten() {
            n += 1;
            assert!(part.bbox().iou(bbox) >= 0.5 && has_centre(part.bbox(), bbox), "{part:?}");
            assert!(part.left + part.width <= 40 && part.top + part.height <= 30, "{part:?}");
            assert!((0.5..=2.0).contains(&(part.width as f64 / part.height as f64)), "{part:?}");
        }
        assert_eq!(n, 300);
    }

    #[test]
    fn an_image_is_left_as_it_is_by_the_option_1_and_where_no_part_will_do() {
        let all = annotated(&[[0.0, 0.0, 1.0, 1.0]]);
        for options in [vec![1.0], vec![0.9]] {
            let crop = RandomIouCrop { options, ..RandomIouCrop::default() };
            let same = crop.apply(all.clone(), &mut Rng::new(0, "test")).unwrap();
            assert_eq!((same.image, same.objects), (all.image.clone(), all.objects.clone()));
        }
        let parts = draws(50, |rng| {
            RandomIouCrop { options: vec![0.0], ..RandomIouCrop::default() }.part(&annotated(&[]), rng)
        });
        assert!(parts.iter().all(Option::is_some));
    }

    #[test]
    fn objects_whose_centres_lie_outside_are_gone_and_the_others_are_cut() {
        let part = Part { left: 10, top: 10, width: 20, height: 10 };
        let boxes =
            [[0.0, 5.0, 19.0, 20.0], [12.0, 12.0, 60.0, 15.0], [14.0, 9.0, 24.0, 15.0], [15.0, 12.0, 18.0, 13.0]];
        let after = cut_out(annotated(&boxes), part, |object, part| has_centre(part, object.bbox)).unwrap();
        let kept: Vec<_> = after.objects.iter().map(|object| (object.bbox.xyxy(), object.area)).collect();
        assert_eq!(kept, [([4.0, 0.0, 14.0, 5.0], None), ([5.0, 2.0, 8.0, 3.0], Some(7.0))]);
        assert_eq!(after.image.data()[0], annotated(&[]).image.data()[10 * 40 + 10]);
    }

    #[test]
    fn a_fixed_part_fills_up_with_black_and_drops_what_is_hardly_seen() {
        let crop = FixedSizeCrop { width: 20, height: 50, min_visible: 0.5 };
        for _ in 0..3 {
            let after =
                crop.apply(annotated(&[[0.0, 0.0, 40.0, 30.0], [0.0, 0.0, 20.0, 30.0]]), &mut Rng::new(3, "test"));
            let after = after.unwrap();
            assert_eq!((after.image.width(), after.image.height()), (20, 50));
            assert!(after.image.data()[30 * 20..].iter().all(|&v| v == 0));
            assert_eq!(after.objects[0].bbox, BBox::new(0.0, 0.0, 20.0, 30.0)); // half of it, exactly
        }
        let counts = draws(200, |rng| crop.apply(annotated(&[[0.0, 0.0, 20.0, 30.0]]), rng).unwrap().objects.len());
        let n: usize = counts.iter().sum();
        // It stays for the columns 0 to 10 of 0 to 20: five standard deviations around 11 of 21.
        assert!(n.abs_diff(200 * 11 / 21) < 36, "{n}");
        let gone = FixedSizeCrop { width: 10, height: 10, min_visible: 0.0 };
        let far = draws(50, |rng| gone.apply(annotated(&[[30.0, 20.0, 40.0, 30.0]]), rng).unwrap());
        assert!(far.iter().flat_map(|a| &a.objects).all(|object| object.bbox.has_extent()));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let crop = RandomIouCrop::default();
        crop.validate().unwrap();
        for bad in [
            RandomIouCrop { scale: [0.5, 1.1], ..crop.clone() },
            RandomIouCrop { aspect: [2.0, 0.5], ..crop.clone() },
            RandomIouCrop { options: vec![], ..crop.clone() },
            RandomIouCrop { options: vec![f64::NAN], ..crop.clone() },
        ] {
            assert!(matches!(bad.validate(), Err(DataError::Argument { .. })), "{bad:?}");
        }
        assert!(FixedSizeCrop { width: 0, height: 1, min_visible: 0.0 }.validate().is_err());
        assert!(FixedSizeCrop { width: 1, height: 1, min_visible: 1.5 }.validate().is_err());
    }
}
