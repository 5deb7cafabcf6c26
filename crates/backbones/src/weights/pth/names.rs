//! From nested dictionaries to dotted names.

use std::collections::BTreeMap;

use super::{
    Extent,
    error::{PthError, Result},
    pickle::{Id, Node, Pickle, View},
};

/// The usual keys of a state dict within a checkpoint, the most telling one first.
const WRAPPERS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// Dictionaries within dictionaries; a state dict in an optimiser's in a checkpoint has five.
const DEEPEST: usize = 32;

/// The tensors in the pickle's dictionaries, each by its dotted name.
///
/// Lists, numbers and text are passed over. Values that stand in several places are visited in each, so that the work is
/// bounded by the length of the pickle.
pub(super) fn tensors<'p, 'a>(pickle: &'p Pickle<'a>, extent: Extent) -> Result<BTreeMap<String, &'p View<'a>>> {
    let budget = pickle.n_bytes.saturating_mul(4).saturating_add(4096);
    let mut walk = Walk { pickle, budget, found: BTreeMap::new() };
    let root = match extent {
        Extent::StateDict => walk.unwrap(pickle.root),
        Extent::Everything => pickle.root,
    };
    walk.visit(root, String::new(), 0)?;
    if walk.found.is_empty() {
        return Err(PthError::NoTensors { found: kind(pickle) });
    }
    Ok(walk.found)
}

struct Walk<'p, 'a> {
    pickle: &'p Pickle<'a>,
    /// Values that may still be visited, and bytes of names that may still be made.
    budget: usize,
    found: BTreeMap<String, &'p View<'a>>,
}

impl<'p, 'a> Walk<'p, 'a> {
    /// The state dict in its usual wrappers, or the outermost value.
    fn unwrap(&self, root: Id) -> Id {
        let mut id = root;
        for _ in 0..DEEPEST {
            let Node::Dict(items) = &self.pickle.nodes[id] else { break };
            // The first one of that name, or a file of many would be looked through again and again.
            let inner = WRAPPERS.iter().find_map(|wrapper| {
                let called_so = |item: &&(Id, Id)| self.pickle.nodes[item.0] == Node::Text(wrapper);
                items.iter().find(called_so).filter(|item| self.may_hold_tensors(item.1))
            });
            match inner {
                Some(&(_, value)) => id = value,
                None => break,
            }
        }
        id
    }

    /// Whether a value is a dictionary of more than numbers and text: a `model` may be the settings of one, too.
    fn may_hold_tensors(&self, id: Id) -> bool {
        let Node::Dict(items) = &self.pickle.nodes[id] else { return false };
        items.iter().any(|&(_, value)| matches!(self.pickle.nodes[value], Node::Tensor(_) | Node::Dict(_)))
    }

    fn visit(&mut self, id: Id, name: String, depth: usize) -> Result<()> {
        match &self.pickle.nodes[id] {
            Node::Tensor(view) => {
                self.spend(name.len())?;
                // A tensor alone has no name to load it by.
                let name = if name.is_empty() { "tensor".to_owned() } else { name };
                if self.found.contains_key(&name) {
                    return Err(PthError::Names { what: format!("two tensors are called `{name}`") });
                }
                self.found.insert(name, view);
            }
            Node::Dict(_) if depth == DEEPEST => {
                let what = format!("`{name}` lies more than {DEEPEST} dictionaries deep");
                return Err(PthError::Names { what });
            }
            Node::Dict(items) => {
                for &(key, value) in items {
                    self.spend(1)?;
                    if !matches!(self.pickle.nodes[value], Node::Tensor(_) | Node::Dict(_)) {
                        continue;
                    }
                    let key = match self.pickle.nodes[key] {
                        Node::Text(text) => text.to_owned(),
                        Node::Int(number) => number.to_string(),
                        _ => {
                            let what = format!("a key in {} is neither text nor a number", place(&name));
                            return Err(PthError::Names { what });
                        }
                    };
                    let name = if name.is_empty() { key } else { format!("{name}.{key}") };
                    self.spend(name.len() / 64)?;
                    self.visit(value, name, depth + 1)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Counts what a visit takes against what a pickle of this length may ask for.
    fn spend(&mut self, n: usize) -> Result<()> {
        let what = || "its dictionaries stand within each other too often".to_owned();
        self.budget = self.budget.checked_sub(n).ok_or_else(|| PthError::Names { what: what() })?;
        Ok(())
    }
}

fn place(name: &str) -> String {
    if name.is_empty() { "the outermost dictionary".to_owned() } else { format!("`{name}`") }
}

/// What is at the top of a pickle without tensors in dictionaries.
fn kind(pickle: &Pickle<'_>) -> String {
    let items = match pickle.root() {
        Node::Dict(items) => items,
        Node::List(_) => return "a list; only dictionaries are looked into".to_owned(),
        Node::Tuple(_) => return "a tuple; only dictionaries are looked into".to_owned(),
        _ => return "something else than a dictionary".to_owned(),
    };
    let keys: Vec<&str> = items
        .iter()
        .filter_map(|&(key, _)| if let Node::Text(text) = pickle.nodes[key] { Some(text) } else { None })
        .take(5)
        .collect();
    format!("a dictionary with {} keys ({})", items.len(), keys.join(", "))
}
