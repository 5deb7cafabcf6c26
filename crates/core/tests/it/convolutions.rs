//! Convolutions of random geometries, their outputs and all gradients, against the sums that define them.

use proptest::{prelude::*, test_runner::RngSeed};
use sconce_core::{
    DType, Device, Result, Rng, Tensor, Var, backward,
    ops::{self, Conv2dParams, ConvTranspose2dParams, DeformConv2dParams},
};

use crate::flat;

type Pair = (usize, usize);

/// A convolution between a large side and a small one. Transposed, it goes from the small side to the large one.
#[derive(Clone, Copy, Debug)]
struct Case {
    transposed: bool,
    n: usize,
    groups: usize,
    /// Channels of a group on the input's side.
    c_in: usize,
    /// Channels of a group on the output's side.
    c_out: usize,
    /// Of the input.
    size: Pair,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    output_padding: Pair,
}

/// Output, and the gradients of input, weight and bias.
type Results = [Vec<f64>; 4];

impl Case {
    /// The output's size, if it has any.
    fn out(&self) -> Option<Pair> {
        let axis = |size: usize, k: usize, s: usize, p: usize, d: usize, more: usize| {
            let field = d * (k - 1) + 1;
            if self.transposed {
                ((size - 1) * s + field + more).checked_sub(2 * p).filter(|&out| out > 0 && more < s.max(d))
            } else {
                (size + 2 * p).checked_sub(field).map(|room| room / s + 1)
            }
        };
        let Self { size, kernel, stride, padding, dilation, output_padding, .. } = *self;
        let h = axis(size.0, kernel.0, stride.0, padding.0, dilation.0, output_padding.0)?;
        Some((h, axis(size.1, kernel.1, stride.1, padding.1, dilation.1, output_padding.1)?))
    }

    /// Products that the definition adds up.
    fn products(&self) -> usize {
        let small = if self.transposed { self.size } else { self.out().unwrap_or_default() };
        self.n * self.groups * self.c_in * self.c_out * self.kernel.0 * self.kernel.1 * small.0 * small.1
    }

    fn shapes(&self) -> [Vec<usize>; 4] {
        let Self { n, groups, c_in, c_out, size, kernel, .. } = *self;
        let out = self.out().unwrap();
        let channels = if self.transposed { [groups * c_in, c_out] } else { [groups * c_out, c_in] };
        [
            vec![n, groups * c_in, size.0, size.1],
            vec![channels[0], channels[1], kernel.0, kernel.1],
            vec![groups * c_out],
            vec![n, groups * c_out, out.0, out.1],
        ]
    }

    /// Calls `f(place on the large side, place on the small side, place in the weight)` for every product.
    fn each(&self, mut f: impl FnMut(usize, usize, usize)) {
        let out = self.out().unwrap();
        let (large, small) = if self.transposed { (out, self.size) } else { (self.size, out) };
        let (c_large, c_small) = if self.transposed { (self.c_out, self.c_in) } else { (self.c_in, self.c_out) };
        let inside = |o: usize, k: usize, s: usize, p: usize, d: usize, size: usize| {
            (o * s + k * d).checked_sub(p).filter(|&at| at < size)
        };
        for (image, group) in (0..self.n).flat_map(|n| (0..self.groups).map(move |g| (n, g))) {
            for (a, b) in (0..c_small).flat_map(|a| (0..c_large).map(move |b| (a, b))) {
                let from = ((image * self.groups + group) * c_large + b) * large.0 * large.1;
                let to = ((image * self.groups + group) * c_small + a) * small.0 * small.1;
                let weight = ((group * c_small + a) * c_large + b) * self.kernel.0 * self.kernel.1;
                for (u, v) in (0..self.kernel.0).flat_map(|u| (0..self.kernel.1).map(move |v| (u, v))) {
                    for i in 0..small.0 {
                        let Some(y) = inside(i, u, self.stride.0, self.padding.0, self.dilation.0, large.0) else {
                            continue;
                        };
                        for j in 0..small.1 {
                            if let Some(x) = inside(j, v, self.stride.1, self.padding.1, self.dilation.1, large.1) {
                                let places = (from + y * large.1 + x, to + i * small.1 + j);
                                f(places.0, places.1, weight + u * self.kernel.1 + v);
                            }
                        }
                    }
                }
            }
        }
    }

