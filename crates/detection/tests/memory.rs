//! Training needs no more memory after two hundred steps than after fifty. In a process of its own, whose memory is nobody else's.

#![cfg(target_os = "linux")]

use sconce_core::{
    DType, Device, Params, Rng, backward,
    geometry::{BBox, Object},
};
use sconce_detection::{FasterRcnn, FasterRcnnConfig, Targets};

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[test]
fn training_does_not_grow() {
    let params = Params::new(0, DType::F32, &Device::Cpu);
    let model = FasterRcnn::new(&params.scope(), &FasterRcnnConfig::small(3)).unwrap();
    let mut after_warm_up = 0;
    for step in 0..200 {
        if step == 50 {
            after_warm_up = resident();
        }
        let rng = &mut Rng::keyed(0, "step", [step, 0]);
        let images = rng.normal_tensor((0.0, 1.0), (2, 3, 64, 96), DType::F32, &Device::Cpu).unwrap();
        let (x, y) = (rng.uniform(0.0, 50.0), rng.uniform(0.0, 30.0));
        let objects = [vec![Object::new(BBox::from_xywh(x, y, 40.0, 30.0), 1)], Vec::new()];
        let losses = model.train(&images, &Targets { sizes: &[(64, 96); 2], objects: &objects }, rng).unwrap();
        let gradients = backward(&losses.total().unwrap()).unwrap();
        for (_, var) in params.trainable() {
            if let Some(gradient) = gradients.get(&var) {
                var.set(&(var.as_tensor() - (gradient * 1e-3).unwrap()).unwrap()).unwrap();
            }
        }
    }
    let growth = resident().saturating_sub(after_warm_up);
    // A graph of one step that somebody holds is a megabyte or more; what an allocator keeps in pieces is less than a step.
    assert!(growth < 16 << 20, "150 steps took {} KiB more", growth >> 10);
}
