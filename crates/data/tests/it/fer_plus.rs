//! FERPlus in both layouts, with its oddities.

use std::{fmt::Write as _, fs, path::Path};

use sconce_data::{
    DataError, FER_PLUS_CLASSES, FerPlusConfig, FerPlusCounts, FerPlusLabel, FerPlusSplit, Image, ImageDataset, Result,
    Ties, parse_fer_plus, parse_fer_plus_labels, read_fer_plus, read_fer_plus_folders,
};

const VOTES_HEADER: &str =
    "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n";

/// The two tables of `rows`: usage, image name, votes, and the value of all pixels.
fn tables(rows: &[(&str, &str, &str, u8)]) -> (String, String) {
    let (mut pixels, mut votes) = ("emotion,pixels,Usage\n".to_owned(), VOTES_HEADER.to_owned());
    for (usage, name, counts, value) in rows {
        let values = vec![value.to_string(); 48 * 48].join(" ");
        writeln!(pixels, "0,{values},{usage}").unwrap();
        writeln!(votes, "{usage},{name},{counts}").unwrap();
    }
    (pixels, votes)
}

const ROWS: [(&str, &str, &str, u8); 7] = [
    ("Training", "fer0.png", "4,0,0,1,3,2,0,0,0,0", 10),
    ("Training", "fer1.png", "0,6,0,0,0,0,0,0,4,0", 255),
    ("Training", "", "0,0,0,0,0,0,0,0,0,10", 0),
    ("PublicTest", "fer3.png", "0,0,0,0,0,0,0,10,0,0", 3),
    ("Training", "fer4.png", "0,0,3,0,0,0,3,0,4,0", 40),
    ("Training", "fer5.png", "0,0,0,5,5,0,0,0,0,0", 50),
    ("PrivateTest", "fer6.png", "0,0,0,0,0,0,0,1,0,9", 6),
];

fn parse(
    pixels: &str,
    votes: &str,
    split: FerPlusSplit,
    config: FerPlusConfig,
) -> Result<(ImageDataset, FerPlusCounts)> {
    let (pixels_path, votes_path) = (Path::new("fer2013.csv"), Path::new("fer2013new.csv"));
    parse_fer_plus((pixels.as_bytes(), pixels_path), (votes.as_bytes(), votes_path), split, &config)
}

fn kept(dataset: &ImageDataset) -> Vec<(&str, u32)> {
    (0..dataset.len()).map(|i| (dataset.name(i), dataset.label(i))).collect()
}

#[test]
fn names_labels_and_pixels_belong_together() {
    let (pixels, votes) = tables(&ROWS);
    for (pixels, votes) in
        [(pixels.clone(), votes.clone()), (pixels.replace('\n', "\r\n"), votes.replace('\n', "\r\n"))]
    {
        let (dataset, counts) = parse(&pixels, &votes, FerPlusSplit::Training, FerPlusConfig::default()).unwrap();
        assert_eq!(kept(&dataset), [("fer0.png", 0), ("fer1.png", 1), ("fer5.png", 3)]);
        assert_eq!(counts, FerPlusCounts { rows: 5, kept: 3, unnamed: 1, unknown: 1, ..Default::default() });
        assert_eq!(dataset.classes(), FER_PLUS_CLASSES);
        let image = dataset.image(1).unwrap();
        assert_eq!((image.width(), image.height(), image.channels()), (48, 48, 1));
        assert!(image.data().iter().all(|&v| v == 255));
        let (test, _) = parse(&pixels, &votes, FerPlusSplit::PublicTest, FerPlusConfig::default()).unwrap();
        assert_eq!(kept(&test), [("fer3.png", 7)]);
    }
}

#[test]
fn pixels_stand_in_the_order_of_the_file() {
    let values: Vec<String> = (0..48 * 48).map(|i| (i % 256).to_string()).collect();
    let values = values.join(" ");
    let votes = format!("{VOTES_HEADER}Training,a.png,10,0,0,0,0,0,0,0,0,0\n");
    // Both orders of columns have been published.
    for pixels in [
        format!("emotion,pixels,Usage\n0,{values},Training\n"),
        format!("emotion, Usage, pixels\n0,Training,{values}\n"),
    ] {
        let (dataset, _) = parse(&pixels, &votes, FerPlusSplit::Training, FerPlusConfig::default()).unwrap();
        assert!(dataset.image(0).unwrap().data().iter().enumerate().all(|(i, &v)| usize::from(v) == i % 256));
    }
}

