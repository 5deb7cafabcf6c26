//! Backbones against torchvision.

mod configuration;
mod torchvision;
