//! Reading safetensors, by the same rule of types as `.pth`.

use std::{collections::BTreeMap, path::Path};

use safetensors::{Dtype, SafeTensors};
use sconce_core::{Error, Tensor};

use super::element::{Element, Float8};

/// The tensors of a file by name, and what the others are.
pub(super) struct Contents {
    pub(super) tensors: BTreeMap<String, Tensor>,
    pub(super) others: BTreeMap<String, String>,
}

/// Reads the `bytes` of a file, which `path` is the name of.
pub(super) fn read(bytes: &[u8], path: &Path) -> Result<Contents, Error> {
    let format = |e: safetensors::SafeTensorError| Error::Format {
        path: path.to_owned(),
        what: format!("cannot be read as safetensors: {e}"),
    };
    let mut contents = Contents { tensors: BTreeMap::new(), others: BTreeMap::new() };
    for (name, view) in SafeTensors::deserialize(bytes).map_err(format)?.iter() {
        let made = match element(view.dtype()) {
            Some(element) => element.tensor(view.data(), view.shape()),
            None => Err(format!("a tensor of {:?}, several of which share a byte, which are not read", view.dtype())),
        };
        match made {
            Ok(tensor) => drop(contents.tensors.insert(name.to_owned(), tensor)),
            Err(what) => drop(contents.others.insert(name.to_owned(), what)),
        }
    }
    Ok(contents)
}

/// None for types of less than a byte.
fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::BOOL => Element::Bool,
        Dtype::U8 => Element::Byte,
        Dtype::I8 => Element::Char,
        Dtype::F8_E5M2 => Element::Float8(Float8::E5M2),
        Dtype::F8_E4M3 => Element::Float8(Float8::E4M3Fn),
        Dtype::F8_E8M0 => Element::Float8(Float8::E8M0Fnu),
        Dtype::F8_E4M3FNUZ => Element::Float8(Float8::E4M3FnUz),
        Dtype::F8_E5M2FNUZ => Element::Float8(Float8::E5M2FnUz),
        Dtype::I16 => Element::Short,
        Dtype::U16 => Element::UnsignedShort,
        Dtype::F16 => Element::Half,
        Dtype::BF16 => Element::BFloat16,
        Dtype::I32 => Element::Int,
        Dtype::U32 => Element::UnsignedInt,
        Dtype::F32 => Element::Float,
        Dtype::C64 => Element::Complex(8),
        Dtype::F64 => Element::Double,
        Dtype::I64 => Element::Long,
        Dtype::U64 => Element::UnsignedLong,
        // Four and six bits, and whatever comes.
        _ => return None,
    })
}
