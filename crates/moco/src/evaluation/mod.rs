//! What features are worth: neighbours, linear classifiers, fine-tuning; and whether they collapse.

mod diagnostics;
mod features;
mod fine_tune;
mod knn;
mod logits;
mod probe;

pub use diagnostics::diagnostics;
pub use features::{Features, LabelledImages};
pub use fine_tune::{Classifier, FineTuneConfig, fine_tune};
pub use knn::{KnnConfig, knn_classify, nearest};
pub use logits::Logits;
pub use probe::{ProbeConfig, linear_probe};
