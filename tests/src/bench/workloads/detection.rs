//! Training steps of detectors.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use sconce_core::{
    DType, Device, Params, Rng, Tensor, backward,
    geometry::{BBox, Object},
};
use sconce_detection::{BackboneConfig, FasterRcnn, FasterRcnnConfig, Targets, VggRegionHead};
use sconce_engine::Optimizer;

use super::{
    Workload, WorkloadSpec, normal,
    optimizer::{LR, sgd},
};

pub(super) const WORKLOADS: &[WorkloadSpec] = &[
    WorkloadSpec {
        name: "faster r-cnn vgg16 training step 1x3x300x400",
        make: || {
            let mut config = FasterRcnnConfig::vgg16(CLASSES);
            // Which units are dropped differs between the twins.
            if let BackboneConfig::Vgg { head: VggRegionHead::Classifier { head }, .. } = &mut config.backbone {
                head.dropout = 0.0;
            }
            Ok(Box::new(TrainingStep::new(config)?))
        },
    },
    WorkloadSpec {
        name: "faster r-cnn resnet50-c4 training step 1x3x300x400",
        make: || Ok(Box::new(TrainingStep::new(FasterRcnnConfig::resnet50_c4(CLASSES))?)),
    },
];

const CLASSES: usize = 20;
const SIZE: (usize, usize) = (300, 400);
/// Regions that are trained on: as many as torchvision draws, objects not counted.
const REGIONS: usize = 512;

/// Forward, the four losses, backward and SGD with momentum, on one image again and again.
struct TrainingStep {
    params: Params,
    model: FasterRcnn,
    optimizer: Optimizer,
    images: Tensor,
    objects: Vec<Object>,
    /// The objects as the twin has them: `(N, 4)` and `(N)`.
    boxes: Tensor,
    labels: Tensor,
}

impl TrainingStep {
    fn new(mut config: FasterRcnnConfig) -> Result<Self> {
        // Nothing is drawn, so that the twins train on the same: all anchors, and all of 512 proposals.
        config.rpn.train.after_nms = REGIONS;
        config.rpn.sampler.per_image = 1_000_000;
        config.roi_heads.sampler.per_image = 1_000_000;
        config.roi_heads.sampler.positive_fraction = 0.5;
        let params = Params::new(0, DType::F32, &Device::Cpu);
        let model = FasterRcnn::new(&params.scope(), &config)?;
        // The branches of random residual blocks add up, and the frozen batch normalisations hold nothing in check.
        for (name, var) in params.trainable().iter().filter(|(name, _)| name.ends_with("bn3.weight")) {
            var.set(&(var.ones_like()? * 0.1)?).with_context(|| name.clone())?;
        }
        let optimizer = sgd(&params)?;
        let mut rng = Rng::new(0, "objects");
        let objects = (0..8).map(|i| {
            let (x, y) = (rng.uniform(0.0, 250.0), rng.uniform(0.0, 180.0));
            let bbox = BBox::from_xywh(x, y, rng.uniform(60.0, 150.0), rng.uniform(50.0, 120.0));
            Object::new(bbox, i * 5 % CLASSES as u32)
        });
        let objects: Vec<Object> = objects.collect();
        let n = objects.len();
        let boxes: Vec<f32> = objects.iter().flat_map(|o| o.bbox.xyxy().map(|x| x as f32)).collect();
        let labels: Vec<i64> = objects.iter().map(|o| i64::from(o.label)).collect();
        Ok(Self {
            objects,
            boxes: Tensor::from_vec(boxes, (n, 4), &Device::Cpu)?,
            labels: Tensor::from_vec(labels, n, &Device::Cpu)?,
            params,
            model,
            optimizer,
            images: normal("images", &[1, 3, SIZE.0, SIZE.1])?,
        })
    }

    fn step(&mut self) -> Result<Tensor> {
        let targets = Targets { sizes: &[SIZE], objects: std::slice::from_ref(&self.objects) };
        let losses = self.model.train(&self.images, &targets, &mut Rng::new(0, "sampling"))?;
        let loss = losses.total()?;
        self.optimizer.step(&backward(&loss)?, LR)?;
        Ok(loss)
    }
}

impl Workload for TrainingStep {
    fn tensors(&self) -> BTreeMap<String, Tensor> {
        let params = self.params.tensors().into_iter().filter(|(name, _)| !name.ends_with("num_batches_tracked"));
        let inputs = [("x", &self.images), ("boxes", &self.boxes), ("labels", &self.labels)];
        params.chain(inputs.map(|(name, tensor)| (name.to_owned(), tensor.clone()))).collect()
    }

    /// The losses of three steps.
    fn check(&mut self) -> Result<Vec<f64>> {
        (0..3).map(|_| Ok(self.step()?.to_dtype(DType::F64)?.to_scalar()?)).collect()
    }

    fn run(&mut self) -> Result<()> {
        self.step()?;
        Ok(())
    }
}
