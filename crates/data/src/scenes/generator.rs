//! Composing scenes.

use rayon::prelude::*;
use sconce_core::{Rng, geometry::Object};

use super::{
    Background, CutOut, CutOuts, SceneConfig,
    canvas::Canvas,
    sprite::{Pose, Sprite},
};
use crate::{DataError, DetectionDataset, DetectionSample, Image, ImageDataset, ObjectMask, RandomResizedCrop, Result};

/// How often an object is drawn anew that would hide too much, or has no pixel that is opaque.
const TRIES: usize = 20;

/// A composed picture, with what is on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// RGB.
    pub image: Image,
    /// The objects, from the farthest to the nearest. The box is the one around the visible pixels, and the area their number.
    pub objects: Vec<Object>,
    /// The visible pixels of each object: those that it covers by half or more, and nothing nearer does.
    pub masks: Vec<ObjectMask>,
}

/// Any number of scenes composed of cut-outs, the same ones for the same seed.
///
/// Scene `i` depends on the configuration, the cut-outs, the seed and `i` alone: more scenes change none of the first ones.
/// Objects are drawn from the stream `scene`, the background from `scene background`, the weather from `scene weather`, all
/// keyed by `i`. So the same seed in other weather, or on another background, gives the same boxes and masks: pairs of a clear
/// and a foggy picture, to look at what fog alone does. A target domain to adapt to needs a seed of its own, for nobody has
/// such pairs.
///
/// Draws, of an object: its class, uniformly; then, at most 20 times, the cut-out among those of the class, whether it is
/// mirrored, angle, stretch, size, row and column. It lies in the picture as a whole. If it would leave less than
/// `1 − max_occlusion` of another object visible, it is drawn anew, and in the end left out.
///
/// ```
/// # fn main() -> Result<(), sconce_data::DataError> {
/// # #[cfg(feature = "embedded")] {
/// use sconce_data::{CutOutStyle, SceneConfig, Scenes, Split, Weather, cut_outs};
///
/// let drawings = cut_outs(CutOutStyle::Clipart, Split::Train)?;
/// let clear = Scenes::new(SceneConfig::default(), drawings.clone(), 0)?.dataset(20)?;
/// let fog = SceneConfig { weather: Weather::Fog { strength: [0.7, 0.95] }, ..SceneConfig::default() };
/// let target = Scenes::new(fog, drawings, 1)?.dataset(20)?.without_objects();
/// assert_eq!(clear.classes(), ["bird", "insect", "mammal", "fruit", "flower"]);
/// assert_eq!(clear.sample(0).size, (96, 128));
/// assert!(!clear.sample(0).objects.is_empty());
/// # }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Scenes {
    config: SceneConfig,
    cut_outs: CutOuts,
    photos: Option<ImageDataset>,
    seed: u64,
}

/// An object on its canvas.
struct Placed {
    label: u32,
    /// Opaque pixels of its own, and how many of them nothing hides.
    n_pixels: usize,
    n_visible: usize,
}

impl Scenes {
    /// Scenes on painted backgrounds.
    ///
    /// # Errors
    /// [`DataError::Argument`] if a setting makes no sense, or the background is to be of photos.
    pub fn new(config: SceneConfig, cut_outs: CutOuts, seed: u64) -> Result<Self> {
        if config.background == Background::Photo {
            return Err(DataError::argument(
                "scenes: background",
                "photo",
                "flat or gradient where there are no photos",
            ));
        }
        config.validate()?;
        Ok(Self { config, cut_outs, photos: None, seed })
    }

    /// Scenes on parts of `photos`, whatever the configuration says of the background.
    ///
    /// # Errors
    /// [`DataError::Argument`] if a setting makes no sense.
    pub fn with_photos(config: SceneConfig, cut_outs: CutOuts, photos: ImageDataset, seed: u64) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            config: SceneConfig { background: Background::Photo, ..config },
            cut_outs,
            photos: Some(photos),
            seed,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &SceneConfig {
        &self.config
    }

    /// The cut-outs.
    pub fn cut_outs(&self) -> &CutOuts {
        &self.cut_outs
    }

    /// Scene `index`, of which there is no last one.
    ///
    /// # Errors
    /// As [`ImageDataset::image`] for a photo; none on painted backgrounds.
    pub fn scene(&self, index: u64) -> Result<Scene> {
        self.compose([index, 0])
    }

    /// The first `n` scenes in memory; sample 17 is called `00017.png`. Masks are left out: [`Scenes::scene`] has them.
    ///
    /// # Errors
    /// [`DataError::Argument`] for no scenes; as [`Scenes::scene`].
    pub fn dataset(&self, n: usize) -> Result<DetectionDataset> {
        let sample = |index: usize| {
            let Scene { image, objects, .. } = self.scene(index as u64)?;
            let size = (image.height(), image.width());
            Ok((image, DetectionSample { name: format!("{index:05}.png"), size, objects }))
        };
        let samples = (0..n).into_par_iter().map(sample).collect::<Result<Vec<_>>>()?;
        DetectionDataset::from_images(&self.origin(), self.cut_outs.classes().to_vec(), samples)
    }

