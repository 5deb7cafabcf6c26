//! Which network weights are of.

use std::collections::BTreeSet;

use sconce_core::{DType, Device, Params};

use super::StateDict;
use crate::{ResNet, ResNetConfig, Vgg, VggConfig};

/// Counters that nothing is computed from, and that old files lack.
const COUNTER: &str = "num_batches_tracked";

/// A network of this crate that weights are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownNetwork {
    /// What it is called, as `ResNet-50`.
    pub name: String,
    /// The names that it has, without counters and classifiers.
    pub names: Vec<String>,
    /// Those of them that the weights have not.
    pub lacks: Vec<String>,
}

/// The network whose names are most among those of `weights`, below whichever prefix; none if less than half of any network's are.
pub fn known_network(weights: &StateDict) -> Option<KnownNetwork> {
    let mut best: Option<(usize, KnownNetwork)> = None;
    for (network, names) in networks() {
        let Some(holder) = weights.holders(&names).into_iter().next() else { continue };
        if 2 * holder.n_names < names.len() {
            continue;
        }
        let is_there = |name: &String| weights.tensors().contains_key(&format!("{}{name}", holder.prefix));
        let lacks: Vec<String> = names.iter().filter(|name| !is_there(name)).cloned().collect();
        let is_better = best
            .as_ref()
            .is_none_or(|(n, other)| holder.n_names > *n || holder.n_names == *n && lacks.len() < other.lacks.len());
        if is_better {
            best = Some((holder.n_names, KnownNetwork { name: network.to_owned(), names, lacks }));
        }
    }
    best.map(|(_, network)| network)
}

impl StateDict {
    /// Without what stands beside a known network, if that is all there under its own names. What is in one of its parts
    /// (`layer3.40.conv1.weight`) stays, though the network has no such name: there are larger ones of its kind.
    #[must_use]
    pub fn of_known_network(self) -> Self {
        let Some(network) = known_network(&self) else { return self };
        if !network.names.iter().all(|name| self.tensors().contains_key(name)) {
            return self;
        }
        let part = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        let parts: BTreeSet<String> = network.names.iter().map(|name| part(name)).collect();
        self.without(|name| !parts.contains(&part(name)), &format!("beside a {}", network.name))
    }
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
