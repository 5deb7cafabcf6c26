//! A reader of pickles, protocol 2 to 5, that knows what tensors need and no more.
//!
//! It is a stack machine over values in an arena: every instruction makes at most one value and moves those on the stack, so
//! that time and memory are bounded by the length of the pickle. A value that stands in several places is there once.

use std::collections::BTreeMap;

use super::{
    super::element::Element,
    error::{PthError, Result},
    globals::{Global, Name},
    opcode::{Cursor, op},
};

/// A place in [`Pickle::nodes`].
pub(super) type Id = usize;

/// A value of a pickle; strings and numbers too long for 64 bits stay where they are.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node<'a> {
    Int(i64),
    /// More than 64 bits, little-endian.
    Long(&'a [u8]),
    Bool(bool),
    Text(&'a str),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// In the order of insertion.
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Storage<'a>),
    Tensor(View<'a>),
    /// A value that cannot hold a tensor, and what it is.
    Plain(&'static str),
    /// Something that is not known here, by its name alone.
    Foreign(Foreign, Name<'a>),
    /// What a class or function that is not known here would make, and the items that were set, as in a dictionary.
    Object(Name<'a>, Vec<(Id, Id)>),
}

/// What is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// A class or function.
    Global,
    /// A storage, or a type of numbers that a storage is said to have.
    Storage,
    /// A tensor over such a storage.
    Tensor,
    /// A reference out of the pickle that is none to a storage.
    Outside,
}

/// Python's `None`.
pub(super) const NONE: Node<'static> = Node::Plain("nothing");

/// Where a tensor's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Storage<'a> {
    pub(super) key: &'a str,
    pub(super) element: Element,
    /// Elements of the whole storage.
    pub(super) n_elements: i64,
    /// Offset and number of those elements that tensors count from; all, if nothing is said.
    pub(super) part: Option<(i64, i64)>,
}

/// A tensor as a view of a storage: as the file says, which may be anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View<'a> {
    pub(super) storage: Storage<'a>,
    /// The storage's own, unless that is bytes.
    pub(super) element: Element,
    pub(super) offset: i64,
    pub(super) size: Vec<i64>,
    pub(super) stride: Vec<i64>,
}

/// A pickle that was read to its end.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) root: Id,
    /// The storages that tensors refer to, by key.
    pub(super) storages: BTreeMap<&'a str, Storage<'a>>,
    /// Bytes that it took.
    pub(super) n_bytes: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle that `bytes` begin with.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut machine = Machine { cursor: Cursor::new(bytes), ..Machine::default() };
        let root = machine.run()?;
        let Machine { cursor, nodes, storages, .. } = machine;
        Ok(Self { nodes, root, storages, n_bytes: cursor.at })
    }

    pub(super) fn root(&self) -> &Node<'a> {
        &self.nodes[self.root]
    }
}

