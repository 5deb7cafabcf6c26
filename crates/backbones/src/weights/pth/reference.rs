//! What a pickle refers to outside of itself: functions, classes, storages.

use super::{
    error::{PthError, Result},
    globals::{Global, Name, resolve},
    opcode::op,
    pickle::{Foreign, Id, Machine, NONE, Node, Storage, View},
};

/// More axes than PyTorch's tensors can have.
const TOO_MANY_AXES: usize = 65;

impl<'a> Machine<'a> {
    /// Instructions that refer to functions and classes, and that in Python would call them.
    pub(super) fn reference(&mut self, opcode: u8) -> Result<bool> {
        match opcode {
            op::GLOBAL => {
                let (module, name) = (self.cursor.line()?, self.cursor.line()?);
                self.global(module, name);
            }
            op::STACK_GLOBAL => {
                let names = self.pop_n(2)?;
                match (&self.nodes[names[0]], &self.nodes[names[1]]) {
                    (&Node::Text(module), &Node::Text(name)) => self.global(module, name),
                    _ => return self.fail("the name of a global is no text"),
                }
            }
            op::REDUCE | op::NEWOBJ => {
                let call = self.pop_n(2)?;
                self.call(call[0], call[1])?;
            }
            op::NEWOBJ_EX => {
                // Class, arguments, and arguments by name.
                let call = self.pop_n(3)?;
                self.call(call[0], call[1])?;
            }
            op::BUILD => {
                // Attributes, as `_metadata` of a state dict: no tensors of the model.
                self.pop()?;
                self.top()?;
            }
            op::BINPERSID => {
                let id = self.pop()?;
                let node = self.outside(id)?;
                self.push(node);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn global(&mut self, module: &'a str, name: &'a str) {
        let foreign = || Node::Foreign(Foreign::Global, Name { module, name });
        self.push(resolve(module, name).map_or_else(foreign, Node::Global));
    }

    /// What a function or class makes of a tuple of arguments: a value that is known here, or an object of which no more is
    /// known than a name. Nothing is called.
    fn call(&mut self, mut callable: Id, mut arguments: Id) -> Result<()> {
        const WHAT: &str = "it calls something that is no function, or without a tuple of arguments";
        let items = loop {
            let Node::Tuple(items) = &self.nodes[arguments] else { return self.fail(WHAT) };
            match (&self.nodes[callable], &items[..]) {
                // The function and the arguments that it would call with.
                (Node::Global(Global::RebuildFromType), &[function, _, inner, ..]) => {
                    (callable, arguments) = (function, inner);
                    self.copied(1)?;
                }
                _ => break items,
            }
        };
        let node = match (&self.nodes[callable], &items[..]) {
            (&Node::Foreign(_, name), items) => {
                let class = items.first().filter(|_| name.makes_its_argument()).map(|&class| &self.nodes[class]);
                Node::Object(if let Some(&Node::Foreign(_, class)) = class { class } else { name }, Vec::new())
            }
            // What a function that is not known would have given.
            (&Node::Object(name, _), _) => Node::Object(name, Vec::new()),
            (&Node::Global(global), items) => match (global, items) {
                (Global::OrderedDict, []) | (Global::DefaultDict, [] | [_]) => Node::Dict(Vec::new()),
                (Global::OrderedDict, &[items]) => Node::Dict(self.pairs(items)?),
                (Global::RebuildTensor, &[storage, offset, size, stride, ..]) => {
                    self.tensor(storage, None, (offset, size, stride))?
                }
                (Global::RebuildTyped, &[storage, offset, size, stride, _, _, dtype, ..]) => {
                    self.tensor(storage, Some(dtype), (offset, size, stride))?
                }
                (Global::RebuildParameter, &[tensor, ..]) if self.may_be_a_tensor(tensor) => {
                    self.stack.push(tensor);
                    return Ok(());
                }
                _ => return self.fail(format!("{global:?} does not take these {} arguments", items.len())),
            },
            _ => return self.fail(WHAT),
        };
        self.push(node);
        Ok(())
    }

    fn may_be_a_tensor(&self, id: Id) -> bool {
        matches!(self.nodes[id], Node::Tensor(_) | Node::Foreign(Foreign::Tensor, _) | Node::Object(..))
    }

    /// Counts items that are copied, or looked at again.
    fn copied(&mut self, n: usize) -> Result<()> {
        self.n_copied += n;
        if self.n_copied > self.cursor.at {
            return self.fail("it makes values of the same items over and over");
        }
        Ok(())
    }

    /// `[[key, value], …]`: how Python 2 writes an ordered dictionary.
    fn pairs(&mut self, items: Id) -> Result<Vec<(Id, Id)>> {
        let n = match &self.nodes[items] {
            Node::List(items) | Node::Tuple(items) => items.len(),
            _ => return self.fail("an ordered dictionary is made of something else than a list"),
        };
        self.copied(n)?;
        let (Node::List(items) | Node::Tuple(items)) = &self.nodes[items] else { return Ok(Vec::new()) };
        let pair = |&item: &Id| match &self.nodes[item] {
            Node::List(pair) | Node::Tuple(pair) if pair.len() == 2 => Ok((pair[0], pair[1])),
            _ => self.fail("an item of an ordered dictionary is no pair"),
        };
        items.iter().map(pair).collect()
    }

    /// A view of a storage, whose numbers `dtype` says the type of where the storage does not.
    fn tensor(&self, storage: Id, dtype: Option<Id>, (offset, size, stride): (Id, Id, Id)) -> Result<Node<'a>> {
        let storage = match self.nodes[storage] {
            Node::Storage(storage) => storage,
            Node::Foreign(_, name) | Node::Object(name, _) => return Ok(Node::Foreign(Foreign::Tensor, name)),
            _ => return self.fail("a tensor is made of something else than a storage"),
        };
        let element = match dtype.map(|dtype| &self.nodes[dtype]) {
            None => storage.element,
            Some(&Node::Global(Global::Type(element))) => element,
            Some(&Node::Foreign(_, name)) => return Ok(Node::Foreign(Foreign::Tensor, name)),
            Some(_) => return self.fail("the type of a tensor's numbers is none"),
        };
        let (size, stride) = (self.integers(size)?, self.integers(stride)?);
        Ok(Node::Tensor(View { storage, element, offset: self.integer(offset)?, size, stride }))
    }

    /// What a pickle refers to outside of itself: a storage, or something that is not known here.
    fn outside(&mut self, id: Id) -> Result<Node<'a>> {
        const UNKNOWN: Node<'static> = Node::Foreign(Foreign::Outside, Name { module: "", name: "" });
        let Node::Tuple(items) = &self.nodes[id] else { return Ok(UNKNOWN) };
        let &[kind, class, key, _, n_elements, ref rest @ ..] = &items[..] else { return Ok(UNKNOWN) };
        match (&self.nodes[kind], &self.nodes[class]) {
            (&Node::Text("storage"), &Node::Global(Global::Storage(_))) => {
                let part = rest.first().copied();
                Ok(Node::Storage(self.storage(class, key, n_elements, part)?))
            }
            (&Node::Text("storage"), &Node::Foreign(_, name)) => Ok(Node::Foreign(Foreign::Storage, name)),
            _ => Ok(UNKNOWN),
        }
    }

    /// Of `("storage", class, key, location, n_elements[, (key, offset, n_elements) of a part or None])`.
    fn storage(&mut self, class: Id, key: Id, n_elements: Id, part: Option<Id>) -> Result<Storage<'a>> {
        let (&Node::Global(Global::Storage(element)), &Node::Text(key)) = (&self.nodes[class], &self.nodes[key]) else {
            return self.fail("the key of a storage is no text");
        };
        let part = match part.map(|part| &self.nodes[part]) {
            Some(Node::Tuple(part)) if part.len() == 3 => Some((self.integer(part[1])?, self.integer(part[2])?)),
            None | Some(&NONE) => None,
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
