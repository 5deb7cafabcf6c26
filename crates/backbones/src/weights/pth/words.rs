//! What stands in a pickle, in words: for what is passed over, and for files that hold no tensors.

use std::{borrow::Cow, collections::BTreeSet};

use super::{
    globals::{Global, Name},
    pickle::{Foreign, Id, Node, Pickle},
};

/// Values that are looked through for the names of classes in one that is passed over.
const LOOKED_THROUGH: usize = 64;

/// Names that are told of it.
const TOLD: usize = 3;

pub(super) struct Words<'p, 'a> {
    pickle: &'p Pickle<'a>,
}

impl<'p, 'a> Words<'p, 'a> {
    pub(super) fn new(pickle: &'p Pickle<'a>) -> Self {
        Self { pickle }
    }

    /// A key of a dictionary as a part of a name.
    pub(super) fn key(&self, id: Id) -> Cow<'p, str> {
        match &self.pickle.nodes[id] {
            Node::Text(text) => Cow::Borrowed(text),
            Node::Int(number) => Cow::Owned(number.to_string()),
            Node::Foreign(_, Name { module, name }) | Node::Object(Name { module, name }, _) => {
                Cow::Owned(format!("{module}.{name}"))
            }
            _ => Cow::Borrowed("?"),
        }
    }

    /// A value, with the names of classes that are not known here.
    pub(super) fn of(&self, id: Id) -> String {
        let what = match &self.pickle.nodes[id] {
            Node::Int(_) | Node::Long(_) | Node::Bool(_) => "a number".to_owned(),
            Node::Text(_) => "text".to_owned(),
            Node::Tuple(_) => "a tuple".to_owned(),
            Node::List(_) => "a list".to_owned(),
            Node::Dict(_) => "a dictionary".to_owned(),
            Node::Global(Global::Type(element)) => format!("the type {element:?}"),
            Node::Global(global) => format!("{global:?} itself"),
            Node::Storage(_) => "a storage".to_owned(),
            Node::Tensor(_) => "a tensor".to_owned(),
            Node::Plain(what) => (*what).to_owned(),
            Node::Foreign(Foreign::Global, name) => name.to_string(),
            Node::Foreign(Foreign::Storage, name) => format!("a storage of {name}"),
            Node::Foreign(Foreign::Tensor, name) => format!("a tensor of {name}, which is not read"),
            Node::Foreign(Foreign::Outside, _) => "something outside of the file".to_owned(),
            Node::Object(name, _) => format!("an object of {name}"),
        };
        let within = self.names_within(id);
        if within.is_empty() { what } else { format!("{what}, with {}", within.join(", ")) }
    }

    /// Some of the names that are not known within a container.
    fn names_within(&self, id: Id) -> Vec<String> {
        let (mut found, mut next, mut at) = (BTreeSet::new(), vec![id], 0);
        while let Some(&id) = next.get(at) {
            at += 1;
            let room = LOOKED_THROUGH.saturating_sub(next.len());
            match &self.pickle.nodes[id] {
                Node::Tuple(items) | Node::List(items) => next.extend(items.iter().take(room)),
                Node::Dict(items) | Node::Object(_, items) => {
                    next.extend(items.iter().flat_map(|&(key, value)| [key, value]).take(room));
                }
                _ => {}
            }
            if let (Node::Foreign(_, name) | Node::Object(name, _), true) = (&self.pickle.nodes[id], at > 1)
                && !name.name.is_empty()
            {
                found.insert(name.to_string());
            }
        }
        found.into_iter().take(TOLD).collect()
    }

    /// What is at the top of a pickle without tensors in dictionaries, where `others` are what was found there.
    pub(super) fn top<'s>(&self, others: impl Iterator<Item = (&'s String, &'s String)>) -> String {
        let items = match self.pickle.root() {
            Node::Dict(items) | Node::Object(_, items) => items,
            Node::List(_) => return "a list; only dictionaries are looked into".to_owned(),
            Node::Tuple(_) => return "a tuple; only dictionaries are looked into".to_owned(),
            _ => return format!("something else than a dictionary: {}", self.of(self.pickle.root)),
        };
        let keys: Vec<Cow<'_, str>> = items.iter().take(5).map(|&(key, _)| self.key(key)).collect();
        let unknown = others.filter(|(_, what)| what.contains('`')).take(TOLD);
        let unknown: Vec<String> = unknown.map(|(name, what)| format!("; `{name}` is {what}")).collect();
        format!("a dictionary with {} keys ({}){}", items.len(), keys.join(", "), unknown.concat())
    }
}
