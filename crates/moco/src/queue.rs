//! The dictionary as a queue (§3.1, "dictionary as a queue"), kept as a ring buffer.

use sconce_core::{DType, Rng, Scope, Tensor};

use crate::{
    error::{MocoError, Result},
    model::EPS,
};

/// The latest keys, `K` of them, each a column of length 1.
///
/// The buffer and the pointer to its oldest key are `queue` `(dim, K)` and `queue_ptr` `(1)` among the model's parameters, as in
/// the official checkpoints, so that a checkpoint holds them. Keys are written in place: a queue costs its own bytes, and a step
/// copies the new keys alone.
#[derive(Clone, Debug)]
pub struct Queue {
    keys: Tensor,
    pointer: Tensor,
}

/// Columns that are normalised at a time.
const COLUMNS: usize = 4096;

impl Queue {
    /// A queue of `length` random keys, as the official code has it. (The paper does not say how it begins; the first steps are
    /// easy with it, as issues 12 and 43 of the official repository note.)
    ///
    /// # Errors
    /// As [`Scope::buffer`].
    pub fn new(scope: &Scope, dim: usize, length: usize, rng: &mut Rng) -> Result<Self> {
        let queue = Self {
            keys: scope.buffer("queue", (dim, length), 0.0, scope.dtype())?,
            pointer: scope.buffer("queue_ptr", 1, 0.0, DType::I64)?,
        };
        // Piece by piece: all at once would take five times the queue's own memory for a moment.
        for row in 0..dim {
            let random = rng.normal_tensor((0.0, 1.0), (1, length), scope.dtype(), scope.device())?;
            queue.keys.slice_set(&random, 0, row)?;
        }
        for start in (0..length).step_by(COLUMNS) {
            let columns = queue.keys.narrow(1, start, COLUMNS.min(length - start))?.contiguous()?;
            queue.keys.slice_set(&sconce_core::ops::normalize(&columns, 0, EPS)?, 1, start)?;
        }
        Ok(queue)
    }

    /// `(dim, K)`: the keys, a column each. It shares the queue's memory: what is enqueued shows in it, so that the backward pass
    /// of a loss on it comes first.
    pub fn keys(&self) -> &Tensor {
        &self.keys
    }

    /// K.
    pub fn length(&self) -> usize {
        self.keys.dims()[1]
    }

    /// The column of the oldest key, which the next one replaces.
    ///
    /// # Errors
    /// If the pointer that a checkpoint brought is no column.
    pub fn pointer(&self) -> Result<usize> {
        let pointer = self.pointer.to_vec1::<i64>()?[0];
        let is_column = |&column: &usize| column < self.length();
        let expected = format!("a column, 0 to {}", self.length() - 1);
        usize::try_from(pointer)
            .ok()
            .filter(is_column)
            .ok_or_else(|| MocoError::argument("queue_ptr", pointer, expected))
    }

    /// The mean cosine of pairs of its keys: near 0 for keys that are spread over the sphere, 1 when all are the same. NaN of a
    /// single key.
    ///
    /// # Errors
    /// If the keys cannot be read.
    pub fn mean_cosine(&self) -> Result<f64> {
        // ‖Σ k‖² = Σ ‖k‖² + Σ_{i ≠ j} k_i·k_j, and all ‖k‖ are 1.
        let n = self.length() as f64;
        let sum = self.keys.sum(1)?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        Ok((sum.iter().map(|x| x * x).sum::<f64>() - n) / (n * (n - 1.0)))
    }

    /// Replaces the oldest keys. Of more keys than the queue holds, the last ones stay.
    ///
    /// # Shapes
    /// - `keys`: `(B, dim)`; no gradient is kept
    ///
    /// # Errors
    /// If `keys` have another length.
    pub fn enqueue(&self, keys: &Tensor) -> Result<()> {
        let (n, length) = (keys.dim(0)?, self.length());
        let (kept, start) = (n.min(length), (self.pointer()? + n.saturating_sub(length)) % length);
        let columns = keys.narrow(0, n - kept, kept)?.detach().t()?.contiguous()?;
        let first = kept.min(length - start);
        for (from, to, count) in [(0, start, first), (first, 0, kept - first)] {
            if count > 0 {
                self.keys.slice_set(&columns.narrow(1, from, count)?.contiguous()?, 1, to)?;
            }
        }
        let pointer = Tensor::new(&[((start + kept) % length) as i64], self.pointer.device())?;
        Ok(self.pointer.slice_set(&pointer, 0, 0)?)
    }
}

#[cfg(test)]
mod tests {
    use sconce_core::{Device, Params, ops};

