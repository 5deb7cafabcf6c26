//! Weights for another order and scale of colours.

use sconce_core::{Error, Tensor};

use super::{StateDict, error::Result};

/// The order of an input's three channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColourOrder {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red: OpenCV's and Caffe's.
    Bgr,
}

/// How a picture becomes a network's input: `(value − mean) / std`, where white has the value `white`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputConvention {
    /// The order of the channels.
    pub order: ColourOrder,
    /// The largest value: 1 or 255.
    pub white: f64,
    /// Of red, green, blue, whatever the order of the channels.
    pub mean: [f64; 3],
    /// Of red, green, blue.
    pub std: [f64; 3],
}

impl InputConvention {
    /// torchvision's: red first, from 0 to 1, ImageNet's mean and standard deviation.
    pub const TORCHVISION: Self =
        Self { order: ColourOrder::Rgb, white: 1.0, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

    /// Caffe's: blue first, from 0 to 255, minus the mean (py-faster-rcnn's `PIXEL_MEANS`).
    pub const CAFFE: Self =
        Self { order: ColourOrder::Bgr, white: 255.0, mean: [122.7717, 115.9465, 102.9801], std: [1.0, 1.0, 1.0] };

    /// Red, green, blue at the places of the channels.
    fn places(&self) -> [usize; 3] {
        match self.order {
            ColourOrder::Rgb => [0, 1, 2],
            ColourOrder::Bgr => [2, 1, 0],
        }
    }
}

/// Where the constant goes by which two conventions differ besides order and scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoldOffset<'a> {
    /// Nowhere: the caller adds [`FoldedInput::shift`] to the input. Exact everywhere.
    ToInput,
    /// Into this bias (`features.0.bias`), one an output channel. Exact where the window sees no padding: padding is a zero
    /// of the new input, which is another colour than a zero of the old one.
    Bias(&'a str),
    /// Out of this running mean (`bn1.running_mean`) of the batch normalisation behind a convolution without a bias; exact as
    /// with a bias, where that mean is used. A batch's own mean takes the constant away by itself.
    RunningMean(&'a str),
}

/// Weights for another convention.
#[derive(Clone, Debug)]
pub struct FoldedInput {
    /// All weights, with the first convolution changed.
    pub weights: StateDict,
    /// To be added to the channels of the new input, in its order; zeros if the constant was folded in.
    pub shift: [f64; 3],
}

/// Changes the convolution `conv` (`conv1.weight`, `features.0.weight`), which was trained on inputs as in `from`, so that it
/// gives the same on inputs as in `to`.
///
/// With `p` a colour of the picture from 0 to 1, an input is `z = (white·p − mean) / std`, and the old one follows from the new
/// one as `z = a·z′ + b`, where `a = std′·white / (white′·std)` and `b = (mean′·white / white′ − mean) / std`. So the weight of
/// a colour is multiplied by its `a` and goes to the colour's place in the new order; what is left is the constant `b`, which
/// is about 1 % of a standard deviation from [`InputConvention::TORCHVISION`] to [`InputConvention::CAFFE`].
///
/// # Errors
/// [`WeightsError::Tensor`](super::WeightsError::Tensor) if a tensor is missing or has another shape.
pub fn fold_input(
    weights: &StateDict,
    conv: &str,
    (from, to): (&InputConvention, &InputConvention),
    offset: FoldOffset<'_>,
) -> Result<FoldedInput> {
    let weight = weights.tensor(conv)?;
    if weight.dims4().map_or(true, |(_, c_in, ..)| c_in != 3) {
        let what = format!("has shape {:?}, expected (C_out, 3, kH, kW)", weight.dims());
        return Err(weights.misfit(conv, what));
    }
    let scale = from.white / to.white;
    let factor = |colour: usize| to.std[colour] * scale / from.std[colour];
    let constant = |colour: usize| (to.mean[colour] * scale - from.mean[colour]) / from.std[colour];

    let (old, new) = (from.places(), to.places());
    // The colour at each place of the new input; a permutation of three that swaps two is its own inverse.
    let channels = new.map(|colour| (old[colour], factor(colour)));
    let mut folded = weights.clone();
    folded.replace(conv, scaled(weight, &channels)?);

    let mut shift = [0.0; 3];
    match offset {
        FoldOffset::ToInput => shift = new.map(|colour| constant(colour) / factor(colour)),
        FoldOffset::Bias(name) | FoldOffset::RunningMean(name) => {
            let sign = if matches!(offset, FoldOffset::Bias(_)) { 1.0 } else { -1.0 };
            let constants = [0, 1, 2].map(|colour| (old[colour], sign * constant(colour)));
            let added = scaled(weight, &constants)?.sum((1, 2, 3)).map_err(Error::from)?;
            let term = weights.tensor(name)?;
            if term.shape() != added.shape() {
                let what = format!("has shape {:?}, expected {:?}", term.dims(), added.dims());
                return Err(weights.misfit(name, what));
            }
            let added = added.to_dtype(term.dtype()).map_err(Error::from)?;
            folded.replace(name, (term + added).map_err(Error::from)?);
        }
    }
    Ok(FoldedInput { weights: folded, shift })
}

/// The input channels that are named, each by its factor.
fn scaled(weight: &Tensor, channels: &[(usize, f64)]) -> sconce_core::Result<Tensor> {
    let channel = |&(place, factor): &(usize, f64)| weight.narrow(1, place, 1)?.affine(factor, 0.0);
    let channels = channels.iter().map(channel).collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(Tensor::cat(&channels, 1)?.contiguous()?)
}
