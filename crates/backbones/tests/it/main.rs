//! Backbones against torchvision, and weights in every form that PyTorch writes.

mod configuration;
mod torchvision;
mod variants;
mod weights;
