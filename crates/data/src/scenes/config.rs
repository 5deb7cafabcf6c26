//! What generated scenes look like.

use serde::{Deserialize, Serialize};

use crate::{
    DataError, Result,
    resample::check_size,
    transform::{check_range, probability},
};

/// How scenes are composed of cut-outs; see [`Scenes`](super::Scenes).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct SceneConfig {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// The least and the largest number of objects, drawn uniformly.
    pub objects: [usize; 2],
    /// The least and the largest length of the longer side of an object's box in pixels, drawn uniformly. Its last pixels may
    /// be less than half opaque, and so a box a little smaller.
    pub size: [f64; 2],
    /// The least and the largest factor by which an object is made wider than it is, and less high: the logarithm is drawn
    /// uniformly. Small or large factors give slender objects.
    pub stretch: [f64; 2],
    /// The largest angle by which objects are turned, in degrees, to either side; drawn uniformly.
    pub rotation: f64,
    /// The probability with which an object is mirrored.
    pub flip: f64,
    /// The largest part of an object that others may hide.
    pub max_occlusion: f64,
    /// What is behind the objects.
    pub background: Background,
    /// What is between them and the camera.
    pub weather: Weather,
}

impl Default for SceneConfig {
    /// 128 × 96 pixels, with one to four objects of 20 to 48 pixels, a fourth hidden at most, turned by up to 15°, half of them
    /// mirrored, in clear weather.
    fn default() -> Self {
        Self {
            width: 128,
            height: 96,
            objects: [1, 4],
            size: [20.0, 48.0],
            stretch: [1.0, 1.0],
            rotation: 15.0,
            flip: 0.5,
            max_occlusion: 0.25,
            background: Background::default(),
            weather: Weather::default(),
        }
    }
}

/// What is behind the objects of a scene.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Background {
    /// One colour, drawn uniformly.
    Flat,
    /// From one colour to another along a direction, all drawn uniformly.
    Gradient,
    /// One of the two, as often.
    #[default]
    FlatOrGradient,
    /// A part of a photo: a fifth of its area or more, at the scene's aspect; see
    /// [`Scenes::with_photos`](super::Scenes::with_photos).
    Photo,
}

/// What is between the objects of a scene and the camera. It changes no box: the scenes of a seed are the same ones in every
/// weather.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Weather {
    /// Nothing.
    #[default]
    Clear,
    /// White, of which a pixel gets the share `a`: what is farther away gets more. The distance grows from the lower to the upper
    /// edge, as on a street, and `a` from 0.7 to 1 times the strength.
    Fog {
        /// The least and the largest strength, within 0 to 1; drawn uniformly.
        strength: [f64; 2],
    },
}

impl SceneConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`DataError::Argument`] with the first that makes no sense.
    pub fn validate(&self) -> Result<()> {
        /// Objects that find no place are tried again; more would hardly find one.
        const MOST: usize = 1000;
        check_size("scenes: size", self.width, self.height)?;
        let [fewest, most] = self.objects;
        if fewest == 0 || fewest > most || most > MOST {
            let expected = format!("a range within 1 to {MOST}");
            return Err(DataError::argument("scenes: objects", format!("{fewest} to {most}"), expected));
        }
        let side = self.width.min(self.height) as f64;
        check_range("scenes: object size", self.size, [4.0, side])?;
        check_range("scenes: stretch", self.stretch, [1.0 / 64.0, 64.0])?;
        if !(0.0..=180.0).contains(&self.rotation) {
            return Err(DataError::argument("scenes: rotation", self.rotation, "0 to 180 degrees"));
        }
        probability("scenes: flip", self.flip)?;
        if !(0.0..1.0).contains(&self.max_occlusion) {
            return Err(DataError::argument("scenes: max_occlusion", self.max_occlusion, "0 to less than 1"));
        }
        match self.weather {
            Weather::Clear => Ok(()),
            Weather::Fog { strength } => check_range("scenes: fog strength", strength, [0.0, 1.0]),
        }
    }
}
