//! Signs of collapse, and of how features spread over the sphere.

use nalgebra::DMatrix;
use sconce_core::{DType, Tensor};
use sconce_engine::Metrics;

use crate::error::{MocoError, Result};

/// What a batch of queries and their keys looks like on the unit sphere.
///
/// | name | what | collapsed |
/// |---|---|---|
/// | `alignment` | mean of ‖q − k‖² over positive pairs (Wang & Isola, 2020, with α = 2) | 0 |
/// | `uniformity` | log of the mean of exp(−2‖q_i − q_j‖²) over pairs of queries (there, with t = 2); the best is near −4 | 0 |
/// | `mean_cosine` | mean cosine of pairs of queries | 1 |
/// | `effective_rank` | exp of the entropy of the normalised singular values of the queries (Roy & Vetterli, 2007) | 1 |
///
/// # Shapes
/// - `queries`, `keys`: `(B, dim)`, rows of length 1
///
/// # Errors
/// If the shapes differ or there is no pair.
pub fn diagnostics(queries: &Tensor, keys: &Tensor) -> Result<Metrics> {
    let &[n, dim] = queries.dims() else {
        return Err(MocoError::argument("queries", format!("{:?}", queries.dims()), "(B, dim)"));
    };
    if keys.dims() != [n, dim] || n < 2 {
        let found = format!("{:?} and {:?}", queries.dims(), keys.dims());
        return Err(MocoError::argument("queries and keys", found, "two shapes (B, dim) that are equal, B at least 2"));
    }
    let matrix = |x: &Tensor| -> Result<DMatrix<f64>> {
        Ok(DMatrix::from_row_slice(n, dim, &x.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?))
    };
    let (q, k) = (matrix(queries)?, matrix(keys)?);
    let gram = &q * q.transpose();
    let pairs = (n * (n - 1)) as f64;
    let over_pairs = |f: &dyn Fn(f64) -> f64| {
        let of = |i: usize| (0..n).filter(move |&j| j != i).map(move |j| (i, j));
        (0..n).flat_map(of).map(|at| f(gram[at])).sum::<f64>() / pairs
    };
    // ‖a − b‖² = 2 − 2 cos(a, b) for vectors of length 1.
    let uniformity = over_pairs(&|cosine| (-2.0 * (2.0 - 2.0 * cosine)).exp()).ln();
    let values = [
        ("alignment", (&q - &k).norm_squared() / n as f64),
        ("uniformity", uniformity),
        ("mean_cosine", over_pairs(&|cosine| cosine)),
        ("effective_rank", effective_rank(&q)),
    ];
    Ok(values.map(|(name, value)| (name.to_owned(), value)).into())
}

/// exp of the entropy of the singular values, each as a share of their sum.
fn effective_rank(x: &DMatrix<f64>) -> f64 {
    // The singular values are the roots of the eigenvalues of the smaller of the two products.
    let product = if x.nrows() < x.ncols() { x * x.transpose() } else { x.transpose() * x };
    if !product.iter().all(|value| value.is_finite()) {
        return f64::NAN;
    }
    let singular: Vec<f64> = product.symmetric_eigenvalues().iter().map(|&value| value.max(0.0).sqrt()).collect();
    let sum: f64 = singular.iter().sum();
    let entropy: f64 = singular.iter().map(|s| s / sum).filter(|&p| p > 0.0).map(|p| -p * p.ln()).sum();
    entropy.exp()
}

#[cfg(test)]
mod tests {
    use sconce_core::Device;

    use super::*;

    fn of(queries: &[[f64; 3]], keys: &[[f64; 3]]) -> Metrics {
        let tensor = |rows: &[[f64; 3]]| Tensor::from_slice(&rows.concat(), (rows.len(), 3), &Device::Cpu).unwrap();
        diagnostics(&tensor(queries), &tensor(keys)).unwrap()
    }

    #[test]
    fn orthogonal_queries_have_full_rank_and_collapsed_ones_rank_1() {
        let axes = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let spread = of(&axes, &axes);
        assert!((spread["effective_rank"] - 3.0).abs() < 1e-9, "{spread:?}");
        assert!(spread["mean_cosine"].abs() < 1e-12 && spread["alignment"].abs() < 1e-12);
        assert!((spread["uniformity"] + 4.0).abs() < 1e-12, "log exp(−2 · 2)");
        let collapsed = of(&[axes[0]; 3], &[axes[1]; 3]);
        assert!((collapsed["effective_rank"] - 1.0).abs() < 1e-6, "{collapsed:?}");
        assert!((collapsed["mean_cosine"] - 1.0).abs() < 1e-12 && collapsed["uniformity"].abs() < 1e-12);
        assert!((collapsed["alignment"] - 2.0).abs() < 1e-12);
    }

    #[test]
    fn the_effective_rank_is_that_of_the_singular_values() {
        // Singular values √2 and 1: shares 0.5858 and 0.4142.
        let x = of(&[[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], &[[1.0, 0.0, 0.0]; 3]);
        let shares = [2f64.sqrt() / (1.0 + 2f64.sqrt()), 1.0 / (1.0 + 2f64.sqrt())];
        let expected = shares.iter().map(|p| -p * p.ln()).sum::<f64>().exp();
        assert!((x["effective_rank"] - expected).abs() < 1e-7, "{x:?}");
    }

    #[test]
    fn a_single_query_has_no_pair() {
        let one = Tensor::new(&[[1f32, 0.0]], &Device::Cpu).unwrap();
        assert!(diagnostics(&one, &one).is_err());
    }
}
