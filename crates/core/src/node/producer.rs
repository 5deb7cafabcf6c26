//! An operation in the graph, and how it is found by its result.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

use candle_core::{CustomOp1, CustomOp2, CustomOp3, Result, Tensor, TensorId, bail};

use super::sums::Sums;
use crate::{Error, backward};

/// An operation on one to three tensors.
pub(super) enum Operation {
    One(Box<dyn CustomOp1 + Send + Sync>),
    Two(Box<dyn CustomOp2 + Send + Sync>),
    Three(Box<dyn CustomOp3 + Send + Sync>),
}

/// An operation on its inputs, and the gradients of its result as far as they are known.
pub(super) struct Node {
    pub(super) operation: Operation,
    /// The inputs, or what stands for them.
    pub(super) inputs: Vec<Tensor>,
    /// Where the gradients of inputs go that are results of other nodes.
    pub(super) producers: Vec<Option<Arc<Node>>>,
    /// The result, detached, or what stands for it.
    pub(super) y: OnceLock<Tensor>,
    pub(super) sums: Sums,
}

impl Node {
    pub(super) fn name(&self) -> &'static str {
        match &self.operation {
            Operation::One(op) => op.name(),
            Operation::Two(op) => op.name(),
            Operation::Three(op) => op.name(),
        }
    }

    /// The gradients of the inputs; takes that of the result, of which `arrived` have been put down.
    pub(super) fn backward(&self, arrived: usize) -> Result<Vec<Option<Tensor>>> {
        let Some(y) = self.y.get() else { bail!("{}: backward before forward", self.name()) };
        let (found, gradient) = self.sums.take();
        if found != arrived {
            return Err(Error::Pass { op: self.name(), found, expected: arrived }.into());
        }
        let gradient = gradient.map_or_else(|| y.zeros_like(), Ok)?;
        backward::apart(|| {
            Ok(match (&self.operation, &self.inputs[..]) {
                (Operation::One(op), [a]) => vec![op.bwd(a, y, &gradient)?],
                (Operation::Two(op), [a, b]) => <[_; 2]>::from(op.bwd(a, b, y, &gradient)?).into(),
                (Operation::Three(op), [a, b, c]) => <[_; 3]>::from(op.bwd(a, b, c, y, &gradient)?).into(),
                _ => bail!("{}: {} inputs", self.name(), self.inputs.len()),
            })
        })
    }
}

/// What a result is found by.
pub(super) struct Producer {
    pub(super) node: Arc<Node>,
    pub(super) token: Tensor,
    pub(super) y: OnceLock<TensorId>,
}

impl Drop for Producer {
    fn drop(&mut self) {
        if let Some(y) = self.y.get() {
            producers().remove(y);
        }
    }
}

/// The producers of the results that are alive; looked up by key alone, so that their order does not matter.
pub(super) type Producers = HashMap<TensorId, Weak<Producer>>;

pub(super) fn producers() -> MutexGuard<'static, Producers> {
    static PRODUCERS: LazyLock<Mutex<Producers>> = LazyLock::new(Mutex::default);
    PRODUCERS.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn producer(y: &Tensor) -> Option<Arc<Producer>> {
    let weak = producers().get(&y.id())?.clone();
    weak.upgrade()
}
