//! Weights beside other objects: read, nothing executed, and what was passed over is told.

use sconce_backbones::weights::{Extent, StateDict, load_backbone, read_pth, read_weights};
use sconce_core::{DType, Device, Params};

use super::{
    fixture, flat,
    handmade::{dict, int, ints, legacy, storage, tensor, text},
    names,
};

const WEIGHTS: [&str; 2] = ["conv1.weight", "layer1.0.conv1.weight"];

const FOUR: [f32; 4] = [1.0, 2.0, 3.0, 4.0];

fn four() -> Vec<u8> {
    tensor(&storage("0", 4, b"N"), 0, &[4], &[1])
}

/// What is passed over in a legacy file of these instructions, as `name: what`; its tensors are `of`.
#[track_caller]
fn passed_over(object: &[u8], of: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.pth");
    std::fs::write(&path, legacy(object, &[("0", 4, &FOUR)])).unwrap();
    let weights = StateDict::read(&path, Extent::StateDict).unwrap();
    assert_eq!(names(weights.tensors()), of);
    weights.passed_over().iter().map(|p| format!("{}: {}", p.name, p.what)).collect()
}

#[test]
fn files_that_people_have() {
    for (file, told) in [
        ("namespace", &["`args` (an object of `argparse.Namespace`)", "`epoch` (a number)"][..]),
        ("numpy-array", &["`numpy.ndarray`"]),
        ("path", &["`pathlib."]),
        ("defaultdict", &["`log` (a dictionary)"]),
        ("history-buffer", &["`message_hub` (a dictionary, with `mmengine.logging.history_buffer.HistoryBuffer`)"]),
        ("tagged-tensors", &[]),
    ] {
        let weights = read_weights(&fixture(&format!("cases/pth-side-objects/{file}.pth"))).unwrap();
        assert_eq!(names(weights.tensors()), WEIGHTS, "{file}");
        assert_eq!(weights.tensor(WEIGHTS[0]).unwrap().dims(), [2, 3, 3, 3]);
        let said: Vec<String> = weights.passed_over().iter().map(ToString::to_string).collect();
        for part in told {
            assert!(said.iter().any(|said| said.contains(part)), "{file}: `{part}` is not in {said:?}");
        }
    }
}

/// Instructions that call the global with a tuple of arguments.
fn call(global: &str, arguments: &[Vec<u8>]) -> Vec<u8> {
    let (module, name) = global.rsplit_once('.').unwrap();
    [format!("c{module}\n{name}\n(").as_bytes(), &arguments.concat(), b"tR"].concat()
}

#[test]
fn whatever_stands_beside_weights() {
    let state = |items: &[(&str, Vec<u8>)]| [dict(items), b"b".to_vec()].concat();
    let new = |class: &str| {
        let (module, name) = class.rsplit_once('.').unwrap();
        [format!("c{module}\n{name}\n)").as_bytes(), b"\x81"].concat()
    };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (call("datetime.datetime", &[b"C\x0a0123456789".to_vec()]), "an object of `datetime.datetime`"),
        (call("torch.Size", &[ints(&[1, 2])]), "an object of `torch.Size`"),
        (call("torch.device", &[text("cuda")]), "an object of `torch.device`"),
        (b"ctorch\nfloat32\n".to_vec(), "the type Float"),
        (b"ctorch\nquint8\n".to_vec(), "`torch.quint8`"),
        (b"ctorch.nn.functional\nrelu\n".to_vec(), "`torch.nn.functional.relu`"),
        (
            call("numpy._core.multiarray.scalar", &[text("f8"), b"C\x01x".to_vec()]),
            "an object of `numpy._core.multiarray.scalar`",
        ),
        (call("my.Enum", &[int(1)]), "an object of `my.Enum`"),
        (call("builtins.set", &[b"](K\x01e".to_vec()]), "an object of `builtins.set`"),
        (b"\x8f(K\x01\x90".to_vec(), "a set"),
        (
            [new("omegaconf.dictconfig.DictConfig"), state(&[("_content", dict(&[("lr", int(1))]))])].concat(),
            "an object of `omegaconf.dictconfig.DictConfig`",
        ),
        // An old object, and one with arguments by name.
        (
            call(
                "copy_reg._reconstructor",
                &[b"cold\nClass\n".to_vec(), b"c__builtin__\nobject\n".to_vec(), b"N".to_vec()],
            ),
            "an object of `old.Class`",
        ),
        (
            [b"ca.b\nC\n".to_vec(), ints(&[1]), dict(&[("k", int(2))]), b"\x92".to_vec()].concat(),
            "an object of `a.b.C`",
        ),
        // What a function made is called, as by `getattr`.
        (
            [call("builtins.getattr", &[b"ca\nB\n".to_vec(), text("make")]), b")R".to_vec()].concat(),
            "an object of `builtins.getattr`",
        ),
        ([call("collections.deque", &[]), b"(K\x01K\x02e".to_vec()].concat(), "an object of `collections.deque`"),
        // A reference out of the file that is none to a storage; a storage of a kind that nobody knows, and a tensor over it.
        (
            [b"(".to_vec(), text("module"), b"ca\nB\n".to_vec(), text("source"), b"tQ".to_vec()].concat(),
            "something outside of the file",
        ),
        (b"K\x05Q".to_vec(), "something outside of the file"),
        (
            tensor(
                &[b"(", &text("storage")[..], b"ctorch\nOddStorage\n", &text("9"), &text("cpu"), &int(4), b"tQ"]
                    .concat(),
                0,
                &[4],
                &[1],
            ),
            "a tensor of `torch.OddStorage`, which is not read",
        ),
        (call("torch._utils._rebuild_qtensor", &[int(1)]), "an object of `torch._utils._rebuild_qtensor`"),
        ([b"](".to_vec(), call("a.B", &[]), b"e".to_vec()].concat(), "a list, with `a.B`"),
        (b"X\x01\x00\x00\x00t".to_vec(), "text"),
        (b"N".to_vec(), "nothing"),
    ];
    for (value, what) in cases {
        // Beside the state dict, and within it.
        let beside = dict(&[("state_dict", dict(&[("w", four())])), ("other", value.clone())]);
        assert_eq!(passed_over(&beside, &["w"]), [format!("other: {what}")]);
        let within = dict(&[("w", four()), ("other", value)]);
        assert_eq!(passed_over(&within, &["w"]), [format!("other: {what}")]);
    }
}

