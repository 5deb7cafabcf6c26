//! What `torch.save` wrote before PyTorch 1.6: pickles one after another, then the numbers of every storage.

use super::{
    error::{PthError, Result},
    opcode::Cursor,
    pickle::{Node, Pickle},
    storage::Storages,
};

/// The first pickle is this number, 0x1950a86a20f9469cfc6c.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// The second pickle is this number.
const VERSION: i64 = 1001;

/// Whether `bytes` begin as the legacy form does.
pub(super) fn is_legacy(bytes: &[u8]) -> bool {
    // Short: nothing before the number is longer than a frame.
    let start = &bytes[..bytes.len().min(64)];
    start.first() == Some(&0x80) && start.windows(MAGIC.len()).any(|window| window == MAGIC)
}

/// The object's pickle and the numbers of the storages.
pub(super) fn read(bytes: &[u8]) -> Result<(Pickle<'_>, Storages<'_>)> {
    let mut rest = bytes;
    let mut next = || -> Result<Pickle<'_>> {
        let pickle = Pickle::read(rest)?;
        rest = &rest[pickle.n_bytes..];
        Ok(pickle)
    };
    let [magic, version, system, object, keys] = [next()?, next()?, next()?, next()?, next()?];
    if magic.root() != &Node::Long(&MAGIC) || version.root() != &Node::Int(VERSION) {
        let what = format!("the legacy form has version {:?}, expected {VERSION}", version.root());
        return Err(PthError::Malformed { at: 0, what });
    }
    if says_big_endian(&system) {
        return Err(PthError::BigEndian);
    }
    let storages = storages(rest, &object, &keys)?;
    Ok((object, storages))
}

fn says_big_endian(system: &Pickle<'_>) -> bool {
    let Node::Dict(items) = system.root() else { return false };
    items.iter().any(|&(key, value)| {
        system.nodes[key] == Node::Text("little_endian") && system.nodes[value] == Node::Bool(false)
    })
}

/// For each of `keys` the number of elements and the elements.
fn storages<'a>(bytes: &'a [u8], object: &Pickle<'a>, keys: &Pickle<'a>) -> Result<Storages<'a>> {
    let Node::List(ids) = keys.root() else {
        return Err(PthError::Malformed { at: 0, what: "the storages' keys are no list".to_owned() });
    };
    let mut cursor = Cursor::new(bytes);
    let mut storages = Storages::new();
    for &id in ids {
        let Node::Text(key) = keys.nodes[id] else {
            return Err(PthError::Malformed { at: 0, what: "a storage's key is no text".to_owned() });
        };
        let fail = |what: String| PthError::Storage { key: key.to_owned(), what };
        let Some(storage) = object.storages.get(key) else {
            return Err(fail("nothing refers to it, so that its type is unknown".to_owned()));
        };
        let breaks_off = |_| fail("the file breaks off in it".to_owned());
        let found = cursor.u64().map_err(breaks_off)?.cast_signed();
        if found != storage.n_elements {
            return Err(fail(format!("it has {found} elements, expected {}", storage.n_elements)));
        }
        let n_bytes = usize::try_from(found).ok().and_then(|n| n.checked_mul(storage.element.size()));
        let n_bytes = n_bytes.ok_or_else(|| fail(format!("it has {found} elements")))?;
        storages.insert(key, cursor.take(n_bytes).map_err(breaks_off)?);
    }
    Ok(storages)
}
