//! The momentum update, eq. (2): `θ_k ← m θ_k + (1 − m) θ_q`.

use std::collections::BTreeMap;

use sconce_core::{Params, Tolerance, Var};
use sconce_engine::blend;

use crate::error::Result;

/// The parameters of the key encoder beside those of the query encoder. Buffers are none of its business: the key encoder's
/// batch normalisations have statistics of their own.
#[derive(Clone, Debug)]
pub(crate) struct MomentumUpdate {
    /// (key, query), by name.
    pairs: Vec<(Var, Var)>,
    momentum: f64,
}

impl MomentumUpdate {
    /// Between two models of the same kind, whose names begin with `query` and `key`. The key encoder begins as a copy of the
    /// query encoder, buffers included.
    pub(crate) fn new(params: &Params, (query, key): (&str, &str), momentum: f64) -> Result<Self> {
        copy(params, (query, key))?;
        let vars: BTreeMap<String, Var> = params.trainable().into_iter().collect();
        let pair = |(name, var): (&String, &Var)| Some((vars.get(&renamed(name, (query, key))?)?.clone(), var.clone()));
        Ok(Self { pairs: vars.iter().filter_map(pair).collect(), momentum })
    }

    /// One step, in place.
    pub(crate) fn step(&self) -> Result<()> {
        self.pairs.iter().try_for_each(|(key, query)| Ok(blend(key, query, self.momentum)?))
    }
}

/// Copies everything below `from` to the same names below `to`.
pub(crate) fn copy(params: &Params, (from, to): (&str, &str)) -> Result<()> {
    let tensors = params.tensors();
    let renamed = tensors.into_iter().filter_map(|(name, tensor)| Some((renamed(&name, (from, to))?, tensor)));
    params.load("the query encoder", &renamed.collect(), Tolerance::Missing)?;
    Ok(())
}

fn renamed(name: &str, (from, to): (&str, &str)) -> Option<String> {
    Some(format!("{to}.{}", name.strip_prefix(from)?.strip_prefix('.')?))
}

#[cfg(test)]
mod tests {
    use sconce_core::{DType, Device, Init, Tensor};

    use super::*;

    const NAMES: (&str, &str) = ("encoder_q", "encoder_k");

    fn params() -> Params {
        let params = Params::new(0, DType::F64, &Device::Cpu);
        for name in ["encoder_q", "encoder_k", "encoder_q2"] {
            params.scope().pp(name).param("w", 3, Init::Uniform { low: -1.0, high: 1.0 }).unwrap();
            params.scope().pp(name).buffer("running_mean", 1, 0.0, DType::F64).unwrap();
        }
        params
    }

    fn set(params: &Params, name: &str, values: &[f64]) {
        let tensor = Tensor::new(values, &Device::Cpu).unwrap();
        params.load("test", &[(name.to_owned(), tensor)].into(), Tolerance::Missing).unwrap();
    }

    fn values(params: &Params, name: &str) -> Vec<f64> {
        params.tensors()[name].to_vec1().unwrap()
    }

    #[test]
    fn the_key_encoder_begins_as_a_copy_and_comes_closer_by_a_power_of_m() {
        let params = params();
        let update = MomentumUpdate::new(&params, NAMES, 0.9).unwrap();
        let start = values(&params, "encoder_q.w");
        assert_eq!(values(&params, "encoder_k.w"), start);
        let query = [1.0, -2.0, 3.0];
        set(&params, "encoder_q.w", &query);
        set(&params, "encoder_q.running_mean", &[5.0]);
        for _ in 0..7 {
            update.step().unwrap();
        }
        for ((k, q), k0) in values(&params, "encoder_k.w").iter().zip(query).zip(start) {
            assert!((k - (q + 0.9f64.powi(7) * (k0 - q))).abs() < 1e-12);
        }
        assert_eq!(values(&params, "encoder_k.running_mean"), [0.0], "buffers have no part in it");
    }

    #[test]
    fn momentum_1_never_moves_and_0_copies() {
        for (momentum, expected) in [(1.0, None), (0.0, Some([1.0, -2.0, 3.0]))] {
            let params = params();
            let update = MomentumUpdate::new(&params, NAMES, momentum).unwrap();
            let start = values(&params, "encoder_k.w");
            set(&params, "encoder_q.w", &[1.0, -2.0, 3.0]);
            update.step().unwrap();
            assert_eq!(values(&params, "encoder_k.w"), expected.map_or(start, Vec::from));
        }
    }
}
