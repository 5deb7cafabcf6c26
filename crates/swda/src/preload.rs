//! Images that are resized once, and not in every epoch.

use rayon::prelude::*;
use sconce_core::geometry::Object;
use sconce_data::{
    DetectionDataset, DetectionPipeline, DetectionSample, DetectionTransform, Image, Resize, ResizeSides, Result,
};

/// Bytes of resized images that are held in memory, at most.
const MOST_BYTES: usize = 256 << 20;

/// The same images behind the resizing that `pipeline` begins with, in memory, and what remains of it; as they are where it begins
/// with none, or there are too many. What comes out of both together is the same: large photos are decoded once, and not as often
/// as they are seen.
pub(crate) fn preloaded(
    dataset: &DetectionDataset,
    pipeline: &DetectionPipeline,
) -> Result<(DetectionDataset, DetectionPipeline)> {
    let as_it_is = || (dataset.clone(), pipeline.clone());
    let (resize, rest) = match &pipeline.transforms[..] {
        [DetectionTransform::Rgb, DetectionTransform::ResizeSides(resize), rest @ ..] => (*resize, rest),
        _ => return Ok(as_it_is()),
    };
    let bytes = |sample: &DetectionSample| {
        let (width, height) = resize.size(sample.size.1, sample.size.0);
        3 * width * height
    };
    if dataset.path(0).is_none() || dataset.samples().iter().map(bytes).sum::<usize>() > MOST_BYTES {
        return Ok(as_it_is());
    }
    let images: Result<Vec<_>> = (0..dataset.len()).into_par_iter().map(|i| resized(dataset, i, &resize)).collect();
    let images = DetectionDataset::from_images(dataset.origin(), dataset.classes().to_vec(), images?)?;
    Ok((images, DetectionPipeline { transforms: rest.to_vec(), ..pipeline.clone() }))
}

/// An image and what is on it, as the pipeline makes them.
fn resized(dataset: &DetectionDataset, index: usize, resize: &ResizeSides) -> Result<(Image, DetectionSample)> {
    let (image, sample) = (dataset.image(index)?.into_rgb(), dataset.sample(index));
    let (width, height) = resize.size(image.width(), image.height());
    let (x, y) = (width as f64 / image.width() as f64, height as f64 / image.height() as f64);
    let image = Resize { width, height, antialias: resize.antialias }.apply(image)?;
    let object = |object: &Object| Object {
        bbox: object.bbox.scaled(x, y).clipped(width as f64, height as f64),
        area: object.area.map(|area| area * x * y),
        ..*object
    };
    let objects = sample.objects.iter().map(object).collect();
    Ok((image, DetectionSample { name: sample.name.clone(), size: (height, width), objects }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use sconce_core::{Rng, geometry::BBox};
    use sconce_data::{HorizontalFlip, Normalize};

    use super::*;

    #[test]
    fn what_is_resized_before_is_what_would_be_resized_later() {
        let folder = tempfile::tempdir().unwrap();
        let mut samples = Vec::new();
        for (i, (width, height)) in [(90, 41), (33, 70)].into_iter().enumerate() {
            let data: Vec<u8> = (0..width * height).map(|p| (p * 7 % 251) as u8).collect();
            let name = format!("{i}.png");
            let bytes = Image::new(width, height, 1, data).unwrap().encode_png().unwrap();
            fs::write(folder.path().join(&name), bytes).unwrap();
            let bbox = BBox::new(3.0, 5.5, width as f64, 30.0);
            let objects = vec![Object { area: Some(100.0), ..Object::new(bbox, 0) }];
            samples.push(DetectionSample { name, size: (height, width), objects });
        }
        let dataset = DetectionDataset::from_files(folder.path(), vec!["thing".to_owned()], samples).unwrap();
        let transforms = vec![
            DetectionTransform::Rgb,
            DetectionTransform::ResizeSides(ResizeSides { shorter: 24, longer: Some(40), antialias: true }),
            DetectionTransform::HorizontalFlip(HorizontalFlip { p: 0.5 }),
        ];
        let normalize = Normalize { mean: vec![0.5; 3], std: vec![0.25; 3] };
        let pipeline = DetectionPipeline { transforms, ..DetectionPipeline::new(normalize) };
        let (images, rest) = preloaded(&dataset, &pipeline).unwrap();
        assert_eq!(rest.transforms.len(), 1);
        for seed in 0..4 {
            for i in 0..2 {
                let of = |dataset: &DetectionDataset, pipeline: &DetectionPipeline| {
                    let (image, objects) = (dataset.image(i).unwrap(), &dataset.sample(i).objects);
                    pipeline.apply(image, objects, &mut Rng::new(seed, "sample")).unwrap()
                };
                let (before, later) = (of(&images, &rest), of(&dataset, &pipeline));
                assert_eq!((before.image, before.objects), (later.image, later.objects));
            }
        }
    }
}
