//! Boxes and features of regions: definitions, ties, edges and refusals.

use sconce_core::{
    DType, Device, Error, Result, Rng, Tensor, Var, backward,
    ops::{self, RoiAlignAvgParams, RoiAlignParams, RoiPoolParams},
};

use crate::{assert_close, flat, normal};

fn boxes(rows: &[[f64; 4]]) -> Tensor {
    Tensor::from_vec(rows.as_flattened().to_vec(), (rows.len(), 4), &Device::Cpu).unwrap()
}

fn rois(rows: &[[f64; 5]]) -> Tensor {
    Tensor::from_vec(rows.as_flattened().to_vec(), (rows.len(), 5), &Device::Cpu).unwrap()
}

fn numbers(values: &[f64]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

fn indices(t: &Tensor) -> Vec<i64> {
    t.to_vec1().unwrap()
}

/// The gradient of `Σ y`.
fn gradient(x: &Var, y: &Tensor) -> Vec<f64> {
    flat(backward(y).unwrap().get(x).unwrap())
}

#[test]
fn overlaps_of_known_boxes() {
    let a = boxes(&[[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 1.0, 4.0]]);
    let b = boxes(&[[1.0, 1.0, 3.0, 3.0], [0.0, 0.0, 2.0, 2.0], [5.0, 5.0, 6.0, 7.0]]);
    let iou = ops::box_iou(&a, &b).unwrap();
    let expected = numbers(&[1.0 / 7.0, 1.0, 0.0, 0.0, 2.0 / 6.0, 0.0]).reshape((2, 3)).unwrap();
    assert_close(&iou, &expected, 1e-15);
    let giou = ops::generalized_box_iou(&a, &b).unwrap();
    // The hulls have 9, 4 and 42 pixels, and 12, 8 and 42.
    let around = [-2.0 / 9.0, 0.0, -36.0 / 42.0, -4.0 / 12.0, -2.0 / 8.0, -36.0 / 42.0];
    assert_close(&giou, &(expected + numbers(&around).reshape((2, 3)).unwrap()).unwrap(), 1e-15);
}

#[test]
fn overlaps_without_an_area_are_nan_and_swapped_corners_negative() {
    let point = boxes(&[[1.0, 1.0, 1.0, 1.0]]);
    let square = boxes(&[[0.0, 0.0, 2.0, 2.0]]);
    assert!(flat(&ops::box_iou(&point, &point).unwrap())[0].is_nan());
    assert_eq!(flat(&ops::box_iou(&point, &square).unwrap()), [0.0]);
    // An area of −4 and no intersection: 0 / 0.
    let swapped = boxes(&[[2.0, 0.0, 0.0, 2.0]]);
    assert!(flat(&ops::box_iou(&swapped, &square).unwrap())[0].is_nan());
    assert!(flat(&ops::box_iou(&boxes(&[[0.0, f64::NAN, 2.0, 2.0]]), &square).unwrap())[0].is_nan());
}

#[test]
fn equal_sides_share_the_gradient() {
    // As PyTorch's: of min(x2, x2') each side takes a half. I = U = 4, and dIoU = (dI · 2 − dA − dB) / 4.
    let a = Var::from_tensor(&boxes(&[[0.0, 0.0, 2.0, 2.0]])).unwrap();
    let iou = ops::box_iou(&a, &boxes(&[[0.0, 0.0, 2.0, 2.0]])).unwrap();
    assert_eq!(gradient(&a, &iou), [0.0; 4]);
    let b = boxes(&[[0.0, 0.0, 4.0, 2.0]]);
    // I = A = 4, U = 8; x1: dI = −1 (half of 2), dA = −2: (dI · (U + I) − dA · I) / U² = (−12 + 8) / 64.
    let iou = ops::box_iou(&a, &b).unwrap();
    assert_eq!(
        gradient(&a, &iou),
        [-0.0625, 0.0625 - 2.0 / 16.0, 0.25, 0.0625].map(|g: f64| {
            // y1 and y2 are tied like x1: dI = ∓1, dA = ∓2; x2 is a's own: dI = dA = 2.
            if g == 0.25 { (2.0 * 12.0 - 2.0 * 4.0) / 64.0 } else { g }
        })
    );
}

#[test]
fn nms_decides_at_the_threshold_as_torchvision() {
    // An overlap of 0.1 in f32 is more than 0.1 in f64, and is compared with that.
    let pair = boxes(&[[0.0, 0.0, 10.0, 1.0], [0.0, 0.0, 1.0, 1.0]]).to_dtype(DType::F32).unwrap();
    let scores = numbers(&[0.9, 0.8]).to_dtype(DType::F32).unwrap();
    assert_eq!(indices(&ops::nms(&pair, &scores, 0.1).unwrap()), [0]);
    assert_eq!(indices(&ops::nms(&pair, &scores, f64::from(0.1f32)).unwrap()), [0, 1]);
    let half = boxes(&[[0.0, 0.0, 2.0, 1.0], [0.0, 0.0, 1.0, 1.0]]);
    assert_eq!(indices(&ops::nms(&half, &numbers(&[0.1, 0.2]), 0.5).unwrap()), [1, 0]);
    assert_eq!(indices(&ops::nms(&half, &numbers(&[0.1, 0.2]), 0.49).unwrap()), [1]);
}

#[test]
fn nms_keeps_the_order_of_ties_and_takes_nan_first() {
    let apart: Vec<[f64; 4]> = (0..6).map(|i| [10.0 * f64::from(i), 0.0, 10.0 * f64::from(i) + 5.0, 5.0]).collect();
    let scores = numbers(&[0.0, 0.5, f64::NAN, -0.0, 0.5, f64::INFINITY]);
    assert_eq!(indices(&ops::nms(&boxes(&apart), &scores, 0.5).unwrap()), [2, 5, 1, 4, 0, 3]);
    let same = boxes(&[[0.0, 0.0, 1.0, 1.0]; 3]);
    assert_eq!(indices(&ops::nms(&same, &numbers(&[1.0; 3]), 0.5).unwrap()), [0]);
    // What overlaps a removed box alone stays.
    let chain = boxes(&[[0.0, 0.0, 10.0, 1.0], [4.0, 0.0, 14.0, 1.0], [8.0, 0.0, 18.0, 1.0]]);
    assert_eq!(indices(&ops::nms(&chain, &numbers(&[3.0, 2.0, 1.0]), 0.4).unwrap()), [0, 2]);
}

#[test]
fn nms_is_its_definition_for_many_boxes() {
    let mut rng = Rng::new(0, "boxes");
    let rows: Vec<[f64; 4]> = (0..500)
        .map(|_| {
            // Whole numbers, so that there are ties and overlaps on the threshold; some swapped or empty.
            let (x, y) = (rng.below(30) as f64, rng.below(30) as f64);
            [x, y, x + rng.below(12) as f64 - 1.0, y + rng.below(12) as f64 - 1.0]
        })
        .collect();
    let scores: Vec<f64> = (0..500).map(|_| rng.below(50) as f64).collect();
    let categories: Vec<i64> = (0..500).map(|_| rng.below(3) as i64 - 1).collect();
    let mut order: Vec<usize> = (0..500).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let area = |b: [f64; 4]| (b[2] - b[0]) * (b[3] - b[1]);
    let iou = |a: [f64; 4], b: [f64; 4]| {
        let extent = |s: usize| (a[s + 2].min(b[s + 2]) - a[s].max(b[s])).max(0.0);
        let inner = extent(0) * extent(1);
        inner / (area(a) + area(b) - inner)
    };
    for threshold in [0.0, 1.0 / 3.0, 0.5, -1.0] {
        let keep = |apart: bool| {
            let mut kept: Vec<usize> = Vec::new();
            for &i in &order {
                let meets = |&j: &usize| !apart || categories[i] == categories[j];
                if !kept.iter().filter(|j| meets(j)).any(|&j| iou(rows[j], rows[i]) > threshold) {
                    kept.push(i);
                }
            }
            kept.iter().map(|&i| i as i64).collect::<Vec<_>>()
        };
        let (boxes, scores) = (boxes(&rows), numbers(&scores));
        let idxs = Tensor::new(categories.as_slice(), &Device::Cpu).unwrap();
        assert_eq!(indices(&ops::nms(&boxes, &scores, threshold).unwrap()), keep(false), "{threshold}");
        assert_eq!(indices(&ops::batched_nms(&boxes, &scores, &idxs, threshold).unwrap()), keep(true), "{threshold}");
    }
}

#[test]
fn topk_orders_ties_by_index_and_takes_nan_as_largest() {
    let x = numbers(&[1.0, f64::NAN, 3.0, 3.0, f64::INFINITY, 0.0]);
    let (values, places) = ops::topk(&x, 5, 0).unwrap();
    assert_eq!(indices(&places), [1, 4, 2, 3, 0]);
    assert!(flat(&values)[0].is_nan());
    assert_eq!(flat(&values)[1..], [f64::INFINITY, 3.0, 3.0, 1.0]);
    // All of them, and along a dimension that is not the last.
    let x = normal(1, &[3, 4, 2]);
    let (values, places) = ops::topk(&x, 4, 1).unwrap();
    assert_eq!(values.dims(), [3, 4, 2]);
    assert_close(&x.gather(&places, 1).unwrap(), &values, 0.0);
    let sorted = flat(&values);
    assert!((0..24).all(|i| i / 2 % 4 == 3 || sorted[i] >= sorted[i + 2]));
}

/// Bilinear samples by their definition, one by one.
fn roi_align_by_definition(x: &Tensor, boxes: &[[f64; 5]], params: &RoiAlignParams) -> Vec<f64> {
    let (_, c, h, w) = x.dims4().unwrap();
    let xs = flat(x);
    let (rows, cols) = params.output_size;
    let mut y = Vec::new();
    for b in boxes {
        let offset = if params.aligned { 0.5 } else { 0.0 };
        let [x1, y1, x2, y2] = [1, 2, 3, 4].map(|i| b[i] * params.spatial_scale - offset);
        let least = if params.aligned { f64::MIN } else { 1.0 };
        let (bin_h, bin_w) = ((y2 - y1).max(least) / rows as f64, (x2 - x1).max(least) / cols as f64);
        let grid = |bin: f64| if params.sampling_ratio > 0 { params.sampling_ratio } else { bin.ceil() as usize };
        let (grid_h, grid_w) = (grid(bin_h), grid(bin_w));
        for (channel, i, j) in (0..c).flat_map(|c| (0..rows).flat_map(move |i| (0..cols).map(move |j| (c, i, j)))) {
            let at = |row: usize, col: usize| xs[((b[0] as usize * c + channel) * h + row) * w + col];
            let mut sum = 0.0;
            for (u, v) in (0..grid_h).flat_map(|u| (0..grid_w).map(move |v| (u, v))) {
                // Some lie on the limits exactly: the order of operations is torchvision's.
                let row = y1 + i as f64 * bin_h + (u as f64 + 0.5) * bin_h / grid_h as f64;
                let col = x1 + j as f64 * bin_w + (v as f64 + 0.5) * bin_w / grid_w as f64;
                if row < -1.0 || row > h as f64 || col < -1.0 || col > w as f64 {
                    continue;
                }
                let (row, col) = (row.clamp(0.0, (h - 1) as f64), col.clamp(0.0, (w - 1) as f64));
                let (r, c) = (row as usize, col as usize);
                let (below, right) = ((r + 1).min(h - 1), (c + 1).min(w - 1));
                let (dr, dc) = (row.fract(), col.fract());
                sum += (1.0 - dr) * ((1.0 - dc) * at(r, c) + dc * at(r, right))
                    + dr * ((1.0 - dc) * at(below, c) + dc * at(below, right));
            }
            y.push(sum / (grid_h * grid_w).max(1) as f64);
        }
    }
    y
}

/// Regions of every kind in a batch of 2: inside, over each edge, around all, without an extent, swapped, outside.
const REGIONS: [[f64; 5]; 8] = [
    [0.0, 1.3, 2.1, 9.7, 8.3],
    [1.0, -6.0, -7.0, 5.0, 4.0],
    [1.0, 3.0, 5.0, 40.0, 50.0],
    [0.0, -20.0, -30.0, 60.0, 70.0],
    [1.0, 5.0, 5.0, 5.0, 5.0],
    [0.0, 9.0, 8.0, 3.0, 2.0],
    [0.0, -90.0, 1.0, -70.0, 5.0],
    [1.0, -2.0, -2.0, 18.0, 14.0],
];

#[test]
fn roi_align_avg_is_that_of_the_reference() {
    // Values of DA_Detection's RoIAlignAvg, worked out by hand from its kernel: eight points a side, then means of four.
    let x = Tensor::arange(0f32, 48.0, &Device::Cpu).unwrap().reshape((1, 1, 6, 8)).unwrap();
    let rows = [[0f32, 16.0, 16.0, 79.0, 63.0], [0.0, 64.0, 48.0, 127.0, 95.0]];
    let rois = Tensor::new(&rows, &Device::Cpu).unwrap();
    let params = RoiAlignAvgParams { output_size: (7, 7), spatial_scale: 1.0 / 16.0 };
    let y: Vec<f64> = flat(&ops::roi_align_avg(&x, &rois, &params).unwrap());
    let at = |roi: usize, row: usize, column: usize| y[roi * 49 + row * 7 + column];
    for ((row, column), expected) in
        [((0, 0), 11.602_678_5), ((0, 6), 15.834_821_5), ((3, 3), 27.218_75), ((6, 6), 42.834_821_5)]
    {
        assert!((at(0, row, column) - expected).abs() < 1e-5, "{row} {column}: {}", at(0, row, column));
    }
    // At the border what lies outside counts as 0.
    assert_eq!((at(1, 0, 6), at(1, 6, 0), at(1, 6, 6)), (0.0, 0.0, 0.0));
    assert!(at(1, 0, 0) > 0.0);
}

#[test]
fn roi_align_is_its_definition() {
    for shape in [[2, 3, 6, 9], [2, 16, 5, 4], [2, 33, 1, 1], [2, 1, 7, 1]] {
        let x = normal(1, &shape);
        for (aligned, sampling_ratio) in [(false, 0), (false, 2), (true, 0), (true, 1), (true, 3)] {
            for output_size in [(1, 1), (3, 2)] {
                let params = RoiAlignParams { output_size, spatial_scale: 0.5, sampling_ratio, aligned };
                let y = ops::roi_align(&x, &rois(&REGIONS), &params).unwrap();
                let expected = roi_align_by_definition(&x, &REGIONS, &params);
                let expected = Tensor::from_vec(expected, y.shape(), &Device::Cpu).unwrap();
                assert_close(&y, &expected, 1e-12);
            }
        }
    }
}

#[test]
fn an_enormous_region_is_sampled_in_no_time() {
    let x = Var::from_tensor(&Tensor::ones((1, 1, 4, 4), DType::F64, &Device::Cpu).unwrap()).unwrap();
    let params = RoiAlignParams { output_size: (1, 1), spatial_scale: 1.0, sampling_ratio: 0, aligned: true };
    let y = ops::roi_align(&x, &rois(&[[0.0, -4e8, -4e8, 4e8, 4e8]]), &params).unwrap();
    // A sample a pixel, of which 5 × 5 or so lie on the map.
    let share = flat(&y)[0] * 6.4e17;
    assert!((16.0..=36.0).contains(&share), "{share}");
    assert!(gradient(&x, &y).iter().all(|&g| g > 0.0));
}

#[test]
fn no_regions_give_an_empty_result_and_a_gradient_of_zeros() {
    let x = Var::from_tensor(&normal(1, &[2, 3, 4, 5])).unwrap();
    let none = Tensor::zeros((0, 5), DType::F64, &Device::Cpu).unwrap();
    let align = RoiAlignParams { output_size: (2, 2), spatial_scale: 1.0, sampling_ratio: 2, aligned: true };
    let pool = RoiPoolParams { output_size: (2, 2), spatial_scale: 1.0 };
    for y in [ops::roi_align(&x, &none, &align).unwrap(), ops::roi_pool(&x, &none, &pool).unwrap()] {
        assert_eq!(y.dims(), [0, 3, 2, 2]);
        assert_eq!(gradient(&x, &y), [0.0; 120]);
    }
    let (no_boxes, some) = (boxes(&[]), boxes(&[[0.0, 0.0, 1.0, 1.0]; 3]));
    assert_eq!(ops::box_iou(&no_boxes, &some).unwrap().dims(), [0, 3]);
    assert_eq!(ops::generalized_box_iou(&some, &no_boxes).unwrap().dims(), [3, 0]);
    let scores = Tensor::zeros(0, DType::F64, &Device::Cpu).unwrap();
    assert_eq!(ops::nms(&no_boxes, &scores, 0.5).unwrap().dims(), [0]);
    let idxs = Tensor::zeros(0, DType::I64, &Device::Cpu).unwrap();
    let kept = ops::batched_nms(&no_boxes, &scores, &idxs, 0.5).unwrap();
    assert_eq!((kept.dims(), kept.dtype()), (&[0][..], DType::I64));
    let var = Var::from_tensor(&some).unwrap();
    assert_eq!(gradient(&var, &ops::box_iou(&var, &no_boxes).unwrap()), [0.0; 12]);
}

#[test]
fn roi_pool_rounds_half_away_from_zero_and_bins_overlap() {
    let x =
        Var::from_tensor(&Tensor::arange(0f64, 24.0, &Device::Cpu).unwrap().reshape((1, 1, 4, 6)).unwrap()).unwrap();
    let params = RoiPoolParams { output_size: (1, 2), spatial_scale: 0.5 };
    let pool = |b: [f64; 4]| ops::roi_pool(&x, &rois(&[[0.0, b[0], b[1], b[2], b[3]]]), &params).unwrap();
    // Columns 0.5 → 1 and 2.5 → 3, three of them: 1 and 2, 2 and 3. Rows 1 to 1.
    let y = pool([1.0, 2.0, 5.0, 2.0]);
    assert_eq!(flat(&y), [8.0, 9.0]);
    // −0.5 → −1: columns −1, 0, 1 and rows −1, 0; the first bin sees column 0, the second both.
    assert_eq!(flat(&pool([-1.0, -1.0, 2.0, 0.0])), [0.0, 1.0]);
    // Outside of the map.
    let outside = pool([40.0, 0.0, 50.0, 4.0]);
    assert_eq!((flat(&outside), gradient(&x, &outside)), (vec![0.0; 2], vec![0.0; 24]));
    // Swapped corners are one pixel.
    assert_eq!(flat(&pool([8.0, 4.0, 2.0, 2.0])), [16.0, 16.0]);
    // Two bins of one pixel: it takes both gradients.
    let mut expected = vec![0.0; 24];
    expected[16] = 2.0;
    assert_eq!(gradient(&x, &pool([8.0, 4.0, 8.0, 4.0])), expected);
}

#[test]
fn roi_pool_gives_ties_to_the_first_and_does_not_hide_nan() {
    let params = RoiPoolParams { output_size: (1, 1), spatial_scale: 1.0 };
    let whole = rois(&[[0.0, 0.0, 0.0, 1.0, 1.0]]);
    let zeros = Var::zeros((1, 1, 2, 2), DType::F64, &Device::Cpu).unwrap();
    let y = ops::roi_pool(&zeros, &whole, &params).unwrap();
    assert_eq!(gradient(&zeros, &y), [1.0, 0.0, 0.0, 0.0]);
    let low = Tensor::new(&[[[[f64::NEG_INFINITY; 2]; 2]]], &Device::Cpu).unwrap();
    assert_eq!(flat(&ops::roi_pool(&low, &whole, &params).unwrap()), [f64::NEG_INFINITY]);
    let nan = Tensor::new(&[[[[1.0, f64::NAN], [2.0, 3.0]]]], &Device::Cpu).unwrap();
    assert!(flat(&ops::roi_pool(&nan, &whole, &params).unwrap())[0].is_nan());
}

#[test]
fn views_are_read_where_they_are() {
    let whole = normal(1, &[4, 3, 6, 6]);
    let x = whole.narrow(0, 1, 2).unwrap().transpose(2, 3).unwrap();
    let copy = |t: &Tensor| Tensor::from_vec(flat(t), t.shape(), &Device::Cpu).unwrap();
    let regions = rois(&REGIONS);
    let wide = Tensor::cat(&[&regions, &regions], 1).unwrap();
    let (view, all) = (wide.narrow(1, 5, 5).unwrap(), copy(&regions));
    let align = RoiAlignParams { output_size: (2, 2), spatial_scale: 0.5, sampling_ratio: 2, aligned: true };
    let pool = RoiPoolParams { output_size: (2, 2), spatial_scale: 0.5 };
    let y = ops::roi_align(&x, &view, &align).unwrap();
    assert_close(&y, &ops::roi_align(&copy(&x), &all, &align).unwrap(), 0.0);
    let y = ops::roi_pool(&x, &view, &pool).unwrap();
    assert_close(&y, &ops::roi_pool(&copy(&x), &all, &pool).unwrap(), 0.0);
    let corners = regions.narrow(1, 1, 4).unwrap();
    let scores = normal(2, &[4, 2]).t().unwrap().narrow(0, 1, 1).unwrap().squeeze(0).unwrap();
    let four = corners.narrow(0, 4, 4).unwrap();
    let kept = ops::nms(&four, &scores, 0.2).unwrap();
    assert_eq!(indices(&kept), indices(&ops::nms(&copy(&four), &copy(&scores), 0.2).unwrap()));
    let one = corners.narrow(0, 0, 1).unwrap().broadcast_as((3, 4)).unwrap();
    assert_close(
        &ops::generalized_box_iou(&one, &corners).unwrap(),
        &ops::generalized_box_iou(&copy(&one), &copy(&corners)).unwrap(),
        0.0,
    );
    let (values, places) = ops::topk(&x, 2, 2).unwrap();
    let (same, at) = ops::topk(&copy(&x), 2, 2).unwrap();
    assert_close(&values, &same, 0.0);
    assert_close(&places, &at, 0.0);
}

#[test]
fn a_view_takes_the_gradient_of_topk_where_it_lies() {
    let whole = Var::from_tensor(&numbers(&[9.0, 1.0, 3.0, 2.0, 8.0])).unwrap();
    let (values, _) = ops::topk(&whole.narrow(0, 1, 3).unwrap(), 2, 0).unwrap();
    assert_eq!(gradient(&whole, &values), [0.0, 0.0, 1.0, 1.0, 0.0]);
}

#[test]
fn arguments_that_do_not_fit_are_refused() {
    let t = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
    let double = |dims: &[usize]| Tensor::zeros(dims, DType::F64, &Device::Cpu).unwrap();
    let whole = |dims: &[usize]| Tensor::zeros(dims, DType::I64, &Device::Cpu).unwrap();
    let x = || double(&[2, 1, 4, 4]);
    let align = RoiAlignParams { output_size: (2, 2), spatial_scale: 1.0, sampling_ratio: 2, aligned: true };
    let pool = RoiPoolParams { output_size: (2, 2), spatial_scale: 1.0 };
    let region = |row: [f64; 5]| ops::roi_align(&x(), &rois(&[row]), &align);
    let topk = |x: &Tensor, k, dim| ops::topk(x, k, dim).map(|(values, _)| values);
    let refused: Vec<(&str, Result<Tensor>)> = vec![
        ("boxes of three", ops::box_iou(&t(&[2, 3]), &t(&[2, 4]))),
        ("rank", ops::generalized_box_iou(&t(&[2, 4]), &t(&[4]))),
        ("mixed types", ops::box_iou(&t(&[2, 4]), &double(&[2, 4]))),
        ("whole numbers", ops::box_iou(&whole(&[2, 4]), &whole(&[2, 4]))),
        ("scores", ops::nms(&t(&[2, 4]), &t(&[3]), 0.5)),
        ("type of scores", ops::nms(&t(&[2, 4]), &double(&[2]), 0.5)),
        ("threshold", ops::nms(&t(&[2, 4]), &t(&[2]), f64::NAN)),
        ("boxes", ops::nms(&t(&[2, 5]), &t(&[2]), 0.5)),
        ("categories", ops::batched_nms(&t(&[2, 4]), &t(&[2]), &whole(&[1]), 0.5)),
        ("broken categories", ops::batched_nms(&t(&[2, 4]), &t(&[2]), &t(&[2]), 0.5)),
        ("no k", topk(&t(&[3]), 0, 0)),
        ("k too large", topk(&t(&[3]), 4, 0)),
        ("dim", topk(&t(&[3]), 1, 1)),
        ("nothing", topk(&t(&[0]), 1, 0)),
        ("type", topk(&whole(&[3]), 1, 0)),
        ("rank of x", ops::roi_align(&double(&[1, 4, 4]), &rois(&[]), &align)),
        ("empty x", ops::roi_align(&double(&[0, 1, 4, 4]), &rois(&[]), &align)),
        ("regions of four", ops::roi_align(&x(), &double(&[1, 4]), &align)),
        ("type of regions", ops::roi_align(&x(), &t(&[1, 5]), &align)),
        ("batch index", region([2.0, 0.0, 0.0, 1.0, 1.0])),
        ("negative batch index", region([-1.0, 0.0, 0.0, 1.0, 1.0])),
        ("broken batch index", region([0.5, 0.0, 0.0, 1.0, 1.0])),
        ("NaN batch index", region([f64::NAN, 0.0, 0.0, 1.0, 1.0])),
        ("NaN", region([0.0, f64::NAN, 0.0, 1.0, 1.0])),
        ("infinite", region([0.0, 0.0, 0.0, f64::INFINITY, 1.0])),
        ("no bins", ops::roi_align(&x(), &rois(&[]), &RoiAlignParams { output_size: (0, 1), ..align })),
        ("scale", ops::roi_align(&x(), &rois(&[]), &RoiAlignParams { spatial_scale: 0.0, ..align })),
        ("batch index to pool", ops::roi_pool(&x(), &rois(&[[2.0, 0.0, 0.0, 1.0, 1.0]]), &pool)),
        ("no bins to pool", ops::roi_pool(&x(), &rois(&[]), &RoiPoolParams { output_size: (1, 0), ..pool })),
    ];
    for (what, result) in refused {
        assert!(matches!(result, Err(Error::Argument { .. })), "{what}: {result:?}");
    }
}