#[test]
fn what_each_policy_drops_is_counted() {
    let (pixels, votes) = tables(&ROWS);
    let read = |label, ties| parse(&pixels, &votes, FerPlusSplit::Training, FerPlusConfig { label, ties }).unwrap();
    let base = FerPlusCounts { rows: 5, unnamed: 1, ..Default::default() };

    let (dataset, counts) = read(FerPlusLabel::EmotionArgMax, Ties::First);
    assert_eq!(kept(&dataset), [("fer0.png", 0), ("fer1.png", 1), ("fer4.png", 2), ("fer5.png", 3)]);
    assert_eq!(counts, FerPlusCounts { kept: 4, ..base });

    let (dataset, counts) = read(FerPlusLabel::EmotionArgMax, Ties::Drop);
    assert_eq!(kept(&dataset), [("fer0.png", 0), ("fer1.png", 1)]);
    assert_eq!(counts, FerPlusCounts { kept: 2, tied: 2, ..base });

    // 4 of 9 without the single vote, 6 of 10, 4 of 10, 5 of 10.
    let (dataset, counts) = read(FerPlusLabel::Majority, Ties::First);
    assert_eq!(kept(&dataset), [("fer1.png", 1)]);
    assert_eq!(counts, FerPlusCounts { kept: 1, no_majority: 3, ..base });
}

#[test]
fn a_split_of_which_nothing_is_left_is_named() {
    let (pixels, votes) = tables(&ROWS);
    let error = parse(&pixels, &votes, FerPlusSplit::PrivateTest, FerPlusConfig::default()).unwrap_err();
    assert!(matches!(&error, DataError::Empty { path, .. } if path == Path::new("fer2013new.csv")), "{error}");
}

#[test]
fn tables_of_the_real_size_have_the_published_counts() {
    let root = tempfile::tempdir().unwrap();
    // Rows and empty names of each split. Pixels of one digit keep the file small.
    let sizes = [("Training", 28_709, 148), ("PublicTest", 3_589, 10), ("PrivateTest", 3_589, 15)];
    let mut pixels = "emotion,pixels,Usage\n".to_owned();
    let mut votes = VOTES_HEADER.to_owned();
    let values = vec!["7"; 48 * 48].join(" ");
    let mut number = 0;
    for (usage, n_rows, n_unnamed) in sizes {
        for row in 0..n_rows {
            let name = if row < n_unnamed { String::new() } else { format!("fer{number:07}.png") };
            writeln!(pixels, "3,{values},{usage}").unwrap();
            writeln!(votes, "{usage},{name},0,0,0,10,0,0,0,0,0,0").unwrap();
            number += 1;
        }
    }
    fs::write(root.path().join("fer2013.csv"), pixels).unwrap();
    fs::write(root.path().join("fer2013new.csv"), votes).unwrap();
    for (split, (_, rows, unnamed)) in FerPlusSplit::ALL.into_iter().zip(sizes) {
        let (dataset, counts) = read_fer_plus(root.path(), split, &FerPlusConfig::default()).unwrap();
        assert_eq!(counts, FerPlusCounts { rows, unnamed, kept: rows - unnamed, ..Default::default() });
        assert_eq!(dataset.len(), [28_561, 3_579, 3_574][split as usize]);
        assert_eq!(dataset.image(0).unwrap().data(), [7; 48 * 48]);
    }
}

/// The message for the tables of [`ROWS`] after a change of each.
fn message(pixels: impl Fn(String) -> String, votes: impl Fn(String) -> String) -> String {
    let tables = tables(&ROWS);
    let result = parse(&pixels(tables.0), &votes(tables.1), FerPlusSplit::Training, FerPlusConfig::default());
    result.expect_err("a broken table").to_string()
}

#[test]
fn a_vote_that_is_wrong_names_the_row() {
    let of = |from: &str, to: &str| message(|p| p, |v| v.replace(from, to));
    let votes = "0,6,0,0,0,0,0,0,4,0";
    assert_eq!(of(votes, "0,6,0,0,0,0,0,0,4"), "fer2013new.csv:3: found 11 fields, expected 12");
    assert_eq!(of(votes, "0,6,0,0,0,0,0,0,4,0,0"), "fer2013new.csv:3: found 13 fields, expected 12");
    for bad in ["x", "-1", "", "1.5", "4294967296"] {
        let expected = format!("fer2013new.csv:3: found `{bad}`, expected the number of votes for surprise");
        assert_eq!(of(votes, &format!("0,6,{bad},0,0,0,0,0,4,0")), expected);
    }
    // Also where another split stands.
    let other = of("0,0,0,0,0,0,0,10,0,0", "0,0,0,0,0,0,0,,0,0");
    assert_eq!(other, "fer2013new.csv:5: found ``, expected the number of votes for contempt");
}

#[test]
fn a_name_that_is_a_path_or_comes_twice_names_the_row() {
    let of = |to: &str| message(|p| p, |v| v.replace("fer1.png", to));
    assert_eq!(of("../a.png"), "fer2013new.csv:3: found `../a.png`, expected a name without a folder");
    assert_eq!(of("fer0.png"), "fer2013new.csv:3: found `fer0.png` once more, expected every name once");
}

#[test]
fn a_usage_that_is_unknown_or_differs_names_the_row() {
    let unknown = message(|p| p, |v| v.replace("PublicTest", "Test"));
    assert_eq!(unknown, "fer2013new.csv:5: found `Test`, expected Training, PublicTest or PrivateTest");
    let differs = message(|p| p.replace("PublicTest", "Training"), |v| v);
    assert_eq!(differs, "fer2013.csv:5: found `Training`, expected `PublicTest` as in fer2013new.csv:5");
}

