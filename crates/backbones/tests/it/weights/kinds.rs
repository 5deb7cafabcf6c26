//! Every type of number and every view, in both forms and all protocols.

use sconce_backbones::weights::{Extent, read_pth};
use sconce_core::DType;

use super::{bytes, flat, names};

#[test]
fn every_type_and_view_is_read_in_every_protocol() {
    for protocol in 2..=5 {
        for form in ["", "-legacy"] {
            let file = format!("kinds-{protocol}{form}.pth");
            let tensors = read_pth(&bytes(&file), Extent::StateDict).unwrap_or_else(|e| panic!("{file}: {e}"));
            let check = |name: &str, dtype, dims: &[usize], values: &[f64]| {
                let t = &tensors[name];
                assert_eq!((t.dtype(), t.dims(), &flat(t)[..]), (dtype, dims, values), "{file}: {name}");
            };
            check("float", DType::F32, &[2], &[1.5, -2.0]);
            check("double", DType::F64, &[1], &[0.1]);
            check("half", DType::F16, &[2], &[0.5, -3.0]);
            check("bfloat16", DType::BF16, &[2], &[2.0, -0.25]);
            check("long", DType::I64, &[2], &[-(2f64.powi(40)), 7.0]);
            check("int", DType::I32, &[2], &[-5.0, 6.0]);
            check("short", DType::I16, &[1], &[-300.0]);
            check("char", DType::I16, &[3], &[-128.0, 127.0, 0.0]);
            check("byte", DType::U8, &[2], &[255.0, 0.0]);
            check("bool", DType::U8, &[2], &[1.0, 0.0]);
            check("scalar", DType::F32, &[], &[2.25]);
            check("empty", DType::F32, &[0, 3], &[]);
            check("parameter", DType::F32, &[2], &[1.0, 1.0]);
            check("view", DType::F32, &[2, 3], &[10.0, 11.0, 12.0, 15.0, 16.0, 17.0]);
            let base: Vec<f64> = (0..24).map(f64::from).collect();
            check("shared", DType::F32, &[24], &base);
            let transposed: Vec<f64> = (0..24).map(|i| base[i % 4 * 6 + i / 4]).collect();
            check("transposed", DType::F32, &[6, 4], &transposed);
            check("expanded", DType::F32, &[3, 2], &[7.0; 6]);
            let permuted: Vec<f64> = (0..24).map(|i| base[i / 3 % 2 * 12 + i % 3 * 4 + i / 6]).collect();
            check("permuted", DType::F32, &[4, 2, 3], &permuted);
            check("nested.inner.3", DType::F32, &[1], &[9.0]);
            assert_eq!(tensors.len(), 19, "{:?}", names(&tensors));
        }
    }
}
