//! Weights from the Hugging Face hub (feature `hub`).

use std::path::PathBuf;

use hf_hub::{
    Repo, RepoType,
    api::sync::{ApiBuilder, ApiRepo},
};

use super::error::{Result, WeightsError};

/// A file in a repository of models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubFile {
    /// `owner/name`.
    pub repo: String,
    /// Its path in the repository.
    pub file: String,
    /// A branch, a tag or a commit; only a commit stays what it is.
    pub revision: String,
}

/// Networks whose weights by torchvision, trained on ImageNet, timm has put on the hub as `timm/NAME.tv_in1k`.
pub const TORCHVISION: [&str; 15] = [
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
    "vgg11_bn",
    "vgg13_bn",
    "vgg16_bn",
    "vgg19_bn",
];

impl HubFile {
    /// `file` on the branch `main`.
    pub fn new(repo: impl Into<String>, file: impl Into<String>) -> Self {
        Self { repo: repo.into(), file: file.into(), revision: "main".to_owned() }
    }

    /// torchvision's first ImageNet weights of a network of [`TORCHVISION`], as safetensors; `None` for another name.
    ///
    /// The residual networks have torchvision's names. Of the VGG networks the convolutions do (`features.*`); timm names the
    /// classifier otherwise (`pre_logits.*`, `head.*`), so that it is left out by `load_backbone` with these prefixes.
    pub fn torchvision(network: &str) -> Option<Self> {
        let repo = || format!("timm/{network}.tv_in1k");
        TORCHVISION.contains(&network).then(|| Self::new(repo(), "model.safetensors"))
    }
}

/// Where files come from, and where they are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HubConfig {
    /// The folder that files are kept in; by default `$HF_HOME/hub`, or `~/.cache/huggingface/hub`.
    pub cache: Option<PathBuf>,
    /// The server, without a slash at its end; by default `$HF_ENDPOINT`, or the hub's own.
    pub endpoint: Option<String>,
}

/// The path of `file` on this machine. It is fetched unless it is there already; then nothing is asked of the server.
///
/// # Errors
/// [`WeightsError::Hub`] names the repository, the file and the server, if that is not there, does not have the file, or
/// breaks off. Nothing incomplete is ever returned, and the next call goes on where this one ended.
pub fn fetch(file: &HubFile, config: &HubConfig) -> Result<PathBuf> {
    let mut builder = ApiBuilder::from_env().with_progress(false);
    if let Some(cache) = &config.cache {
        builder = builder.with_cache_dir(cache.clone());
    }
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    let fail = |endpoint: String, what: String| WeightsError::Hub { wanted: Box::new(file.clone()), endpoint, what };
    let unknown = || config.endpoint.clone().unwrap_or_else(|| "the hub".to_owned());
    let api = builder.build().map_err(|e| fail(unknown(), e.to_string()))?;
    let repo = Repo::with_revision(file.repo.clone(), RepoType::Model, file.revision.clone());
    let repo = api.repo(repo);
    repo.get(&file.file).map_err(|e| fail(endpoint(&repo, file), e.to_string()))
}

/// The server that a repository is asked of.
fn endpoint(repo: &ApiRepo, file: &HubFile) -> String {
    let url = repo.url(&file.file);
    url.split_once(&format!("/{}/", file.repo)).map_or(url.as_str(), |(server, _)| server).to_owned()
}
