//! What is wrong in a file is said, with the name of what is wrong.

use sconce_backbones::weights::{Extent, PthError, StateDict, WeightsError, read_pth};
use sconce_core::Tensor;

use super::{
    bytes, fixture, flat,
    handmade::{archive, dict, int, legacy, legacy_of, pickle, storage, tensor, text},
};

fn read(bytes: &[u8]) -> Result<std::collections::BTreeMap<String, Tensor>, PthError> {
    read_pth(bytes, Extent::StateDict)
}

/// The message about a legacy file whose object these instructions make.
#[track_caller]
fn refusal(object: &[u8], storages: &[(&str, i64, &[f32])]) -> String {
    read(&legacy(object, storages)).expect_err("it is read").to_string()
}

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{message}` does not say `{part}`");
    }
}

const FOUR: [f32; 4] = [1.0, 2.0, 3.0, 4.0];

fn view(offset: i64, size: &[i64], stride: &[i64]) -> Vec<u8> {
    dict(&[("w", tensor(&storage("0", 4, b"N"), offset, size, stride))])
}

#[test]
fn functions_and_classes_are_named_and_not_called() {
    let call = |global: &[u8], argument: &[u8]| [global, argument, b"\x85R"].concat();
    let cases: [(&str, Vec<u8>); 7] = [
        ("os.system", call(b"cos\nsystem\n", &text("true"))),
        ("posix.system", call(b"cposix\nsystem\n", &text("true"))),
        ("builtins.eval", call(&[&text("builtins")[..], &text("eval"), b"\x93"].concat(), &text("1"))),
        ("torch.storage._load_from_bytes", call(b"ctorch.storage\n_load_from_bytes\n", b"C\x01x")),
        ("argparse.Namespace", b"cargparse\nNamespace\n)\x81".to_vec()),
        ("torch.nn.modules.conv.Conv2d", b"ctorch.nn.modules.conv\nConv2d\n)\x81".to_vec()),
        ("torch.OtherStorage", b"ctorch\nOtherStorage\n".to_vec()),
    ];
    for (name, object) in cases {
        // Alone it is what the file holds.
        let error = read(&legacy(&object, &[])).unwrap_err();
        assert_eq!(error, PthError::Global { name: name.to_owned() });
        assert_says(&error.to_string(), &[&format!("`{name}`")]);
        // Within others it is passed over, and named where nothing is left.
        let within = dict(&[("state_dict", dict(&[("hook", object)]))]);
        assert_says(&refusal(&within, &[]), &["no tensors", "`state_dict.hook` is ", &format!("`{name}`")]);
    }
}

#[test]
fn tensors_stay_within_their_storage() {
    let four = [("0", 4, &FOUR[..])];
    assert_eq!(flat(&read(&legacy(&view(1, &[3], &[1]), &four)).unwrap()["w"]), [2.0, 3.0, 4.0]);
    for (offset, size, stride, what) in [
        (1, &[4][..], &[1][..], "reaches to element 5 of its storage, which has 4"),
        (0, &[2, 2], &[3, 1], "reaches to element 5"),
        (-1, &[1], &[1], "offset is [4, -1], expected nothing negative"),
        (0, &[-2, -2], &[2, 1], "size is [-2, -2], expected nothing negative"),
        (3, &[2], &[-1], "stride is [-1], expected nothing negative"),
        (0, &[2, 2], &[1], "2 axes but 1 strides"),
        (i64::MAX, &[1], &[1], "reaches to element 9223372036854775808"),
        (0, &[2], &[i64::MAX], "reaches to element 9223372036854775808"),
        (0, &[3, 3], &[i64::MAX, i64::MAX], "beyond all memory"),
        (0, &[1 << 40, 1 << 40], &[0, 0], "beyond all memory"),
        (0, &[0, 1 << 62, 4], &[1, 1, 1], "beyond all memory"),
        (0, &[1 << 40], &[0], "four times the file's"),
        (0, &[1 << 62], &[0], "four times the file's"),
    ] {
        assert_says(&refusal(&view(offset, size, stride), &four), &["tensor `w`", what]);
    }
    assert_says(&refusal(&view(0, &[1; 65], &[1; 65]), &four), &["at most 64 integers"]);
    // An offset says nothing about no elements.
    assert_eq!(read(&legacy(&view(i64::MAX, &[0, 3], &[3, 1]), &four)).unwrap()["w"].dims(), [0, 3]);
}

#[test]
fn settings_that_are_called_model_are_no_wrapper() {
    let net = dict(&[("w", tensor(&storage("0", 4, b"N"), 0, &[1], &[1]))]);
    let object = dict(&[("model", dict(&[("width", int(3))])), ("net", net.clone())]);
    assert!(read(&legacy(&object, &[("0", 4, &FOUR)])).unwrap().contains_key("net.w"));
    let object = dict(&[("model", dict(&[("state_dict", net.clone())])), ("state_dict", dict(&[])), ("v", net)]);
    let tensors = read(&legacy(&object, &[("0", 4, &FOUR)])).unwrap();
    assert_eq!(tensors.keys().collect::<Vec<_>>(), ["w"]);
}

#[test]
fn storages_are_as_long_as_they_say() {
    let object = view(0, &[4], &[1]);
    assert_says(&refusal(&object, &[]), &["storage `0`", "is not in the file"]);
    assert_says(&refusal(&object, &[("0", 4, &FOUR[..3])]), &["storage `0`", "breaks off"]);
    assert_says(&refusal(&object, &[("0", 3, &FOUR[..3])]), &["storage `0`", "3 elements, expected 4"]);
    assert_says(&refusal(&object, &[("1", 4, &FOUR)]), &["storage `1`", "nothing refers to it"]);
    for huge in [-1, 1 << 40, 1 << 62, i64::MAX] {
        let object = dict(&[("w", tensor(&storage("0", huge, b"N"), 0, &[1], &[1]))]);
        assert_says(&refusal(&object, &[("0", huge, &FOUR)]), &["storage `0`"]);
    }
    let twice = dict(&[
        ("v", tensor(&storage("0", 4, b"N"), 0, &[1], &[1])),
        ("w", tensor(&storage("0", 3, b"N"), 0, &[1], &[1])),
    ]);
    assert_says(&refusal(&twice, &[("0", 4, &FOUR)]), &["storage `0`", "4 of Float at one place and 3 of Float"]);
}

#[test]
fn pickles_of_python_2_and_parts_of_storages_are_read() {
    let part = [&text("1")[..], &int(1), &int(2), b"\x87"].concat();
    let of_part = |offset, n| tensor(&storage("0", 4, &part), offset, &[n], &[1]);
    let ordered = [b"ccollections\nOrderedDict\n](", &b"]("[..], &text("w"), &of_part(0, 2), b"ee\x85R"].concat();
    let tensors = read(&legacy(&ordered, &[("0", 4, &FOUR)])).unwrap();
    assert_eq!(flat(&tensors["w"]), [2.0, 3.0]);
    let beyond = dict(&[("w", of_part(1, 2))]);
    assert_says(&refusal(&beyond, &[("0", 4, &FOUR)]), &["tensor `w`", "element 3 of its storage, which has 2"]);
    let part = [&text("1")[..], &int(i64::MAX), &int(2), b"\x87"].concat();
    let beyond = dict(&[("w", tensor(&storage("0", 4, &part), 0, &[1], &[1]))]);
    assert_says(&refusal(&beyond, &[("0", 4, &FOUR)]), &["tensor `w`", "its part of the storage"]);
    let old = [
        b"ctorch._utils\n_rebuild_tensor\n(",
        &storage("0", 4, b"N")[..],
        &int(0),
        &super::handmade::ints(&[2]),
        &super::handmade::ints(&[2]),
        b"tR",
    ];
    let tensors = read(&legacy(&dict(&[("w", old.concat())]), &[("0", 4, &FOUR)])).unwrap();
    assert_eq!(flat(&tensors["w"]), [1.0, 3.0]);
}

#[test]
fn pickles_without_sense_end() {
    let itself = [b"}q\x00", &text("again")[..], b"h\x00s"].concat();
    assert_says(&refusal(&itself, &[]), &["more than 32 dictionaries deep"]);
    assert_says(&refusal(b"]q\x00h\x00a", &[]), &["no tensors", "a list; only dictionaries are looked into"]);
    assert_says(&refusal(&dict(&[("epoch", int(3))]), &[]), &["no tensors", "1 keys (epoch)"]);
    // Thirty dictionaries, each twice in the next one: 2^30 ways to the innermost one.
    let mut tree = dict(&[]);
    for _ in 0..30 {
        tree.extend([b"q\x010}(", &text("a")[..], b"h\x01", &text("b"), b"h\x01u"].concat());
    }
    assert_says(&refusal(&tree, &[]), &["stand within each other too often"]);
    for (object, what) in [
        (&b"X\xff\xff\xff\xff"[..], "breaks off"),
        (b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "breaks off"),
        (b"h\x07", "fetches value 7"),
        (b"0", "value that is not there"),
        (b"(\x85", "value that is not there"),
        (b"t", "mark that is not there"),
        (b"}(Nu", "a key has no value"),
        (b"NN", "values left over"),
        (b"NQ", "something outside of the file"),
        (b"X\x01\x00\x00\x00wb", "value that is not there"),
        (b"I1\n", "instruction 0x49"),
        (b"\x82\x01", "instruction 0x82"),
        (b"ctorch\nFloatStorage\n)R", "does not take"),
        (b"N)R", "no function"),
        (b"cos\nsystem\nNR", "without a tuple"),
    ] {
        assert_says(&refusal(object, &[]), &[what]);
    }
    let pairs = [
        b"](",
        &b"K\x01K\x02\x86"[..].repeat(40)[..],
        b"eq\x00",
        &b"ccollections\nOrderedDict\nh\x00\x85R0"[..].repeat(200),
    ]
    .concat();
    assert_says(&refusal(&pairs, &[]), &["over and over"]);
}

#[test]
fn other_forms_are_named() {
    let big = legacy_of(b"\x89", &view(0, &[4], &[1]), &[("0", 4, &FOUR)]);
    assert_eq!(read(&big).unwrap_err(), PthError::BigEndian);
    assert_says(&read(b"\x80\x04N.").unwrap_err().to_string(), &["nor written by torch.save", "a pickle alone"]);
    assert_says(&read(b"\x81\x04N.").unwrap_err().to_string(), &["it begins with 81 04 4e 2e"]);
    assert_says(
        &read(b"<!DOCTYPE html><html>").unwrap_err().to_string(),
        &["it begins with the text \"<!DOCTYPE html><\""],
    );
    assert_says(&read(b"").unwrap_err().to_string(), &["it is empty"]);
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n";
    assert_says(&read(pointer).unwrap_err().to_string(), &["Git LFS"]);
    let error = StateDict::read(&fixture("expected.json"), Extent::StateDict).unwrap_err();
    assert!(matches!(error, WeightsError::Pth { source: PthError::UnknownForm { .. }, .. }), "{error}");
    assert_says(&error.to_string(), &["expected.json"]);
    assert_says(&StateDict::read(&fixture("none"), Extent::StateDict).unwrap_err().to_string(), &["none"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half.safetensors");
    std::fs::write(&path, &bytes("vgg.safetensors")[..1000]).unwrap();
    assert_says(&StateDict::read(&path, Extent::StateDict).unwrap_err().to_string(), &["half.safetensors"]);
}

#[test]
fn archives_are_whole() {
    let object = pickle(&view(0, &[4], &[1]));
    let data: Vec<u8> = FOUR.iter().flat_map(|v| v.to_le_bytes()).collect();
    let zipped = |files: &[(&str, &[u8])]| read(&archive(files));
    let good = [("any name/data.pkl", &object[..]), ("any name/data/0", &data), ("any name/byteorder", b"little")];
    assert_eq!(flat(&zipped(&good).unwrap()["w"]), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(flat(&zipped(&[("data.pkl", &object), ("data/0", &data)]).unwrap()["w"]), [1.0, 2.0, 3.0, 4.0]);
    let big = [good[0], good[1], ("any name/byteorder", &b"big"[..])];
    assert_eq!(zipped(&big).unwrap_err(), PthError::BigEndian);
    let says = |files: &[(&str, &[u8])], parts: &[&str]| assert_says(&zipped(files).unwrap_err().to_string(), parts);
    says(&good[1..], &["no data.pkl"]);
    says(&[("a/b/data.pkl", &object)], &["no data.pkl"]);
    says(&good[..1], &["storage `0`", "the archive has no `data/0`"]);
    says(&[good[0], ("any name/data/0", &data[..15])], &["storage `0`", "15 bytes, expected 4 elements of Float"]);
    let mut damaged = archive(&good);
    let at = damaged.windows(data.len()).position(|window| window == data).unwrap();
    damaged[at] ^= 1;
    assert_says(&read(&damaged).unwrap_err().to_string(), &["checksum of `any name/data/0`"]);
}

#[test]
fn a_file_that_breaks_off_anywhere_is_refused() {
    for name in ["tiny.pth", "tiny-legacy.pth"] {
        let whole = bytes(name);
        assert_eq!(flat(&read(&whole).unwrap()["b"]), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        for n in 0..whole.len() {
            assert!(read(&whole[..n]).is_err(), "{name}: {n} of {} bytes", whole.len());
        }
    }
}
