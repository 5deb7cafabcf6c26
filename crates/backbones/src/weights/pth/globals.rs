//! The few functions and classes that a pickle of tensors refers to.

use sconce_core::DType;

/// What a name in a pickle stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `torch._utils._rebuild_tensor(storage, offset, size, stride)`, and `_v2` with arguments for gradients behind these.
    RebuildTensor,
    /// `torch._utils._rebuild_parameter(tensor, …)`, and `torch.nn.Parameter(tensor, …)` as PyTorch 0.1 to 1.0 wrote it.
    RebuildParameter,
    /// The class of a storage.
    Storage(Element),
    /// Something without a tensor: a size, a device, a type, a number of NumPy's. What it makes is not looked into.
    Plain,
}

/// The type of a storage's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Float,
    Double,
    Half,
    BFloat16,
    Long,
    Int,
    Short,
    Char,
    Byte,
    Bool,
}

impl Element {
    /// Bytes of one.
    pub(super) fn size(self) -> usize {
        match self {
            Self::Char | Self::Byte | Self::Bool => 1,
            Self::Half | Self::BFloat16 | Self::Short => 2,
            Self::Float | Self::Int => 4,
            Self::Double | Self::Long => 8,
        }
    }

    /// The type of a tensor of them. Candle has no type of signed bytes: they are widened.
    pub(super) fn dtype(self) -> DType {
        match self {
            Self::Float => DType::F32,
            Self::Double => DType::F64,
            Self::Half => DType::F16,
            Self::BFloat16 => DType::BF16,
            Self::Long => DType::I64,
            Self::Int => DType::I32,
            Self::Short | Self::Char => DType::I16,
            Self::Byte | Self::Bool => DType::U8,
        }
    }
}

/// Types of PyTorch's that stand in a checkpoint as values.
const DTYPES: [&str; 21] = [
    "bfloat16",
    "bool",
    "complex128",
    "complex64",
    "double",
    "float",
    "float16",
    "float32",
    "float64",
    "half",
    "int",
    "int16",
    "int32",
    "int64",
    "int8",
    "long",
    "short",
    "uint16",
    "uint32",
    "uint64",
    "uint8",
];

/// The global `module.name`, if a pickle may refer to it.
pub(super) fn resolve(module: &str, name: &str) -> Option<Global> {
    let global = match (module, name) {
        ("collections", "OrderedDict") => Global::OrderedDict,
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Global::RebuildTensor,
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Global::RebuildParameter,
        ("torch.nn.parameter", "Parameter") => Global::RebuildParameter,
        // Milestones of a schedule; what protocol 2 makes of a set, of bytes and the like.
        ("collections", "Counter") => Global::Plain,
        ("builtins" | "__builtin__", "set" | "frozenset" | "bytearray" | "complex" | "bytes") => Global::Plain,
        ("torch", "Size" | "device") => Global::Plain,
        ("torch", name) if DTYPES.contains(&name) => Global::Plain,
        ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Global::Plain,
        // How Python 3 writes the bytes of such a number in protocol 2.
        ("numpy", "dtype") | ("_codecs", "encode") => Global::Plain,
        ("torch", name) => Global::Storage(match name.strip_suffix("Storage")? {
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
            _ => return None,
        }),
        _ => return None,
    };
    Some(global)
}
