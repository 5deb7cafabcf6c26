//! The cut-outs inside the binary.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{CutOut, CutOuts};
use crate::{DataError, EmojiVendor, Result, Split, image::decode_rgba};

/// The class names, in the order of the labels.
pub const CUT_OUT_CLASSES: [&str; 5] = ["bird", "insect", "mammal", "fruit", "flower"];

/// The names of all cut-outs with their width and height, a line each, in the order in which they stand in their files.
const NAMES: &str = include_str!("../../assets/cut-outs/names.txt");

/// The width and the height of a cell.
const CELL: usize = 64;

/// In which style objects are drawn: a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CutOutStyle {
    /// Drawings by many hands, from Open Clipart: 197. Public domain.
    Clipart,
    /// Emoji of five vendors, see [`EmojiVendor`]: 399.
    Emoji,
}

impl CutOutStyle {
    /// Both styles.
    pub const ALL: [Self; 2] = [Self::Clipart, Self::Emoji];

    /// The name as a configuration has it: `clipart`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clipart => "clipart",
            Self::Emoji => "emoji",
        }
    }

    /// The files with the style's cut-outs, by the names that their lines begin with.
    fn files(self) -> Vec<(&'static str, &'static [u8])> {
        match self {
            Self::Clipart => vec![("clipart", include_bytes!("../../assets/cut-outs/clipart.png"))],
            Self::Emoji => EmojiVendor::ALL.iter().map(|vendor| (vendor.name(), emoji(*vendor))).collect(),
        }
    }
}

fn emoji(vendor: EmojiVendor) -> &'static [u8] {
    match vendor {
        EmojiVendor::Google => include_bytes!("../../assets/cut-outs/google.png"),
        EmojiVendor::Twitter => include_bytes!("../../assets/cut-outs/twitter.png"),
        EmojiVendor::NotoV1 => include_bytes!("../../assets/cut-outs/noto-v1.png"),
        EmojiVendor::FluentFlat => include_bytes!("../../assets/cut-outs/fluent-flat.png"),
        EmojiVendor::EmojiOne => include_bytes!("../../assets/cut-outs/emojione.png"),
    }
}

/// Birds, insects, mammals, fruit and flowers as `style` draws them, at most 64 pixels wide and high, for scenes of `split`.
/// They need no download.
///
/// A cut-out's name is `source/class/name`, `clipart/bird/crow_01` or `google/fruit/1f34c`. Its subject is the last part: all
/// vendors' drawings of one emoji are on the same side of the split. The test part are 30 % of the subjects of each class, by
/// [`CutOuts::split_off`] with the seed 0; every scene that is trained on shows none of them.
///
/// These are drawings on purpose: a stand-in for photos, in two styles that differ. `assets/cut-outs/make.py` made the files
/// from their packages.
///
/// # Errors
/// [`DataError::Decode`] or [`DataError::Argument`]; none with the files of this crate.
pub fn cut_outs(style: CutOutStyle, split: Split) -> Result<CutOuts> {
    let (train, test) = all(style)?.split_off(0.3, 0)?;
    Ok(match split {
        Split::Train => train,
        Split::Test => test,
    })
}

fn all(style: CutOutStyle) -> Result<CutOuts> {
    let mut items = Vec::new();
    for (source, bytes) in style.files() {
        let strip = decode_rgba(bytes, Path::new(source))?;
        let pixels: Vec<[u8; 4]> = strip.pixels().map(|pixel| pixel.0).collect();
        let mut cells = pixels.chunks_exact(CELL * CELL);
        for line in NAMES.lines().filter(|line| line.split('/').next() == Some(source)) {
            let (Some(cell), Some(item)) = (cells.next(), Line::parse(line)) else {
                return Err(DataError::argument("embedded cut-out", line, "a class, a size, and a cell for it"));
            };
            let rows = cell.chunks_exact(CELL).take(item.size.1).flat_map(|row| &row[..item.size.0]);
            items.push(CutOut::new((item.name, item.subject), item.label, item.size, rows.copied().collect())?);
        }
    }
    CutOuts::new(&format!("{} cut-outs", style.name()), CUT_OUT_CLASSES.map(str::to_owned).into(), items)
}

