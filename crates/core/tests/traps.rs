//! Candle's wrong answers, one test a ban of `clippy.toml`.
//!
//! A test that fails here is good news: Candle has mended the operation, and its ban can go. Each `#[expect]` also shows
//! that the ban fires: clippy complains about an expectation that nothing fulfils.

use candle_core::{DType, Device, Result, Tensor, Var};

/// `0, 1, 2, …` in the given shape.
fn counting(shape: &[usize]) -> Result<Var> {
    let n: usize = shape.iter().product();
    Var::from_tensor(&Tensor::arange(0f64, n as f64, &Device::Cpu)?.reshape(shape)?)
}

/// The gradient of `Σ y` with respect to `x`, flattened; `None` if the graph does not reach `x`.
fn gradient(x: &Var, y: &Tensor) -> Result<Option<Vec<f64>>> {
    let grads = y.sum_all()?.backward()?;
    grads.get(x).map(|g| g.flatten_all()?.to_dtype(DType::F64)?.to_vec1()).transpose()
}

/// What the backward of `y` complains about.
fn refusal(y: &Tensor) -> Result<String> {
    match y.sum_all()?.backward() {
        Ok(_) => candle_core::bail!("the backward works"),
        Err(e) => Ok(e.to_string()),
    }
}

/// Whether two draws differ although the device was seeded alike before each: Candle's CPU refuses the seed.
fn ignores_the_seed(draw: impl Fn() -> Result<Tensor>) -> Result<bool> {
    let draw_seeded = || -> Result<(bool, Vec<f64>)> {
        let refused = Device::Cpu.set_seed(7).is_err();
        Ok((refused, draw()?.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?))
    };
    let (first, second) = (draw_seeded()?, draw_seeded()?);
    Ok(first.0 && second.0 && first.1 != second.1)
}

