//! Image files in `tests/images`, which Pillow wrote or reads.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sconce_data::{DataError, Image};

/// The files, without what Pillow decoded them to.
fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension != "png" && extension != "py"));
    files.sort();
    files
}

#[test]
fn pixels_are_pillows() {
    let files = files();
    assert_eq!(files.len(), 24);
    for path in files {
        let expected = Image::read(&PathBuf::from(format!("{}.png", path.display()))).unwrap().into_rgb();
        let found = Image::read(&path).unwrap().into_rgb();
        assert_eq!((found.width(), found.height()), (expected.width(), expected.height()), "{}", path.display());
        // JPEG leaves to the decoder how luma and chroma become colours.
        let tolerance = match path.file_name().and_then(|name| name.to_str()) {
            Some("halved.jpg" | "progressive.jpg") => 2,
            Some("ycck.jpg") => 1,
            _ => 0,
        };
        let worst = found.data().iter().zip(expected.data()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= tolerance, "{}: {worst} grey levels", path.display());
    }
}

#[test]
fn every_truncation_is_an_error_that_names_the_file() {
    for path in files() {
        let bytes = fs::read(&path).unwrap();
        for length in 0..bytes.len() {
            let error = Image::decode(&bytes[..length], &path).expect_err("a truncated file");
            let names_it = matches!(&error, DataError::Decode { path: named, .. } if *named == path);
            assert!(names_it, "{length} bytes of {}: {error}", path.display());
        }
    }
}

#[test]
fn bytes_after_the_end_are_ignored() {
    for path in files() {
        let bytes = fs::read(&path).unwrap();
        let longer = [&bytes[..], b"trailing\n"].concat();
        assert_eq!(Image::decode(&longer, &path).unwrap(), Image::decode(&bytes, &path).unwrap(), "{}", path.display());
    }
}

#[test]
fn grey_files_have_one_channel() {
    for (file, channels) in [
        ("gray.pgm", 1),
        ("bits.pbm", 1),
        ("plain.pgm", 1),
        ("gray.jpg", 1),
        ("rgb.ppm", 3),
        ("lossy-alpha.webp", 3),
        ("cmyk.jpg", 3),
        ("ycck.jpg", 3),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images").join(file);
        assert_eq!(Image::read(&path).unwrap().channels(), channels, "{file}");
    }
}

#[test]
fn sizes_that_a_file_claims_are_not_believed() {
    let mut bmp = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/rgb.bmp")).unwrap();
    bmp[18..26].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0x7F]);
    let claims: [&[u8]; 5] =
        [&bmp, b"P5 4000000000 4000000000 255\n1", b"P4 99999 99999\n1", b"P3 30000 30000 255\n1 ", b"P6 0 0 255\n"];
    for claim in claims {
        assert!(matches!(
            Image::decode(claim, Path::new("a")),
            Err(DataError::Decode { .. } | DataError::Argument { .. })
        ));
    }
}

#[test]
fn other_formats_are_refused_by_name() {
    for bytes in [&b"GIF89a"[..], b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 1\nMAXVAL 255\nENDHDR\n1", b"", b"P"] {
        let error = Image::decode(bytes, Path::new("a/file")).expect_err("no image").to_string();
        let expected = "a/file: cannot decode the image: neither PNG, JPEG, WebP, BMP nor PNM (P1 to P6)";
        assert_eq!(error, expected);
    }
}