    /// `n` pictures of `side` × `side` pixels with one object each, drawn as in the scenes but no larger than `side`, and the
    /// same number of every class, give or take one: to train a backbone as a classifier before a detector.
    ///
    /// They are drawn from streams of their own, and show other objects than the scenes.
    ///
    /// # Errors
    /// [`DataError::Argument`] for no pictures, or a side of less than 4; as [`Scenes::scene`].
    pub fn crops(&self, n: usize, side: usize) -> Result<ImageDataset> {
        let size = self.config.size.map(|size| size.min(side as f64));
        let config = SceneConfig { width: side, height: side, objects: [1, 1], size, ..self.config.clone() };
        config.validate()?;
        let crops = Self { config, ..self.clone() };
        let classes = self.cut_outs.classes();
        let label = |index: usize| (index % classes.len()) as u32;
        let crop = |index: usize| {
            let image = crops.compose_classes([index as u64, 1], |_| label(index))?.image;
            Ok((format!("{index:05}.png"), image))
        };
        let images = (0..n).into_par_iter().map(crop).collect::<Result<Vec<_>>>()?;
        let labels = (0..n).map(label).collect();
        ImageDataset::from_named_images(&self.origin(), classes.to_vec(), images, labels)
    }

    fn origin(&self) -> String {
        format!("scenes of {}, seed {}", self.cut_outs.origin(), self.seed)
    }

    fn compose(&self, keys: [u64; 2]) -> Result<Scene> {
        self.compose_classes(keys, |rng| rng.below(self.cut_outs.classes().len()) as u32)
    }

    /// The scene of `keys` whose objects have the classes that `class` draws.
    fn compose_classes(&self, keys: [u64; 2], class: impl Fn(&mut Rng) -> u32) -> Result<Scene> {
        let stream = |purpose| Rng::keyed(self.seed, purpose, keys);
        let mut canvas = self.background(&mut stream("scene background"))?;
        let placed = self.place(&mut canvas, &mut stream("scene"), class);
        canvas.weather(self.config.weather, &mut stream("scene weather"));

        let (mut objects, mut masks) = (Vec::new(), Vec::new());
        let (width, height) = (self.config.width, self.config.height);
        for (index, placed) in placed.iter().enumerate() {
            let owner = canvas.owner();
            if let Some(mask) = ObjectMask::from_fn(width, height, |x, y| owner[y * width + x] == Some(index)) {
                let area = Some(mask.area() as f64);
                objects.push(Object { area, ..Object::new(mask.bbox(), placed.label) });
                masks.push(mask);
            }
        }
        Ok(Scene { image: canvas.into_image()?, objects, masks })
    }

    fn background(&self, rng: &mut Rng) -> Result<Canvas> {
        let SceneConfig { width, height, background, .. } = self.config;
        let Some(photos) = &self.photos else {
            return Ok(Canvas::painted(background, (width, height), rng));
        };
        let aspect = width as f64 / height as f64;
        let part = RandomResizedCrop { scale: [0.2, 1.0], ratio: [aspect; 2], ..RandomResizedCrop::new(width, height) };
        Ok(Canvas::photo(part.apply(&photos.image(rng.below(photos.len()))?, rng)?))
    }

    /// Paints the objects, and says which they are.
    fn place(&self, canvas: &mut Canvas, rng: &mut Rng, class: impl Fn(&mut Rng) -> u32) -> Vec<Placed> {
        let [fewest, most] = self.config.objects;
        let n_objects = fewest + rng.below(most - fewest + 1);
        let mut placed: Vec<Placed> = Vec::with_capacity(n_objects);
        for _ in 0..n_objects {
            let label = class(rng);
            let choices: Vec<&CutOut> = self.cut_outs.of_class(label as usize).collect();
            for _ in 0..TRIES {
                let sprite = Sprite::new(choices[rng.below(choices.len())], &self.pose(rng));
                let top = rng.below(self.config.height.saturating_sub(sprite.height) + 1);
                let left = rng.below(self.config.width.saturating_sub(sprite.width) + 1);
                let n_pixels = (0..sprite.pixels.len()).filter(|&i| sprite.is_opaque(i)).count();
                let hidden = canvas.hidden(&sprite, (left, top), placed.len());
                if n_pixels > 0 && self.leaves_enough(&placed, &hidden) {
                    canvas.paint(&sprite, (left, top), placed.len());
                    placed.iter_mut().zip(hidden).for_each(|(object, hidden)| object.n_visible -= hidden);
                    placed.push(Placed { label, n_pixels, n_visible: n_pixels });
                    break;
                }
            }
        }
        placed
    }

    /// Draws: whether it is mirrored, angle, stretch, size.
    fn pose(&self, rng: &mut Rng) -> Pose {
        let SceneConfig { size, stretch, rotation, flip, .. } = &self.config;
        let is_mirrored = rng.bernoulli(*flip);
        let angle = rng.uniform(-rotation, *rotation).to_radians();
        let stretch = rng.uniform(stretch[0].ln(), stretch[1].ln()).exp();
        Pose { size: rng.uniform(size[0], size[1]), angle, stretch, is_mirrored }
    }

    /// Whether of every object enough stays visible if so many of its pixels are hidden.
    fn leaves_enough(&self, placed: &[Placed], hidden: &[usize]) -> bool {
        placed.iter().zip(hidden).all(|(object, &hidden)| {
            let visible = (object.n_visible - hidden) as f64;
            visible > 0.0 && visible >= (1.0 - self.config.max_occlusion) * object.n_pixels as f64
        })
    }
}
