//! Images of floating-point values, as a network takes them.

mod blur;
mod color;

use sconce_core::{Device, Tensor, vectorised};

pub(crate) use blur::check as check_blur;

use crate::{DataError, Image, Result};

/// An image of `f32` values, plane after plane: (C, H, W).
#[derive(Clone, Debug, PartialEq)]
pub struct FloatImage {
    channels: usize,
    height: usize,
    width: usize,
    data: Vec<f32>,
}

impl FloatImage {
    /// An image of shape (C, H, W).
    ///
    /// # Errors
    /// [`DataError::Argument`] for an empty shape, or `data` of another length.
    pub fn new([channels, height, width]: [usize; 3], data: Vec<f32>) -> Result<Self> {
        let expected = channels.checked_mul(height).and_then(|n| n.checked_mul(width));
        if expected == Some(0) || expected != Some(data.len()) {
            let expected = format!("at least one, {channels}×{height}×{width}");
            return Err(DataError::argument("number of values in an image", data.len(), expected));
        }
        Ok(Self { channels, height, width, data })
    }

    /// (C, H, W).
    pub fn shape(&self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }

    /// The values, (C, H, W).
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The values, (C, H, W), to be changed in place.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// The images as one tensor (N, C, H, W).
    ///
    /// # Errors
    /// [`DataError::Argument`] for no images, or images of different shapes.
    pub fn stack(images: &[Self], device: &Device) -> Result<Tensor> {
        let Some(first) = images.first() else {
            return Err(DataError::argument("number of images in a batch", 0, "at least 1"));
        };
        if let Some(other) = images.iter().find(|i| i.shape() != first.shape()) {
            let expected = format!("{:?} as the first of the batch; resize or crop them", first.shape());
            return Err(DataError::argument("shape of an image", format!("{:?}", other.shape()), expected));
        }
        let mut data = Vec::with_capacity(images.len() * first.data.len());
        images.iter().for_each(|image| data.extend_from_slice(&image.data));
        let shape = (images.len(), first.channels, first.height, first.width);
        Ok(Tensor::from_vec(data, shape, device).map_err(sconce_core::Error::from)?)
    }
}

impl FloatImage {
    /// The images as one tensor (N, C, H, W): each in the upper left corner, zeros right of it and below it. H and W are the
    /// least multiples of `divisor` that hold all.
    ///
    /// # Errors
    /// [`DataError::Argument`] for no images, images of different channels, a divisor of 0, or a batch that is too large.
    pub fn stack_padded(images: &[Self], divisor: usize, device: &Device) -> Result<Tensor> {
        let Some(first) = images.first() else {
            return Err(DataError::argument("number of images in a batch", 0, "at least 1"));
        };
        let channels = first.channels;
        if let Some(other) = images.iter().find(|image| image.channels != channels) {
            let expected = format!("{channels} as the first of the batch");
            return Err(DataError::argument("channels of an image", other.channels, expected));
        }
        let side = |length: fn(&Self) -> usize| {
            let longest = images.iter().map(length).max().unwrap_or(1);
            longest.checked_next_multiple_of(divisor)
        };
        let (Some(height), Some(width)) = (side(|image| image.height), side(|image| image.width)) else {
            return Err(DataError::argument("divisor of a batch's sides", divisor, "1 or more, and not too large"));
        };
        crate::resample::check_size("size of a batch's images", width, height)?;
        let mut data = vec![0.0; images.len() * channels * height * width];
        for (image, padded) in images.iter().zip(data.chunks_exact_mut(channels * height * width)) {
            let planes = image.data.chunks_exact(image.height * image.width);
            for (plane, padded) in planes.zip(padded.chunks_exact_mut(height * width)) {
                for (row, padded) in plane.chunks_exact(image.width).zip(padded.chunks_exact_mut(width)) {
                    padded[..row.len()].copy_from_slice(row);
                }
            }
        }
        let shape = (images.len(), channels, height, width);
        Ok(Tensor::from_vec(data, shape, device).map_err(sconce_core::Error::from)?)
    }
}

