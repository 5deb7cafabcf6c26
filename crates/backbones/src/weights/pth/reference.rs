//! What a pickle refers to outside of itself: functions, classes, storages.

use super::{
    error::{PthError, Result},
    globals::{Global, resolve},
    opcode::op,
    pickle::{Id, Machine, Node, Storage, View},
};

/// More axes than PyTorch's tensors can have.
const TOO_MANY_AXES: usize = 65;

impl<'a> Machine<'a> {
    /// Instructions that refer to functions and classes, and that in Python would call them.
    pub(super) fn reference(&mut self, opcode: u8) -> Result<bool> {
        match opcode {
            op::GLOBAL => {
                let (module, name) = (self.cursor.line()?, self.cursor.line()?);
                self.global(module, name)?;
            }
            op::STACK_GLOBAL => {
                let names = self.pop_n(2)?;
                match (&self.nodes[names[0]], &self.nodes[names[1]]) {
                    (&Node::Text(module), &Node::Text(name)) => self.global(module, name)?,
                    _ => return self.fail("the name of a global is no text"),
                }
            }
            op::REDUCE | op::NEWOBJ => {
                let call = self.pop_n(2)?;
                self.call(call[0], call[1])?;
            }
            op::BUILD => {
                // Attributes, as `_metadata` of a state dict: no tensors of the model.
                self.pop()?;
                self.top()?;
            }
            op::BINPERSID => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.push(Node::Storage(storage));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn global(&mut self, module: &str, name: &str) -> Result<()> {
        match resolve(module, name) {
            Some(global) => {
                self.push(Node::Global(global));
                Ok(())
            }
            None => Err(PthError::Global { name: format!("{module}.{name}") }),
        }
    }

    fn call(&mut self, callable: Id, arguments: Id) -> Result<()> {
        let (&Node::Global(global), Node::Tuple(arguments)) = (&self.nodes[callable], &self.nodes[arguments]) else {
            return self.fail("it calls something that is no function, or without a tuple of arguments");
        };
        let node = match (global, &arguments[..]) {
            (Global::OrderedDict, []) => Node::Dict(Vec::new()),
            (Global::OrderedDict, &[items]) => Node::Dict(self.pairs(items)?),
            (Global::RebuildTensor, &[storage, offset, size, stride, ..]) => {
                Node::Tensor(self.view(storage, offset, size, stride)?)
            }
            (Global::RebuildParameter, &[tensor, ..]) if matches!(self.nodes[tensor], Node::Tensor(_)) => {
                self.stack.push(tensor);
                return Ok(());
            }
            (Global::Plain, _) => Node::Opaque,
            _ => return self.fail(format!("{global:?} does not take these {} arguments", arguments.len())),
        };
        self.push(node);
        Ok(())
    }

    /// `[[key, value], …]`: how Python 2 writes an ordered dictionary.
    fn pairs(&mut self, items: Id) -> Result<Vec<(Id, Id)>> {
        let (Node::List(items) | Node::Tuple(items)) = &self.nodes[items] else {
            return self.fail("an ordered dictionary is made of something else than a list");
        };
        self.n_copied += items.len();
        if self.n_copied > self.cursor.at {
            return self.fail("it makes ordered dictionaries of the same items over and over");
        }
        let pair = |&item: &Id| match &self.nodes[item] {
            Node::List(pair) | Node::Tuple(pair) if pair.len() == 2 => Ok((pair[0], pair[1])),
            _ => self.fail("an item of an ordered dictionary is no pair"),
        };
        items.iter().map(pair).collect()
    }

    fn view(&self, storage: Id, offset: Id, size: Id, stride: Id) -> Result<View<'a>> {
        let &Node::Storage(storage) = &self.nodes[storage] else {
            return self.fail("a tensor is made of something else than a storage");
        };
        let (size, stride) = (self.integers(size)?, self.integers(stride)?);
        Ok(View { storage, offset: self.integer(offset)?, size, stride })
    }

    /// `("storage", class, key, location, n_elements[, (key, offset, n_elements) of a part or None])`.
    fn storage(&mut self, id: Id) -> Result<Storage<'a>> {
        const WHAT: &str = "it refers to something outside that is no storage";
        let Node::Tuple(items) = &self.nodes[id] else { return self.fail(WHAT) };
        let &[kind, class, key, _, n_elements, ref rest @ ..] = &items[..] else { return self.fail(WHAT) };
        let (&Node::Text("storage"), &Node::Global(Global::Storage(element)), &Node::Text(key)) =
            (&self.nodes[kind], &self.nodes[class], &self.nodes[key])
        else {
            return self.fail(WHAT);
        };
        let part = match rest.first().map(|&part| &self.nodes[part]) {
            Some(Node::Tuple(part)) if part.len() == 3 => Some((self.integer(part[1])?, self.integer(part[2])?)),
            None | Some(Node::Opaque) => None,
            Some(_) => return self.fail("the part of a storage is not given by three values"),
        };
        let whole = Storage { key, element, n_elements: self.integer(n_elements)?, part: None };
        let first = *self.storages.entry(key).or_insert(whole);
        if first != whole {
            let what = format!(
                "it has {} of {:?} at one place and {} of {:?} at another",
                first.n_elements, first.element, whole.n_elements, whole.element
            );
            return Err(PthError::Storage { key: key.to_owned(), what });
        }
        Ok(Storage { part, ..whole })
    }

    fn integer(&self, id: Id) -> Result<i64> {
        match self.nodes[id] {
            Node::Int(value) => Ok(value),
            _ => self.fail("an integer of 64 bits was expected"),
        }
    }

    fn integers(&self, id: Id) -> Result<Vec<i64>> {
        match &self.nodes[id] {
            Node::Tuple(items) | Node::List(items) if items.len() < TOO_MANY_AXES => {
                items.iter().map(|&item| self.integer(item)).collect()
            }
            _ => self.fail("a tuple of at most 64 integers was expected"),
        }
    }
}
