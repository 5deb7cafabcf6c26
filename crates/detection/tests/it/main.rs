//! Detectors, seen from outside.

mod anchor_fit;
mod batches;
mod beginnings;
mod construction;
mod starts;
mod thresholds;
mod torchvision;
