//! The emoji inside the binary.

use sconce_data::{DataError, EMOJI_EXPRESSION_CLASSES, EmojiVendor, emoji_expressions};
use sha2::{Digest as _, Sha256};

/// The number of samples of each class.
fn counts(vendor: EmojiVendor) -> [usize; 7] {
    let dataset = emoji_expressions(&[vendor]).unwrap();
    std::array::from_fn(|class| dataset.labels().iter().filter(|&&label| label as usize == class).count())
}

#[test]
fn every_vendor_has_every_class() {
    for vendor in [EmojiVendor::Google, EmojiVendor::Twitter, EmojiVendor::FluentFlat] {
        assert_eq!(counts(vendor), [13, 10, 6, 4, 6, 6, 7], "{}", vendor.name());
    }
    // These sets ended before some of the faces were in Unicode.
    for vendor in [EmojiVendor::NotoV1, EmojiVendor::EmojiOne] {
        assert_eq!(counts(vendor), [11, 8, 4, 4, 5, 3, 7], "{}", vendor.name());
    }
}

#[test]
fn names_say_vendor_class_and_code_point() {
    let dataset = emoji_expressions(&[EmojiVendor::NotoV1, EmojiVendor::Google]).unwrap();
    assert_eq!((dataset.name(0), dataset.name(42)), ("noto-v1/happy/1f600", "google/happy/1f600"));
    assert_eq!(dataset.len(), 42 + 52);
    for i in 0..dataset.len() {
        let class = dataset.name(i).split('/').nth(1).unwrap();
        assert_eq!(EMOJI_EXPRESSION_CLASSES[dataset.label(i) as usize], class);
    }
}

#[test]
fn pictures_are_faces_on_white_and_all_different() {
    let dataset = emoji_expressions(&EmojiVendor::ALL).unwrap();
    let mut hashes = std::collections::HashSet::new();
    for i in 0..dataset.len() {
        let image = dataset.image(i).unwrap();
        assert_eq!((image.width(), image.height(), image.channels()), (64, 64, 3));
        let pixels = image.data().chunks_exact(3);
        let white = pixels.filter(|pixel| **pixel == [255; 3]).count();
        assert!((200..3000).contains(&white), "{}: {white} white pixels", dataset.name(i));
        assert!(hashes.insert(Sha256::digest(image.data())), "{} is there twice", dataset.name(i));
    }
}

#[test]
fn the_same_face_is_right_in_every_style() {
    // 1f621 is a red face in these styles.
    let dataset = emoji_expressions(&[EmojiVendor::Twitter, EmojiVendor::FluentFlat, EmojiVendor::EmojiOne]).unwrap();
    let rage: Vec<usize> = (0..dataset.len()).filter(|&i| dataset.name(i).ends_with("/1f621")).collect();
    assert_eq!(rage.len(), 3);
    for i in rage {
        let image = dataset.image(i).unwrap();
        // A cheek, left of the middle.
        let pixel = &image.data()[3 * (64 * 44 + 10)..][..3];
        assert!(pixel[0] > 180 && pixel[1] < 120 && pixel[2] < 120, "{}: {pixel:?}", dataset.name(i));
    }
}

#[test]
fn no_vendor_or_one_twice_is_refused() {
    assert!(matches!(emoji_expressions(&[]), Err(DataError::Argument { .. })));
    let error = emoji_expressions(&[EmojiVendor::Google, EmojiVendor::Google]).unwrap_err();
    assert_eq!(error.to_string(), "emoji vendors is google twice, expected each of them once");
}

#[test]
fn names_are_those_of_a_configuration() {
    #[derive(serde::Deserialize)]
    struct Config {
        vendors: Vec<EmojiVendor>,
    }
    let names = EmojiVendor::ALL.map(|vendor| format!("\"{}\"", vendor.name())).join(",");
    let config: Config = toml::from_str(&format!("vendors = [{names}]")).unwrap();
    assert_eq!(config.vendors, EmojiVendor::ALL);
}
