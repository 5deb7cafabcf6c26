//! The losses of the classifiers of domains. Of both domains, what is written here is minimised by the classifiers; a gradient
//! reversal in front of them has the trunk do the opposite.

use sconce_core::{
    Error, Result, Tensor,
    ops::{self, BinaryCrossEntropyParams, Reduction, SoftmaxFocalLossParams},
};

use crate::config::Modulation;

/// Where an image is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// The labelled one: class 0.
    Source,
    /// The other: class 1. The paper has it the other way round in eq. (1), which changes nothing.
    Target,
}

impl Domain {
    /// The class.
    pub fn class(self) -> u32 {
        match self {
            Self::Source => 0,
            Self::Target => 1,
        }
    }
}

/// The loss of the global classifier, the mean over images (eq. 4); without the factor ½ of the sum over domains.
///
/// # Shapes
/// - `logits`: `(N, 2)`
/// - output: `()`
///
/// # Errors
/// If `logits` have another shape.
pub fn global_loss(logits: &Tensor, domain: Domain, modulation: Modulation) -> Result<Tensor> {
    let n = logits.dim(0)?;
    match modulation {
        Modulation::Focal { gamma } => {
            let classes = Tensor::from_vec(vec![domain.class(); n], n, logits.device())?;
            ops::softmax_focal_loss(logits, &classes, &SoftmaxFocalLossParams { gamma, reduction: Reduction::Mean })
        }
        Modulation::Exponential { gamma } => {
            let log_p = ops::log_softmax(logits, 1)?.narrow(1, domain.class() as usize, 1)?;
            let factor = (log_p.exp()? * -gamma)?.exp()?;
            Ok((factor * log_p)?.mean_all()?.neg()?)
        }
    }
}

/// The loss of the local classifier, the mean over positions (eq. 6 and 7): `d²` for the source, `(1 − d)²` for the target;
/// without the factor ½.
///
/// # Shapes
/// - `d`: `(N, 1, H, W)`, 0 to 1
/// - `mask`: as `d`, 1 where a position counts; all of them without it
/// - output: `()`
///
/// # Errors
/// If shapes do not fit.
pub fn local_loss(d: &Tensor, domain: Domain, mask: Option<&Tensor>) -> Result<Tensor> {
    let miss = match domain {
        Domain::Source => d.clone(),
        Domain::Target => d.affine(-1.0, 1.0)?,
    };
    masked_mean(&miss.sqr()?, mask)
}

/// The cross-entropy of logits for the target, the mean over positions or regions (Chen et al., 2018, eq. 7 and 8).
///
/// # Shapes
/// - `logits`: any
/// - `mask`: as `logits`, 1 where one counts; all of them without it
/// - output: `()`
///
/// # Errors
/// If shapes do not fit.
pub fn binary_loss(logits: &Tensor, domain: Domain, mask: Option<&Tensor>) -> Result<Tensor> {
    let target = match domain {
        Domain::Source => logits.zeros_like()?,
        Domain::Target => logits.ones_like()?,
    };
    let params = BinaryCrossEntropyParams { reduction: Reduction::None, ..BinaryCrossEntropyParams::default() };
    masked_mean(&ops::binary_cross_entropy_with_logits(logits, &target.detach(), &params)?, mask)
}

/// How far the probabilities of regions are from the mean one of their image's positions, in the mean over regions (Chen et
/// al., 2018, eq. 10, which has the sum).
///
/// # Shapes
/// - `image`: `(N, 1, H, W)`, logits
/// - `regions`: `(K)`, logits, those of one image after those of the other
/// - `images`: K places in the batch
/// - output: `()`
///
/// # Errors
/// If shapes do not fit.
pub fn consistency_loss(image: &Tensor, regions: &Tensor, images: &[u32], mask: Option<&Tensor>) -> Result<Tensor> {
    let (n, k) = (image.dim(0)?, images.len());
    let means = mean_of_images(&sigmoid(image)?, mask)?.reshape(n)?;
    let of_regions = means.index_select(&Tensor::from_vec(images.to_vec(), k, image.device())?, 0)?;
    Ok((of_regions - sigmoid(regions)?)?.abs()?.mean_all()?)
}

/// `1 / (1 + exp(−x))`, without an overflow in value or gradient.
pub(crate) fn sigmoid(x: &Tensor) -> Result<Tensor> {
    Ok((x * 0.5)?.tanh()?.affine(0.5, 0.5)?)
}

/// The mean of each image's positions: `(N, C, H, W)` → `(N, C)`, of those that `mask` `(N, 1, H, W)` has at 1.
pub(crate) fn mean_of_images(x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let Some(mask) = mask else {
        return Ok(ops::adaptive_avg_pool2d(x, (1, 1))?.flatten_from(1)?);
    };
    let sum = x.broadcast_mul(mask)?.sum((2, 3))?;
    Ok(sum.broadcast_div(&mask.sum((2, 3))?)?)
}

fn masked_mean(x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    Ok(match mask {
        None => x.mean_all()?,
        Some(mask) => ((x * mask)?.sum_all()? / mask.sum_all()?)?,
    })
}

/// How much of a map is each image's; the rest is padding.
#[derive(Clone, Debug)]
pub struct Padding {
    /// Rows and columns of each image.
    extents: Vec<(usize, usize)>,
}

impl Padding {
    /// Of a map whose positions stand for `stride` pixels, and of images of these heights and widths. A position of which only a
    /// part is the image's counts.
    pub fn new(sizes: &[(usize, usize)], stride: usize) -> Self {
        let positions = |pixels: usize| pixels.div_ceil(stride.max(1));
        Self { extents: sizes.iter().map(|&(height, width)| (positions(height), positions(width))).collect() }
    }

    /// Of what a convolution with a stride of 2 makes of the map.
    #[must_use]
    pub fn halved(&self) -> Self {
        Self { extents: self.extents.iter().map(|&(rows, columns)| (rows.div_ceil(2), columns.div_ceil(2))).collect() }
    }

    /// 1 at the positions of `map` `(N, C, H, W)` that are their image's: `(N, 1, H, W)`; `None` where all are.
    ///
    /// # Errors
    /// If there are not as many images as sizes.
    pub fn mask(&self, map: &Tensor) -> Result<Option<Tensor>> {
        let (n, _, h, w) = map.dims4()?;
        if n != self.extents.len() {
            return Err(Error::argument("Padding", "the number of images", n, self.extents.len()));
        }
        if self.extents.iter().all(|&(rows, columns)| rows >= h && columns >= w) {
            return Ok(None);
        }
        let mut values = Vec::with_capacity(n * h * w);
        for &(rows, columns) in &self.extents {
            for row in 0..h {
                values.extend((0..w).map(|column| f64::from(u8::from(row < rows && column < columns))));
            }
        }
        Ok(Some(Tensor::from_vec(values, (n, 1, h, w), map.device())?.to_dtype(map.dtype())?))
    }
}
