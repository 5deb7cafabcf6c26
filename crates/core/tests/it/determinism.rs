//! The number of threads changes no bit.

use sconce_core::{
    DType, Device, Rng, Tensor, Var, backward,
    ops::{self, Activation, Conv2dParams, MaxPool2dParams, RunningStats},
};

/// All outputs and gradients of a small network whose layers take every path, as bits.
fn bits() -> Vec<u32> {
    let draw = |seed: u64, shape: &[usize]| {
        Rng::new(seed, "x").normal_tensor((0.0, 1.0), shape, DType::F32, &Device::Cpu).unwrap()
    };
    let var = |seed, shape: &[usize]| Var::from_tensor(&draw(seed, shape)).unwrap();
    let (x, w1, w2, w3) = (var(1, &[9, 3, 40, 36]), var(2, &[24, 3, 5, 5]), var(3, &[32, 24, 3, 3]), var(4, &[10, 32]));
    let (gamma, beta) = (var(5, &[24]), var(6, &[24]));
    let stats = Tensor::ones(24, DType::F32, &Device::Cpu).unwrap();
    let running = RunningStats { mean: &stats, var: &stats.copy().unwrap(), momentum: 0.1 };
    let y =
        ops::conv2d(&x, &w1, None, &Conv2dParams { stride: (2, 2), padding: (2, 2), ..Default::default() }).unwrap();
    let y = ops::batch_norm_train(&y, &gamma, &beta, &running, 1e-5, Activation::Relu).unwrap();
    let y = ops::max_pool2d(&y, &MaxPool2dParams::square(3, 2, 1)).unwrap();
    let y = ops::conv2d(&y, &w2, None, &Conv2dParams { padding: (1, 1), ..Default::default() }).unwrap();
    let y = ops::dropout(&ops::relu(&y).unwrap(), 0.2, &mut Rng::new(0, "mask")).unwrap();
    let y = ops::adaptive_avg_pool2d(&y, (1, 1)).unwrap().flatten_from(1).unwrap();
    let y = ops::linear(&y, &w3, None).unwrap();
    let target = Tensor::from_vec((0..9i64).collect(), 9, &Device::Cpu).unwrap();
    let loss = ops::cross_entropy(&y, &target, &Default::default()).unwrap();
    let grads = backward(&loss).unwrap();
    let gradients = [&x, &w1, &w2, &w3, &gamma, &beta].map(|v| grads.get(v).unwrap().clone());
    let all = [&[y, loss, stats][..], &gradients].concat();
    all.iter().flat_map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap()).map(f32::to_bits).collect()
}

#[test]
fn one_thread_and_many_give_the_same_bits() {
    let on = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(bits);
    let one = on(1);
    for threads in [2, 3, 8] {
        assert!(on(threads) == one, "{threads} threads differ from one");
    }
}
