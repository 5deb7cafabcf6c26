//! Archives under names of every length, and with what zip archives may have besides.

use sconce_backbones::weights::{Extent, read_pth, read_weights};

use super::{
    fixture, flat,
    handmade::{archive, dict, pickle, storage, tensor},
};

const VALUES: [f32; 4] = [1.0, 2.0, 3.0, 4.0];

/// A file as `torch.save` writes it, whose archive is called `name`.
fn saved(name: &str) -> Vec<u8> {
    let object = pickle(&dict(&[("w", tensor(&storage("0", 4, b"N"), 0, &[4], &[1]))]));
    let data: Vec<u8> = VALUES.iter().flat_map(|v| v.to_le_bytes()).collect();
    let path = |file: &str| format!("{name}/{file}");
    archive(&[
        (&path("data.pkl"), &object[..]),
        (&path("byteorder"), b"little"),
        (&path("data/0"), &data),
        (&path("version"), b"3\n"),
    ])
}

/// The end of the directory of `bytes`, 22 bytes without a comment.
fn end(bytes: &[u8]) -> usize {
    bytes.len() - 22
}

/// With the records of an archive of more than 4 GiB between the directory and its end, which `torch.save` always writes.
fn with_zip64_records(bytes: &[u8]) -> Vec<u8> {
    let at = end(bytes);
    let field = |from: usize, n: usize| bytes[at + from..][..n].iter().rev().fold(0u64, |v, &b| v << 8 | u64::from(b));
    let (files, size, offset) = (field(10, 2), field(12, 4), field(16, 4));
    let mut record = b"PK\x06\x06".to_vec();
    record.extend(44u64.to_le_bytes());
    record.extend([45, 0, 45, 0]);
    record.extend([0; 8]);
    for value in [files, files, size, offset] {
        record.extend(value.to_le_bytes());
    }
    record.extend(b"PK\x06\x07\0\0\0\0");
    record.extend((at as u64).to_le_bytes());
    record.extend(1u32.to_le_bytes());
    [&bytes[..at], &record, &bytes[at..]].concat()
}

#[track_caller]
fn check(bytes: &[u8], what: &str) {
    let tensors = read_pth(bytes, Extent::StateDict).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(flat(&tensors["w"]), [1.0, 2.0, 3.0, 4.0], "{what}");
}

#[test]
fn the_length_of_a_name_does_not_matter() {
    for n in 1..=64 {
        for bytes in [saved(&"n".repeat(n)), saved(&"é".repeat(n))] {
            check(&bytes, &format!("a name of {n} letters"));
            check(&with_zip64_records(&bytes), &format!("a name of {n} letters, as torch.save writes it"));
        }
    }
    for name in ["checkpoint_epoch_099", "checkpoint_epoch_0099", "checkpoint_epoch_00099"] {
        let weights = read_weights(&fixture(&format!("cases/pth-name-of-21/{name}.pth"))).unwrap();
        assert_eq!(super::names(weights.tensors()), ["conv1.weight", "layer1.0.conv1.weight"], "{name}");
    }
}

#[test]
fn an_archive_may_have_a_comment() {
    for n in [1, 21, 300, 65_000] {
        let mut bytes = with_zip64_records(&saved("checkpoint"));
        let at = end(&bytes) + 20;
        bytes[at..].copy_from_slice(&u16::try_from(n).unwrap().to_le_bytes());
        bytes.extend(vec![b'c'; n]);
        check(&bytes, &format!("a comment of {n} bytes"));
    }
}

#[test]
fn what_stands_before_an_archive_is_told() {
    let bytes = [b"#!/usr/bin/env python\n", &saved("checkpoint")[..]].concat();
    let error = read_pth(&bytes, Extent::StateDict).unwrap_err().to_string();
    assert!(error.contains("it begins with the text \"#!/usr/bin/env p\""), "{error}");
}
