//! Which of the matched boxes are trained on.

use sconce_core::{Error, Result, Rng};
use serde::{Deserialize, Serialize};

use crate::matcher::Match;

/// How many boxes of an image are trained on, and which share of them stands for objects.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SamplerConfig {
    /// Boxes of an image.
    pub per_image: usize,
    /// The largest share of them that stands for objects.
    pub positive_fraction: f64,
    /// What is done where there are too few.
    pub shortage: Shortage,
}

/// What a sampler does in an image that has fewer boxes than it wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Shortage {
    /// It takes fewer: torchvision's.
    #[default]
    Fewer,
    /// It draws the background with repetition, whether or not there is enough of it, and where there is none, the objects'
    /// boxes: the region sampler of py-faster-rcnn's descendants.
    Repeat,
}

/// The boxes that were drawn, by their places in the list; each part in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// What stands for objects.
    pub positives: Vec<usize>,
    /// What stands for the background.
    pub negatives: Vec<usize>,
}

impl SamplerConfig {
    /// Checks that something can be drawn.
    ///
    /// # Errors
    /// [`Error::Argument`] for no boxes, or a share that is none.
    pub fn validate(&self) -> Result<()> {
        if self.per_image > 0 && (0.0..=1.0).contains(&self.positive_fraction) {
            return Ok(());
        }
        let found = (self.per_image, self.positive_fraction);
        Err(Error::argument("SamplerConfig", "per_image and positive_fraction", found, "at least 1, and 0 to 1"))
    }

    /// Draws from what `matches` says of an image's boxes.
    pub fn sample(&self, matches: &[Match], rng: &mut Rng) -> Sample {
        let places = |wanted: fn(&Match) -> bool| -> Vec<usize> {
            matches.iter().enumerate().filter(|(_, m)| wanted(m)).map(|(i, _)| i).collect()
        };
        let objects = places(|m| matches!(m, Match::Object(_)));
        let background = places(|m| matches!(m, Match::Background));
        let most = (self.per_image as f64 * self.positive_fraction.clamp(0.0, 1.0)) as usize;
        let repeats = self.shortage == Shortage::Repeat;
        let positives = match repeats && background.is_empty() {
            // All of the batch is left to what there is.
            true => with_repetition(&objects, self.per_image, rng),
            false => without_repetition(objects, most, rng),
        };
        let rest = self.per_image - positives.len();
        let negatives = match repeats {
            true => with_repetition(&background, rest, rng),
            false => without_repetition(background, rest, rng),
        };
        Sample { positives, negatives }
    }
}

/// `n` of `places`, or all that there are.
fn without_repetition(mut places: Vec<usize>, n: usize, rng: &mut Rng) -> Vec<usize> {
    if places.len() > n {
        rng.shuffle(&mut places);
        places.truncate(n);
        places.sort_unstable();
    }
    places
}

/// `n` draws from `places`, if there are any.
fn with_repetition(places: &[usize], n: usize, rng: &mut Rng) -> Vec<usize> {
    if places.is_empty() {
        return Vec::new();
    }
    let mut drawn: Vec<usize> = (0..n).map(|_| places[rng.below(places.len())]).collect();
    drawn.sort_unstable();
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(objects: usize, ignored: usize, background: usize) -> Vec<Match> {
        let objects = (0..objects).map(Match::Object);
        objects.chain(vec![Match::Ignored; ignored]).chain(vec![Match::Background; background]).collect()
    }

    fn sizes(config: SamplerConfig, matches: &[Match]) -> (usize, usize) {
        let sample = config.sample(matches, &mut Rng::new(0, "test"));
        assert!(sample.positives.iter().all(|&i| matches!(matches[i], Match::Object(_))));
        assert!(sample.negatives.iter().all(|&i| matches[i] == Match::Background));
        (sample.positives.len(), sample.negatives.len())
    }

    #[test]
    fn the_share_of_objects_is_bounded_and_the_background_fills_up() {
        let config = SamplerConfig { per_image: 16, positive_fraction: 0.25, shortage: Shortage::Fewer };
        assert_eq!(sizes(config, &matches(10, 5, 100)), (4, 12));
        assert_eq!(sizes(config, &matches(2, 5, 100)), (2, 14));
        assert_eq!(sizes(config, &matches(0, 5, 100)), (0, 16));
        assert_eq!(sizes(config, &matches(10, 5, 3)), (4, 3));
        assert_eq!(sizes(config, &matches(10, 5, 0)), (4, 0));
        assert_eq!(sizes(config, &[]), (0, 0));
    }

    #[test]
    fn the_reference_repeats_what_is_scarce() {
        let config = SamplerConfig { per_image: 16, positive_fraction: 0.25, shortage: Shortage::Repeat };
        assert_eq!(sizes(config, &matches(10, 5, 3)), (4, 12));
        assert_eq!(sizes(config, &matches(2, 5, 0)), (16, 0));
        assert_eq!(sizes(config, &matches(0, 5, 2)), (0, 16));
        assert_eq!(sizes(config, &matches(0, 5, 0)), (0, 0));
    }

    #[test]
    fn a_seed_decides_and_every_box_has_its_chance() {
        let config = SamplerConfig { per_image: 8, positive_fraction: 0.5, shortage: Shortage::Fewer };
        let matches = matches(20, 0, 20);
        let draw = |seed| config.sample(&matches, &mut Rng::new(seed, "test"));
        assert_eq!(draw(1), draw(1));
        let drawn: std::collections::BTreeSet<usize> = (0..100)
            .flat_map(|seed| {
                let s = draw(seed);
                [s.positives, s.negatives].concat()
            })
            .collect();
        assert_eq!(drawn.len(), 40);
    }
}
