//! What ranks exchange, over threads.

use std::sync::Arc;

use sconce_core::{DType, Device, GradStore, Init, Params, Tensor, Var};

use super::*;
use crate::{EngineError, Result, with_threads};

/// What `f` gives on each of `n` ranks, each with a thread of its own.
fn on_each<R: Send>(n: usize, f: impl Fn(Arc<dyn Communicator>) -> R + Sync) -> Vec<R> {
    std::thread::scope(|scope| {
        let start = |rank| scope.spawn(|| with_threads(Some(1), || f(rank)).unwrap());
        let threads: Vec<_> = local(n).into_iter().map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn range(dims: &[usize]) -> Tensor {
    let n: usize = dims.iter().product();
    Tensor::from_vec((0..n).map(|i| i as f64).collect(), dims, &Device::Cpu).unwrap()
}

fn flat(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn samples_are_dealt_and_gathered_in_the_order_of_the_batch() {
    for (n, size) in [(6, 3), (7, 3), (3, 3), (5, 2), (4, 1)] {
        let all = range(&[n, 2, 3]);
        let found = on_each(size, |rank| {
            let own = own_samples(&*rank, &all).unwrap();
            // A view that starts at an offset, of another type.
            let view = Tensor::cat(&[&own, &own], 0).unwrap().narrow(0, own.dims()[0], own.dims()[0]).unwrap();
            let single = gather_samples(&*rank, &view.to_dtype(DType::F32).unwrap()).unwrap();
            assert_eq!((single.dtype(), flat(&single)), (DType::F32, flat(&all)));
            let list: Vec<(usize, char)> = (rank.rank()..n).step_by(size).map(|i| (i, 'x')).collect();
            let list = gather_list(&*rank, &list).unwrap();
            assert_eq!(list, (0..n).map(|i| (i, 'x')).collect::<Vec<_>>());
            (flat(&own), gather_samples(&*rank, &own).unwrap())
        });
        for (rank, (own, gathered)) in found.iter().enumerate() {
            assert_eq!(own.first().copied(), Some(6.0 * rank as f64));
            assert_eq!((gathered.dims(), flat(gathered)), (all.dims(), flat(&all)));
        }
    }
}

#[test]
fn samples_that_do_not_fit_are_refused_on_all_ranks() {
    let refused = |f: &(dyn Fn(&dyn Communicator) -> Result<Tensor> + Sync)| {
        on_each(2, |rank| f(&*rank).unwrap_err().to_string()).into_iter().collect::<std::collections::BTreeSet<_>>()
    };
    let found = refused(&|rank| gather_samples(rank, &range(&[2, 3 + rank.rank()])));
    let expected = "samples to gather: found [2, 4] of f64 on rank 1, expected samples like [2, 3] of f64 on rank 0";
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [expected]);
    let found = refused(&|rank| gather_samples(rank, &range(&[1 + rank.rank()])));
    let expected = "samples to gather: found 1 on rank 0 of 2, expected 2, its share of 3";
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [expected]);
    let found = refused(&|rank| own_samples(rank, &range(&[1, 4])));
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        ["samples to deal: found 1, expected at least one for each of 2 ranks"]
    );
}

#[test]
fn a_tensor_is_that_of_its_root() {
    let found = on_each(3, |rank| {
        let own = Tensor::full(rank.rank() as u32, (rank.rank() + 1, 2), &Device::Cpu).unwrap();
        broadcast_tensor(&*rank, 1, &own).unwrap()
    });
    for tensor in found {
        assert_eq!(tensor.to_vec2::<u32>().unwrap(), [[1, 1], [1, 1]]);
    }
}

#[test]
fn what_fails_on_rank_0_fails_everywhere() {
    let found = on_each(2, |rank| -> [Result<u32>; 2] {
        let run = |outcome: Option<u32>| {
            on_root(&*rank, || {
                assert!(rank.is_root());
                outcome.ok_or_else(|| EngineError::config("epochs", 0, "at least 1"))
            })
        };
        [run(Some(7)), run(None)]
    });
    for [good, bad] in &found {
        assert_eq!(*good.as_ref().unwrap(), 7);
        assert!(bad.as_ref().unwrap_err().to_string().ends_with("`epochs` is 0, expected at least 1"));
    }
    assert!(matches!(found[0][1], Err(EngineError::Config { .. })));
    assert!(matches!(found[1][1], Err(EngineError::OnRank { rank: 0, .. })));
}

#[test]
fn gradients_are_added_up_and_one_that_no_rank_has_stays_away() {
    let shapes: [&[usize]; 5] = [&[3, 2], &[(1 << 20) + 5], &[4], &[2], &[1 << 19]];
    let found = on_each(3, |rank| {
        let types = [DType::F32, DType::F32, DType::F64, DType::F32, DType::F32];
        let vars: Vec<Var> =
            shapes.iter().zip(types).map(|(dims, dtype)| Var::zeros(*dims, dtype, &Device::Cpu).unwrap()).collect();
        let mut gradients: GradStore = vars[0].sum_all().unwrap().backward().unwrap();
        gradients.remove(vars[0].as_tensor());
        let n = rank.rank() + 1;
        let ramp = |i: usize| (range(shapes[i]) * (n as f64)).unwrap().to_dtype(types[i]).unwrap();
        // The first of all ranks and not contiguous, the second and the third of some, the fourth of none.
        let first = ramp(0).reshape((2, 3)).unwrap().t().unwrap();
        gradients.insert(vars[0].as_tensor(), first);
        for (i, who) in [(1, [false, true, true]), (2, [true, false, false]), (4, [true; 3])] {
            if who[rank.rank()] {
                gradients.insert(vars[i].as_tensor(), ramp(i));
            }
        }
        sum_gradients(&*rank, &mut gradients, vars.iter()).unwrap();
        let tensors: Vec<Option<Tensor>> = vars.iter().map(|var| gradients.get(var).cloned()).collect();
        for (tensor, var) in tensors.iter().zip(&vars) {
            assert!(tensor.as_ref().is_none_or(|t| t.dtype() == var.dtype() && t.shape() == var.shape()));
        }
        tensors
    });
    for tensors in &found {
        let of = |i: usize| flat(tensors[i].as_ref().unwrap());
        assert_eq!(of(0), [0.0, 18.0, 6.0, 24.0, 12.0, 30.0], "6 times the ramp, transposed");
        assert_eq!(of(1)[..3], [0.0, 5.0, 10.0]);
        assert_eq!(of(1)[(1 << 20) + 4], 5.0 * ((1 << 20) + 4) as f64);
        assert_eq!(of(2), [0.0, 1.0, 2.0, 3.0]);
        assert!(tensors[3].is_none());
        assert_eq!(of(4)[7], 42.0);
    }
}

fn store(rank: usize) -> Params {
    let params = Params::new(rank as u64, DType::F32, &Device::Cpu);
    params.scope().param("weight", (2, 2), Init::KAIMING_UNIFORM).unwrap();
    params.scope().statistic("running_mean", 2, 0.1 + rank as f64).unwrap();
    params.scope().statistic("same", 2, 0.1).unwrap();
    params.scope().buffer("count", (), rank as f64, DType::I64).unwrap();
    params
}

#[test]
fn parameters_become_those_of_rank_0() {
    let found = on_each(3, |rank| {
        let params = store(rank.rank());
        let different = require_equal(&*rank, &params).unwrap_err().to_string();
        assert_eq!(different, "`count` after the same steps: found other values on rank 1, expected those of rank 0");
        broadcast_params(&*rank, &params).unwrap();
        require_equal(&*rank, &params).unwrap();
        params
    });
    let values = |params: &Params| params.tensors().values().map(flat).collect::<Vec<_>>();
    assert_eq!(values(&found[2]), values(&store(0)));
    let refused = on_each(2, |rank| {
        let params = store(0);
        if rank.rank() == 1 {
            params.scope().param("zoom", 3, Init::ZEROS).unwrap();
        }
        broadcast_params(&*rank, &params).unwrap_err().to_string()
    });
    let expected = "parameters of the ranks' models: found zoom [3] F32 on rank 1, expected nothing more";
    assert_eq!(refused, [expected; 2]);
}

#[test]
fn statistics_become_their_mean_and_keep_their_bits_where_they_agree() {
    let found = on_each(3, |rank| {
        let params = store(rank.rank());
        average_statistics(&*rank, &params).unwrap();
        let tensors = params.tensors();
        let weight = flat(&tensors["weight"]);
        assert_eq!(weight, flat(&store(rank.rank()).tensors()["weight"]), "only statistics change");
        (flat(&tensors["running_mean"]), tensors["same"].to_vec1::<f32>().unwrap())
    });
    for (mean, same) in &found {
        assert!((mean[0] - 1.1).abs() < 1e-6, "{mean:?}");
        assert_eq!(same, &[0.1f32; 2]);
    }
}
