use sconce_core::Rng;

use super::*;

const SGD: OptimizerConfig = OptimizerConfig::Sgd { momentum: 0.9, nesterov: false, weight_decay: 5e-4 };
const NESTEROV: OptimizerConfig = OptimizerConfig::Sgd { momentum: 0.9, nesterov: true, weight_decay: 1e-4 };
const PLAIN: OptimizerConfig = OptimizerConfig::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.1 };
const ADAM: OptimizerConfig = OptimizerConfig::Adam { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 1e-2 };
const ADAMW: OptimizerConfig = OptimizerConfig::AdamW { betas: [0.9, 0.99], eps: 1e-8, weight_decay: 0.05 };
const ALL: [OptimizerConfig; 5] = [SGD, NESTEROV, PLAIN, ADAM, ADAMW];

/// Gradients that are `values`, whatever the parameter.
fn grads(var: &Var, values: &Tensor) -> GradStore {
    (var.as_tensor() * values).unwrap().sum_all().unwrap().backward().unwrap()
}

fn optimizer(config: &OptimizerConfig, params: &[(&str, &Var)]) -> Optimizer {
    let params = params.iter().map(|(name, var)| ((*name).to_owned(), (*var).clone())).collect();
    Optimizer::new(config, vec![ParamGroup::new("all", params)]).unwrap()
}

fn normal(seed: u64, n: usize, dtype: DType) -> Tensor {
    Rng::new(seed, "test").normal_tensor((0.0, 1.0), n, dtype, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() <= tolerance * (1.0 + e.abs()), "{f} is not {e}");
    }
}

/// The textbook's sums, written out from all gradients so far instead of from moments.
fn by_hand(config: &OptimizerConfig, p0: f64, grads: &[f64], lr: f64) -> f64 {
    let mut p = p0;
    let mut seen: Vec<f64> = Vec::new();
    for (i, &g) in grads.iter().enumerate() {
        let decayed = |seen: &[f64], beta: f64, f: fn(f64) -> f64| -> f64 {
            seen.iter().rev().zip(0..).map(|(&g, age)| beta.powi(age) * f(g)).sum()
        };
        match *config {
            OptimizerConfig::Sgd { momentum, nesterov, weight_decay } => {
                seen.push(g + weight_decay * p);
                let buffer = decayed(&seen, momentum, |g| g);
                p -= lr * if nesterov { seen[i] + momentum * buffer } else { buffer };
            }
            OptimizerConfig::Adam { betas, eps, weight_decay }
            | OptimizerConfig::AdamW { betas, eps, weight_decay } => {
                let coupled = matches!(config, OptimizerConfig::Adam { .. });
                seen.push(if coupled { g + weight_decay * p } else { g });
                p = if coupled { p } else { p - lr * weight_decay * p };
                let t = i32::try_from(i + 1).unwrap();
                let mean = (1.0 - betas[0]) * decayed(&seen, betas[0], |g| g) / (1.0 - betas[0].powi(t));
                let square = (1.0 - betas[1]) * decayed(&seen, betas[1], |g| g * g) / (1.0 - betas[1].powi(t));
                p -= lr * mean / (square.sqrt() + eps);
            }
        }
    }
    p
}

#[test]
fn steps_are_those_of_the_formulas() {
    for config in ALL {
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-5)] {
            let var = Var::from_tensor(&normal(0, 7, dtype)).unwrap();
            let start = values(&var);
            let mut optimizer = optimizer(&config, &[("p", &var)]);
            let steps: Vec<Tensor> = (1..=5).map(|seed| normal(seed, 7, dtype)).collect();
            for g in &steps {
                optimizer.step(&grads(&var, g), 0.01).unwrap();
            }
            let expected: Vec<f64> = (0..7)
                .map(|i| by_hand(&config, start[i], &steps.iter().map(|g| values(g)[i]).collect::<Vec<_>>(), 0.01))
                .collect();
            assert_close(&values(&var), &expected, tolerance);
        }
    }
}

