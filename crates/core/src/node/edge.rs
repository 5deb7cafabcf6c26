//! How gradients go from a result to its node, and from a node to those of its inputs.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Storage, Tensor,
    backend::{BackendDevice, BackendStorage},
    bail,
};

use super::producer::{Node, Operation, Producer};
use crate::backward;

/// From a node's token to the tokens of its inputs, or to inputs that are not an operation's of ours.
pub(super) struct Edge(pub(super) Arc<Node>);

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

/// From the result to the node's token.
pub(super) struct Outcome {
    pub(super) producer: Arc<Producer>,
    /// Until they have been used.
    pub(super) inputs: Mutex<Vec<Tensor>>,
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
