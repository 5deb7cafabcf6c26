//! Makes the subset of Fashion-MNIST that this crate embeds, from the four original files:
//!
//! ```text
//! cargo run --release -p sconce-data --example make_fashion_mnist_subset -- ORIGINALS OUT
//! ```
//!
//! It takes the first 600 training and the first 100 test images of each class, in the order of the files, so that anybody
//! gets the same images again. The originals are in Debian's package `dataset-fashion-mnist`.

use std::{error::Error, fs, io::Write as _, path::Path};

use flate2::{Compression, write::GzEncoder};
use sconce_core::files::write_atomic;
use sconce_data::{ImageDataset, Split, read_fashion_mnist};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [originals, out] = arguments.as_slice() else {
        return Err("usage: make_fashion_mnist_subset ORIGINALS OUT".into());
    };
    let (originals, out) = (Path::new(originals), Path::new(out));
    fs::create_dir_all(out)?;
    for (split, prefix, per_class) in [(Split::Train, "train", 600), (Split::Test, "t10k", 100)] {
        let subset = first_of_each_class(&read_fashion_mnist(originals, split)?, per_class)?;
        let mut pixels = Vec::new();
        for index in 0..subset.len() {
            pixels.extend_from_slice(subset.image(index)?.data());
        }
        let labels: Vec<u8> = subset.labels().iter().map(|&label| label as u8).collect();
        let n = subset.len() as u32;
        write_idx(&out.join(format!("{prefix}-images-idx3-ubyte.gz")), &[n, 28, 28], &pixels)?;
        write_idx(&out.join(format!("{prefix}-labels-idx1-ubyte.gz")), &[n], &labels)?;
    }
    Ok(())
}

fn first_of_each_class(dataset: &ImageDataset, per_class: usize) -> Result<ImageDataset, Box<dyn Error>> {
    let mut taken = vec![0; dataset.classes().len()];
    let mut indices = Vec::new();
    for (index, &label) in dataset.labels().iter().enumerate() {
        let taken = &mut taken[label as usize];
        if *taken < per_class {
            *taken += 1;
            indices.push(index);
        }
    }
    Ok(dataset.subset(&indices)?)
}

/// Writes unsigned bytes in gzip at its best compression, without a time stamp.
fn write_idx(path: &Path, dims: &[u32], values: &[u8]) -> Result<(), Box<dyn Error>> {
    if path.exists() {
        return Err(format!("{} exists already", path.display()).into());
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&[0, 0, 8, dims.len() as u8])?;
    for dim in dims {
        encoder.write_all(&dim.to_be_bytes())?;
    }
    encoder.write_all(values)?;
    Ok(write_atomic(path, &encoder.finish()?)?)
}