/// The gradient of `Σ x·1 + up(x·1)` in the order of terms that is worse: the two must not differ.
fn lost_gradients(x: &Var, up: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Vec<f64>> {
    let shared = || x.affine(1., 0.);
    let (a, b) = (shared()?, shared()?);
    let up_last = gradient(x, &(a.sum_all()? + up(&a)?)?)?;
    let up_first = gradient(x, &(up(&b)? + b.sum_all()?)?)?;
    let total = |g: &Option<Vec<f64>>| g.iter().flatten().sum::<f64>();
    Ok(if total(&up_last) < total(&up_first) { up_last } else { up_first }.unwrap_or_default())
}

/// Ban: `candle_core::Tensor::conv2d`
#[test]
#[expect(clippy::disallowed_methods, reason = "the trap itself")]
fn conv2d_has_no_backward_for_mixed_parity() -> Result<()> {
    let (x, weight) = (counting(&[1, 1, 5, 6])?, counting(&[1, 1, 3, 3])?);
    let y = x.conv2d(&weight, 1, 2, 1, 1)?; // [1, 1, 3, 3]
    assert!(refusal(&y)?.contains("shape mismatch"), "{}", refusal(&y)?);
    Ok(())
}

/// Ban: `candle_core::Tensor::conv2d_with_algo`
#[test]
#[expect(clippy::disallowed_methods, reason = "the trap itself")]
fn conv2d_with_algo_has_no_backward_for_mixed_parity() -> Result<()> {
    let (x, weight) = (counting(&[1, 1, 5, 6])?, counting(&[1, 1, 3, 3])?);
    let y = x.conv2d_with_algo(&weight, 1, 2, 1, 1, None)?; // [1, 1, 3, 3]
    assert!(refusal(&y)?.contains("shape mismatch"), "{}", refusal(&y)?);
    Ok(())
}

/// Ban: `candle_core::Tensor::max_pool2d`
#[test]
#[expect(clippy::disallowed_methods, reason = "the trap itself")]
fn max_pool2d_gives_a_quarter_of_the_gradient() -> Result<()> {
    let x = counting(&[1, 1, 2, 2])?;
    let right = vec![0., 0., 0., 1.];
    let found = gradient(&x, &x.max_pool2d(2)?)?;
    assert_ne!(found, Some(right));
    assert_eq!(found, Some(vec![0., 0., 0., 0.25]));
    Ok(())
}

/// Ban: `candle_core::Tensor::max_pool2d_with_stride`
#[test]
#[expect(clippy::disallowed_methods, reason = "the trap itself")]
fn max_pool2d_with_stride_has_no_backward_for_overlapping_windows() -> Result<()> {
    let x = counting(&[1, 1, 7, 7])?;
    assert!(refusal(&x.max_pool2d_with_stride(3, 2)?)?.contains("backward not supported"));
    Ok(())
}

/// Ban: `candle_core::Tensor::avg_pool2d`
#[test]
#[expect(clippy::disallowed_methods, reason = "the trap itself")]
fn avg_pool2d_gives_a_gradient_to_what_no_window_covers() -> Result<()> {
    let x = counting(&[1, 1, 5, 5])?;
    let found = gradient(&x, &x.avg_pool2d(2)?)?;
    // The last row and the last column are in no window: 0 would be right.
    assert_eq!(found, Some(vec![0.25; 25]));
    Ok(())
}

/// Ban: `candle_core::Tensor::avg_pool2d_with_stride`
#[test]
#[expect(clippy::disallowed_methods, reason = "the trap itself")]
fn avg_pool2d_with_stride_has_no_backward_for_overlapping_windows() -> Result<()> {
    let x = counting(&[1, 1, 7, 7])?;
    assert!(refusal(&x.avg_pool2d_with_stride(3, 2)?)?.contains("backward not supported"));
    Ok(())
}

/// Ban: `candle_core::Tensor::interpolate2d`
#[test]
#[expect(clippy::disallowed_methods, reason = "the trap itself")]
fn interpolate2d_forgets_the_other_uses_of_its_input() -> Result<()> {
    let x = counting(&[1, 1, 2, 2])?;
    let up = |x: &Tensor| x.interpolate2d(4, 4)?.sum_all();
    // 4 from the enlarged map and 1 from the sum itself are 5.
    assert_eq!(lost_gradients(&x, up)?, [4.; 4]);
    Ok(())
}

/// Ban: `candle_core::Tensor::upsample_nearest2d`
#[test]
#[expect(clippy::disallowed_methods, reason = "the trap itself")]
fn upsample_nearest2d_forgets_the_other_uses_of_its_input() -> Result<()> {
    let x = counting(&[1, 1, 2, 2])?;
    let up = |x: &Tensor| x.upsample_nearest2d(4, 4)?.sum_all();
    // 4 from the enlarged map and 1 from the sum itself are 5.
    assert_eq!(lost_gradients(&x, up)?, [4.; 4]);
    Ok(())
}

/// Ban: `candle_core::Tensor::upsample_bilinear2d`
#[test]
#[expect(clippy::disallowed_methods, reason = "the trap itself")]
fn upsample_bilinear2d_has_no_backward() -> Result<()> {
    let x = counting(&[1, 1, 2, 2])?;
    assert!(refusal(&x.upsample_bilinear2d(4, 4, false)?)?.contains("backward not supported"));
    Ok(())
}

/// Ban: `candle_core::Tensor::upsample_bilinear2d_with_scale`
#[test]
#[expect(clippy::disallowed_methods, reason = "the trap itself")]
fn upsample_bilinear2d_with_scale_has_no_backward() -> Result<()> {
    let x = counting(&[1, 1, 2, 2])?;
    assert!(refusal(&x.upsample_bilinear2d_with_scale(2., 2., false)?)?.contains("backward not supported"));
    Ok(())
}

/// Ban: `candle_core::Tensor::scatter`
#[test]
#[expect(clippy::disallowed_methods, reason = "the trap itself")]
fn scatter_gives_a_gradient_to_what_was_overwritten() -> Result<()> {
    let x = counting(&[1, 3])?;
    let (indices, source) = (Tensor::new(&[[1u32]], &Device::Cpu)?, Tensor::new(&[[9f64]], &Device::Cpu)?);
    let found = gradient(&x, &x.scatter(&indices, &source, 1)?)?;
    assert_ne!(found, Some(vec![1., 0., 1.]));
    assert_eq!(found, Some(vec![1., 1., 1.]));
    Ok(())
}

/// Ban: `candle_core::Tensor::scatter_add`
#[test]
#[expect(clippy::disallowed_methods, reason = "the trap itself")]
fn scatter_add_gives_no_gradient_to_what_was_added_to() -> Result<()> {
    let x = counting(&[1, 3])?;
    let (indices, source) =
        (Tensor::new(&[[1u32, 1, 1]], &Device::Cpu)?, Tensor::new(&[[9f64, 9., 9.]], &Device::Cpu)?);
    let found = gradient(&x, &x.scatter_add(&indices, &source, 1)?)?;
    assert_ne!(found, Some(vec![1., 1., 1.]));
    assert_eq!(found, Some(vec![1., 0., 1.]));
    Ok(())
}

/// Ban: `candle_nn::ops::layer_norm`
#[test]
#[expect(clippy::disallowed_methods, reason = "the trap itself")]
fn layer_norm_cuts_the_graph() -> Result<()> {
    let x = Var::from_tensor(&counting(&[2, 3])?.to_dtype(DType::F32)?)?;
    let (weight, bias) = (Tensor::ones(3, DType::F32, &Device::Cpu)?, Tensor::zeros(3, DType::F32, &Device::Cpu)?);
    assert_eq!(gradient(&x, &candle_nn::ops::layer_norm(&x, &weight, &bias, 1e-5)?)?, None);
    Ok(())
}

/// Ban: `candle_nn::ops::rms_norm`
#[test]
#[expect(clippy::disallowed_methods, reason = "the trap itself")]
fn rms_norm_cuts_the_graph() -> Result<()> {
    let x = Var::from_tensor(&counting(&[2, 3])?.to_dtype(DType::F32)?)?;
    let weight = Tensor::ones(3, DType::F32, &Device::Cpu)?;
    assert_eq!(gradient(&x, &candle_nn::ops::rms_norm(&x, &weight, 1e-5)?)?, None);
    Ok(())
}

/// Ban: `candle_nn::ops::softmax_last_dim`
#[test]
#[expect(clippy::disallowed_methods, reason = "the trap itself")]
fn softmax_last_dim_cuts_the_graph() -> Result<()> {
    let x = counting(&[2, 3])?;
    assert_eq!(gradient(&x, &candle_nn::ops::softmax_last_dim(&x)?)?, None);
    Ok(())
}

/// Ban: `candle_nn::loss::binary_cross_entropy_with_logit`
#[test]
#[expect(clippy::disallowed_methods, reason = "the trap itself")]
fn binary_cross_entropy_with_logit_is_nan_for_a_large_logit() -> Result<()> {
    let (logit, target) = (Tensor::new(&[200f32], &Device::Cpu)?, Tensor::new(&[1f32], &Device::Cpu)?);
    // A certain and right answer costs nothing: 0 would be right.
    let loss = candle_nn::loss::binary_cross_entropy_with_logit(&logit, &target)?.to_scalar::<f32>()?;
    assert!(loss.is_nan(), "{loss}");
    Ok(())
}

/// Ban: `candle_core::Tensor::rand`
#[test]
#[expect(clippy::disallowed_methods, reason = "the trap itself")]
fn rand_ignores_the_seed() -> Result<()> {
    assert!(ignores_the_seed(|| Tensor::rand(0f32, 1., 8, &Device::Cpu))?);
    Ok(())
}

/// Ban: `candle_core::Tensor::rand_like`
#[test]
#[expect(clippy::disallowed_methods, reason = "the trap itself")]
fn rand_like_ignores_the_seed() -> Result<()> {
    let x = Tensor::zeros(8, DType::F32, &Device::Cpu)?;
    assert!(ignores_the_seed(|| x.rand_like(0., 1.))?);
    Ok(())
}

/// Ban: `candle_core::Tensor::randn`
#[test]
#[expect(clippy::disallowed_methods, reason = "the trap itself")]
fn randn_ignores_the_seed() -> Result<()> {
    assert!(ignores_the_seed(|| Tensor::randn(0f32, 1., 8, &Device::Cpu))?);
    Ok(())
}

/// Ban: `candle_core::Tensor::randn_like`
#[test]
#[expect(clippy::disallowed_methods, reason = "the trap itself")]
fn randn_like_ignores_the_seed() -> Result<()> {
    let x = Tensor::zeros(8, DType::F32, &Device::Cpu)?;
    assert!(ignores_the_seed(|| x.randn_like(0., 1.))?);
    Ok(())
}

/// Ban: `candle_core::Var::rand`
#[test]
#[expect(clippy::disallowed_methods, reason = "the trap itself")]
fn var_rand_ignores_the_seed() -> Result<()> {
    assert!(ignores_the_seed(|| Ok(Var::rand(0f32, 1., 8, &Device::Cpu)?.into_inner()))?);
    Ok(())
}

/// Ban: `candle_core::Var::randn`
#[test]
#[expect(clippy::disallowed_methods, reason = "the trap itself")]
fn var_randn_ignores_the_seed() -> Result<()> {
    assert!(ignores_the_seed(|| Ok(Var::randn(0f32, 1., 8, &Device::Cpu)?.into_inner()))?);
    Ok(())
}

/// Ban: `candle_nn::ops::dropout`
#[test]
#[expect(clippy::disallowed_methods, reason = "the trap itself")]
fn dropout_ignores_the_seed() -> Result<()> {
    let x = Tensor::ones(64, DType::F32, &Device::Cpu)?;
    assert!(ignores_the_seed(|| candle_nn::ops::dropout(&x, 0.5))?);
    Ok(())
}
