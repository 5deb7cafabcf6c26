//! Transforms of images in [0, 1].

use anyhow::Result;
use sconce_core::{Device, Tensor};
use sconce_data::FloatImage;
use serde::Deserialize;

use super::{Case, Found, Inputs, Nothing, Operation, Pair};

pub(super) const OPERATIONS: &[(&str, Operation)] = &[
    ("adjust_brightness", |case| adjust(case, FloatImage::adjust_brightness)),
    ("adjust_contrast", |case| adjust(case, FloatImage::adjust_contrast)),
    ("adjust_hue", |case| adjust(case, FloatImage::adjust_hue)),
    ("adjust_saturation", |case| adjust(case, FloatImage::adjust_saturation)),
    ("gaussian_blur", gaussian_blur),
    ("resize", resize),
    ("rgb_to_grayscale", rgb_to_grayscale),
];

fn adjust(case: &Case, adjust: fn(&mut FloatImage, f64) -> sconce_data::Result<()>) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        factor: f64,
    }
    let Attrs { factor } = case.attrs()?;
    transform(case, |mut image| {
        adjust(&mut image, factor)?;
        Ok(image)
    })
}

fn gaussian_blur(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        kernel_size: usize,
        sigma: f64,
    }
    let Attrs { kernel_size, sigma } = case.attrs()?;
    transform(case, |mut image| {
        image.gaussian_blur(kernel_size, sigma)?;
        Ok(image)
    })
}

fn resize(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Interpolation {
        Bilinear,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        size: Pair,
        interpolation: Interpolation,
        antialias: bool,
    }
    let Attrs { size, interpolation: Interpolation::Bilinear, antialias } = case.attrs()?;
    let (height, width) = size.into();
    transform(case, |image| image.resize(height, width, antialias))
}

fn rgb_to_grayscale(case: &Case) -> Result<Found> {
    let Nothing {} = case.attrs()?;
    transform(case, |image| image.rgb_to_grayscale())
}

/// Every image of `x`, (N, C, H, W), transformed.
fn transform(case: &Case, f: impl Fn(FloatImage) -> sconce_data::Result<FloatImage>) -> Result<Found> {
    let inputs = Inputs::new(case)?;
    let x = inputs.get("x")?;
    let (n, c, h, w) = x.dims4()?;
    let image = |i| -> Result<FloatImage> {
        let x: &Tensor = &x.get(i)?;
        Ok(f(FloatImage::new([c, h, w], x.flatten_all()?.to_vec1()?)?)?)
    };
    let images = (0..n).map(image).collect::<Result<Vec<_>>>()?;
    Ok(Found::from([("out.y".to_owned(), FloatImage::stack(&images, &Device::Cpu)?)]))
}
