//! How an operation enters Candle's graph.
//!
//! For every input of every operation Candle's backward pass makes a tensor of zeros and adds the gradient to it. Between two
//! operations of ours that costs more than many an operation: zeros are written, both are read, the sum is written. So the
//! edge of the graph between them is a tensor of one element, the *token*, and gradients go from one [`Node`] to the next
//! beside it, moved and not copied. Candle walks the graph as ever, and decides in which order nodes have their turn.
//!
//! The result `y` of an operation on `x` and `w` then stands in Candle's graph as `y ← token ← (token of x, w)`. An operation
//! of Candle's that uses `y` gives its gradient to `y`, which puts it down at the node; one of ours finds the node of `y` by
//! its identity, puts its gradient down there itself, and hangs on to the token.
//!
//! Several passes may be at a node at once, on several threads, or one within another: each has its own sum there. The gradient
//! of a token is the number of gradients that its pass has put down beside it. A pass that finds another number there would
//! count what a pass has left that ended half-way, and is an error.

mod sums;

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Storage, Tensor, TensorId,
    backend::{BackendDevice, BackendStorage},
    bail,
};

use crate::{Error, backward};
use sums::Sums;

/// Which values a backward pass reads; the memory of others is free as soon as nobody else holds them. What is not kept has
/// the right shape there, but any values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Neither: what is needed is in the operation itself.
    Nothing,
    /// The inputs.
    Inputs,
    /// The result.
    Output,
    /// Both.
    All,
    /// The first input, and the result.
    FirstAndOutput,
}

impl Keep {
    fn input(self, i: usize) -> bool {
        match self {
            Self::Inputs | Self::All => true,
            Self::FirstAndOutput => i == 0,
            Self::Nothing | Self::Output => false,
        }
    }

    fn output(self) -> bool {
        matches!(self, Self::Output | Self::All | Self::FirstAndOutput)
    }
}

/// Applies `op` to `x`.
pub(crate) fn apply1(x: &Tensor, keep: Keep, op: impl CustomOp1 + Send + Sync + 'static) -> Result<Tensor> {
    if !x.track_op() {
        return x.apply_op1_no_bwd(&op);
    }
    tracked(Operation::One(Box::new(op)), keep, vec![x.clone()])
}

/// Applies `op` to `a` and `b`.
pub(crate) fn apply2([a, b]: [&Tensor; 2], keep: Keep, op: impl CustomOp2 + Send + Sync + 'static) -> Result<Tensor> {
    if ![a, b].iter().any(|x| x.track_op()) {
        return a.apply_op2_no_bwd(b, &op);
    }
    tracked(Operation::Two(Box::new(op)), keep, vec![a.clone(), b.clone()])
}

/// Applies `op` to `a`, `b` and `c`.
pub(crate) fn apply3(
    [a, b, c]: [&Tensor; 3],
    keep: Keep,
    op: impl CustomOp3 + Send + Sync + 'static,
) -> Result<Tensor> {
    if ![a, b, c].iter().any(|x| x.track_op()) {
        return a.apply_op3_no_bwd(b, c, &op);
    }
    tracked(Operation::Three(Box::new(op)), keep, vec![a.clone(), b.clone(), c.clone()])
}

fn tracked(operation: Operation, keep: Keep, inputs: Vec<Tensor>) -> Result<Tensor> {
    let producers_of: Vec<_> = inputs.iter().map(producer).collect();
    let edges: Vec<Tensor> = inputs
        .iter()
        .zip(&producers_of)
        .filter(|(x, _)| x.track_op())
        .map(|(x, producer)| producer.as_ref().map_or(x, |producer| &producer.token).clone())
        .collect();
    let stand_in = |(i, (x, producer)): (usize, (&Tensor, &Option<Arc<Producer>>))| match producer {
        Some(producer) if !keep.input(i) && x.rank() > 0 => producer.token.broadcast_as(x.shape()),
        _ => Ok(x.clone()),
    };
    let node = Arc::new(Node {
        operation,
        inputs: inputs.iter().zip(&producers_of).enumerate().map(stand_in).collect::<Result<_>>()?,
        producers: producers_of.into_iter().map(|producer| producer.map(|p| p.node.clone())).collect(),
        y: OnceLock::new(),
        sums: Sums::default(),
    });
    let token = match &edges[..] {
        [a] => a.apply_op1(Edge(node.clone()))?,
        [a, b] => a.apply_op2(b, Edge(node.clone()))?,
        [a, b, c] => a.apply_op3(b, c, Edge(node.clone()))?,
        other => bail!("{} inputs of an operation", other.len()),
    };
    let producer = Arc::new(Producer { node: node.clone(), token: token.clone(), y: OnceLock::new() });
    let y = token.apply_op1(Outcome { producer: producer.clone(), inputs: Mutex::new(inputs) })?;
    // Without its history, which holds the node.
    let kept = if keep.output() || y.rank() == 0 { y.detach() } else { token.detach().broadcast_as(y.shape())? };
    node.y.get_or_init(|| kept);
    producer.y.get_or_init(|| y.id());
    producers().insert(y.id(), Arc::downgrade(&producer));
    Ok(y)
}

