//! Boxes and features of regions against central differences.

use sconce_core::{
    DType, Device, Rng, Tensor,
    ops::{self, RoiAlignAvgParams, RoiAlignParams, RoiPoolParams},
    testing::check_gradients,
};

use crate::normal;

/// Boxes of some extent in a square of side 8, drawn so that no two sides coincide.
fn boxes(seed: u64, n: usize) -> Tensor {
    let mut rng = Rng::new(seed, "boxes");
    let corners: Vec<f64> = (0..n)
        .flat_map(|_| {
            let (x, y) = (rng.uniform(0.0, 6.0), rng.uniform(0.0, 6.0));
            [x, y, x + rng.uniform(1.0, 5.0), y + rng.uniform(1.0, 5.0)]
        })
        .collect();
    Tensor::from_vec(corners, (n, 4), &Device::Cpu).unwrap()
}

#[test]
fn overlaps() {
    let far = Tensor::new(&[[20f64, 21.0, 22.0, 24.0]], &Device::Cpu).unwrap();
    for inputs in [[boxes(1, 3), boxes(2, 4)], [boxes(3, 1), boxes(4, 1)], [boxes(5, 2), far]] {
        check_gradients(&inputs, |t| ops::box_iou(&t[0], &t[1]));
        check_gradients(&inputs, |t| ops::generalized_box_iou(&t[0], &t[1]));
    }
}

/// Regions in both of two images: one inside, one over the edges, one without an extent, one outside.
fn rois() -> Tensor {
    let rows = [
        [0.0, 1.3, 2.1, 9.7, 8.3],
        [1.0, -3.2, 4.4, 30.1, 27.3],
        [0.0, 5.1, 5.2, 5.1, 5.2],
        [1.0, -90.0, -80.0, -70.0, -60.0],
        [1.0, 3.0, 0.7, 8.9, 12.2],
    ];
    Tensor::new(&rows, &Device::Cpu).unwrap()
}

#[test]
fn roi_align() {
    for (shape, output_size, sampling_ratio, aligned) in [
        ([2, 3, 6, 5], (2, 3), 2, false),
        ([2, 17, 4, 5], (3, 2), 0, true),
        ([2, 1, 1, 1], (2, 2), 3, true),
        ([2, 2, 5, 1], (1, 1), 0, false),
    ] {
        let params = RoiAlignParams { output_size, spatial_scale: 0.4, sampling_ratio, aligned };
        check_gradients(&[normal(1, &shape)], |t| ops::roi_align(&t[0], &rois(), &params));
    }
}

#[test]
fn roi_align_avg() {
    for (shape, output_size) in [([2, 3, 6, 5], (2, 3)), ([2, 17, 4, 5], (3, 2)), ([2, 1, 1, 1], (2, 2))] {
        let params = RoiAlignAvgParams { output_size, spatial_scale: 0.4 };
        check_gradients(&[normal(1, &shape)], |t| ops::roi_align_avg(&t[0], &rois(), &params));
    }
}

#[test]
fn roi_pool() {
    for shape in [[2, 3, 6, 5], [2, 1, 1, 1], [2, 2, 1, 4]] {
        let params = RoiPoolParams { output_size: (3, 2), spatial_scale: 0.4 };
        check_gradients(&[normal(1, &shape)], |t| ops::roi_pool(&t[0], &rois(), &params));
    }
}

#[test]
fn topk() {
    for (shape, dim) in [(vec![3, 4, 5], 0), (vec![3, 4, 5], 1), (vec![3, 4, 5], 2), (vec![6], 0)] {
        for k in [1, 3] {
            check_gradients(&[normal(1, &shape)], |t| Ok(ops::topk(&t[0], k, dim)?.0));
        }
    }
}

#[test]
fn regions_reach_every_kind_of_pixel() {
    // The gradients above are of something: a region's bins are not all empty.
    let params = RoiAlignParams { output_size: (2, 2), spatial_scale: 0.4, sampling_ratio: 0, aligned: true };
    let ones = Tensor::ones((2, 1, 6, 5), DType::F64, &Device::Cpu).unwrap();
    let y = ops::roi_align(&ones, &rois(), &params).unwrap();
    let sums = y.flatten_from(1).unwrap().sum(1).unwrap().to_vec1::<f64>().unwrap();
    assert!((sums[0] - 4.0).abs() < 1e-12 && sums[1] > 0.0 && sums[1] < 4.0, "{sums:?}");
    assert_eq!((sums[2], sums[3]), (0.0, 0.0));
}
