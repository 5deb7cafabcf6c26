//! Which network weights are of.

use sconce_core::{DType, Device, Params};

use super::StateDict;
use crate::{ResNet, ResNetConfig, Vgg, VggConfig};

/// Counters that nothing is computed from, and that old files lack.
const COUNTER: &str = "num_batches_tracked";

/// The network whose names are most among those of `weights`, below whichever prefix, and those of its names that are not
/// there; none if less than half of any network's are.
pub(super) fn nearest(weights: &StateDict) -> Option<(String, Vec<String>)> {
    let mut best: Option<(usize, &str, Vec<String>)> = None;
    for (network, names) in networks() {
        let Some(holder) = weights.holders(&names).into_iter().next() else { continue };
        if 2 * holder.n_names < names.len() {
            continue;
        }
        let is_there = |name: &String| weights.tensors().contains_key(&format!("{}{name}", holder.prefix));
        let lacks: Vec<String> = names.into_iter().filter(|name| !is_there(name)).collect();
        let is_better = best
            .as_ref()
            .is_none_or(|(n, _, other)| holder.n_names > *n || holder.n_names == *n && lacks.len() < other.len());
        if is_better {
            best = Some((holder.n_names, network, lacks));
        }
    }
    best.map(|(_, network, lacks)| (network.to_owned(), lacks))
}

/// The names of every kind of network, without classifiers. How wide a network is changes none.
fn networks() -> Vec<(&'static str, Vec<String>)> {
    let names = |build: &dyn Fn(&Params) -> sconce_core::Result<()>| {
        let params = Params::new(0, DType::F32, &Device::Cpu);
        // Networks of the presets can be built; one that could not would have no names.
        let _ = build(&params);
        params.names().into_iter().filter(|name| !name.ends_with(COUNTER)).collect()
    };
    let narrow = 1.0 / 64.0;
    let resnet = |config: ResNetConfig| {
        names(&|params| ResNet::new(&params.scope(), &ResNetConfig { width: narrow, ..config }).map(drop))
    };
    let vgg = |config: VggConfig| {
        names(&|params| Vgg::new(&params.scope(), &VggConfig { width: narrow, ..config }).map(drop))
    };
    let normed = |config: VggConfig| vgg(config.with_batch_norm());
    vec![
        ("ResNet-18", resnet(ResNetConfig::resnet18())),
        ("ResNet-34", resnet(ResNetConfig::resnet34())),
        ("ResNet-50", resnet(ResNetConfig::resnet50())),
        ("ResNet-101", resnet(ResNetConfig::resnet101())),
        ("ResNet-152", resnet(ResNetConfig::resnet152())),
        ("VGG-11", vgg(VggConfig::vgg11())),
        ("VGG-13", vgg(VggConfig::vgg13())),
        ("VGG-16", vgg(VggConfig::vgg16())),
        ("VGG-19", vgg(VggConfig::vgg19())),
        ("VGG-11 with batch normalisation", normed(VggConfig::vgg11())),
        ("VGG-13 with batch normalisation", normed(VggConfig::vgg13())),
        ("VGG-16 with batch normalisation", normed(VggConfig::vgg16())),
        ("VGG-19 with batch normalisation", normed(VggConfig::vgg19())),
    ]
}