    use super::*;

    fn queue(length: usize) -> (Params, Queue) {
        let params = Params::new(0, DType::F32, &Device::Cpu);
        let queue = Queue::new(&params.scope(), 2, length, &mut Rng::new(0, "queue")).unwrap();
        (params, queue)
    }

    /// Keys `(cos a, sin a)`.
    fn keys(angles: &[f32]) -> Tensor {
        let rows: Vec<f32> = angles.iter().flat_map(|a| [a.cos(), a.sin()]).collect();
        Tensor::from_vec(rows, (angles.len(), 2), &Device::Cpu).unwrap()
    }

    fn first_row(queue: &Queue) -> Vec<f32> {
        queue.keys().to_vec2::<f32>().unwrap().swap_remove(0)
    }

    #[test]
    fn keys_replace_the_oldest_and_nothing_else() {
        let (_, queue) = queue(5);
        let before = first_row(&queue);
        queue.enqueue(&keys(&[0.1, 0.2, 0.3])).unwrap();
        assert_eq!(queue.pointer().unwrap(), 3);
        let after = first_row(&queue);
        assert_eq!(after[..3], [0.1f32.cos(), 0.2f32.cos(), 0.3f32.cos()]);
        assert_eq!(after[3..], before[3..]);
        // Over the end, which the official code refuses.
        queue.enqueue(&keys(&[0.4, 0.5, 0.6])).unwrap();
        assert_eq!(queue.pointer().unwrap(), 1);
        assert_eq!(first_row(&queue), [0.6f32, 0.2, 0.3, 0.4, 0.5].map(f32::cos));
    }

    #[test]
    fn of_too_many_keys_the_last_stay_where_they_would_have_come() {
        let ((_, one), (_, other)) = (queue(4), queue(4));
        let angles: Vec<f32> = (0..11).map(|i| i as f32 * 0.1).collect();
        one.enqueue(&keys(&angles)).unwrap();
        angles.iter().for_each(|&angle| other.enqueue(&keys(&[angle])).unwrap());
        assert_eq!(first_row(&one), first_row(&other));
        assert_eq!(one.pointer().unwrap(), other.pointer().unwrap());
    }

    #[test]
    fn it_returns_to_the_start_after_k_over_b_steps_and_all_keys_have_length_1() {
        let (_, queue) = queue(12);
        for step in 0..3 {
            let lengths = queue.keys().sqr().unwrap().sum(0).unwrap().to_vec1::<f32>().unwrap();
            assert!(lengths.iter().all(|l| (l - 1.0).abs() < 1e-6), "{lengths:?}");
            queue.enqueue(&keys(&[0.1, 0.2, 0.3, step as f32])).unwrap();
        }
        assert_eq!(queue.pointer().unwrap(), 0);
    }

    #[test]
    fn the_mean_cosine_is_that_of_all_pairs() {
        let (_, queue) = queue(3);
        queue.enqueue(&keys(&[0.0, 0.5, 1.5])).unwrap();
        let expected = (0.5f64.cos() + 1.5f64.cos() + 1f64.cos()) / 3.0;
        assert!((queue.mean_cosine().unwrap() - expected).abs() < 1e-6);
        queue.enqueue(&keys(&[0.7; 3])).unwrap();
        assert!((queue.mean_cosine().unwrap() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn it_is_a_part_of_the_parameters_and_gives_no_gradient() {
        let (params, queue) = queue(3);
        queue.enqueue(&keys(&[0.5])).unwrap();
        let tensors = params.tensors();
        assert_eq!(tensors["queue"].to_vec2::<f32>().unwrap(), queue.keys().to_vec2::<f32>().unwrap());
        assert_eq!(tensors["queue_ptr"].to_vec1::<i64>().unwrap(), [1]);
        assert!(params.trainable().is_empty() && !queue.keys().track_op());
        let loss = ops::info_nce(&keys(&[0.1]), &keys(&[0.2]), queue.keys(), 0.1).unwrap();
        assert!(!loss.track_op());
    }

    #[test]
    fn a_pointer_that_is_no_column_is_an_error() {
        let (params, queue) = queue(3);
        let bad = Tensor::new(&[3i64], &Device::Cpu).unwrap();
        let tensors = [("queue_ptr".to_owned(), bad)].into();
        params.load("a file", &tensors, sconce_core::Tolerance::Missing).unwrap();
        let error = queue.enqueue(&keys(&[0.1])).unwrap_err().to_string();
        assert_eq!(error, "queue_ptr: found 3, expected a column, 0 to 2");
    }
}
