//! From nested dictionaries to dotted names.

use std::collections::BTreeMap;

use super::{
    super::PassedOver,
    Extent,
    error::{PthError, Result},
    pickle::{Foreign, Id, Node, Pickle, View},
    words::Words,
};

/// The usual keys of a state dict within a checkpoint, the most telling one first.
const WRAPPERS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// Dictionaries within dictionaries; a state dict in an optimiser's in a checkpoint has five.
const DEEPEST: usize = 32;

/// What the dictionaries of a pickle hold.
pub(super) struct Found<'p, 'a> {
    /// Tensors by dotted name.
    pub(super) views: BTreeMap<String, &'p View<'a>>,
    /// What stands between them and is no tensor, by dotted name.
    pub(super) others: BTreeMap<String, String>,
    /// What stands beside the state dict.
    pub(super) beside: Vec<PassedOver>,
}

/// The tensors in the pickle's dictionaries, each by its dotted name, and what was passed over.
///
/// Values that stand in several places are visited in each, so that the work is bounded by the length of the pickle.
pub(super) fn find<'p, 'a>(pickle: &'p Pickle<'a>, extent: Extent) -> Result<Found<'p, 'a>> {
    let budget = pickle.n_bytes.saturating_mul(4).saturating_add(4096);
    let found = Found { views: BTreeMap::new(), others: BTreeMap::new(), beside: Vec::new() };
    let mut walk =
        Walk { words: Words::new(pickle), pickle, budget, room: pickle.n_bytes.saturating_add(4096), unsaid: 0, found };
    let root = match extent {
        Extent::StateDict => walk.unwrap(pickle.root),
        Extent::Everything => pickle.root,
    };
    walk.visit(root, String::new(), 0)?;
    let Walk { words, unsaid, mut found, .. } = walk;
    if found.views.is_empty() {
        // What would make the whole is what is missing, not something beside it.
        return Err(match pickle.root() {
            Node::Foreign(_, name) | Node::Object(name, _) if !name.name.is_empty() && found.others.is_empty() => {
                PthError::Global { name: format!("{}.{}", name.module, name.name) }
            }
            _ => PthError::NoTensors { found: words.top(found.others.iter()) },
        });
    }
    if unsaid > 0 {
        found.beside.push(PassedOver { name: "…".to_owned(), what: format!("{unsaid} more values") });
    }
    Ok(found)
}

struct Walk<'p, 'a> {
    words: Words<'p, 'a>,
    pickle: &'p Pickle<'a>,
    /// Values that may still be visited, and bytes of names that may still be made.
    budget: usize,
    /// Bytes of names that may still be told of what is passed over.
    room: usize,
    /// Values that were passed over without a word, for there were too many.
    unsaid: usize,
    found: Found<'p, 'a>,
}

impl<'p, 'a> Walk<'p, 'a> {
    /// The state dict in its usual wrappers, or the outermost value.
    fn unwrap(&mut self, root: Id) -> Id {
        let (mut id, mut path) = (root, String::new());
        for _ in 0..DEEPEST {
            let Some(items) = self.items(id) else { break };
            // The first one of that name, or a file of many would be looked through again and again.
            let inner = WRAPPERS.iter().find_map(|wrapper| {
                let called_so = |item: &(Id, Id)| self.pickle.nodes[item.0] == Node::Text(wrapper);
                items.iter().position(called_so).filter(|&at| self.may_hold_tensors(items[at].1))
            });
            let Some(at) = inner else { break };
            for (i, &(key, value)) in items.iter().enumerate() {
                if i != at {
                    let key = self.words.key(key);
                    if let Some(name) = self.name(&path, &key) {
                        self.found.beside.push(PassedOver { name, what: self.words.of(value) });
                    }
                }
            }
            path = join(&path, &self.words.key(items[at].0));
            id = items[at].1;
        }
        id
    }

    /// The items of a dictionary, or of what is filled like one.
    fn items(&self, id: Id) -> Option<&'p [(Id, Id)]> {
        match &self.pickle.nodes[id] {
            Node::Dict(items) => Some(items),
            Node::Object(_, items) if !items.is_empty() => Some(items),
            _ => None,
        }
    }

    /// Whether a value is a dictionary of more than numbers and text: a `model` may be the settings of one, too.
    fn may_hold_tensors(&self, id: Id) -> bool {
        let Some(items) = self.items(id) else { return false };
        items.iter().any(|&(_, value)| {
            matches!(self.pickle.nodes[value], Node::Tensor(_) | Node::Foreign(Foreign::Tensor, _))
                || self.items(value).is_some()
        })
    }

    fn visit(&mut self, id: Id, name: String, depth: usize) -> Result<()> {
        if let Node::Tensor(view) = &self.pickle.nodes[id] {
            self.spend(name.len())?;
            // A tensor alone has no name to load it by.
            let name = if name.is_empty() { "tensor".to_owned() } else { name };
            if self.found.views.contains_key(&name) {
                return Err(PthError::Names { what: format!("two tensors are called `{name}`") });
            }
            self.found.views.insert(name, view);
            return Ok(());
        }
        let Some(items) = self.items(id) else { return Ok(()) };
        if depth == DEEPEST {
            let what = format!("`{name}` lies more than {DEEPEST} dictionaries deep");
            return Err(PthError::Names { what });
        }
        for &(key, value) in items {
            self.spend(1)?;
            let leads_on = matches!(self.pickle.nodes[value], Node::Tensor(_)) || self.items(value).is_some();
            let named = matches!(self.pickle.nodes[key], Node::Text(_) | Node::Int(_));
            let key = self.words.key(key);
            if !(leads_on && named) {
                if let Some(name) = self.name(&name, &key) {
                    self.found.others.insert(name, self.words.of(value));
                }
                continue;
            }
            let name = join(&name, &key);
            self.spend(name.len() / 64)?;
            self.visit(value, name, depth + 1)?;
        }
        Ok(())
    }

    /// The name of what is passed over, if it may be told: names of many that stand in several places may be longer than the
    /// file.
    fn name(&mut self, path: &str, key: &str) -> Option<String> {
        match self.room.checked_sub(path.len() + key.len() + 1) {
            Some(room) => self.room = room,
            None => self.unsaid += 1,
        }
        (self.unsaid == 0).then(|| join(path, key))
    }

    /// Counts what a visit takes against what a pickle of this length may ask for.
    fn spend(&mut self, n: usize) -> Result<()> {
        let what = || "its dictionaries stand within each other too often".to_owned();
        self.budget = self.budget.checked_sub(n).ok_or_else(|| PthError::Names { what: what() })?;
        Ok(())
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
