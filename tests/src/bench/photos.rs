//! Pictures that are as hard to decode as photographs: smooth on every scale, with edges and a little grain.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use rayon::prelude::*;
use sconce_core::Rng;
use sconce_data::FloatImage;

pub(super) const WIDTH: usize = 500;
pub(super) const HEIGHT: usize = 375;

/// Writes `n` pictures as `folder/all/00000.jpeg` and so on, unless the folder is there already.
pub(super) fn write(folder: &Path, n: u64) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    // Beside it and then renamed: who sees the folder finds all of them.
    let beside = folder.with_extension("tmp");
    let class = beside.join("all");
    fs::create_dir_all(&class).with_context(|| class.display().to_string())?;
    (0..n).into_par_iter().try_for_each(|i| -> Result<()> {
        let path = class.join(format!("{i:05}.jpeg"));
        fs::write(&path, photo(i)?).with_context(|| path.display().to_string())
    })?;
    fs::rename(&beside, folder).with_context(|| folder.display().to_string())
}

/// Picture `i` as a JPEG file of quality 90 with halved colours (4:2:0), as most cameras write.
fn photo(i: u64) -> Result<Vec<u8>> {
    let mut rng = Rng::keyed(0, "photo", [i, 0]);
    let mut planes = clouds(&mut rng)?;
    for _ in 0..12 {
        shape(&mut rng, &mut planes);
    }
    let pixels: Vec<u8> = (0..WIDTH * HEIGHT)
        .flat_map(|at| {
            let grain = 0.012 * rng.normal() as f32;
            [0, 1, 2].map(|c| ((planes[c * WIDTH * HEIGHT + at] + grain) * 255.0).clamp(0.0, 255.0) as u8)
        })
        .collect();
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 90);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.encode(&pixels, WIDTH as u16, HEIGHT as u16, ColorType::Rgb)?;
    Ok(bytes)
}

/// Noise of four scales, the finer the fainter: (3, H, W).
fn clouds(rng: &mut Rng) -> Result<Vec<f32>> {
    let mut planes = vec![0.5; 3 * WIDTH * HEIGHT];
    for (cells, amplitude) in [(4, 0.25), (16, 0.12), (64, 0.05), (200, 0.03)] {
        let (height, width) = (cells * 3 / 4, cells);
        let values = (0..3 * height * width).map(|_| rng.uniform(-amplitude, amplitude) as f32).collect();
        let scale = FloatImage::new([3, height, width], values)?.resize(HEIGHT, WIDTH, true)?;
        planes.iter_mut().zip(scale.data()).for_each(|(plane, value)| *plane += value);
    }
    Ok(planes)
}

/// A rectangle or an ellipse that is lighter or darker than what is behind it.
fn shape(rng: &mut Rng, planes: &mut [f32]) {
    let is_ellipse = rng.bernoulli(0.5);
    let centre = [rng.uniform(0.0, WIDTH as f64), rng.uniform(0.0, HEIGHT as f64)];
    let half = [rng.uniform(10.0, 90.0), rng.uniform(10.0, 90.0)];
    let colour = [0; 3].map(|_| rng.uniform(-0.3, 0.3) as f32);
    for at in 0..WIDTH * HEIGHT {
        let [x, y] = [at % WIDTH, at / WIDTH];
        let [dx, dy] = [(x as f64 - centre[0]) / half[0], (y as f64 - centre[1]) / half[1]];
        let is_inside = if is_ellipse { dx * dx + dy * dy < 1.0 } else { dx.abs().max(dy.abs()) < 1.0 };
        if is_inside {
            colour.iter().enumerate().for_each(|(c, colour)| planes[c * WIDTH * HEIGHT + at] += colour);
        }
    }
}

#[cfg(test)]
mod tests {
    use sconce_data::read_image_folder;

    use super::*;

    #[test]
    fn pictures_are_of_a_photographs_size_and_each_another() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("photos");
        write(&folder, 3).unwrap();
        let dataset = read_image_folder(&folder).unwrap();
        let images: Vec<_> = (0..3).map(|i| dataset.image(i).unwrap()).collect();
        assert!(images[0] != images[1] && images[1] != images[2]);
        for (i, image) in images.iter().enumerate() {
            assert_eq!((image.width(), image.height(), image.channels()), (WIDTH, HEIGHT, 3));
            let size = fs::metadata(folder.join(dataset.name(i))).unwrap().len();
            assert!((40_000..70_000).contains(&size), "{size} bytes");
        }
        assert_eq!(photo(2).unwrap(), fs::read(folder.join("all/00002.jpeg")).unwrap());
    }
}
