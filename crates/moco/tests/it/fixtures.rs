//! Numbers that the official code's formulas gave in PyTorch.

use sconce_core::{DType, Device, Init, Params, Tensor, backward, ops};
use sconce_moco::Queue;

/// Rows of length 1.
fn unit(rows: &[[f64; 3]]) -> Tensor {
    let rows = Tensor::from_slice(&rows.concat(), (rows.len(), 3), &Device::Cpu).unwrap();
    ops::normalize(&rows, 1, 1e-12).unwrap()
}

fn keys() -> Tensor {
    unit(&[[2.0, 1.0, 2.0], [0.0, 4.0, 3.0]])
}

/// A queue of four keys.
fn queue(params: &Params) -> Queue {
    let queue = Queue::new(&params.scope(), 3, 4, &mut sconce_core::Rng::new(0, "queue")).unwrap();
    let columns = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 1.0], [-1.0, 0.0, 1.0]];
    queue.enqueue(&unit(&columns)).unwrap();
    queue
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    let is_close = found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= tolerance);
    assert!(is_close, "{found:?}, expected {expected:?}");
}

#[test]
fn loss_logits_and_gradient_are_those_of_the_official_code() {
    let cases =
        [(0.07, 0.7381577, [-0.5183582, 1.3273420, -0.5187840]), (0.2, 0.8162365, [-0.3307534, 0.4683495, -0.3378969])];
    for (temperature, expected, gradient) in cases {
        let params = Params::new(0, DType::F64, &Device::Cpu);
        let queue = queue(&params);
        let q = Params::new(0, DType::F64, &Device::Cpu);
        let var = q.scope().param("q", (2, 3), Init::ZEROS).unwrap();
        let values = [("q".to_owned(), unit(&[[1.0, 2.0, 2.0], [0.0, 3.0, 4.0]]))];
        q.load("test", &values.into(), sconce_core::Tolerance::Exact).unwrap();

        let loss = ops::info_nce(&var, &keys(), queue.keys(), temperature).unwrap();
        assert_close(&[loss.to_scalar().unwrap()], &[expected], 1e-6); // the fixture is of f32
        let gradients = backward(&loss).unwrap();
        let found = gradients.get(&var).unwrap().to_vec2::<f64>().unwrap();
        assert_close(&found[0], &gradient, 1e-6);

        // It is the cross-entropy of the logits with class 0.
        let logits = ops::info_nce_logits(&var, &keys(), queue.keys(), temperature).unwrap();
        let targets = Tensor::zeros(2, DType::I64, &Device::Cpu).unwrap();
        let entropy = ops::cross_entropy(&logits, &targets, &Default::default()).unwrap();
        assert_close(&[entropy.to_scalar().unwrap()], &[expected], 1e-6);
    }
}

#[test]
fn the_own_keys_logit_comes_first() {
    let params = Params::new(0, DType::F64, &Device::Cpu);
    let q = unit(&[[1.0, 2.0, 2.0], [0.0, 3.0, 4.0]]);
    let logits = ops::info_nce_logits(&q, &keys(), queue(&params).keys(), 0.07).unwrap();
    let expected = [12.698414, 4.761905, 9.523809, 13.746435, 3.367175];
    assert_close(&logits.to_vec2::<f64>().unwrap()[0], &expected, 1e-5);
}

#[test]
fn the_encoders_have_the_official_number_of_parameters() {
    use sconce_core::nn::BatchNormKind;
    use sconce_moco::{Encoder, MocoConfig};
    for (config, expected) in [(MocoConfig::v1(), 23_770_304), (MocoConfig::v2(), 27_966_656)] {
        let params = Params::new(0, DType::F32, &Device::Cpu);
        Encoder::new(&params.scope(), &config.encoder, BatchNormKind::Learning).unwrap();
        assert_eq!(params.parameter_count(), expected);
        let head = usize::from(config.encoder.head == sconce_moco::Head::Mlp) * 2;
        assert_eq!(params.names().len(), 320 + head, "entries of the official state dict");
    }
}
