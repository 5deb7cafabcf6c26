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

mod edge;
mod producer;
mod sums;

use std::sync::{Arc, Mutex, OnceLock};

use candle_core::{CustomOp1, CustomOp2, CustomOp3, Result, Tensor, bail};

use edge::{Edge, Outcome};
use producer::{Node, Operation, Producer, producer, producers};
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

#[cfg(test)]
mod tests {
    use candle_core::{CpuStorage, Layout, Shape, TensorId};

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
