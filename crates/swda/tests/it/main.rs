//! Alignment of domains, seen from outside.

mod baselines;
mod choice;
mod losses;
mod training;
mod weights;

use sconce_core::{
    DType, Device, Rng, Tensor,
    geometry::{BBox, Object},
};
use sconce_detection::FasterRcnnConfig;
use sconce_swda::{DaFasterConfig, Images, SwdaConfig};

/// A batch of one domain: an image of 64×96 pixels each.
fn images(seed: u64, n: usize) -> Images {
    let draw = Rng::new(seed, "images").normal_tensor((0.0, 1.0), (n, 3, 64, 96), DType::F32, &Device::Cpu);
    Images { images: draw.unwrap(), sizes: vec![(64, 96); n] }
}

fn objects(n: usize) -> Vec<Vec<Object>> {
    let object = |i: usize| Object::new(BBox::from_xywh(8.0 + 5.0 * i as f64, 10.0, 40.0, 36.0), i as u32 % 3);
    (0..n).map(|i| vec![object(i)]).collect()
}

/// A small detector without dropout in the classifiers, so that two passes are the same.
fn swda() -> SwdaConfig {
    let mut config = SwdaConfig::swda(FasterRcnnConfig::small(3));
    let global = config.global.as_mut().unwrap();
    (global.channels, global.dropout) = ([32, 16, 16], 0.0);
    config.local.as_mut().unwrap().channels = [24, 12];
    config
}

fn da_faster() -> SwdaConfig {
    let mut config = SwdaConfig::da_faster(FasterRcnnConfig::small(3));
    let small = DaFasterConfig { image_channels: 32, instance_channels: 24, dropout: 0.0, ..config.da_faster.unwrap() };
    config.da_faster = Some(small);
    config
}

fn flat(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn value(t: &Tensor) -> f64 {
    t.to_dtype(DType::F64).unwrap().to_scalar().unwrap()
}