#[test]
fn dictionaries_of_any_class_hold_weights() {
    let classes: [&[u8]; 3] =
        [b"ccollections\ndefaultdict\nc__builtin__\nlist\n\x85R", b"cmy.module\nStateDict\n)R", b"cmy\nDict\n)\x81"];
    for class in classes {
        let object = [class, b"(", &text("w"), &four(), b"u"].concat();
        let tensors = read_pth(&legacy(&object, &[("0", 4, &FOUR)]), Extent::StateDict).unwrap();
        assert_eq!(flat(&tensors["w"]), [1.0, 2.0, 3.0, 4.0]);
        let wrapped = dict(&[("model", object), ("epoch", int(1))]);
        let tensors = read_pth(&legacy(&wrapped, &[("0", 4, &FOUR)]), Extent::StateDict).unwrap();
        assert_eq!(names(&tensors), ["w"]);
    }
}

#[test]
fn keys_that_are_no_text_are_passed_over() {
    let callbacks =
        [b"}(cpl.callbacks\nModelCheckpoint\n".to_vec(), dict(&[("best", int(1))]), b"K\x03K\x04\x86K\x05u".to_vec()];
    let object = dict(&[("w", four()), ("callbacks", callbacks.concat())]);
    let told = passed_over(&object, &["w"]);
    assert_eq!(told, ["callbacks.?: a number", "callbacks.pl.callbacks.ModelCheckpoint: a dictionary"]);
}

#[test]
fn tensors_with_attributes_are_tensors() {
    let inner = [b"(", &storage("0", 4, b"N")[..], &int(1), &ints(&[3]), &ints(&[1]), b"\x89N", b"t"].concat();
    let tagged = |function: &[u8], arguments: &[u8]| {
        [
            b"ctorch._tensor\n_rebuild_from_type_v2\n(",
            function,
            b"ctorch\nTensor\n",
            arguments,
            &dict(&[("tag", int(1))]),
            b"tR",
        ]
        .concat()
    };
    let once = tagged(b"ctorch._utils\n_rebuild_tensor_v2\n", &inner);
    let object = dict(&[("w", once.clone())]);
    let tensors = read_pth(&legacy(&object, &[("0", 4, &FOUR)]), Extent::StateDict).unwrap();
    assert_eq!(flat(&tensors["w"]), [2.0, 3.0, 4.0]);
    // A function that is not known makes something that is not known.
    let other = dict(&[("w", once), ("v", tagged(b"cmy\nrebuild\n", b")"))]);
    assert_eq!(passed_over(&other, &["w"]), ["v: an object of `my.rebuild`"]);
    // Again and again the same: the work is bounded by the file.
    let mut nested = [b"ctorch._tensor\n_rebuild_from_type_v2\nq\x00", &inner[..], b"q\x010"].concat();
    nested.extend(b"(ctorch._utils\n_rebuild_tensor_v2\nNh\x01t");
    for _ in 0..2000 {
        nested.extend(b"q\x010(h\x00Nh\x01t");
    }
    nested.extend(b"q\x01");
    nested.extend(b"h\x00h\x01R0".repeat(2000));
    let error = read_pth(&legacy(&nested, &[("0", 4, &FOUR)]), Extent::StateDict).unwrap_err().to_string();
    assert!(error.contains("over and over"), "{error}");
}

#[test]
fn what_is_wanted_and_is_no_tensor_is_named() {
    let params = Params::new(0, DType::F32, &Device::Cpu);
    params.scope().buffer("w", 4, 0.0, DType::F32).unwrap();
    params.scope().buffer("v", 4, 0.0, DType::F32).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.pth");
    let object = dict(&[("w", four()), ("v", call("torch._utils._rebuild_qtensor", &[int(1)]))]);
    std::fs::write(&path, legacy(&object, &[("0", 4, &FOUR)])).unwrap();
    let error = load_backbone(&params, &read_weights(&path).unwrap(), &[]).unwrap_err().to_string();
    assert!(error.contains("odd.pth: `v` is an object of `torch._utils._rebuild_qtensor`"), "{error}");
}