/// The stack machine; what it does with names of functions is in `reference.rs`.
#[derive(Default)]
pub(super) struct Machine<'a> {
    pub(super) cursor: Cursor<'a>,
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) stack: Vec<Id>,
    /// The lengths of the stack at the marks that are open.
    marks: Vec<usize>,
    /// By number: a pickle may number as it likes, so this is no list.
    memo: BTreeMap<usize, Id>,
    pub(super) storages: BTreeMap<&'a str, Storage<'a>>,
    /// Items that were copied from one value to another, which a pickle can ask for again and again.
    pub(super) n_copied: usize,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Id> {
        loop {
            let at = self.cursor.at;
            let opcode = self.cursor.u8()?;
            if opcode == op::STOP {
                let root = self.pop()?;
                return if self.stack.is_empty() { Ok(root) } else { self.fail("it ends with values left over") };
            }
            let known =
                self.scalar(opcode)? || self.container(opcode)? || self.memo(opcode)? || self.reference(opcode)?;
            if !known {
                return Err(PthError::Opcode { at, opcode });
            }
        }
    }

    /// Instructions that bring a value along.
    fn scalar(&mut self, opcode: u8) -> Result<bool> {
        let node = match opcode {
            op::PROTO => return self.protocol(),
            // What follows is in one piece; there is nothing to prepare for.
            op::FRAME => return self.cursor.u64().map(|_| true),
            op::NONE => NONE,
            op::NEWTRUE => Node::Bool(true),
            op::NEWFALSE => Node::Bool(false),
            op::BININT => Node::Int(self.cursor.i32()?.into()),
            op::BININT1 => Node::Int(self.cursor.u8()?.into()),
            op::BININT2 => Node::Int(self.cursor.u16()?.into()),
            op::LONG1 => {
                let n = self.cursor.u8()?.into();
                long(self.cursor.take(n)?)
            }
            op::LONG4 => long(self.cursor.counted_u32()?),
            op::BINFLOAT => {
                self.cursor.take(8)?;
                Node::Plain("a number")
            }
            op::BINUNICODE | op::BINSTRING => text(self.cursor.counted_u32()?),
            op::SHORT_BINUNICODE | op::SHORT_BINSTRING => text(self.cursor.counted_u8()?),
            op::BINUNICODE8 => text(self.cursor.counted_u64()?),
            op::BINBYTES => plain(self.cursor.counted_u32()?),
            op::SHORT_BINBYTES => plain(self.cursor.counted_u8()?),
            op::BINBYTES8 | op::BYTEARRAY8 => plain(self.cursor.counted_u64()?),
            _ => return Ok(false),
        };
        self.push(node);
        Ok(true)
    }

    /// Instructions that make or fill tuples, lists, dictionaries and sets.
    fn container(&mut self, opcode: u8) -> Result<bool> {
        match opcode {
            op::MARK => self.marks.push(self.stack.len()),
            op::EMPTY_TUPLE => self.push(Node::Tuple(Vec::new())),
            op::EMPTY_LIST => self.push(Node::List(Vec::new())),
            op::EMPTY_DICT => self.push(Node::Dict(Vec::new())),
            op::EMPTY_SET => self.push(Node::Plain("a set")),
            op::TUPLE1 | op::TUPLE2 | op::TUPLE3 => {
                let n = usize::from(opcode - op::TUPLE1) + 1;
                let items = self.pop_n(n)?;
                self.push(Node::Tuple(items));
            }
            op::TUPLE => {
                let items = self.pop_mark()?;
                self.push(Node::Tuple(items));
            }
            op::FROZENSET => {
                self.pop_mark()?;
                self.push(Node::Plain("a set"));
            }
            op::APPEND => {
                let items = self.pop_n(1)?;
                self.append(items)?;
            }
            op::APPENDS => {
                let items = self.pop_mark()?;
                self.append(items)?;
            }
            op::ADDITEMS => {
                self.pop_mark()?;
            }
            op::SETITEM => {
                let items = self.pop_n(2)?;
                self.set(&items)?;
            }
            op::SETITEMS => {
                let items = self.pop_mark()?;
                self.set(&items)?;
            }
            op::POP => {
                // Python's pops a mark, too.
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            op::POP_MARK => {
                self.pop_mark()?;
            }
            op::DUP => {
                let top = self.top()?;
                self.stack.push(top);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Instructions that remember a value or bring it back.
    fn memo(&mut self, opcode: u8) -> Result<bool> {
        match opcode {
            op::BINPUT | op::LONG_BINPUT | op::MEMOIZE => {
                let key = match opcode {
                    op::BINPUT => self.cursor.u8()?.into(),
                    op::LONG_BINPUT => self.cursor.u32()? as usize,
                    _ => self.memo.len(),
                };
                let top = self.top()?;
                self.memo.insert(key, top);
            }
            op::BINGET | op::LONG_BINGET => {
                let key = if opcode == op::BINGET { self.cursor.u8()?.into() } else { self.cursor.u32()? as usize };
                match self.memo.get(&key) {
                    Some(&id) => self.stack.push(id),
                    None => return self.fail(format!("it fetches value {key}, which it never put away")),
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn protocol(&mut self) -> Result<bool> {
        match self.cursor.u8()? {
            2..=5 => Ok(true),
            other => self.fail(format!("it has protocol {other}, expected 2 to 5")),
        }
    }

    fn append(&mut self, items: Vec<Id>) -> Result<()> {
        let top = self.top()?;
        match &mut self.nodes[top] {
            Node::List(list) => list.extend(items),
            Node::Plain(_) | Node::Object(..) => {}
            _ => return self.fail("it appends to something that is no list"),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<()> {
        let top = self.top()?;
        let (pairs, []) = items.as_chunks::<2>() else { return self.fail("a key has no value") };
        match &mut self.nodes[top] {
            Node::Dict(dict) | Node::Object(_, dict) => dict.extend(pairs.iter().map(|&[key, value]| (key, value))),
            Node::Plain(_) => {}
            _ => return self.fail("it sets an item of something that is no dictionary"),
        }
        Ok(())
    }

    pub(super) fn push(&mut self, node: Node<'a>) {
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
    }

    /// Where the values end that may be taken: those below an open mark are not.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    pub(super) fn top(&self) -> Result<Id> {
        match self.stack.last() {
            Some(&top) if self.stack.len() > self.floor() => Ok(top),
            _ => self.fail("it takes a value that is not there"),
        }
    }

    pub(super) fn pop(&mut self) -> Result<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    pub(super) fn pop_n(&mut self, n: usize) -> Result<Vec<Id>> {
        match self.stack.len().checked_sub(n) {
            Some(start) if start >= self.floor() => Ok(self.stack.split_off(start)),
            _ => self.fail("it takes a value that is not there"),
        }
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark)),
            None => self.fail("it goes back to a mark that is not there"),
        }
    }

    pub(super) fn fail<T>(&self, what: impl Into<String>) -> Result<T> {
        Err(PthError::Malformed { at: self.cursor.at, what: what.into() })
    }
}

/// An integer in two's complement, little-endian, of any length.
fn long(bytes: &[u8]) -> Node<'_> {
    let negative = bytes.last().is_some_and(|&b| b >= 0x80);
    let mut value = [if negative { 0xff } else { 0 }; 8];
    match value.get_mut(..bytes.len()) {
        Some(low) => {
            low.copy_from_slice(bytes);
            Node::Int(i64::from_le_bytes(value))
        }
        None => Node::Long(bytes),
    }
}

/// Text; bytes of Python 2 that are none cannot be a name.
fn text(bytes: &[u8]) -> Node<'_> {
    std::str::from_utf8(bytes).map_or(Node::Plain("bytes"), Node::Text)
}

fn plain(_: &[u8]) -> Node<'_> {
    Node::Plain("bytes")
}
