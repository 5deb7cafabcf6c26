//! The backward pass: which one runs on this thread, with the gradients of parameters handed over directly.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use candle_core::{Tensor, TensorId, backprop::GradStore};

use crate::Result;

/// A backward pass. Passes that share parts of a graph, on threads of their own or one within the other, each have their own
/// gradients at its operations, which know them by `id`.
#[derive(Default)]
struct Pass {
    id: Arc<()>,
    /// Where operations leave the gradients of parameters; none if Candle's own function is what runs.
    sink: Option<Sink>,
}

/// Looked up by key alone, so that its order does not matter.
type Sink = HashMap<TensorId, Tensor>;

thread_local! {
    /// The pass that runs on this thread, or one by Candle's function that would run.
    static CURRENT: RefCell<Pass> = RefCell::default();
}

/// A pass that runs on this thread in the place of another, until it ends, also by a panic.
struct Entered {
    outer: Option<Pass>,
}

impl Entered {
    fn new(pass: Pass) -> Self {
        Self { outer: Some(CURRENT.replace(pass)) }
    }

    fn leave(mut self) -> Pass {
        self.outer.take().map(|outer| CURRENT.replace(outer)).unwrap_or_default()
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(outer) = self.outer.take() {
            CURRENT.set(outer);
        }
    }
}

/// The gradients of `loss` with respect to every variable that it was computed from.
///
/// The same as Candle's `Tensor::backward`, which works too, but cheaper: for every input of every operation Candle makes a
/// tensor of zeros and adds the gradient to it. For the parameters of Sconce's operations this function leaves that out.
///
/// Passes may run at the same time on several threads, also over graphs that have parts in common, and within rayon's tasks.
///
/// # Shapes
/// - `loss`: `()`; of anything else the sum is what is differentiated
///
/// # Errors
/// If an operation has no gradient.
pub fn backward(loss: &Tensor) -> Result<GradStore> {
    let entered = Entered::new(Pass { sink: Some(Sink::new()), ..Pass::default() });
    let store = loss.backward();
    let sink = entered.leave().sink.unwrap_or_default();
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

/// What the pass that runs on this thread is known by.
pub(crate) fn current() -> Arc<()> {
    CURRENT.with_borrow(|pass| pass.id.clone())
}

/// Has the pass of this thread known by another name from now on, after it failed: what it left behind is nobody's.
pub(crate) fn give_up() {
    CURRENT.with_borrow_mut(|pass| pass.id = Arc::default());
}

/// Runs `f`, whose threads may take up another pass meanwhile, here too, so that this one is not taken for that one's.
pub(crate) fn apart<T>(f: impl FnOnce() -> T) -> T {
    let _entered = Entered::new(Pass::default());
    f()
}

/// Takes the gradient of `param` for [`backward`], if that is who runs and `param` is a variable; else gives it back,
/// for Candle to add up.
pub(crate) fn hand_over(param: &Tensor, grad: Tensor) -> candle_core::Result<Option<Tensor>> {
    if !param.is_variable() {
        return Ok(Some(grad));
    }
    // Out of its place while the sum is made, for that may run other tasks of rayon's.
    let Some(other) = CURRENT.with_borrow_mut(|pass| pass.sink.as_mut().map(|sink| sink.remove(&param.id()))) else {
        return Ok(Some(grad));
    };
    let sum = match other {
        Some(other) => apart(|| other + grad)?,
        None => grad,
    };
    CURRENT.with_borrow_mut(|pass| pass.sink.as_mut().map(|sink| sink.insert(param.id(), sum)));
    Ok(None)
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
