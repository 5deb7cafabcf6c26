//! FERPlus: the pair of tables, separated by a zero byte, and Microsoft's table.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use sconce_data::{FerPlusConfig, FerPlusLabel, FerPlusSplit, Ties, parse_fer_plus, parse_fer_plus_labels};

fuzz_target!(|bytes: &[u8]| {
    let (pixels_path, votes_path) = (Path::new("fer2013.csv"), Path::new("fer2013new.csv"));
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    let (pixels, votes) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    for label in [FerPlusLabel::ArgMax, FerPlusLabel::EmotionArgMax, FerPlusLabel::Majority] {
        let config = FerPlusConfig { label, ties: Ties::Drop };
        let read = parse_fer_plus((pixels, pixels_path), (votes, votes_path), FerPlusSplit::Training, &config);
        let read = read.map(|(dataset, counts)| (dataset.len(), counts));
        let listed = parse_fer_plus_labels(bytes, votes_path, &config);
        let listed = listed.map(|(samples, counts)| (samples.len(), counts));
        for (n, c) in [read, listed].into_iter().flatten() {
            // Every row is a sample, or there is a reason why it is none.
            assert_eq!(n, c.kept);
            let dropped = c.unnamed + c.unknown + c.not_a_face + c.no_votes + c.no_majority + c.tied;
            assert_eq!(c.rows, c.kept + dropped);
        }
    }
});
