//! What can go wrong in `sconce-scn`.

/// A result whose error is [`ScnError`].
pub type Result<T> = std::result::Result<T, ScnError>;

/// An error of the method.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScnError {
    /// A setting has no meaning.
    #[error("{field} is {found}, expected {expected}")]
    Config {
        /// The key in the configuration.
        field: &'static str,
        /// Its value.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A label is not a class.
    #[error("sample {index} has label {label}, expected one of the {n_classes} classes 0 to {}", n_classes.saturating_sub(1))]
    Label {
        /// The sample.
        index: usize,
        /// Its label.
        label: u32,
        /// Classes.
        n_classes: usize,
    },
    /// A batch names a sample that the label table does not have.
    #[error("sample {index} is not in the label table, which has {len}")]
    Sample {
        /// The sample.
        index: usize,
        /// Samples in the table.
        len: usize,
    },
    /// Batches are too small for batch normalisation, which needs two values of each channel.
    #[error(
        "data.batch_size is {batch_size}: of {images} training images the smallest batch has {share} for each of {ranks} ranks, too \
         few for batch normalisation: {source}"
    )]
    SmallBatch {
        /// Images of a batch.
        batch_size: usize,
        /// Training images.
        images: usize,
        /// Images of a rank's smallest batch.
        share: usize,
        /// Ranks.
        ranks: usize,
        /// What the network says.
        source: Box<sconce_core::Error>,
    },
    /// Images do not fit the network.
    #[error("{image} has the shape {shape:?} (channels, height, width) after {pipeline}, expected {expected}")]
    Shape {
        /// The image.
        image: String,
        /// The setting that makes this of it.
        pipeline: &'static str,
        /// What it makes.
        shape: Vec<usize>,
        /// What would be right.
        expected: String,
    },
    /// What the network says of an image is no number.
    #[error("the network's output for sample {index} is not finite; are its weights, and the images behind data.eval?")]
    NotFinite {
        /// The sample.
        index: usize,
    },
    /// A stored label table cannot be read.
    #[error("label table: {what}")]
    LabelTable {
        /// What is wrong in it.
        what: String,
    },
    /// A file of weights cannot be read, or does not fit.
    #[error(transparent)]
    Weights(Box<sconce_backbones::weights::WeightsError>),
    /// A file has the weights of a network that is not there.
    #[error("{path}: weights of an IR-50, which is not supported; the backbones of SCN are ResNets", path = path.display())]
    Ir50 {
        /// The file.
        path: std::path::PathBuf,
    },
    /// A file has no weights of a network or a backbone.
    #[error(
        "{path}: no ResNet under torchvision's names or the official code's; its first tensors: {found}",
        path = path.display()
    )]
    NoResNet {
        /// The file.
        path: std::path::PathBuf,
        /// The first names in it.
        found: String,
    },
    /// An error of the engine: a run, a checkpoint, an optimiser.
    #[error(transparent)]
    Engine(#[from] sconce_engine::EngineError),
    /// An error of an operation.
    #[error(transparent)]
    Core(#[from] sconce_core::Error),
    /// An error of Candle's.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A batch could not be made.
    #[error(transparent)]
    Batches(#[from] Box<dyn std::error::Error + Send + Sync>),
}

impl From<sconce_backbones::weights::WeightsError> for ScnError {
    fn from(error: sconce_backbones::weights::WeightsError) -> Self {
        Self::Weights(Box::new(error))
    }
}
