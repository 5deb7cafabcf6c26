//! Pickles and archives put together by hand, for what PyTorch does not write any more, or never did.

use std::io::{Cursor, Write as _};

use zip::{ZipWriter, write::SimpleFileOptions};

pub(super) fn text(text: &str) -> Vec<u8> {
    [b"X", &u32::try_from(text.len()).unwrap().to_le_bytes()[..], text.as_bytes()].concat()
}

pub(super) fn int(value: i64) -> Vec<u8> {
    [b"\x8a\x08", &value.to_le_bytes()[..]].concat()
}

/// A tuple of 64-bit integers.
pub(super) fn ints(values: &[i64]) -> Vec<u8> {
    let items: Vec<u8> = values.iter().flat_map(|&v| int(v)).collect();
    [b"(", &items[..], b"t"].concat()
}

/// A reference to a storage of floats; `part` is `N` or a tuple.
pub(super) fn storage(key: &str, n_elements: i64, part: &[u8]) -> Vec<u8> {
    let (key, n_elements) = (text(key), int(n_elements));
    [b"(", &text("storage")[..], b"ctorch\nFloatStorage\n", &key, &text("cpu"), &n_elements, part, b"tQ"].concat()
}

/// A tensor over a [`storage`].
pub(super) fn tensor(storage: &[u8], offset: i64, size: &[i64], stride: &[i64]) -> Vec<u8> {
    let (size, stride) = (ints(size), ints(stride));
    let tail = b"\x89ccollections\nOrderedDict\n)RtR";
    [b"ctorch._utils\n_rebuild_tensor_v2\n(", storage, &int(offset), &size, &stride, tail].concat()
}

/// A dictionary from text to whatever the values' instructions make.
pub(super) fn dict(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let items: Vec<u8> = items.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
    [b"}(", &items[..], b"u"].concat()
}

pub(super) fn pickle(instructions: &[u8]) -> Vec<u8> {
    [b"\x80\x02", instructions, b"."].concat()
}

/// A legacy file around the instructions of an object, with storages of floats: key, number of elements as the file says, values.
pub(super) fn legacy(object: &[u8], storages: &[(&str, i64, &[f32])]) -> Vec<u8> {
    legacy_of(b"\x88", object, storages)
}

/// [`legacy`], which says with `little_endian` how it was written.
pub(super) fn legacy_of(little_endian: &[u8], object: &[u8], storages: &[(&str, i64, &[f32])]) -> Vec<u8> {
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    let system = pickle(&dict(&[("little_endian", little_endian.to_vec())]));
    let keys: Vec<u8> = storages.iter().flat_map(|(key, ..)| text(key)).collect();
    let keys = pickle(&[b"](", &keys[..], b"e"].concat());
    let mut file = [magic, &pickle(b"M\xe9\x03")[..], &system, &pickle(object), &keys].concat();
    for (_, n, values) in storages {
        file.extend(n.to_le_bytes());
        file.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    }
    file
}

/// A zip archive of these files.
pub(super) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}
