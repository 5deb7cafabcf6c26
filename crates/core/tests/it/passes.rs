//! Backward passes that share a part of their graphs: at the same time, one within the other, and after one that failed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use candle_core::{CpuStorage, CustomOp1, Layout, Shape};
use sconce_core::{
    DType, Device, GradStore, Result, Rng, Tensor, Var, backward,
    ops::{self, Conv2dParams},
};

use crate::flat;

type Pass = fn(&Tensor) -> Result<GradStore>;

const OURS: Pass = backward;
const CANDLES: Pass = |loss| Ok(loss.backward()?);

/// A trunk, two heads that use it twice each, and the variables of all.
struct Forked {
    vars: Vec<Var>,
    trunk: Tensor,
    losses: [Tensor; 2],
}

impl Forked {
    fn new(seed: u64) -> Self {
        let var = |i: u64, shape: &[usize]| {
            let values = Rng::new(seed, &format!("{i}")).normal_tensor((0.0, 0.3), shape, DType::F32, &Device::Cpu);
            Var::from_tensor(&values.unwrap()).unwrap()
        };
        let vars = [[4, 2, 3, 3], [4, 4, 3, 3], [4, 4, 3, 3], [3, 4, 1, 1], [5, 4, 3, 3]];
        let vars: Vec<Var> = vars.iter().enumerate().map(|(i, shape)| var(i as u64, shape)).collect();
        let x = var(9, &[2, 2, 9, 8]).as_detached_tensor();
        let conv = |x: &Tensor, w: &Var| {
            let padding = (w.dims()[2] / 2, w.dims()[3] / 2);
            ops::conv2d(x, w, None, &Conv2dParams { padding, ..Conv2dParams::default() }).unwrap()
        };
        let trunk = vars[..3].iter().fold(x, |x, w| ops::relu(&conv(&x, w)).unwrap());
        let head = |w: &Var| {
            let y = conv(&trunk, w);
            // The trunk again, by an operation of Candle's.
            (y.sqr().unwrap().sum_all().unwrap() + trunk.sqr().unwrap().sum_all().unwrap()).unwrap()
        };
        let losses = [head(&vars[3]), head(&vars[4])];
        Self { vars, trunk, losses }
    }

    /// The bits of all gradients of a loss; those of the other head's weights are none.
    fn gradients(&self, loss: &Tensor, pass: Pass) -> Result<Vec<Option<Vec<u64>>>> {
        let gradients = pass(loss)?;
        let bits = |g: &Tensor| flat(g).into_iter().map(f64::to_bits).collect();
        Ok(self.vars.iter().map(|v| gradients.get(v).map(bits)).collect())
    }

    /// Those of both losses, one after the other.
    fn expected(&self) -> [Vec<Option<Vec<u64>>>; 2] {
        let fresh = |i: usize| self.gradients(&self.losses[i], OURS).unwrap();
        [fresh(0), fresh(1)]
    }
}

#[test]
fn two_losses_that_share_a_trunk_on_two_threads() {
    for round in 0..300 {
        let graph = Forked::new(round % 7);
        let expected = graph.expected();
        let passes = match round % 3 {
            0 => [OURS, OURS],
            1 => [CANDLES, CANDLES],
            _ => [OURS, CANDLES],
        };
        let barrier = std::sync::Barrier::new(2);
        let found = std::thread::scope(|scope| {
            let threads = [0, 1].map(|i| {
                let (graph, barrier) = (&graph, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    graph.gradients(&graph.losses[i], passes[i]).unwrap()
                })
            });
            threads.map(|thread| thread.join().unwrap())
        });
        assert!(found == expected, "round {round}: the gradients are those of another pass");
    }
}

#[test]
fn passes_as_tasks_of_one_pool() {
    // A thread that waits within a pass takes up the next one.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    for round in 0..40 {
        let pass = if round % 2 == 0 { OURS } else { CANDLES };
        let graph = Forked::new(round);
        let expected = graph.expected();
        pool.scope(|scope| {
            for task in 0..12 {
                let (graph, expected) = (&graph, &expected);
                scope.spawn(move |_| {
                    let found = graph.gradients(&graph.losses[task % 2], pass).unwrap();
                    assert!(found == expected[task % 2], "round {round}, task {task}");
                });
            }
        });
    }
}

/// An operation whose backward pass fails, or panics.
#[derive(Clone, Copy)]
enum Broken {
    Fails,
    Panics,
}

impl CustomOp1 for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok((x.clone(), l.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> candle_core::Result<Option<Tensor>> {
        match self {
            Self::Fails => candle_core::bail!("on purpose"),
            Self::Panics => panic!("on purpose"),
        }
    }
}

#[test]
fn a_pass_that_ends_half_way_leaves_nothing_to_the_next() {
    for broken in [Broken::Fails, Broken::Panics] {
        for (failing, next) in [(OURS, OURS), (OURS, CANDLES), (CANDLES, OURS), (CANDLES, CANDLES)] {
            let graph = Forked::new(1);
            let expected = graph.expected();
            // Whichever of the two sides has its turn first, the other's gradients lie in the trunk.
            let side = |first: bool| {
                let sound = ops::relu(&graph.trunk).unwrap().sum_all().unwrap();
                let unsound = graph.trunk.apply_op1(broken).unwrap().sum_all().unwrap();
                (if first { sound + unsound } else { unsound + sound }).unwrap()
            };
            for first in [true, false] {
                let loss = side(first);
                let result = catch_unwind(AssertUnwindSafe(|| failing(&loss).map(|_| ())));
                assert!(!matches!(result, Ok(Ok(()))));
                for i in [0, 1] {
                    // An error is as good as the right result, once.
                    match graph.gradients(&graph.losses[i], next) {
                        Ok(found) => assert!(found == expected[i]),
                        Err(error) => assert!(error.to_string().contains("an earlier pass ended half-way"), "{error}"),
                    }
                    assert!(graph.gradients(&graph.losses[i], next).unwrap() == expected[i]);
                }
            }
        }
    }
}

#[test]
fn a_pass_over_a_part_and_one_over_all() {
    let graph = Forked::new(3);
    let part = graph.trunk.sum_all().unwrap();
    let (expected, of_part) = (graph.expected(), graph.gradients(&part, OURS).unwrap());
    for pass in [OURS, CANDLES, OURS] {
        assert!(graph.gradients(&graph.trunk, pass).unwrap() == of_part);
        assert!(graph.gradients(&graph.losses[1], pass).unwrap() == expected[1]);
        assert!(graph.gradients(&part, pass).unwrap() == of_part);
        assert!(graph.gradients(&graph.losses[0], pass).unwrap() == expected[0]);
    }
}
