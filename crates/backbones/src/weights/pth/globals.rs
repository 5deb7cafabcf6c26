//! The few functions and classes that a pickle of tensors refers to, and names for all others.

use super::super::element::{Element, Float8};

/// What a name in a pickle stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `collections.defaultdict`, which is made by what gives its defaults, and filled like any other.
    DefaultDict,
    /// `torch._utils._rebuild_tensor(storage, offset, size, stride)`, and `_v2` with arguments for gradients behind these.
    RebuildTensor,
    /// `torch._utils._rebuild_tensor_v3`: as `_v2`, and the type of the numbers of a storage without one.
    RebuildTyped,
    /// `torch._utils._rebuild_parameter(tensor, …)`, and `torch.nn.Parameter(tensor, …)` as PyTorch 0.1 to 1.0 wrote it.
    RebuildParameter,
    /// `torch._tensor._rebuild_from_type_v2(function, class, arguments, attributes)`: a tensor that someone gave attributes.
    RebuildFromType,
    /// The class of a storage.
    Storage(Element),
    /// A type of numbers.
    Type(Element),
}

/// A name that a pickle refers to and that is none of those: never looked up, only told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name<'a> {
    pub(super) module: &'a str,
    pub(super) name: &'a str,
}

impl std::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}.{}`", self.module, self.name)
    }
}

impl Name<'_> {
    /// Whether it makes an object of the class that is its first argument.
    pub(super) fn makes_its_argument(&self) -> bool {
        matches!(
            (self.module, self.name),
            ("copyreg" | "copy_reg", "_reconstructor" | "__newobj__" | "__newobj_ex__")
                | ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct")
        )
    }
}

/// The global `module.name`, if it is one that tensors need.
pub(super) fn resolve(module: &str, name: &str) -> Option<Global> {
    let global = match (module, name) {
        ("collections", "OrderedDict") => Global::OrderedDict,
        ("collections", "defaultdict") => Global::DefaultDict,
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Global::RebuildTensor,
        ("torch._utils", "_rebuild_tensor_v3") => Global::RebuildTyped,
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Global::RebuildParameter,
        ("torch.nn.parameter", "Parameter") => Global::RebuildParameter,
        ("torch._tensor", "_rebuild_from_type_v2") => Global::RebuildFromType,
        ("torch.storage" | "torch", "UntypedStorage" | "_UntypedStorage") => Global::Storage(Element::Untyped),
        ("torch" | "torch.cuda", name) => match name.strip_suffix("Storage") {
            Some(kind) => Global::Storage(storage(kind)?),
            None => Global::Type(dtype(name)?),
        },
        _ => return None,
    };
    Some(global)
}

/// The elements of a `torch.{kind}Storage`.
fn storage(kind: &str) -> Option<Element> {
    Some(match kind {
        "Float" => Element::Float,
        "Double" => Element::Double,
        "Half" => Element::Half,
        "BFloat16" => Element::BFloat16,
        "Long" => Element::Long,
        "Int" => Element::Int,
        "Short" => Element::Short,
        "Char" => Element::Char,
        "Byte" => Element::Byte,
        "Bool" => Element::Bool,
        "ComplexFloat" => Element::Complex(8),
        "ComplexDouble" => Element::Complex(16),
        "QInt8" | "QUInt8" | "QUInt4x2" | "QUInt2x4" => Element::Quantised(1),
        "QInt32" => Element::Quantised(4),
        _ => return None,
    })
}

/// The type `torch.{name}`.
fn dtype(name: &str) -> Option<Element> {
    Some(match name {
        "float32" | "float" => Element::Float,
        "float64" | "double" => Element::Double,
        "float16" | "half" => Element::Half,
        "bfloat16" => Element::BFloat16,
        "int64" | "long" => Element::Long,
        "int32" | "int" => Element::Int,
        "int16" | "short" => Element::Short,
        "int8" => Element::Char,
        "uint8" => Element::Byte,
        "uint16" => Element::UnsignedShort,
        "uint32" => Element::UnsignedInt,
        "uint64" => Element::UnsignedLong,
        "bool" => Element::Bool,
        "complex32" | "chalf" => Element::Complex(4),
        "complex64" | "cfloat" => Element::Complex(8),
        "complex128" | "cdouble" => Element::Complex(16),
        "float8_e4m3fn" => Element::Float8(Float8::E4M3Fn),
        "float8_e4m3fnuz" => Element::Float8(Float8::E4M3FnUz),
        "float8_e5m2" => Element::Float8(Float8::E5M2),
        "float8_e5m2fnuz" => Element::Float8(Float8::E5M2FnUz),
        "float8_e8m0fnu" => Element::Float8(Float8::E8M0Fnu),
        _ => return None,
    })
}