impl From<&Image> for FloatImage {
    /// The pixels, divided by 255, as torchvision's `ToTensor`.
    fn from(image: &Image) -> Self {
        let (channels, height, width) = (image.channels(), image.height(), image.width());
        let mut data = Vec::with_capacity(image.data().len());
        vectorised(
            #[inline(always)]
            || match channels {
                3 => {
                    let pixels = image.data().as_chunks::<3>().0;
                    data.extend(pixels.iter().map(|p| unit(p[0])));
                    data.extend(pixels.iter().map(|p| unit(p[1])));
                    data.extend(pixels.iter().map(|p| unit(p[2])));
                }
                _ => data.extend(image.data().iter().map(|&value| unit(value))),
            },
        );
        Self { channels, height, width, data }
    }
}

#[inline(always)]
fn unit(value: u8) -> f32 {
    f32::from(value) / 255.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_become_planes_between_0_and_1() {
        let image = Image::new(2, 1, 3, vec![0, 51, 255, 102, 153, 204]).unwrap();
        let float = FloatImage::from(&image);
        assert_eq!(float.shape(), [3, 1, 2]);
        assert_eq!(float.data(), [0.0, 0.4, 0.2, 0.6, 1.0, 0.8]);
    }

    #[test]
    fn data_of_another_length_is_refused() {
        assert!(FloatImage::new([3, 2, 2], vec![0.0; 12]).is_ok());
        assert!(FloatImage::new([3, 2, 2], vec![0.0; 11]).is_err());
        assert!(FloatImage::new([0, 2, 2], vec![]).is_err());
        assert!(FloatImage::new([usize::MAX, 2, 2], vec![]).is_err());
    }

    #[test]
    fn images_are_stacked_in_order() {
        let image = |v| FloatImage::new([1, 1, 2], vec![v, v + 0.5]).unwrap();
        let tensor = FloatImage::stack(&[image(1.0), image(3.0)], &Device::Cpu).unwrap();
        assert_eq!(tensor.dims(), [2, 1, 1, 2]);
        assert_eq!(tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [1.0, 1.5, 3.0, 3.5]);
    }

    #[test]
    fn smaller_images_lie_in_the_upper_left_corner() {
        let image = |height, width, first: usize| {
            let values = (first..first + 2 * height * width).map(|v| v as f32).collect();
            FloatImage::new([2, height, width], values).unwrap()
        };
        let images = [image(1, 3, 1), image(2, 1, 11)];
        let tensor = FloatImage::stack_padded(&images, 1, &Device::Cpu).unwrap();
        assert_eq!(tensor.dims(), [2, 2, 2, 3]);
        let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let first = [1., 2., 3., 0., 0., 0., 4., 5., 6., 0., 0., 0.];
        let second = [11., 0., 0., 12., 0., 0., 13., 0., 0., 14., 0., 0.];
        assert_eq!(values, [first, second].concat());
        assert_eq!(FloatImage::stack_padded(&images, 4, &Device::Cpu).unwrap().dims(), [2, 2, 4, 4]);
        for (images, divisor) in [(&images[..], 0), (&images[..], usize::MAX), (&[], 1)] {
            assert!(matches!(FloatImage::stack_padded(images, divisor, &Device::Cpu), Err(DataError::Argument { .. })));
        }
        let gray = FloatImage::new([1, 1, 1], vec![0.0]).unwrap();
        assert!(FloatImage::stack_padded(&[image(1, 1, 0), gray], 1, &Device::Cpu).is_err());
    }

    #[test]
    fn images_of_different_shapes_do_not_stack() {
        let images = [[1, 1, 2], [1, 2, 1]].map(|shape| FloatImage::new(shape, vec![0.0; 2]).unwrap());
        assert!(matches!(FloatImage::stack(&images, &Device::Cpu), Err(DataError::Argument { .. })));
        assert!(FloatImage::stack(&[], &Device::Cpu).is_err());
    }
}
