//! What can be wrong with a `.pth` file.

/// Why bytes are no checkpoint of PyTorch's that could be read; it names the global, the tensor or the storage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PthError {
    /// The pickle ends within an instruction, or before its last one.
    #[error("the pickle breaks off at byte {at}")]
    Truncated {
        /// Where in the pickle.
        at: usize,
    },
    /// An instruction that no tensor needs.
    #[error("byte {at} of the pickle: instruction {opcode:#04x} is none that tensors need")]
    Opcode {
        /// Where in the pickle.
        at: usize,
        /// The instruction.
        opcode: u8,
    },
    /// What the file holds would be made by a function or class that is none of the few known here. It was not looked up, and
    /// nothing was called.
    #[error("what it holds is made by `{name}`, which is not read here; nothing of it is executed")]
    Global {
        /// `module.name`.
        name: String,
    },
    /// The pickle's instructions do not fit each other.
    #[error("byte {at} of the pickle: {what}")]
    Malformed {
        /// Where in the pickle.
        at: usize,
        /// What was found and what was expected.
        what: String,
    },
    /// The numbers that a tensor looks into are not there.
    #[error("storage `{key}`: {what}")]
    Storage {
        /// Its key in the file.
        key: String,
        /// What was found and what was expected.
        what: String,
    },
    /// A tensor does not fit its storage.
    #[error("tensor `{name}`: {what}")]
    Tensor {
        /// Its dotted name.
        name: String,
        /// What was found and what was expected.
        what: String,
    },
    /// The nesting or the names of dictionaries are without sense.
    #[error("{what}")]
    Names {
        /// What was found and what was expected.
        what: String,
    },
    /// Written on a big-endian machine.
    #[error("the numbers are big-endian; only little-endian files are read")]
    BigEndian,
    /// No zip archive, or none that `torch.save` wrote.
    #[error("no archive of torch.save: {what}")]
    Archive {
        /// What was found and what was expected.
        what: String,
    },
    /// Neither the zip form nor the legacy form.
    #[error("neither safetensors nor written by torch.save: {found}")]
    UnknownForm {
        /// What it is, or begins with.
        found: String,
    },
    /// There are no tensors in it.
    #[error("it holds no tensors by name; at the top there is {found}")]
    NoTensors {
        /// Keys of the outermost dictionary, or the kind of value.
        found: String,
    },
}

/// A result whose error is a [`PthError`].
pub(super) type Result<T> = std::result::Result<T, PthError>;