/// An operation on one to three tensors.
enum Operation {
    One(Box<dyn CustomOp1 + Send + Sync>),
    Two(Box<dyn CustomOp2 + Send + Sync>),
    Three(Box<dyn CustomOp3 + Send + Sync>),
}

/// An operation on its inputs, and the gradients of its result as far as they are known.
struct Node {
    operation: Operation,
    /// The inputs, or what stands for them.
    inputs: Vec<Tensor>,
    /// Where the gradients of inputs go that are results of other nodes.
    producers: Vec<Option<Arc<Node>>>,
    /// The result, detached, or what stands for it.
    y: OnceLock<Tensor>,
    sums: Sums,
}

impl Node {
    fn name(&self) -> &'static str {
        match &self.operation {
            Operation::One(op) => op.name(),
            Operation::Two(op) => op.name(),
            Operation::Three(op) => op.name(),
        }
    }

    /// The gradients of the inputs; takes that of the result, of which `arrived` have been put down.
    fn backward(&self, arrived: usize) -> Result<Vec<Option<Tensor>>> {
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

/// Runs the forward function `$fwd` of a node's operation on the storages of `$inputs`, which are of the kind `$variant`.
macro_rules! forward {
    ($node:expr, $inputs:expr, $fwd:ident, $variant:path) => {{
        let inputs = $inputs;
        let guards: Vec<_> = inputs.iter().map(Tensor::storage_and_layout).collect();
        let mut storages = Vec::new();
        for (guard, layout) in &guards {
            match &**guard {
                $variant(storage) => storages.push((storage, *layout)),
                _ => bail!("{}: its inputs are on different devices", $node.name()),
            }
        }
        match (&$node.operation, &storages[..]) {
            (Operation::One(op), &[(a, al)]) => op.$fwd(a, al),
            (Operation::Two(op), &[(a, al), (b, bl)]) => op.$fwd(a, al, b, bl),
            (Operation::Three(op), &[(a, al), (b, bl), (c, cl)]) => op.$fwd(a, al, b, bl, c, cl),
            _ => bail!("{}: {} inputs", $node.name(), storages.len()),
        }
    }};
}

/// What a result is found by.
struct Producer {
    node: Arc<Node>,
    token: Tensor,
    y: OnceLock<TensorId>,
}

impl Drop for Producer {
    fn drop(&mut self) {
        if let Some(y) = self.y.get() {
            producers().remove(y);
        }
    }
}

/// The producers of the results that are alive; looked up by key alone, so that their order does not matter.
type Producers = HashMap<TensorId, Weak<Producer>>;

fn producers() -> MutexGuard<'static, Producers> {
    static PRODUCERS: LazyLock<Mutex<Producers>> = LazyLock::new(Mutex::default);
    PRODUCERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn producer(y: &Tensor) -> Option<Arc<Producer>> {
    let weak = producers().get(&y.id())?.clone();
    weak.upgrade()
}

/// From a node's token to the tokens of its inputs, or to inputs that are not an operation's of ours.
struct Edge(Arc<Node>);

impl Edge {
    /// The gradients of the inputs that are tracked, in order, where Candle is to add them up: those of other nodes are put
    /// down there, and `edges` has their tokens. `token` is the gradient of the node's own.
    fn backward(&self, edges: &[&Tensor], token: &Tensor) -> Result<Vec<Option<Tensor>>> {
        self.hand_on(edges, token).inspect_err(|_| backward::give_up())
    }

    fn hand_on(&self, edges: &[&Tensor], token: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let arrived: f32 = token.to_vec1()?.iter().sum();
        let gradients = self.0.backward(arrived as usize)?;
        let inputs = self.0.inputs.iter().zip(&self.0.producers).zip(gradients);
        inputs
            .filter(|((input, _), _)| input.track_op())
            .zip(edges)
            .map(|(((input, producer), gradient), edge)| match (producer, gradient) {
                (Some(node), gradient) => node.sums.add(gradient).map(|()| Some(edge.detach())),
                (None, Some(gradient)) => backward::hand_over(input, gradient),
                (None, None) => Ok(None),
            })
            .collect()
    }
}

/// A token where `like` is: a one, so that the gradient of a token counts those that arrive.
fn token<S>(like: &S) -> Result<(S, Shape)>
where
    S: BackendStorage,
    S::Device: BackendDevice<Storage = S>,
{
    Ok((like.device().storage_from_slice(&[1f32])?, Shape::from(1)))
}

impl CustomOp1 for Edge {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(&self, a: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        token(a)
    }

    fn cuda_fwd(&self, a: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        token(a)
    }

    fn bwd(&self, a: &Tensor, _: &Tensor, token: &Tensor) -> Result<Option<Tensor>> {
        Ok(self.backward(&[a], token)?.into_iter().next().flatten())
    }
}

impl CustomOp2 for Edge {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(&self, a: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        token(a)
    }

    fn cuda_fwd(&self, a: &CudaStorage, _: &Layout, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        token(a)
    }

    fn bwd(&self, a: &Tensor, b: &Tensor, _: &Tensor, token: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let mut gradients = self.backward(&[a, b], token)?.into_iter();
        let mut next = || gradients.next().flatten();
        Ok((next(), next()))
    }
}

impl CustomOp3 for Edge {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        token(a)
    }

    fn cuda_fwd(
        &self,
        a: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        token(a)
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        c: &Tensor,
        _: &Tensor,
        token: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let mut gradients = self.backward(&[a, b, c], token)?.into_iter();
        let mut next = || gradients.next().flatten();
        Ok((next(), next(), next()))
    }
}

