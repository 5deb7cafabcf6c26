//! Comparing what an operation gave with what PyTorch gave.

use std::{collections::BTreeMap, fmt};

use sconce_core::{DType, Tensor};

use super::Case;

/// A tensor that is not as expected.
#[derive(Debug, PartialEq)]
pub struct Mismatch {
    /// Its name with its role, such as `grad.weight`.
    pub tensor: String,
    /// What is wrong with it.
    pub what: Wrong,
}

/// What can be wrong with a tensor.
#[derive(Debug, PartialEq)]
pub enum Wrong {
    /// We have none.
    Missing,
    /// It has another shape or kind of number.
    Form {
        /// Ours.
        ours: String,
        /// PyTorch's.
        expected: String,
    },
    /// Some values lie outside the tolerance.
    Values {
        /// How many.
        n_wrong: usize,
        /// Of how many.
        n: usize,
        /// The index of the one farthest out.
        worst: Vec<usize>,
        /// Our value there.
        ours: f64,
        /// PyTorch's value there.
        expected: f64,
    },
    /// It could not be read.
    Unreadable(String),
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.tensor)?;
        match &self.what {
            Wrong::Missing => write!(f, "missing"),
            Wrong::Form { ours, expected } => write!(f, "is {ours}, expected {expected}"),
            Wrong::Values { n_wrong, n, worst, ours, expected } => {
                write!(
                    f,
                    "{n_wrong} of {n} values are wrong, the worst at {worst:?}: ours {ours:e}, expected {expected:e}"
                )
            }
            Wrong::Unreadable(why) => write!(f, "cannot be read: {why}"),
        }
    }
}

/// Everything in which `found` (by `out.NAME` and `grad.NAME`) is not what `case` expects.
pub(super) fn mismatches(case: &Case, found: &BTreeMap<String, Tensor>) -> Vec<Mismatch> {
    let wrong = |(name, expected): (&str, &Tensor)| {
        let what = match found.get(name) {
            None => Some(Wrong::Missing),
            Some(ours) => compare(ours, expected, (case.rtol, case.atol)),
        };
        what.map(|what| Mismatch { tensor: name.to_owned(), what })
    };
    case.expected().filter_map(wrong).collect()
}

fn compare(ours: &Tensor, expected: &Tensor, (rtol, atol): (f64, f64)) -> Option<Wrong> {
    let is_float = |t: &Tensor| t.dtype().is_float();
    if ours.dims() != expected.dims() || is_float(ours) != is_float(expected) {
        let form = |t: &Tensor| format!("{:?} {:?}", t.dtype(), t.dims());
        return Some(Wrong::Form { ours: form(ours), expected: form(expected) });
    }
    let compared = if is_float(expected) {
        floats(ours, expected, |a, b| excess(a, b, rtol, atol))
    } else {
        integers(ours, expected)
    };
    match compared {
        Err(error) => Some(Wrong::Unreadable(error.to_string())),
        Ok(None) => None,
        Ok(Some((n_wrong, i, ours, expected_value))) => Some(Wrong::Values {
            n_wrong,
            n: expected.elem_count(),
            worst: index(i, expected.dims()),
            ours,
            expected: expected_value,
        }),
    }
}

/// How many values are wrong, the flat index of the worst, our value and the expected one there.
type Worst = (usize, usize, f64, f64);

fn floats(ours: &Tensor, expected: &Tensor, outside: impl Fn(f64, f64) -> f64) -> sconce_core::Result<Option<Worst>> {
    let values = |t: &Tensor| t.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    Ok(worst(&values(ours)?, &values(expected)?, outside))
}

fn integers(ours: &Tensor, expected: &Tensor) -> sconce_core::Result<Option<Worst>> {
    let values = |t: &Tensor| t.to_dtype(DType::I64)?.flatten_all()?.to_vec1::<i64>();
    // Unequal integers must not become equal by being rounded to floats.
    let outside = |a: i64, b: i64| if a == b { 0.0 } else { (a as f64 - b as f64).abs().max(1.0) };
    let found = worst(&values(ours)?, &values(expected)?, outside);
    Ok(found.map(|(n_wrong, at, ours, expected)| (n_wrong, at, ours as f64, expected as f64)))
}

/// How far `ours` lies outside the tolerance; 0 inside. NaN is outside whatever is expected, and so is all but an infinity
/// where one is expected.
fn excess(ours: f64, expected: f64, rtol: f64, atol: f64) -> f64 {
    if ours == expected {
        return 0.0;
    }
    let beyond = (ours - expected).abs() - (atol + rtol * expected.abs());
    if beyond.is_nan() || !expected.is_finite() { f64::INFINITY } else { beyond.max(0.0) }
}

