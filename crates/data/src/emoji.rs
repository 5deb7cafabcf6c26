//! Expressions as emoji, each by several vendors that draw in styles of their own.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{DataError, Image, ImageDataset, Result};

/// The class names, in the order of the labels.
pub const EMOJI_EXPRESSION_CLASSES: [&str; 7] = ["happy", "sad", "surprise", "fear", "anger", "disgust", "neutral"];

/// The names of all pictures, a line a picture, in the order in which they stand in the vendors' files.
const NAMES: &str = include_str!("../assets/emoji-expressions/names.txt");

/// The width and the height of a picture.
const SIZE: usize = 64;

/// Who drew the emoji.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EmojiVendor {
    /// Google's Noto Color Emoji: 52 pictures. Apache-2.0.
    Google,
    /// Twitter's Twemoji: 52 pictures. CC-BY-4.0.
    Twitter,
    /// The first Noto Emoji, blobs: 42 pictures. Apache-2.0.
    NotoV1,
    /// Microsoft's Fluent Emoji in flat colours: 52 pictures. MIT.
    FluentFlat,
    /// EmojiOne 2: 42 pictures. CC-BY-4.0.
    #[serde(rename = "emojione")]
    EmojiOne,
}

impl EmojiVendor {
    /// All vendors.
    pub const ALL: [Self; 5] = [Self::Google, Self::Twitter, Self::NotoV1, Self::FluentFlat, Self::EmojiOne];

    /// The name as a configuration and the samples' names have it: `noto-v1`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Twitter => "twitter",
            Self::NotoV1 => "noto-v1",
            Self::FluentFlat => "fluent-flat",
            Self::EmojiOne => "emojione",
        }
    }

    /// Its pictures below each other, as a PNG file.
    fn pictures(self) -> &'static [u8] {
        match self {
            Self::Google => include_bytes!("../assets/emoji-expressions/google.png"),
            Self::Twitter => include_bytes!("../assets/emoji-expressions/twitter.png"),
            Self::NotoV1 => include_bytes!("../assets/emoji-expressions/noto-v1.png"),
            Self::FluentFlat => include_bytes!("../assets/emoji-expressions/fluent-flat.png"),
            Self::EmojiOne => include_bytes!("../assets/emoji-expressions/emojione.png"),
        }
    }
}

/// Up to 52 faces that show one of seven expressions, as `vendors` drew them: 64×64, RGB, on white. They need no download.
///
/// A sample's name is `vendor/class/codepoint`, `google/happy/1f600`. Vendors follow in the given order, and the samples of
/// each in the order of the classes. An emoji that a vendor never drew is missing.
///
/// Train and test are split by vendor: what is tested on is drawn by a hand that training has never seen. The same emoji by
/// other vendors is in the training part, and that is the task, to know an expression again in another style; it is not to
/// know faces that were never seen. These are drawings, a stand-in for photos of faces.
///
/// `assets/emoji-expressions/make.py` made the pictures from the vendors' packages.
///
/// # Errors
/// [`DataError::Argument`] without vendors, or with one twice; none else with the files of this crate.
pub fn emoji_expressions(vendors: &[EmojiVendor]) -> Result<ImageDataset> {
    if let Some(i) = (0..vendors.len()).find(|&i| vendors[..i].contains(&vendors[i])) {
        return Err(DataError::argument("emoji vendors", format!("{} twice", vendors[i].name()), "each of them once"));
    }
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for vendor in vendors {
        let of_vendor = NAMES.lines().filter(|name| name.split('/').next() == Some(vendor.name()));
        let file = format!("{}.png", vendor.name());
        let pictures = Image::decode(vendor.pictures(), Path::new(&file))?.into_rgb();
        if pictures.width() != SIZE {
            return Err(DataError::argument("width of the embedded emoji", pictures.width(), SIZE));
        }
        let mut pictures = pictures.data().chunks_exact(3 * SIZE * SIZE);
        for name in of_vendor {
            let label = EMOJI_EXPRESSION_CLASSES.iter().position(|&class| name.split('/').nth(1) == Some(class));
            let (Some(pixels), Some(label)) = (pictures.next(), label) else {
                return Err(DataError::argument("embedded emoji", name, "a class, and a picture for it"));
            };
            images.push((name.to_owned(), Image::new(SIZE, SIZE, 3, pixels.to_vec())?));
            labels.push(label as u32);
        }
    }
    let classes = EMOJI_EXPRESSION_CLASSES.map(str::to_owned).into();
    ImageDataset::from_named_images("emoji expressions", classes, images, labels)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_vendored_files_are_the_ones_that_were_made() {
        let expected = [
            "49da77c50074022a0ecad9988ef2e5d5cb63876eb9b520aa809d926d6a2ccebc",
            "75d4cd861cc2e1e5dc319cf21d4f0764a0a52a5fad5902c7e96742c16fec818d",
            "e82c1c97db85dc97dfc34b995a0359974b2eb287e831ec3554c6f786418366af",
            "4bf8b01364c5b91acb51754b0031fc5d98d3e8a8ed957ec88f0031e860f5d5a4",
            "80f1c8c244a7694e2e912517a96e45ccb61efece4713fa1a6c4117413d9d9378",
        ];
        for (vendor, expected) in EmojiVendor::ALL.into_iter().zip(expected) {
            assert_eq!(format!("{:x}", Sha256::digest(vendor.pictures())), expected, "{}", vendor.name());
        }
        let names = Sha256::digest(NAMES.as_bytes());
        assert_eq!(format!("{names:x}"), "54c625e72cc51964a0ea1060f45fec1c9bb2e5100ffa373214423a34e5c6def9");
    }

    #[test]
    fn every_picture_has_a_name() {
        for vendor in EmojiVendor::ALL {
            let pictures = Image::decode(vendor.pictures(), Path::new("strip")).unwrap();
            assert_eq!(emoji_expressions(&[vendor]).unwrap().len() * SIZE, pictures.height(), "{}", vendor.name());
        }
    }
}
