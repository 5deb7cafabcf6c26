//! The instructions of a pickle, and a cursor over its bytes.

use super::error::{PthError, Result};

/// Instructions by the names of Python's `pickletools`.
pub(super) mod op {
    pub(in super::super) const MARK: u8 = b'(';
    pub(in super::super) const STOP: u8 = b'.';
    pub(in super::super) const POP: u8 = b'0';
    pub(in super::super) const POP_MARK: u8 = b'1';
    pub(in super::super) const DUP: u8 = b'2';
    pub(in super::super) const BINBYTES: u8 = b'B';
    pub(in super::super) const SHORT_BINBYTES: u8 = b'C';
    pub(in super::super) const BINFLOAT: u8 = b'G';
    pub(in super::super) const BININT: u8 = b'J';
    pub(in super::super) const BININT1: u8 = b'K';
    pub(in super::super) const BININT2: u8 = b'M';
    pub(in super::super) const NONE: u8 = b'N';
    pub(in super::super) const BINPERSID: u8 = b'Q';
    pub(in super::super) const REDUCE: u8 = b'R';
    pub(in super::super) const BINSTRING: u8 = b'T';
    pub(in super::super) const SHORT_BINSTRING: u8 = b'U';
    pub(in super::super) const BINUNICODE: u8 = b'X';
    pub(in super::super) const EMPTY_LIST: u8 = b']';
    pub(in super::super) const APPEND: u8 = b'a';
    pub(in super::super) const BUILD: u8 = b'b';
    pub(in super::super) const GLOBAL: u8 = b'c';
    pub(in super::super) const APPENDS: u8 = b'e';
    pub(in super::super) const BINGET: u8 = b'h';
    pub(in super::super) const LONG_BINGET: u8 = b'j';
    pub(in super::super) const BINPUT: u8 = b'q';
    pub(in super::super) const LONG_BINPUT: u8 = b'r';
    pub(in super::super) const SETITEM: u8 = b's';
    pub(in super::super) const TUPLE: u8 = b't';
    pub(in super::super) const SETITEMS: u8 = b'u';
    pub(in super::super) const EMPTY_DICT: u8 = b'}';
    pub(in super::super) const EMPTY_TUPLE: u8 = b')';
    pub(in super::super) const PROTO: u8 = 0x80;
    pub(in super::super) const NEWOBJ: u8 = 0x81;
    pub(in super::super) const TUPLE1: u8 = 0x85;
    pub(in super::super) const TUPLE2: u8 = 0x86;
    pub(in super::super) const TUPLE3: u8 = 0x87;
    pub(in super::super) const NEWTRUE: u8 = 0x88;
    pub(in super::super) const NEWFALSE: u8 = 0x89;
    pub(in super::super) const LONG1: u8 = 0x8a;
    pub(in super::super) const LONG4: u8 = 0x8b;
    pub(in super::super) const SHORT_BINUNICODE: u8 = 0x8c;
    pub(in super::super) const BINUNICODE8: u8 = 0x8d;
    pub(in super::super) const BINBYTES8: u8 = 0x8e;
    pub(in super::super) const EMPTY_SET: u8 = 0x8f;
    pub(in super::super) const ADDITEMS: u8 = 0x90;
    pub(in super::super) const FROZENSET: u8 = 0x91;
    pub(in super::super) const NEWOBJ_EX: u8 = 0x92;
    pub(in super::super) const STACK_GLOBAL: u8 = 0x93;
    pub(in super::super) const MEMOIZE: u8 = 0x94;
    pub(in super::super) const FRAME: u8 = 0x95;
    pub(in super::super) const BYTEARRAY8: u8 = 0x96;
}

/// A place in bytes, which only moves forward and never behind their end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some((taken, _)) = rest.split_at_checked(n) else {
            return Err(PthError::Truncated { at: self.bytes.len() });
        };
        self.at += n;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.take(N)?;
        <[u8; N]>::try_from(taken).map_err(|_| PthError::Truncated { at: self.at })
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(|[b]| b)
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// As many bytes as the byte before them says.
    pub(super) fn counted_u8(&mut self) -> Result<&'a [u8]> {
        let n = self.u8()?.into();
        self.take(n)
    }

    /// As many bytes as the four before them say.
    pub(super) fn counted_u32(&mut self) -> Result<&'a [u8]> {
        let n = self.u32()? as usize;
        self.take(n)
    }

    /// As many bytes as the eight before them say.
    pub(super) fn counted_u64(&mut self) -> Result<&'a [u8]> {
        let n = usize::try_from(self.u64()?).unwrap_or(usize::MAX);
        self.take(n)
    }

    /// Text up to the end of a line, without it.
    pub(super) fn line(&mut self) -> Result<&'a str> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(n) = rest.iter().position(|&b| b == b'\n') else {
            return Err(PthError::Truncated { at: self.bytes.len() });
        };
        let line = self.take(n)?;
        self.at += 1;
        std::str::from_utf8(line).map_err(|_| PthError::Malformed { at: self.at, what: "a name is no text".to_owned() })
    }
}
