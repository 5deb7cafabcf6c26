//! JPEG files of all kinds in `tests/jpegs`, which Pillow reads, and what cameras note in files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use proptest::{prelude::*, sample::Index};
use sconce_data::{DataError, FolderConfig, Image, OnInvalid, Orientation, read_unlabelled_as};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jpegs")
}

/// The files, without what Pillow decoded them to.
fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension != "png" && extension != "py"));
    files.sort();
    files
}

fn expected(path: &Path) -> Image {
    Image::read(&PathBuf::from(format!("{}.png", path.display()))).unwrap().into_rgb()
}

/// The largest difference of two images of one size.
fn worst(found: &Image, expected: &Image) -> u8 {
    assert_eq!((found.width(), found.height()), (expected.width(), expected.height()));
    found.data().iter().zip(expected.data()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn pixels_are_pillows() {
    let files = files();
    assert_eq!(files.len(), 48);
    let mut wrong = Vec::new();
    for path in files {
        let worst = worst(&Image::read(&path).unwrap().into_rgb(), &expected(&path));
        // JPEG leaves to the decoder how halved colours are filled in.
        if worst > 3 {
            wrong.push(format!("{}: {worst} grey levels", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_orientation_is_applied_or_not() {
    for orientation in 1..=8 {
        let path = folder().join(format!("exif-{orientation}.jpg"));
        let stored = Image::read_stored(&path).unwrap();
        assert_eq!((stored.width(), stored.height()), (37, 29));
        assert!(worst(&stored, &Image::read(&folder().join("exif-1.jpg")).unwrap()) == 0);
        let upright = Image::read(&path).unwrap();
        assert_eq!(upright.width(), if orientation < 5 { 37 } else { 29 });
        assert_eq!(Image::decode(&fs::read(&path).unwrap(), &path).unwrap(), upright);
        assert_eq!(Image::decode_stored(&fs::read(&path).unwrap(), &path).unwrap(), stored);
    }
}

/// The height and width that a file's head says, if it can be read.
fn size(bytes: &[u8], orientation: Orientation) -> Option<(usize, usize)> {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a.jpg"), bytes).unwrap();
    let config = FolderConfig { on_invalid: OnInvalid::Fail, orientation };
    read_unlabelled_as(root.path(), &[], &config).ok().map(|(dataset, _)| dataset.sample(0).size)
}

#[test]
fn heads_say_the_size_of_what_is_decoded() {
    for path in files() {
        let bytes = fs::read(&path).unwrap();
        for (orientation, image) in [
            (Orientation::Upright, Image::read(&path).unwrap()),
            (Orientation::Stored, Image::read_stored(&path).unwrap()),
        ] {
            assert_eq!(size(&bytes, orientation), Some((image.height(), image.width())), "{}", path.display());
        }
    }
}

/// A file's bytes with some of its head changed, left out, or put in.
fn changed(mut bytes: Vec<u8>, changes: &[(Index, u8, u8)]) -> Vec<u8> {
    let scan = bytes.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap_or(bytes.len());
    for (place, kind, value) in changes {
        // Nothing may be left of it.
        if bytes.is_empty() {
            break;
        }
        let at = place.index(scan.min(bytes.len()));
        match kind {
            0 => bytes[at] = *value,
            1 => bytes.insert(at, *value),
            2 => drop(bytes.remove(at)),
            3 => bytes.truncate(at),
            // What decoders look for.
            _ => bytes.splice(at..at, [0xFF, 0xC0 | value & 0x3F]).for_each(drop),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn whatever_a_head_says_size_and_pixels_agree(
        file in any::<Index>(),
        changes in prop::collection::vec((any::<Index>(), prop_oneof![4 => Just(0u8), 1 => 1..5u8], any::<u8>()), 1..4),
    ) {
        let files = files();
        let bytes = changed(fs::read(file.get(&files)).unwrap(), &changes);
        for orientation in [Orientation::Upright, Orientation::Stored] {
            let decoded = match orientation {
                Orientation::Upright => Image::decode(&bytes, Path::new("a")),
                Orientation::Stored => Image::decode_stored(&bytes, Path::new("a")),
            };
            match decoded {
                Ok(image) => prop_assert_eq!(size(&bytes, orientation), Some((image.height(), image.width()))),
                Err(error) => prop_assert!(matches!(error, DataError::Decode { .. }), "{}", error),
            }
        }
    }
}

/// `scans-420.jpg` after `change`: what is wrong with it.
fn refused(change: impl Fn(&mut Vec<u8>)) -> String {
    let mut bytes = fs::read(folder().join("scans-420.jpg")).unwrap();
    change(&mut bytes);
    Image::decode(&bytes, Path::new("a.jpg")).unwrap_err().to_string()
}

fn find(bytes: &[u8], marker: u8) -> usize {
    bytes.windows(2).position(|pair| pair == [0xFF, marker]).unwrap()
}

#[test]
fn what_would_be_garbage_is_refused_and_named() {
    let check = |change: &dyn Fn(&mut Vec<u8>), expected: &str| {
        let error = refused(change);
        assert!(error.starts_with("a.jpg: cannot decode the image: ") && error.contains(expected), "{error}");
    };
    check(
        &|b| {
            let at = find(b, 0xC0);
            b[at + 4] = 12
        },
        "12 bits a sample",
    );
    check(
        &|b| {
            let at = find(b, 0xC0);
            b[at + 1] = 0xC9
        },
        "arithmetic",
    );
    check(
        &|b| {
            let at = find(b, 0xC0);
            b[at + 1] = 0xC3
        },
        "lossless",
    );
    check(
        &|b| {
            let at = find(b, 0xC0);
            b[at + 5] = 0;
            b[at + 6] = 0
        },
        "does not say its height before its pixels",
    );
    check(
        &|b| {
            let at = find(b, 0xC0);
            b[at + 11] = 0x50
        },
        "sampling factor",
    );
    check(
        &|b| {
            let at = find(b, 0xC0);
            b[at + 13] = b[at + 10]
        },
        "alike",
    );
    check(
        &|b| {
            let at = find(b, 0xC0);
            let frame = b[at..at + 19].to_vec();
            b.splice(at..at, frame);
        },
        "several frames",
    );
    let last_scan = |b: &[u8]| b.windows(2).rposition(|pair| pair == [0xFF, 0xDA]).unwrap();
    check(
        &|b| {
            let at = last_scan(b);
            b.splice(at..b.len() - 2, []);
        },
        "no scan of the JPEG file begins its colour component 3",
    );
    check(
        &|b| {
            let at = last_scan(b);
            let scan = b[at..b.len() - 2].to_vec();
            b.splice(at..at, scan);
        },
        "2 scans of the JPEG",
    );
    check(
        &|b| {
            let at = last_scan(b);
            b.splice(at..at, [0xFF, 0xDC, 0, 4, 0, 9]);
        },
        "changes its height behind its pixels",
    );
    check(
        &|b| {
            let at = find(b, 0xDA);
            b[at + 3] = 1
        },
        "shorter than its length",
    );
}
