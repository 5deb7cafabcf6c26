//! A loss and the terms that it is made of.

use sconce_core::Tensor;

/// What one step minimises, with the terms that are logged beside it.
///
/// ```
/// use sconce_core::{Device, Tensor};
/// use sconce_engine::Loss;
///
/// let wce = Tensor::new(0.5f32, &Device::Cpu)?;
/// let rank = Tensor::new(0.25f32, &Device::Cpu)?;
/// let loss = Loss::new((&wce + &rank)?).term("wce", &wce).term("rank", &rank);
/// assert_eq!(loss.terms().len(), 2);
/// # Ok::<(), sconce_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Loss {
    total: Tensor,
    terms: Vec<(&'static str, Tensor)>,
    samples: Option<usize>,
}

impl Loss {
    /// The loss `total`, of shape `()`.
    pub fn new(total: Tensor) -> Self {
        Self { total, terms: Vec::new(), samples: None }
    }

    /// Adds a term, of shape `()`, to what is logged. It does not change the total.
    #[must_use]
    pub fn term(mut self, name: &'static str, value: &Tensor) -> Self {
        self.terms.push((name, value.detach()));
        self
    }

    /// Says that total and terms are means over so many samples. Where several ranks train, each counts for as much of the
    /// batch as it has samples; without a number all count alike.
    #[must_use]
    pub fn samples(mut self, n: usize) -> Self {
        self.samples = Some(n);
        self
    }

    /// The samples that it is a mean over, if that was said.
    pub fn n_samples(&self) -> Option<usize> {
        self.samples
    }

    /// What is minimised.
    pub fn total(&self) -> &Tensor {
        &self.total
    }

    /// The terms by name, in the order in which they were added; without gradients.
    pub fn terms(&self) -> &[(&'static str, Tensor)] {
        &self.terms
    }
}