/// A line of the list of names.
struct Line<'a> {
    name: &'a str,
    subject: &'a str,
    label: u32,
    size: (usize, usize),
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(' ');
        let name = fields.next()?;
        let mut side = || fields.next()?.parse().ok().filter(|side| (1..=CELL).contains(side));
        let size = (side()?, side()?);
        let mut parts = name.split('/').skip(1);
        let class = parts.next()?;
        let label = CUT_OUT_CLASSES.iter().position(|known| *known == class)? as u32;
        Some(Self { name, subject: parts.next()?, label, size })
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_vendored_files_are_the_ones_that_were_made() {
        let expected = [
            "clipart cf0e925d753734f8cad41dba8dcbfe7ca89d04548c3dc078d5bd3998a55dc525",
            "google 23777de33725323f73dcb0d928b1e264f8de358a0e91277d214d3f62dfadd5fd",
            "twitter 789022c57d5234159db1a246dc5a449548ca27d97d4420cef806052e43afc6ab",
            "noto-v1 39468325e1fbac2a157434ba25fb2d53f454a9068875e434c7e72d61444b7ec9",
            "fluent-flat 91f3373044652839654568bd1a70d6ee671abd74a1efdf0ee59239dbc6f36539",
            "emojione 906cdbc78bc579f8730cba17f5a7771a2c975593a7dc20ad06c101cdfae97c95",
        ];
        let files = CutOutStyle::ALL.into_iter().flat_map(CutOutStyle::files);
        let found: Vec<String> = files.map(|(name, bytes)| format!("{name} {:x}", Sha256::digest(bytes))).collect();
        assert_eq!(found, expected);
        let names = Sha256::digest(NAMES.as_bytes());
        assert_eq!(format!("{names:x}"), "c7267af084fbfd12007aaf1291691f3d2a3d1b4e2daa70bc9878ac9b8ad61641");
    }

    #[test]
    fn every_cell_has_a_name_and_its_cut_out_fills_its_size() {
        for style in CutOutStyle::ALL {
            let all = all(style).unwrap();
            let cells: u32 = style.files().iter().map(|(_, b)| decode_rgba(b, Path::new("x")).unwrap().height()).sum();
            assert_eq!(all.items().len() * CELL, cells as usize, "{}", style.name());
            for item in all.items() {
                // The outermost row was at least half opaque before it became a part of a pixel.
                let is_seen = |i: usize| item.pixels()[i][3] > 0;
                let (width, height) = (item.width(), item.height());
                assert!((0..width).any(is_seen) && (0..height).any(|y| is_seen(y * width)), "{}", item.name());
                assert!(width.max(height) >= 20, "{}: {width}×{height}", item.name());
            }
        }
    }

    #[test]
    fn both_parts_have_every_class() {
        let counts = |style, split| {
            let part = cut_outs(style, split).unwrap();
            [0, 1, 2, 3, 4].map(|label| part.of_class(label).count())
        };
        assert_eq!(counts(CutOutStyle::Clipart, Split::Train), [23, 24, 41, 35, 15]);
        assert_eq!(counts(CutOutStyle::Clipart, Split::Test), [10, 10, 17, 15, 7]);
        let (train, test) = (counts(CutOutStyle::Emoji, Split::Train), counts(CutOutStyle::Emoji, Split::Test));
        assert_eq!([0, 1, 2, 3, 4].map(|c| train[c] + test[c]), [78, 40, 156, 79, 46]);
        let subjects = |split| -> Vec<String> {
            cut_outs(CutOutStyle::Emoji, split).unwrap().items().iter().map(|i| i.subject().to_owned()).collect()
        };
        let train = subjects(Split::Train);
        assert!(subjects(Split::Test).iter().all(|subject| !train.contains(subject)));
    }
}