#[test]
fn pixels_that_are_wrong_name_the_row() {
    let ten = vec!["10"; 48 * 48].join(" ");
    let of = |to: String| message(|p| p.replace(&ten, &to), |v| v);
    assert_eq!(of(ten[3..].to_owned()), "fer2013.csv:2: found 2303 pixels, expected 2304");
    assert_eq!(of(format!("{ten} 1")), "fer2013.csv:2: found more than 2304 pixels, expected 2304");
    assert_eq!(of(String::new()), "fer2013.csv:2: found 0 pixels, expected 2304");
    for bad in ["256", "-1", "1000", "1.5", "x", "99999999999999999999999"] {
        let expected = format!("fer2013.csv:2: found pixel 1 `{bad}`, expected a number from 0 to 255");
        assert_eq!(of(ten.replacen("10 10", &format!("10 {bad}"), 1)), expected);
    }
}

#[test]
fn tables_of_different_lengths_are_named() {
    let without_last = |text: String| text.trim_end().rsplit_once('\n').unwrap().0.to_owned();
    let expected = "fer2013.csv:8: found the end of the file, expected a row for fer2013new.csv:8";
    assert_eq!(message(without_last, |v| v), expected);
    let expected = "fer2013new.csv:8: found the end of the file, expected a row for fer2013.csv:8";
    assert_eq!(message(|p| p, without_last), expected);
}

#[test]
fn another_header_is_named() {
    let expected = "fer2013.csv:1: found columns `Emotion, pixels, Usage`, expected a column `emotion`";
    assert_eq!(message(|p| p.replace("emotion", "Emotion"), |v| v), expected);
    let expected = "fer2013new.csv:1: found column `nf`, expected column `NF`";
    assert_eq!(message(|p| p, |v| v.replace("NF", "nf")), expected);
    assert_eq!(
        message(|_| String::new(), |_| String::new()),
        "fer2013.csv:1: found the end of the file, expected a header"
    );
}

/// Microsoft's layout of one split.
fn folders(labels: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("FER2013Valid");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("label.csv"), labels).unwrap();
    for (i, name) in ["fer0.png", "fer1.png"].into_iter().enumerate() {
        let image = Image::new(48, 48, 1, vec![i as u8; 48 * 48]).unwrap();
        fs::write(folder.join(name), image.encode_png().unwrap()).unwrap();
    }
    root
}

const LABELS: &str =
    "fer0.png,\"(0, 0, 48, 48)\",4,0,0,1,3,2,0,0,0,0\nfer1.png,\"(0, 0, 48, 48)\",0,0,0,0,0,0,0,10,0,0\n";

#[test]
fn microsofts_folders_are_read() {
    for labels in [
        LABELS.to_owned(),
        LABELS.replace('\n', "\r\n"),
        format!("{LABELS}x.png,\"(0, 0, 48, 48)\",0,0,0,0,0,0,0,0,9,1"),
    ] {
        let root = folders(&labels);
        let (dataset, counts) =
            read_fer_plus_folders(root.path(), FerPlusSplit::PublicTest, &FerPlusConfig::default()).unwrap();
        assert_eq!(kept(&dataset), [("fer0.png", 0), ("fer1.png", 7)]);
        assert_eq!((counts.kept, counts.rows - counts.unknown), (2, 2));
        assert_eq!(dataset.image(1).unwrap().data(), [1; 48 * 48]);
    }
}

#[test]
fn a_missing_image_of_microsofts_names_its_line() {
    let root = folders(LABELS);
    fs::remove_file(root.path().join("FER2013Valid/fer1.png")).unwrap();
    let error = read_fer_plus_folders(root.path(), FerPlusSplit::PublicTest, &FerPlusConfig::default()).unwrap_err();
    assert!(matches!(&error, DataError::Line { path, line: 2, .. } if path.ends_with("label.csv")), "{error}");
}

#[test]
fn a_row_of_microsofts_that_is_wrong_is_named() {
    let message = |from: &str, to: &str| {
        let labels = LABELS.replace(from, to);
        parse_fer_plus_labels(labels.as_bytes(), Path::new("label.csv"), &FerPlusConfig::default())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        message("fer1.png,\"(0, 0, 48, 48)\"", "fer1.png,\"(1, 0, 48, 48)\""),
        "label.csv:2: found the box `(1, 0, 48, 48)`, expected `(0, 0, 48, 48)`"
    );
    assert_eq!(message("fer1.png", "fer0.png"), "label.csv:2: found `fer0.png` once more, expected every name once");
    assert_eq!(message("fer1.png", "a/fer0.png"), "label.csv:2: found `a/fer0.png`, expected a name without a folder");
    assert_eq!(message("0,10,0,0", "0,10,0"), "label.csv:2: found 11 fields, expected 12");
}