    /// By definition, from input, weight, bias and the output's gradient. Beside each result the largest sum of its terms'
    /// magnitudes: what rounding errors are measured by.
    fn naive(&self, [x, w, b, g]: [&[f64]; 4]) -> (Results, [f64; 4]) {
        let plane = g.len() / (self.n * b.len());
        let mut y: Vec<f64> = (0..g.len()).map(|i| b[i / plane % b.len()]).collect();
        let [mut gx, mut gw, mut gb] = [vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; b.len()]];
        let mut sizes = [0; 3].map(|_| Vec::new());
        for (size, like) in sizes.iter_mut().zip([&y, &gx, &gw]) {
            size.resize(like.len(), 0.0f64);
        }
        self.each(|large, small, weight| {
            let (input, output) = if self.transposed { (small, large) } else { (large, small) };
            let terms = [x[input] * w[weight], g[output] * w[weight], g[output] * x[input]];
            for ((sums, size), (at, term)) in [&mut y, &mut gx, &mut gw]
                .into_iter()
                .zip(&mut sizes)
                .zip([output, input, weight].into_iter().zip(terms))
            {
                sums[at] += term;
                size[at] += term.abs();
            }
        });
        g.iter().enumerate().for_each(|(i, g)| gb[i / plane % b.len()] += g);
        let largest = |sizes: &[f64]| sizes.iter().fold(1.0, |a: f64, &b| a.max(b));
        let magnitudes = [largest(&sizes[0]), largest(&sizes[1]), largest(&sizes[2]), (self.n * plane) as f64];
        ([y, gx, gw, gb], magnitudes)
    }

    fn apply(&self, x: &Tensor, w: &Tensor, b: &Tensor) -> Result<Tensor> {
        let Self { groups, stride, padding, dilation, output_padding, .. } = *self;
        if self.transposed {
            let params = ConvTranspose2dParams { stride, padding, output_padding, dilation, groups };
            return ops::conv_transpose2d(x, w, Some(b), &params);
        }
        ops::conv2d(x, w, Some(b), &Conv2dParams { stride, padding, dilation, groups })
    }

    /// The same by a deformable convolution that moves nothing.
    fn apply_deformable(&self, x: &Tensor, w: &Tensor, b: &Tensor) -> Result<Tensor> {
        let Self { n, kernel, stride, padding, dilation, .. } = *self;
        let (h, w_out) = self.out().unwrap();
        let offset = Tensor::zeros((n, 2 * kernel.0 * kernel.1, h, w_out), x.dtype(), x.device())?;
        ops::deform_conv2d(x, &offset, w, Some(b), None, &DeformConv2dParams { stride, padding, dilation })
    }

    /// What `f` gives in `dtype`, by the passes that train.
    fn ours(
        inputs: &[Tensor; 4],
        dtype: DType,
        f: impl Fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor>,
    ) -> Result<Results> {
        let [x, w, b, g] = inputs.each_ref().map(|t| t.to_dtype(dtype));
        let [x, w, b] = [x?, w?, b?].map(|t| Var::from_tensor(&t).unwrap());
        let y = f(&x, &w, &b)?;
        let gradients = backward(&(&y * g?)?.sum_all()?)?;
        let [gx, gw, gb] = [&x, &w, &b].map(|v| flat(gradients.get(v).unwrap()));
        Ok([flat(&y), gx, gw, gb])
    }

    /// Panics where ours are not the sums that define them.
    fn check(&self) {
        let tensor = |(i, shape): (usize, Vec<usize>)| {
            let draw = Rng::new(7, &format!("{i}")).normal_tensor((0.0, 1.0), shape, DType::F32, &Device::Cpu);
            draw.unwrap().to_dtype(DType::F64).unwrap()
        };
        let mut shapes = self.shapes().into_iter().enumerate().map(tensor);
        let inputs: [Tensor; 4] = std::array::from_fn(|_| shapes.next().unwrap());
        let values = inputs.each_ref().map(flat);
        let (expected, magnitudes) = self.naive(values.each_ref().map(Vec::as_slice));
        // Winograd's transforms cost a digit.
        for (dtype, tolerance) in [(DType::F64, 1e-13), (DType::F32, 1e-5)] {
            let mut all = vec![("", Self::ours(&inputs, dtype, |x, w, b| self.apply(x, w, b)).unwrap())];
            if !self.transposed && self.products() < 1 << 16 {
                let ours = Self::ours(&inputs, dtype, |x, w, b| self.apply_deformable(x, w, b)).unwrap();
                all.push(("deformable ", ours));
            }
            for (kind, ours) in all {
                let names = ["output", "gradient of x", "gradient of the weight", "gradient of the bias"];
                for (which, what) in names.into_iter().enumerate() {
                    let (ours, expected) = (&ours[which], &expected[which]);
                    assert_eq!(ours.len(), expected.len(), "{kind}{what}: {self:?}");
                    for (i, (a, b)) in ours.iter().zip(expected).enumerate() {
                        let close = (a - b).abs() <= tolerance * magnitudes[which];
                        assert!(close, "{kind}{what}, element {i}, {dtype:?}: {a}, expected {b}: {self:?}");
                    }
                }
            }
        }
    }
}

