//! One rule of types for all forms of files.

use std::{collections::BTreeMap, path::Path};

use sconce_backbones::weights::{StateDict, load_backbone, read_weights};
use sconce_core::{DType, Device, Params, Tensor};

use super::{fixture, flat, names};

#[test]
fn both_forms_of_one_state_dict_give_the_same() {
    for (name, expected) in [
        ("bool", Some((DType::U8, 2))),
        ("int8", Some((DType::I16, 2))),
        ("uint16", Some((DType::I32, 1))),
        ("float8_e4m3", Some((DType::F32, 1))),
        ("float8_e5m2", Some((DType::F32, 1))),
        ("complex64", None),
    ] {
        let read = |form: &str| read_weights(&fixture(&format!("cases/safetensors-bool/{name}.{form}"))).unwrap();
        let (ours, theirs) = (read("pth"), read("safetensors"));
        assert_eq!(names(ours.tensors()), names(theirs.tensors()), "{name}");
        for (key, tensor) in ours.tensors() {
            let other = &theirs.tensors()[key];
            assert_eq!((tensor.dtype(), tensor.dims()), (other.dtype(), other.dims()), "{name}: {key}");
            assert_eq!(flat(tensor), flat(other), "{name}: {key}");
        }
        for weights in [&ours, &theirs] {
            match expected {
                Some((dtype, n)) => {
                    let mask = weights.tensor("mask").unwrap();
                    assert_eq!((mask.dtype(), mask.elem_count()), (dtype, n), "{name}");
                    assert!(weights.passed_over().is_empty());
                }
                None => {
                    let what = "a tensor of complex numbers of 64 bits, which are not read";
                    assert_eq!(weights.passed_over()[0].to_string(), format!("`mask` ({what})"));
                    let error = weights.tensor("mask").unwrap_err().to_string();
                    assert!(error.ends_with(&format!("`mask` is {what}")), "{error}");
                }
            }
        }
    }
}

/// A safetensors file of one tensor, whose bytes are not asked for their sense.
fn safetensors(path: &Path, dtype: &str, shape: &str, bytes: &[u8]) {
    let header = format!(r#"{{"w":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{}]}}}}"#, bytes.len());
    let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), bytes].concat();
    std::fs::write(path, file).unwrap();
}

#[test]
fn every_type_of_safetensors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    for (dtype, bytes, expected) in [
        ("BOOL", &[0, 1, 2][..], (DType::U8, &[0.0, 1.0, 1.0][..])),
        ("U8", &[0, 255], (DType::U8, &[0.0, 255.0])),
        ("I8", &[0x80, 0x7f], (DType::I16, &[-128.0, 127.0])),
        ("I16", &[0xff, 0xff], (DType::I16, &[-1.0])),
        ("U16", &[0xff, 0xff], (DType::I32, &[65535.0])),
        ("I32", &[0xff; 4], (DType::I32, &[-1.0])),
        ("U32", &[0xff; 4], (DType::U32, &[4_294_967_295.0])),
        ("I64", &[0xff; 8], (DType::I64, &[-1.0])),
        ("U64", &[5, 0, 0, 0, 0, 0, 0, 0], (DType::I64, &[5.0])),
        ("F16", &[0x00, 0x3c], (DType::F16, &[1.0])),
        ("BF16", &[0x80, 0xbf], (DType::BF16, &[-1.0])),
        ("F64", &[0, 0, 0, 0, 0, 0, 0xf8, 0x3f], (DType::F64, &[1.5])),
        ("F8_E4M3", &[0x38, 0xb8, 0x01], (DType::F32, &[1.0, -1.0, 0.001953125])),
        ("F8_E5M2", &[0x3c, 0x7b], (DType::F32, &[1.0, 57344.0])),
        ("F8_E4M3FNUZ", &[0x40, 0x7f], (DType::F32, &[1.0, 240.0])),
        ("F8_E5M2FNUZ", &[0x40], (DType::F32, &[1.0])),
        ("F8_E8M0", &[0x7f, 0x80], (DType::F32, &[1.0, 2.0])),
    ] {
        safetensors(&path, dtype, &format!("[{}]", expected.1.len()), bytes);
        let w = read_weights(&path).unwrap().tensor("w").unwrap().clone();
        assert_eq!((w.dtype(), &flat(&w)[..]), expected, "{dtype}");
    }
    for (dtype, shape, bytes, what) in [
        ("C64", "[1]", &[0; 8][..], "complex numbers of 64 bits"),
        ("F4", "[2]", &[0], "several of which share a byte"),
        ("F6_E2M3", "[4]", &[0; 3], "several of which share a byte"),
        ("U64", "[1]", &[0xff; 8], "18446744073709551615, which is beyond 63 bits"),
    ] {
        safetensors(&path, dtype, shape, bytes);
        let weights = read_weights(&path).unwrap();
        assert!(weights.tensors().is_empty());
        let error = weights.tensor("w").unwrap_err().to_string();
        assert!(error.contains("w.safetensors: `w` is a tensor") && error.contains(what), "{dtype}: {error}");
    }
}

#[test]
fn complex_numbers_are_an_error_only_where_they_are_wanted() {
    let params = Params::new(0, DType::F32, &Device::Cpu);
    params.scope().buffer("conv1.weight", (2, 3, 3, 3), 0.0, DType::F32).unwrap();
    params.scope().buffer("layer1.0.conv1.weight", (2, 2, 3, 3), 0.0, DType::F32).unwrap();
    for form in ["pth", "safetensors"] {
        let weights = read_weights(&fixture(&format!("cases/safetensors-bool/complex64.{form}"))).unwrap();
        assert_eq!(load_backbone(&params, &weights, &[]).unwrap().loaded.len(), 2);
        let wants = Params::new(0, DType::F32, &Device::Cpu);
        let scope = wants.scope();
        scope.buffer("conv1.weight", (2, 3, 3, 3), 0.0, DType::F32).unwrap();
        scope.buffer("layer1.0.conv1.weight", (2, 2, 3, 3), 0.0, DType::F32).unwrap();
        scope.buffer("mask", 1, 0.0, DType::F32).unwrap();
        let error = load_backbone(&wants, &weights, &[]).unwrap_err().to_string();
        assert!(error.contains("`mask` is a tensor of complex numbers"), "{form}: {error}");
    }
}

#[test]
fn a_state_dict_of_ones_own_has_nothing_besides() {
    let one = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
    let weights = StateDict::new("mine", BTreeMap::from([("w".to_owned(), one)]));
    assert!(weights.passed_over().is_empty());
}
