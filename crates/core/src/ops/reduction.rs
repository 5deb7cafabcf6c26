//! How losses become one number.

/// How the losses of single samples or elements become one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// They stay apart.
    None,
    /// Their mean, weighted where the classes are.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}
