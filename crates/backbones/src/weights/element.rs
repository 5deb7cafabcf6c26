//! The types of numbers in files of weights, and what they become: one rule for all forms of files.

use sconce_core::{DType, Device, Tensor};

/// The type of the elements of a tensor in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Bool,
    Byte,
    Char,
    Short,
    UnsignedShort,
    Int,
    UnsignedInt,
    Long,
    UnsignedLong,
    Half,
    BFloat16,
    Float,
    Double,
    /// A float of eight bits.
    Float8(Float8),
    /// Two floats, a real and an imaginary part; bytes of both.
    Complex(usize),
    /// Integers that stand for others by a scale that lies elsewhere; bytes of one.
    Quantised(usize),
    /// Bytes, of which a tensor says what they are.
    Untyped,
}

/// The floats of eight bits, by the names of PyTorch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Float8 {
    E4M3Fn,
    E4M3FnUz,
    E5M2,
    E5M2FnUz,
    E8M0Fnu,
}

impl Element {
    /// Bytes of one in a file.
    pub(super) fn size(self) -> usize {
        match self {
            Self::Bool | Self::Byte | Self::Char | Self::Float8(_) | Self::Untyped => 1,
            Self::Short | Self::UnsignedShort | Self::Half | Self::BFloat16 => 2,
            Self::Int | Self::UnsignedInt | Self::Float => 4,
            Self::Long | Self::UnsignedLong | Self::Double => 8,
            Self::Complex(size) | Self::Quantised(size) => size,
        }
    }

    /// The type of a tensor of them, if they can be numbers of a tensor. Candle has no type of booleans, signed bytes, and
    /// unsigned integers of 16 and 64 bits, and cannot compute with floats of eight bits: they are widened.
    pub(super) fn dtype(self) -> Option<DType> {
        Some(match self {
            Self::Bool | Self::Byte => DType::U8,
            Self::Char | Self::Short => DType::I16,
            Self::UnsignedShort | Self::Int => DType::I32,
            Self::UnsignedInt => DType::U32,
            Self::Long | Self::UnsignedLong => DType::I64,
            Self::Half => DType::F16,
            Self::BFloat16 => DType::BF16,
            Self::Float | Self::Float8(_) => DType::F32,
            Self::Double => DType::F64,
            Self::Complex(_) | Self::Quantised(_) | Self::Untyped => return None,
        })
    }

    /// The tensor of shape `size` whose elements, little-endian, are `bytes`.
    ///
    /// # Errors
    /// Says what it is instead, if it is no tensor of numbers.
    pub(super) fn tensor(self, bytes: &[u8], size: &[usize]) -> Result<Tensor, String> {
        let Some(dtype) = self.dtype() else { return Err(format!("a tensor of {}, which are not read", self.words())) };
        let widened = match self {
            Self::Bool => bytes.iter().map(|&b| u8::from(b != 0)).collect(),
            Self::Char => widen(bytes, |[b]| i16::from(b.cast_signed()).to_le_bytes()),
            Self::UnsignedShort => widen(bytes, |b| i32::from(u16::from_le_bytes(b)).to_le_bytes()),
            Self::UnsignedLong => {
                // Those that fit have the same bytes.
                let (values, _) = bytes.as_chunks::<8>();
                if let Some(&most) = values.iter().find(|value| value[7] >= 0x80) {
                    let most = u64::from_le_bytes(most);
                    return Err(format!("a tensor with the integer {most}, which is beyond 63 bits"));
                }
                return make(bytes, dtype, size);
            }
            Self::Float8(kind) => widen(bytes, |[b]| kind.to_f32(b).to_le_bytes()),
            _ => return make(bytes, dtype, size),
        };
        make(&widened, dtype, size)
    }

    /// Such numbers, for whoever reads that they were not read.
    pub(super) fn words(self) -> String {
        match self {
            Self::Complex(size) => format!("complex numbers of {} bits", 8 * size),
            Self::Quantised(size) => format!("quantised integers of {} bits", 8 * size),
            Self::Untyped => "bytes without a type".to_owned(),
            known => format!("{known:?}"),
        }
    }
}

impl Float8 {
    /// Bits of the fraction, and what is subtracted from the exponent.
    fn layout(self) -> (u32, i32) {
        match self {
            Self::E4M3Fn => (3, 7),
            Self::E4M3FnUz => (3, 8),
            Self::E5M2 => (2, 15),
            Self::E5M2FnUz => (2, 16),
            Self::E8M0Fnu => (0, 127),
        }
    }

