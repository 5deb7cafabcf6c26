//! Backbones against torchvision.

mod configuration;
mod torchvision;
mod variants;