/// How many values are outside, and index and values of the one farthest out.
fn worst<T: Copy>(ours: &[T], expected: &[T], outside: impl Fn(T, T) -> f64) -> Option<(usize, usize, T, T)> {
    let mut found: Option<(usize, usize, f64)> = None;
    for (i, (&a, &b)) in ours.iter().zip(expected).enumerate() {
        let distance = outside(a, b);
        if distance > 0.0 {
            found = Some(match found {
                Some((n, at, farthest)) if farthest >= distance => (n + 1, at, farthest),
                Some((n, ..)) => (n + 1, i, distance),
                None => (1, i, distance),
            });
        }
    }
    found.map(|(n, at, _)| (n, at, ours[at], expected[at]))
}

/// The index in a tensor of `dims` whose flat index is `flat`.
fn index(mut flat: usize, dims: &[usize]) -> Vec<usize> {
    let mut index: Vec<usize> = dims
        .iter()
        .rev()
        .map(|&dim| {
            let i = flat % dim.max(1);
            flat /= dim.max(1);
            i
        })
        .collect();
    index.reverse();
    index
}

#[cfg(test)]
mod tests {
    use sconce_core::Device;

    use super::*;
    use crate::parity::case::tests::case;

    fn floats(values: &[f32]) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap()
    }

    fn wrong(ours: Tensor, expected: Tensor) -> Option<Wrong> {
        let case = case("relu", "{}", vec![("out.y", expected)]);
        mismatches(&case, &BTreeMap::from([("out.y".to_owned(), ours)])).pop().map(|m| m.what)
    }

    #[test]
    fn the_tolerance_is_atol_plus_rtol_times_the_expected_value() {
        // 0.1 · 10 + 0.01
        assert_eq!(wrong(floats(&[11.0, 9.0]), floats(&[10.0, 10.0])), None);
        let Some(Wrong::Values { n_wrong, n, worst, ours, expected }) =
            wrong(floats(&[11.2, 8.7, 10.0]), floats(&[10.0; 3]))
        else {
            panic!("a value outside the tolerance passes");
        };
        assert_eq!((n_wrong, n, worst, ours as f32, expected), (2, 3, vec![1], 8.7, 10.0));
    }

    #[test]
    fn nan_never_passes() {
        for (ours, expected) in [(f32::NAN, 1.0), (1.0, f32::NAN), (f32::NAN, f32::NAN)] {
            assert!(wrong(floats(&[ours]), floats(&[expected])).is_some(), "{ours} for {expected}");
        }
    }

    #[test]
    fn an_infinity_is_matched_by_itself_alone() {
        assert_eq!(wrong(floats(&[f32::INFINITY]), floats(&[f32::INFINITY])), None);
        for ours in [1.0, f32::NEG_INFINITY, f32::NAN] {
            assert!(wrong(floats(&[ours]), floats(&[f32::INFINITY])).is_some(), "{ours}");
        }
        assert!(wrong(floats(&[f32::INFINITY]), floats(&[1.0])).is_some());
    }

    #[test]
    fn integers_are_exact() {
        let integers = |v: &[i64]| Tensor::new(v, &Device::Cpu).unwrap();
        assert_eq!(wrong(integers(&[100]), integers(&[100])), None);
        assert!(wrong(integers(&[101]), integers(&[100])).is_some());
        // Beyond the integers that a float can tell apart.
        assert!(wrong(integers(&[(1 << 60) + 1]), integers(&[1 << 60])).is_some());
        assert!(matches!(wrong(floats(&[100.0]), integers(&[100])), Some(Wrong::Form { .. })));
    }

    #[test]
    fn a_tensor_of_another_shape_fails_whatever_its_values() {
        let ours = floats(&[1.0, 1.0]).reshape((2, 1)).unwrap();
        assert!(matches!(wrong(ours, floats(&[1.0, 1.0])), Some(Wrong::Form { .. })));
    }

    #[test]
    fn a_tensor_that_we_do_not_have_fails() {
        let case = case("relu", "{}", vec![("out.y", floats(&[1.0])), ("grad.x", floats(&[1.0]))]);
        let found = mismatches(&case, &BTreeMap::from([("out.y".to_owned(), floats(&[1.0]))]));
        assert_eq!(found, [Mismatch { tensor: "grad.x".to_owned(), what: Wrong::Missing }]);
    }

    #[test]
    fn the_worst_index_has_one_number_a_dimension() {
        assert_eq!(index(17, &[2, 3, 4]), [1, 1, 1]);
        assert_eq!(index(0, &[]), [0; 0]);
    }
}