fn pair(range: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Pair> {
    (range.clone(), range)
}

/// Any geometry with outputs and at most `most` products.
fn geometry(size: impl Strategy<Value = Pair>, channels: usize, most: usize) -> impl Strategy<Value = Case> {
    let channels = 1..=channels;
    // Dilations and paddings far beyond a small map, too: taps that no output sees through.
    let far = || prop_oneof![3 => pair(1..=3), 1 => pair(1..=19)];
    let counts = (1usize..=3, 1usize..=3, channels.clone(), channels);
    (any::<bool>(), counts, size, pair(1..=7), pair(1..=4), far(), far(), pair(0..=3))
        .prop_map(|(transposed, (n, groups, c_in, c_out), size, kernel, stride, padding, dilation, more)| Case {
            transposed,
            n,
            groups,
            c_in,
            c_out,
            size,
            kernel,
            stride,
            padding: (padding.0 - 1, padding.1 - 1),
            dilation,
            output_padding: if transposed {
                (more.0.min(stride.0.max(dilation.0) - 1), more.1.min(stride.1.max(dilation.1) - 1))
            } else {
                (0, 0)
            },
        })
        .prop_filter("no output, or too much work", move |case| case.out().is_some() && case.products() <= most)
}

fn seeded(seed: u64, cases: u32) -> ProptestConfig {
    let rng_seed = RngSeed::Fixed(seed);
    ProptestConfig {
        cases,
        rng_seed,
        max_global_rejects: 1 << 20,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(seeded(1, 300))]

    #[test]
    fn small_maps(case in geometry(pair(1..=6), 5, 200_000)) {
        case.check();
    }
}

proptest! {
    #![proptest_config(seeded(2, 80))]

    #[test]
    fn middling_maps_and_many_channels(case in geometry(pair(4..=40), 40, 2_000_000)) {
        case.check();
    }
}

proptest! {
    #![proptest_config(seeded(3, 10))]

    #[test]
    fn large_maps(case in geometry(pair(100..=300), 3, 4_000_000)) {
        case.check();
    }
}

/// A square geometry at stride 1.
fn square(n: usize, (c_in, c_out): Pair, size: Pair, kernel: usize, padding: usize, dilation: usize) -> Case {
    let pair = |v| (v, v);
    Case {
        transposed: false,
        n,
        groups: 1,
        c_in,
        c_out,
        size,
        kernel: pair(kernel),
        stride: pair(1),
        padding: pair(padding),
        dilation: pair(dilation),
        output_padding: pair(0),
    }
}

#[test]
fn taps_that_no_output_sees_through() {
    for (size, kernel, padding, dilation) in [
        ((16, 16), 3, 18, 18), // the pyramid of DeepLab on a small picture
        ((1, 1), 5, 2, 1),
        ((2, 2), 7, 3, 1),
        ((2, 2), 3, 2, 2),
        ((1, 5), 3, 4, 4),
        ((5, 1), 3, 4, 4),
    ] {
        for channels in [(2, 3), (20, 17)] {
            let case = square(2, channels, size, kernel, padding, dilation);
            case.check();
            Case { transposed: true, ..case }.check();
            Case { stride: (2, 3), ..case }.check();
            Case { groups: 2, ..case }.check();
        }
    }
}

#[test]
fn weight_gradient_of_maps_in_several_blocks() {
    // Blocks of whole images, of rows of an image, and with a stride.
    square(3, (5, 2), (230, 210), 3, 1, 1).check();
    square(1, (4, 2), (300, 290), 3, 2, 2).check();
    square(1, (30, 2), (130, 120), 1, 0, 1).check();
    Case { stride: (3, 2), ..square(2, (6, 3), (300, 280), 5, 2, 1) }.check();
    Case { transposed: true, stride: (2, 2), ..square(1, (2, 6), (150, 140), 3, 1, 1) }.check();
}

#[test]
fn weight_gradient_by_winograd_in_several_blocks() {
    square(3, (16, 16), (128, 128), 3, 1, 1).check();
    Case { transposed: true, ..square(2, (17, 16), (120, 150), 3, 1, 1) }.check();
}
