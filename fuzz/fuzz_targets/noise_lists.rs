//! Label lists in both forms: ours, and those with the paths of other machines.

#![no_main]

use std::{path::Path, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use sconce_data::{ImageDataset, NoisyLabels};

static DATASET: LazyLock<ImageDataset> = LazyLock::new(|| {
    let samples = ["train_1_aligned.jpg", "a/b c.png", "train_2_aligned.jpg"].into_iter().zip([0, 1, 1]);
    let samples = samples.map(|(name, label)| (name.to_owned(), label)).collect();
    ImageDataset::from_files(Path::new("root"), vec!["x".to_owned(), "y".to_owned()], samples).expect("three samples")
});

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let origin = Path::new("fuzz");
    let lists = [
        NoisyLabels::parse(&text, origin, &DATASET),
        NoisyLabels::parse_rerooted(&text, origin, &DATASET, 0),
        NoisyLabels::parse_rerooted(&text, origin, &DATASET, 1),
        NoisyLabels::parse_rerooted(&text, origin, &DATASET, u32::MAX),
    ];
    for labels in lists.into_iter().flatten() {
        assert_eq!(labels.original(), DATASET.labels());
    }
});
