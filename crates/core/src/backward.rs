//! The backward pass, with the gradients of parameters handed over directly.

use std::{cell::RefCell, collections::HashMap};

use candle_core::{Tensor, TensorId, backprop::GradStore};

use crate::Result;

thread_local! {
    /// Where operations leave the gradients of parameters while [`backward`] runs on this thread.
    static SINK: RefCell<Option<Sink>> = const { RefCell::new(None) };
}

/// Looked up by key alone, so that its order does not matter.
type Sink = HashMap<TensorId, Tensor>;

/// The gradients of `loss` with respect to every variable that it was computed from.
///
/// The same as Candle's `Tensor::backward`, which works too, but cheaper: for every input of every operation Candle makes a
/// tensor of zeros and adds the gradient to it. For the parameters of Sconce's operations this function leaves that out.
///
/// # Shapes
/// - `loss`: `()`; of anything else the sum is what is differentiated
///
/// # Errors
/// If an operation has no gradient.
pub fn backward(loss: &Tensor) -> Result<GradStore> {
    let outer = SINK.replace(Some(Sink::new()));
    let store = loss.backward();
    let sink = SINK.replace(outer).unwrap_or_default();
    let mut store = store?;
    for (id, grad) in sink {
        let sum = match store.get_id(id) {
            Some(other) => (other + &grad)?,
            None => grad,
        };
        store.insert_id(id, sum);
    }
    Ok(store)
}

/// Takes the gradient of `param` for [`backward`], if that is who runs and `param` is a variable; else gives it back,
/// for Candle to add up.
pub(crate) fn hand_over(param: &Tensor, grad: Tensor) -> candle_core::Result<Option<Tensor>> {
    if !param.is_variable() {
        return Ok(Some(grad));
    }
    SINK.with_borrow_mut(|sink| {
        let Some(sink) = sink else { return Ok(Some(grad)) };
        let sum = match sink.remove(&param.id()) {
            Some(other) => (other + grad)?,
            None => grad,
        };
        sink.insert(param.id(), sum);
        Ok(None)
    })
}

#[cfg(test)]
mod tests {
    use crate::{DType, Device, GradStore, Init, Params, Rng, Tensor, ops};

    /// A weight that is used twice by an operation of ours and once by Candle's.
    fn gradient(run: impl Fn(&Tensor) -> GradStore) -> Vec<f64> {
        let params = Params::new(0, DType::F64, &Device::Cpu);
        let w = params.scope().param("w", (3, 3), Init::KAIMING_UNIFORM).unwrap();
        let x = Rng::new(0, "x").normal_tensor((0.0, 1.0), (2, 3), DType::F64, &Device::Cpu).unwrap();
        let y = ops::linear(&ops::linear(&x, &w, None).unwrap(), &w, None).unwrap();
        let loss = (y.sqr().unwrap().sum_all().unwrap() + w.sqr().unwrap().sum_all().unwrap()).unwrap();
        run(&loss).get(&w).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn equals_candles_where_both_add_to_one_parameter() {
        let (ours, candles) = (gradient(|l| super::backward(l).unwrap()), gradient(|l| l.backward().unwrap()));
        for (a, b) in ours.iter().zip(&candles) {
            assert!((a - b).abs() < 1e-12 * b.abs().max(1.0), "{ours:?} {candles:?}");
        }
    }
}
