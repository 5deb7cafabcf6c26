//! Detectors, seen from outside.

mod batches;
mod torchvision;
