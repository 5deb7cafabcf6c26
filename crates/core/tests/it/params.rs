//! Saving, loading and what is said about it.

use std::collections::BTreeMap;

use sconce_core::{DType, Device, Error, Init, Params, Tensor, Tolerance};

use crate::flat;

fn store() -> Params {
    let params = Params::new(1, DType::F32, &Device::Cpu);
    params.scope().pp("a").param("weight", (2, 3), Init::KAIMING_UNIFORM).unwrap();
    params.scope().pp("b").param("bias", 4, Init::ONES).unwrap();
    params.scope().pp("b").buffer("count", (), 3.0, DType::I64).unwrap();
    params
}

#[test]
fn a_file_gives_back_every_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let params = store();
    params.save(&path).unwrap();
    let other = Params::new(2, DType::F32, &Device::Cpu);
    other.scope().pp("a").param("weight", (2, 3), Init::KAIMING_UNIFORM).unwrap();
    other.scope().pp("b").param("bias", 4, Init::ZEROS).unwrap();
    other.scope().pp("b").buffer("count", (), 0.0, DType::I64).unwrap();
    let report = other.load_file(&path, Tolerance::Exact).unwrap();
    assert_eq!(report.loaded, ["a.weight", "b.bias", "b.count"]);
    for (name, tensor) in params.tensors() {
        assert_eq!(flat(&tensor), flat(&other.tensors()[&name]), "{name}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file is left");
}

#[test]
fn what_does_not_fit_is_named_and_changes_nothing() {
    let params = store();
    let before: Vec<_> = params.tensors().values().map(flat).collect();
    let tensor = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
    let offer = BTreeMap::from([
        ("a.weight".to_owned(), tensor(&[3, 2])),
        ("c".to_owned(), tensor(&[1])),
        ("b.bias".to_owned(), tensor(&[4])),
    ]);
    for tolerance in [Tolerance::Exact, Tolerance::Missing, Tolerance::Any] {
        let Err(Error::Load { report, .. }) = params.load("the offer", &offer, tolerance) else {
            panic!("a wrong shape was loaded");
        };
        assert_eq!(report.missing, ["b.count"]);
        assert_eq!(report.unexpected, ["c"]);
        assert_eq!(report.wrong_shape[0].name, "a.weight");
        assert_eq!((&report.wrong_shape[0].found, &report.wrong_shape[0].expected), (&vec![3, 2], &vec![2, 3]));
        let text = report.to_string();
        assert!(["b.count", "`c`", "a.weight", "[3, 2]", "[2, 3]"].iter().all(|part| text.contains(part)), "{text}");
    }
    assert_eq!(params.tensors().values().map(flat).collect::<Vec<_>>(), before);
}

#[test]
fn tolerance_lets_names_be_missing_or_unexpected() {
    let tensor = |v: f32| Tensor::full(v, 4, &Device::Cpu).unwrap();
    let missing = BTreeMap::from([("b.bias".to_owned(), tensor(5.0))]);
    let both = BTreeMap::from([("b.bias".to_owned(), tensor(6.0)), ("c".to_owned(), tensor(1.0))]);
    let params = store();
    assert!(params.load("x", &missing, Tolerance::Exact).is_err());
    assert!(params.load("x", &both, Tolerance::Missing).is_err());
    assert_eq!(params.load("x", &missing, Tolerance::Missing).unwrap().missing, ["a.weight", "b.count"]);
    assert_eq!(params.load("x", &both, Tolerance::Any).unwrap().unexpected, ["c"]);
    assert_eq!(flat(&params.tensors()["b.bias"]), [6.0; 4]);
}

#[test]
fn names_are_taken_once_and_found_by_a_detached_scope() {
    let params = store();
    let twice = params.scope().pp("a").param("weight", (2, 3), Init::ZEROS);
    assert!(matches!(twice, Err(Error::DuplicateParam { name }) if name == "a.weight"));
    let unknown = params.detached().pp("a").param("weigth", (2, 3), Init::ZEROS);
    assert!(matches!(unknown, Err(Error::UnknownParam { nearest: Some(n), .. }) if n == "a.weight"));
    assert!(params.detached().pp("a").param("weight", (3, 2), Init::ZEROS).is_err());
}

#[test]
fn a_file_that_is_not_safetensors_or_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let message = |params: &Params| params.load_file(&path, Tolerance::Exact).unwrap_err().to_string();
    assert!(message(&store()).contains("model.safetensors"));
    std::fs::write(&path, b"not a model").unwrap();
    assert!(message(&store()).contains("model.safetensors"));
    store().save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
    assert!(message(&store()).contains("model.safetensors"));
}

#[test]
fn a_disk_that_is_full_leaves_the_old_file() {
    // A folder in the way of the temporary file stands for any failure to write.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    store().save(&path).unwrap();
    let old = std::fs::read(&path).unwrap();
    std::fs::create_dir(folder.path().join("model.safetensors.tmp")).unwrap();
    assert!(matches!(store().save(&path), Err(Error::Io { path: p, .. }) if p == path));
    assert_eq!(std::fs::read(&path).unwrap(), old);
}
