//! What the method promises.

mod fixtures;
mod ranks;
mod steps;
mod training;
mod weights;

use sconce_moco::{BatchNormGroups, EncoderConfig, Head, Mechanism, MocoConfig, ResNetConfig, Stem};

/// Batches do not divide it.
const QUEUE: Mechanism = Mechanism::Queue { length: 20, momentum: 0.9 };

/// A small encoder of grey images.
fn config(mechanism: Mechanism, batch_norm: BatchNormGroups) -> MocoConfig {
    let backbone = ResNetConfig {
        in_channels: 1,
        stem: Stem::Cifar,
        width: 0.0625,
        blocks: [1, 1, 1, 1],
        ..ResNetConfig::resnet18()
    };
    let encoder = EncoderConfig { backbone, head: Head::Mlp, dim: 5 };
    MocoConfig { encoder, mechanism, temperature: 0.2, batch_norm, symmetric: false }
}

fn symmetric(config: MocoConfig) -> MocoConfig {
    MocoConfig { symmetric: true, ..config }
}

fn groups(groups: usize, shuffle: bool) -> BatchNormGroups {
    BatchNormGroups::Groups { groups, shuffle }
}
