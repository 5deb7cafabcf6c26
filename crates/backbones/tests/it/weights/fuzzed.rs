//! Whatever the bytes are, reading them ends with tensors or an error.

use proptest::prelude::*;
use sconce_backbones::weights::{Extent, read_pth};

use super::{
    bytes,
    handmade::{archive, legacy},
};

fn read(bytes: &[u8]) {
    for extent in [Extent::StateDict, Extent::Everything] {
        if let Ok(tensors) = read_pth(bytes, extent) {
            let n_bytes: usize = tensors.values().map(|t| t.elem_count() * t.dtype().size_in_bytes()).sum();
            // Equal views are one tensor, but are counted here for each name.
            assert!(n_bytes <= tensors.len() * 4 * bytes.len());
        }
    }
}

/// Instructions of a pickle with short arguments, likelier to fit each other than any bytes.
fn instruction() -> impl Strategy<Value = Vec<u8>> {
    let snippets: &[&[u8]] = &[
        b"(",
        b"0",
        b"1",
        b"2",
        b"K\x03",
        b"K\x00",
        b"J\xff\xff\xff\xff",
        b"N",
        b"Q",
        b"R",
        b"X\x01\x00\x00\x00w",
        b"]",
        b"a",
        b"b",
        b"ccollections\nOrderedDict\n",
        b"ctorch\nFloatStorage\n",
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ctorch._utils\n_rebuild_parameter\n",
        b"e",
        b"h\x00",
        b"h\x01",
        b"q\x00",
        b"q\x01",
        b"s",
        b"t",
        b"u",
        b"}",
        b")",
        b"\x81",
        b"\x85",
        b"\x86",
        b"\x87",
        b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x8f",
        b"\x90",
        b"\x94",
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x02tQ",
    ];
    prop::sample::select(snippets.iter().map(|s| s.to_vec()).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read(&bytes);
        read(&legacy(&bytes, &[]));
        read(&archive(&[("a/data.pkl", &bytes)]));
    }

    #[test]
    fn any_instructions(instructions in prop::collection::vec(instruction(), 0..60)) {
        let object = instructions.concat();
        read(&legacy(&object, &[("0", 2, &[1.0, 2.0])]));
        read(&archive(&[("a/data.pkl", &object), ("a/data/0", &[0; 8])]));
    }

    #[test]
    fn real_files_with_other_bytes(
        file in prop::sample::select(vec!["tiny.pth", "tiny-legacy.pth", "kinds-2.pth", "kinds-2-legacy.pth", "kinds-4-legacy.pth"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = bytes(file);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        read(&bytes);
    }
}