/// The two implementations are written apart: one in slices, one in tensors.
#[test]
fn a_composed_step_equals_a_fused_one() {
    for config in ALL {
        let fused = Var::from_tensor(&normal(0, 70_000, DType::F64)).unwrap();
        let composed = Var::from_tensor(&fused.copy().unwrap()).unwrap();
        let mut ours = optimizer(&config, &[("p", &fused)]);
        let mut moments = match Moments::zeros(&composed, config.rule().moments().len()).unwrap() {
            Moments::F64(moments) => moments.iter().map(|m| Tensor::new(&m[..], &Device::Cpu).unwrap()).collect(),
            other => panic!("{other:?} for f64 on the CPU"),
        };
        let moments: &mut Vec<Tensor> = &mut moments;
        for step in 1..=3 {
            let g = normal(step, 70_000, DType::F64);
            ours.step_scaled(&grads(&fused, &g), 0.1, 0.5).unwrap();
            let numbers = StepNumbers { lr: 0.1, weight_decay: config.weight_decay(), step, grad_scale: 0.5 };
            composed::step(config.rule(), numbers, &composed, &g, moments).unwrap();
        }
        assert_close(&values(&fused), &values(&composed), 1e-12);
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let run = |threads| {
        let var = Var::from_tensor(&normal(0, 200_000, DType::F32)).unwrap();
        let mut optimizer = optimizer(&ADAM, &[("p", &var)]);
        let g = normal(1, 200_000, DType::F32);
        crate::with_threads(Some(threads), || optimizer.step(&grads(&var, &g), 0.1).unwrap()).unwrap();
        values(&var)
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn a_group_has_its_own_rate_and_decay() {
    let one = || Var::new(&[1f64], &Device::Cpu).unwrap();
    let (body, head) = (one(), one());
    let groups = vec![
        ParamGroup::new("body", vec![("body".into(), body.clone())]),
        ParamGroup {
            name: "head".into(),
            params: vec![("head".into(), head.clone())],
            lr_scale: 10.0,
            weight_decay: Some(0.0),
        },
    ];
    let mut sgd = Optimizer::new(&PLAIN, groups).unwrap();
    let loss = (body.as_tensor() + head.as_tensor()).unwrap().sum_all().unwrap();
    sgd.step(&loss.backward().unwrap(), 0.01).unwrap();
    assert_close(&values(&body), &[1.0 - 0.01 * 1.1], 1e-15);
    assert_close(&values(&head), &[1.0 - 0.1], 1e-15);
}

#[test]
fn a_parameter_without_a_gradient_is_left_alone() {
    let (used, unused) = (Var::new(&[1f32], &Device::Cpu).unwrap(), Var::new(&[1f32], &Device::Cpu).unwrap());
    let mut adam = optimizer(&ADAM, &[("used", &used), ("unused", &unused)]);
    adam.step(&used.sum_all().unwrap().backward().unwrap(), 0.1).unwrap();
    assert_eq!(values(&unused), [1.0]);
    assert_ne!(values(&used), [1.0]);
    let names: Vec<String> = adam.state().unwrap().into_keys().collect();
    assert_eq!(names, ["used.exp_avg", "used.exp_avg_sq", "used.step"]);
}

/// A gradient may be any view.
#[test]
fn a_strided_gradient_is_read_in_order() {
    let var = Var::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
    let mut store = var.sum_all().unwrap().backward().unwrap();
    let g = Tensor::new(&[[1f32, 4.0], [2.0, 5.0], [3.0, 6.0]], &Device::Cpu).unwrap();
    store.insert(&var, g.t().unwrap());
    optimizer(&OptimizerConfig::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 }, &[("p", &var)])
        .step(&store, 1.0)
        .unwrap();
    assert_eq!(values(&var), [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0]);
}

#[test]
fn a_restored_state_goes_on_bit_for_bit() {
    for config in ALL {
        let var = Var::from_tensor(&normal(0, 9, DType::F32)).unwrap();
        let mut first = optimizer(&config, &[("p", &var)]);
        first.step(&grads(&var, &normal(1, 9, DType::F32)), 0.1).unwrap();

        let copy = Var::from_tensor(&var.copy().unwrap()).unwrap();
        let mut second = optimizer(&config, &[("p", &copy)]);
        second.load_state(&first.state().unwrap()).unwrap();
        let g = normal(2, 9, DType::F32);
        first.step(&grads(&var, &g), 0.1).unwrap();
        second.step(&grads(&copy, &g), 0.1).unwrap();
        assert_eq!(values(&var), values(&copy));
    }
}

#[test]
fn a_state_of_another_optimiser_or_model_is_refused() {
    let var = Var::from_tensor(&normal(0, 9, DType::F32)).unwrap();
    let mut adam = optimizer(&ADAM, &[("p", &var)]);
    adam.step(&grads(&var, &normal(1, 9, DType::F32)), 0.1).unwrap();
    let state = adam.state().unwrap();

    let error = optimizer(&SGD, &[("p", &var)]).load_state(&state).unwrap_err().to_string();
    assert!(error.contains("`p.momentum_buffer`: found nothing"), "{error}");
    let error = optimizer(&ADAM, &[("q", &var)]).load_state(&state).unwrap_err().to_string();
    assert!(error.contains("`p.exp_avg`: found a tensor"), "{error}");
    let wider = Var::from_tensor(&normal(0, 10, DType::F32)).unwrap();
    let error = optimizer(&ADAM, &[("p", &wider)]).load_state(&state).unwrap_err().to_string();
    assert!(error.contains("found [9] of F32, expected [10] of F32"), "{error}");
}

#[test]
fn a_parameter_in_two_groups_is_refused() {
    let var = Var::new(&[1f32], &Device::Cpu).unwrap();
    let group = || ParamGroup::new("g", vec![("p".into(), var.clone())]);
    let error = Optimizer::new(&SGD, vec![group(), group()]).unwrap_err().to_string();
    assert!(error.contains("`p`"), "{error}");
}

#[test]
fn a_number_out_of_range_is_named_by_its_key() {
    for (config, key) in [
        (OptimizerConfig::Sgd { momentum: 1.0, nesterov: false, weight_decay: 0.0 }, "o.momentum"),
        (OptimizerConfig::Sgd { momentum: 0.0, nesterov: true, weight_decay: 0.0 }, "o.nesterov"),
        (OptimizerConfig::Sgd { momentum: 0.9, nesterov: true, weight_decay: -1.0 }, "o.weight_decay"),
        (OptimizerConfig::Adam { betas: [0.9, 1.0], eps: 1e-8, weight_decay: 0.0 }, "o.betas"),
        (OptimizerConfig::AdamW { betas: [0.9, 0.999], eps: f64::NAN, weight_decay: 0.0 }, "o.eps"),
    ] {
        let error = config.validate("o").unwrap_err();
        assert!(matches!(&error, EngineError::Config { key: k, .. } if k == key), "{error}");
    }
}
