//! No reader panics, whatever it reads. The targets in `fuzz` look for the same with more patience.

use std::path::Path;

use proptest::{collection::vec, prelude::*, sample::select};
use sconce_data::{
    AffectNetClasses, AffectNetConfig, AffectNetCrop, FerPlusConfig, FerPlusLabel, FerPlusSplit, Image, ImageDataset,
    NoisyLabels, Split, Ties, idx, parse_affect_net, parse_cifar10, parse_cifar100, parse_cityscapes_instances,
    parse_coco, parse_fer_plus, parse_fer_plus_labels, parse_raf_db, parse_voc_list, parse_voc_xml,
    parse_voc_xml_bytes,
};

/// Bytes that begin as real files do more often than by chance.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&'static [u8]> = vec![
        b"train_00001.jpg 5\n",
        b"a b 1 0",
        b"\r\n",
        b",",
        b"\"",
        b" ",
        b"0",
        b"4294967295",
        b"-1",
        b"../",
        b"\xFF",
        b"# classes = 2\n",
        b"# made = {",
        b"emotion,pixels,Usage\n",
        b"0,1 2 3,Training\n",
        b"Training,fer0.png,",
        b"Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n",
        b"0,0,0,0,0,0,0,0,0,10\n",
        b"fer0.png,\"(0, 0, 48, 48)\",",
        b"1/a.jpg,0,0,4,4,1;2,7,0,0\n",
        b"<annotation>",
        b"<object><name>dog</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></object>",
        b"<object><bndbox><xmin>1e999</xmin>",
        b"<size><width>4</width><height>3</height></size>",
        b"<!-- ",
        b"<?xml version='1.0' encoding='latin1'?>",
        b"<?xml encoding=\"utf-16\"?>",
        b"<\0a\0>\0",
        b"\xFE\xFF\0<\0a\0>",
        b"\xFF\xD8\xFF\xC0\0\x11\x08\0\x08\0\x08\x03\x01\x22\0\x02\x11\0\x03\x11\0",
        b"\xFF\xDA\0\x08\x01\x01\0\0\x3F\0",
        b"\xFF\xD9",
        b"NaN",
        b"{\"images\":[{\"id\":\"a\",\"file_name\":\"a\\\\b\"},{}],\"annotations\":[1],\"categories\":[{\"id\":1.0}]}",
        b"<![CDATA[",
        b"&#x110000;",
        b"&amp;",
        b"</annotation>",
        b"{\"images\":[{\"id\":1,\"file_name\":\"a\",\"height\":3,\"width\":4}],",
        b"\"annotations\":[{\"id\":1,\"image_id\":1,\"category_id\":1,\"bbox\":[0,0,1e308,-1]}],",
        b"\"categories\":[{\"id\":1,\"name\":\"x\"}]}",
        b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR\0\0\0\x01\0\0\0\x01\x10\0\0\0\0",
        b"\0\0\x08\x03",
        b"\0\0\x08\x01\0\0\0\x02\x01\0",
        b"\x1F\x8B\x08\0\0\0\0\0",
        b"\xEF\xBB\xBF",
        b"\xFF\xFF\xFF\xFF",
    ];
    let piece = prop_oneof![select(pieces).prop_map(<[u8]>::to_vec), vec(any::<u8>(), 0..8)];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn readers_never_panic(bytes in bytes(), other in bytes()) {
        let path = Path::new("list");
        let text = String::from_utf8_lossy(&bytes);
        for split in [Split::Train, Split::Test] {
            let _ = parse_raf_db(&text, path, split);
        }
        let samples = vec![("train_00001_aligned.jpg".to_owned(), 0), ("a b".to_owned(), 1)];
        let dataset = ImageDataset::from_files(path, vec!["x".to_owned(), "y".to_owned()], samples).unwrap();
        let _ = NoisyLabels::parse(&text, path, &dataset);
        for first_label in [0, 1, u32::MAX] {
            let _ = NoisyLabels::parse_rerooted(&text, path, &dataset, first_label);
        }
        for label in [FerPlusLabel::ArgMax, FerPlusLabel::EmotionArgMax, FerPlusLabel::Majority] {
            let config = FerPlusConfig { label, ties: Ties::Drop };
            let _ = parse_fer_plus((&bytes[..], path), (&other[..], path), FerPlusSplit::Training, &config);
            let _ = parse_fer_plus_labels(&bytes[..], path, &config);
        }
        for crop in [AffectNetCrop::None, AffectNetCrop::Face] {
            let config = AffectNetConfig { classes: AffectNetClasses::Seven, crop, ..AffectNetConfig::default() };
            let _ = parse_affect_net(&bytes[..], path, &config);
        }
        let _ = parse_voc_xml(&text, path);
        let _ = parse_voc_xml_bytes(&bytes, path);
        for image in [Image::decode(&bytes, path), Image::decode_stored(&bytes, path)] {
            assert!(!matches!(image, Ok(image) if image.data().is_empty()));
        }
        let _ = parse_voc_list(&text, path);
        let _ = parse_coco(&bytes, path);
        let _ = parse_cityscapes_instances(&bytes, path);
        let _ = idx::parse_images(&bytes, path);
        let _ = idx::parse_labels(&bytes, path);
        // As they are, and as the heads of records.
        let records: Vec<u8> = bytes.iter().flat_map(|&head| [head; 3073]).collect();
        for bytes in [&bytes, &records] {
            let _ = parse_cifar10(bytes, path);
            let _ = parse_cifar100(bytes, path);
        }
    }
}
