//! Clipping of gradients by their global norm, as PyTorch's `clip_grad_norm_`.

use std::collections::BTreeMap;

use candle_core::{CpuStorage, Storage};
use rayon::prelude::*;
use sconce_core::{DType, GradStore, Tensor, Var};

use crate::Result;

/// Elements that one task sums. Fixed, and the sums are added in order, so that threads change nothing.
const CHUNK: usize = 1 << 16;

/// The Euclidean norm of the gradients of `params` taken as one vector, in f64. A parameter without a gradient counts
/// nothing. The order of `params` is that of the sum.
///
/// # Errors
/// [`EngineError::Candle`](crate::EngineError::Candle) if a gradient is of a type without a square.
pub fn global_norm<'a>(grads: &GradStore, params: impl IntoIterator<Item = &'a Var>) -> Result<f64> {
    let mut total = 0.0;
    let mut elsewhere = BTreeMap::new();
    for (i, grad) in params.into_iter().filter_map(|p| grads.get(p)).enumerate() {
        match square_sum(grad)? {
            Squares::Here(sum) => total += sum,
            Squares::OnDevice(sum) => drop(elsewhere.insert(i, sum)),
        }
    }
    if !elsewhere.is_empty() {
        // One wait for the device instead of one a parameter.
        let sums: Vec<Tensor> = elsewhere.into_values().collect();
        total += Tensor::stack(&sums, 0)?.to_vec1::<f64>()?.iter().sum::<f64>();
    }
    Ok(total.sqrt())
}

/// What gradients of norm `norm` are multiplied by: `max_norm / (norm + 1e-6)`, at most 1.
pub fn clip_coefficient(norm: f64, max_norm: f64) -> f64 {
    (max_norm / (norm + 1e-6)).min(1.0)
}

enum Squares {
    Here(f64),
    OnDevice(Tensor),
}

fn square_sum(grad: &Tensor) -> Result<Squares> {
    let grad = grad.contiguous()?;
    let (storage, layout) = grad.storage_and_layout();
    let range = layout.start_offset()..layout.start_offset() + grad.elem_count();
    Ok(match &*storage {
        Storage::Cpu(CpuStorage::F32(x)) => Squares::Here(in_chunks(&x[range], f64::from)),
        Storage::Cpu(CpuStorage::F64(x)) => Squares::Here(in_chunks(&x[range], |x| x)),
        _ => {
            drop(storage);
            Squares::OnDevice(grad.to_dtype(DType::F32)?.sqr()?.sum_all()?.to_dtype(DType::F64)?)
        }
    })
}

fn in_chunks<T: Copy + Sync>(x: &[T], to_f64: impl Fn(T) -> f64 + Sync) -> f64 {
    let sum = |chunk: &[T]| {
        let mut lanes = [0.0f64; 8];
        for part in chunk.chunks(lanes.len()) {
            for (lane, &x) in lanes.iter_mut().zip(part) {
                *lane += to_f64(x) * to_f64(x);
            }
        }
        lanes.iter().sum::<f64>()
    };
    let sums: Vec<f64> = x.par_chunks(CHUNK).map(sum).collect();
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use sconce_core::{Device, Rng};

    use super::*;

    #[test]
    fn the_norm_is_that_of_all_gradients_as_one_vector() {
        let a = Var::new(&[1f32, 2.0], &Device::Cpu).unwrap();
        let b = Var::new(&[[1f64]], &Device::Cpu).unwrap();
        let unused = Var::new(&[9f32], &Device::Cpu).unwrap();
        let factors = Tensor::new(&[2f32, 3.0], &Device::Cpu).unwrap();
        let loss = (&factors * a.as_tensor()).unwrap().sum_all().unwrap().to_dtype(DType::F64).unwrap();
        let loss = (loss + (b.as_tensor() * 6.0).unwrap().sum_all().unwrap()).unwrap();
        let norm = global_norm(&loss.backward().unwrap(), [&a, &b, &unused]).unwrap();
        assert_eq!(norm, (4.0f64 + 9.0 + 36.0).sqrt());
    }

    /// A gradient that is a transposed view, longer than a chunk.
    #[test]
    fn layout_and_threads_do_not_change_the_norm() {
        let x = Rng::new(0, "test").normal_tensor((0.0, 1.0), (301, 700), DType::F32, &Device::Cpu).unwrap();
        let var = Var::from_tensor(&x).unwrap();
        let mut grads = var.sum_all().unwrap().backward().unwrap();
        grads.insert(&var, x.t().unwrap());
        let expected: f64 =
            x.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().map(|&x| f64::from(x).powi(2)).sum();
        let norm = |threads| crate::with_threads(Some(threads), || global_norm(&grads, [&var]).unwrap()).unwrap();
        assert!((norm(1) - expected.sqrt()).abs() < 1e-9 * norm(1));
        assert_eq!(norm(1).to_bits(), norm(3).to_bits());
    }

    #[test]
    fn only_gradients_that_are_too_long_are_scaled() {
        assert_eq!(clip_coefficient(0.5, 1.0), 1.0);
        assert_eq!(clip_coefficient(4.0, 1.0), 1.0 / 4.000001);
    }
}