/// From the result to the node's token.
struct Outcome {
    producer: Arc<Producer>,
    /// Until they have been used.
    inputs: Mutex<Vec<Tensor>>,
}

impl Outcome {
    fn inputs(&self) -> Vec<Tensor> {
        std::mem::take(&mut self.inputs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl CustomOp1 for Outcome {
    fn name(&self) -> &'static str {
        self.producer.node.name()
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        forward!(self.producer.node, self.inputs(), cpu_fwd, Storage::Cpu)
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        forward!(self.producer.node, self.inputs(), cuda_fwd, Storage::Cuda)
    }

    fn bwd(&self, token: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        self.producer.node.sums.add(Some(gradient.clone()))?;
        Ok(Some(token.detach()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, Device, Rng, Var, backward, ops};

    fn normal(seed: u64) -> Tensor {
        Rng::new(seed, "x").normal_tensor((0.0, 1.0), (3, 4), DType::F64, &Device::Cpu).unwrap()
    }

    fn flat(t: &Tensor) -> Vec<f64> {
        t.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn gradients_of_all_uses_add_up_ours_and_candles() {
        let x = Var::from_tensor(&normal(1)).unwrap();
        let y = ops::relu(&x).unwrap();
        // Twice by operations of ours, once by Candle's, once through a view.
        let sum = ops::add_relu(&y, &ops::relu(&y).unwrap()).unwrap();
        let loss = (sum.sum_all().unwrap() + y.sqr().unwrap().sum_all().unwrap()).unwrap();
        let loss = (loss + ops::relu(&y.t().unwrap()).unwrap().sum_all().unwrap()).unwrap();
        let expected: Vec<f64> = flat(&x).iter().map(|&x| if x > 0.0 { 3.0 + 2.0 * x } else { 0.0 }).collect();
        // A graph can be gone through again, and by Candle's own function.
        for gradients in [backward(&loss).unwrap(), backward(&loss).unwrap(), loss.backward().unwrap()] {
            assert_eq!(flat(gradients.get(&x).unwrap()), expected);
        }
    }

    #[test]
    fn a_result_is_kept_only_for_who_needs_its_values() {
        let x = Var::from_tensor(&normal(1)).unwrap();
        let known = |id| producers().contains_key(&id);
        let y = ops::relu(&x).unwrap();
        let id = y.id();
        let z = ops::linear(&y, &normal(2), None).unwrap();
        drop(y);
        assert!(known(id), "the gradient of a weight would need it");
        drop(z);
        assert!(!known(id));
        let y = ops::relu(&x).unwrap();
        let id = y.id();
        let z = ops::relu(&y).unwrap();
        drop(y);
        assert!(!known(id), "a ReLU reads its own result");
        let gradients = backward(&z.sum_all().unwrap()).unwrap();
        let expected: Vec<f64> = flat(&x).iter().map(|&x| f64::from(x > 0.0)).collect();
        assert_eq!(flat(gradients.get(&x).unwrap()), expected);
    }

    /// The identity, whose backward pass runs another pass, as a task that its thread takes up while it waits would.
    struct Waits(Tensor, TensorId);

    impl CustomOp1 for Waits {
        fn name(&self) -> &'static str {
            "waits"
        }

        fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
            Ok((x.clone(), l.shape().clone()))
        }

        fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
            let gradients = self.0.backward()?;
            let of_x = flat(gradients.get_id(self.1).unwrap());
            assert!(of_x.contains(&1.0) && of_x.iter().all(|&g| g == 0.0 || g == 1.0), "{of_x:?}");
            Ok(Some(gradient.clone()))
        }
    }

    #[test]
    fn a_pass_within_another_has_gradients_of_its_own() {
        let x = Var::from_tensor(&normal(1)).unwrap();
        let y = ops::relu(&x).unwrap();
        let inner = ops::relu(&y).unwrap().sum_all().unwrap();
        let waits = apply1(&y, Keep::Inputs, Waits(inner, x.id())).unwrap().sum_all().unwrap();
        let other = ops::relu(&y).unwrap().sum_all().unwrap();
        let expected: Vec<f64> = flat(&x).iter().map(|&x| if x > 0.0 { 2.0 } else { 0.0 }).collect();
        // Whichever of the two is first, the other finds its gradients at `y`.
        for loss in [(&waits + &other).unwrap(), (&other + &waits).unwrap()] {
            for gradients in [backward(&loss).unwrap(), loss.backward().unwrap()] {
                assert_eq!(flat(gradients.get(&x).unwrap()), expected);
            }
        }
    }
}