    /// The value of `bits`; every one is a number of single precision, too. (OCP 8-bit Floating Point Specification, 2023;
    /// Noune et al., 2022, for the kinds without a negative zero; OCP Microscaling Formats, 2023, for exponents alone.)
    fn to_f32(self, bits: u8) -> f32 {
        let (fraction_bits, bias) = self.layout();
        if self == Self::E8M0Fnu {
            return if bits == 0xff { f32::NAN } else { 2f64.powi(i32::from(bits) - bias) as f32 };
        }
        let (negative, rest) = (bits >= 0x80, bits & 0x7f);
        let (exponent, fraction) = (i32::from(rest >> fraction_bits), rest & ((1 << fraction_bits) - 1));
        let magnitude = match (self, rest) {
            (Self::E4M3Fn, 0x7f) => f64::NAN,
            (Self::E5M2, 0x7d..) => f64::NAN,
            (Self::E5M2, 0x7c) => f64::INFINITY,
            // What would be a negative zero is no number.
            (Self::E4M3FnUz | Self::E5M2FnUz, 0) if negative => f64::NAN,
            _ => {
                let one = f64::from(1u32 << fraction_bits);
                let (whole, exponent) = if exponent == 0 { (0.0, 1) } else { (one, exponent) };
                (whole + f64::from(fraction)) / one * 2f64.powi(exponent - bias)
            }
        };
        (if negative { -magnitude } else { magnitude }) as f32
    }
}

fn widen<const N: usize, const M: usize>(bytes: &[u8], f: impl Fn([u8; N]) -> [u8; M]) -> Vec<u8> {
    bytes.as_chunks::<N>().0.iter().flat_map(|&value| f(value)).collect()
}

fn make(bytes: &[u8], dtype: DType, size: &[usize]) -> Result<Tensor, String> {
    Tensor::from_raw_buffer(bytes, dtype, size, &Device::Cpu).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_of_eight_bits() {
        for (kind, cases) in [
            // Smallest, smallest normal, one, largest.
            (Float8::E4M3Fn, [(0x01, 2f32.powi(-9)), (0x08, 2f32.powi(-6)), (0x38, 1.0), (0x7e, 448.0)]),
            (Float8::E4M3FnUz, [(0x01, 2f32.powi(-10)), (0x08, 2f32.powi(-7)), (0x40, 1.0), (0x7f, 240.0)]),
            (Float8::E5M2, [(0x01, 2f32.powi(-16)), (0x04, 2f32.powi(-14)), (0x3c, 1.0), (0x7b, 57344.0)]),
            (Float8::E5M2FnUz, [(0x01, 2f32.powi(-17)), (0x04, 2f32.powi(-15)), (0x40, 1.0), (0x7f, 57344.0)]),
        ] {
            for (bits, value) in cases {
                assert_eq!((kind.to_f32(bits), kind.to_f32(bits | 0x80)), (value, -value), "{kind:?} {bits:#x}");
            }
            assert_eq!(kind.to_f32(0), 0.0);
        }
        assert_eq!([0u8, 1, 127, 254].map(|b| Float8::E8M0Fnu.to_f32(b)), [-127, -126, 0, 127].map(|e| 2f32.powi(e)));
        for (kind, bits) in [
            (Float8::E4M3Fn, 0x7f),
            (Float8::E4M3Fn, 0xff),
            (Float8::E4M3FnUz, 0x80),
            (Float8::E5M2, 0x7e),
            (Float8::E5M2FnUz, 0x80),
            (Float8::E8M0Fnu, 0xff),
        ] {
            assert!(kind.to_f32(bits).is_nan(), "{kind:?} {bits:#x}");
        }
        assert_eq!((Float8::E5M2.to_f32(0x7c), Float8::E5M2.to_f32(0xfc)), (f32::INFINITY, f32::NEG_INFINITY));
        // Half of an IEEE half is what one of these is.
        for bits in 0..=255u8 {
            let half = Element::Half.tensor(&[0, bits], &[1]).unwrap().to_dtype(DType::F32).unwrap();
            let half = half.to_vec1::<f32>().unwrap()[0];
            let ours = Float8::E5M2.to_f32(bits);
            assert!(ours == half || ours.is_nan() && half.is_nan(), "{bits:#x}: {ours} {half}");
        }
    }

    #[test]
    fn what_is_no_number_says_what_it_is() {
        let says = |element: Element, bytes: &[u8]| element.tensor(bytes, &[1]).unwrap_err();
        assert_eq!(says(Element::Complex(8), &[0; 8]), "a tensor of complex numbers of 64 bits, which are not read");
        assert_eq!(says(Element::Quantised(1), &[0]), "a tensor of quantised integers of 8 bits, which are not read");
        let most = says(Element::UnsignedLong, &u64::MAX.to_le_bytes());
        assert_eq!(most, "a tensor with the integer 18446744073709551615, which is beyond 63 bits");
        assert_eq!(Element::UnsignedLong.tensor(&7u64.to_le_bytes(), &[1]).unwrap().to_vec1::<i64>().unwrap(), [7]);
    }
}
