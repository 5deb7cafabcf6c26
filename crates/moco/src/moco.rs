//! A training step of the method, in the order of the official code.

use sconce_core::{DType, Params, Rng, Tensor, Tolerance, Var, nn::Mode, ops};
use sconce_engine::Loss;

use crate::{
    bank::{MemoryBank, indices},
    config::{Mechanism, MocoConfig},
    error::{MocoError, Result},
    model::Encoder,
    momentum::{MomentumUpdate, copy},
    queue::Queue,
};

/// Names of the encoders among the parameters, as in the official checkpoints.
pub(crate) const QUERY: &str = "encoder_q";
const KEY: &str = "encoder_k";

/// A query encoder and the dictionary that it is trained against.
#[derive(Clone, Debug)]
pub struct Moco {
    config: MocoConfig,
    query: Encoder,
    dictionary: Dictionary,
    trainable: Vec<(String, Var)>,
    seed: u64,
}

/// The three mechanisms of figure 2.
#[derive(Clone, Debug)]
enum Dictionary {
    Queue { key: Box<Encoder>, update: MomentumUpdate, queue: Queue },
    EndToEnd,
    MemoryBank { bank: MemoryBank, negatives: usize },
}

/// The loss of one batch, and what is to be remembered of it.
#[derive(Clone, Debug)]
pub struct Step {
    /// The contrastive loss, eq. (1).
    pub loss: Loss,
    /// `(B, dim)`: the queries; without a gradient.
    pub queries: Tensor,
    /// `(B, dim)`: the key of each query; without a gradient.
    pub keys: Tensor,
    /// What [`Moco::remember`] puts into the dictionary.
    remembered: Tensor,
}

impl Moco {
    /// Builds the model in `params`: `encoder_q.*`, and for a queue `encoder_k.*`, `queue` and `queue_ptr`, or for a memory bank
    /// of `n_samples` training images `memory_bank`. The queue begins with random keys of the seed of `params`.
    ///
    /// # Errors
    /// If the configuration has no sense.
    pub fn new(params: &Params, config: &MocoConfig, n_samples: usize) -> Result<Self> {
        config.validate()?;
        let batch_norm = config.batch_norm.kind(1)?;
        let dim = config.encoder.dim;
        let query = Encoder::new(&params.scope().pp(QUERY), &config.encoder, batch_norm)?;
        let trainable = params.trainable();
        let random = &mut Rng::new(params.seed(), "dictionary");
        let dictionary = match config.mechanism {
            Mechanism::Queue { length, momentum } => {
                Encoder::new(&params.scope().pp(KEY), &config.encoder, batch_norm)?;
                Dictionary::Queue {
                    key: Box::new(Encoder::new(&params.detached().pp(KEY), &config.encoder, batch_norm)?),
                    update: MomentumUpdate::new(params, (QUERY, KEY), momentum)?,
                    queue: Queue::new(&params.scope(), dim, length, random)?,
                }
            }
            Mechanism::EndToEnd => Dictionary::EndToEnd,
            Mechanism::MemoryBank { negatives, momentum } => {
                let bank = MemoryBank::new(&params.scope(), (n_samples, dim), momentum, random)?;
                Dictionary::MemoryBank { bank, negatives }
            }
        };
        Ok(Self { config: config.clone(), query, dictionary, trainable, seed: params.seed() })
    }

    /// Copies `encoder`, which stands at the root of parameters of its own, into both encoders of `params`.
    ///
    /// # Errors
    /// If it is another encoder.
    pub fn start_from(&self, params: &Params, encoder: &Params) -> Result<()> {
        let named = encoder.tensors().into_iter().map(|(name, tensor)| (format!("{QUERY}.{name}"), tensor)).collect();
        params.load("the encoder to start from", &named, Tolerance::Missing)?;
        match self.dictionary {
            Dictionary::Queue { .. } => copy(params, (QUERY, KEY)),
            Dictionary::EndToEnd | Dictionary::MemoryBank { .. } => Ok(()),
        }
    }

    /// What an optimiser updates: the query encoder's parameters.
    pub fn trainable(&self) -> Vec<(String, Var)> {
        self.trainable.clone()
    }

    /// The query encoder, with a gradient.
    pub fn query_encoder(&self) -> &Encoder {
        &self.query
    }

    /// The queue, where there is one.
    pub fn queue(&self) -> Option<&Queue> {
        match &self.dictionary {
            Dictionary::Queue { queue, .. } => Some(queue),
            Dictionary::EndToEnd | Dictionary::MemoryBank { .. } => None,
        }
    }

    /// The momentum update, then the loss of a batch of two views of `samples`. `step` counts from 0; it names the random
    /// streams of the step.
    ///
    /// The paper has the momentum update after the optimiser's step, the code before the next forward pass: the sequences are
    /// the same, because both encoders begin equal.
    ///
    /// # Shapes
    /// - `views`: queries' and keys' images, `(B, in_channels, H, W)` each
    ///
    /// # Errors
    /// If the images do not fit the encoder or the groups of batch normalisation.
    pub fn step(&self, views: [&Tensor; 2], samples: &[usize], step: usize) -> Result<Step> {
        let [first, second] = views;
        if first.shape() != second.shape() || first.dims().first() != Some(&samples.len()) {
            let found = format!("{:?}, {:?} and {} samples", first.dims(), second.dims(), samples.len());
            return Err(MocoError::argument("two views of a batch", found, "as many images of one shape"));
        }
        if let Dictionary::Queue { update, .. } = &self.dictionary {
            update.step()?;
        }
        let mut one = self.one_way(first, second, samples, [step, 0])?;
        if self.config.symmetric {
            let other = self.one_way(second, first, samples, [step, 1])?;
            one.loss = Loss::new((one.loss.total() + other.loss.total())?);
            one.remembered = Tensor::cat(&[other.remembered, one.remembered], 0)?;
        }
        Ok(one)
    }

    /// Puts the keys of a step into the dictionary. It comes after the backward pass, whose graph holds the queue's memory; the
    /// official code, which has a copy of the queue in its graph, enqueues before it, with the same numbers.
    ///
    /// # Errors
    /// If the queue of a checkpoint makes no sense.
    pub fn remember(&self, step: &Step, samples: &[usize]) -> Result<()> {
        match &self.dictionary {
            Dictionary::Queue { queue, .. } => queue.enqueue(&step.remembered),
            Dictionary::EndToEnd => Ok(()),
            Dictionary::MemoryBank { bank, .. } => bank.update(samples, &step.remembered),
        }
    }

    /// The share of queries that are closer to their own key than to every other key of the dictionary: the accuracy of the
    /// official code's log. NaN for a memory bank, whose keys are drawn anew at every step.
    ///
    /// # Errors
    /// If `step` is of another model.
    pub fn accuracy(&self, step: &Step) -> Result<f64> {
        let (logits, own): (Tensor, fn(usize) -> usize) = match &self.dictionary {
            Dictionary::Queue { queue, .. } => {
                (ops::info_nce_logits(&step.queries, &step.keys, queue.keys(), self.config.temperature)?, |_| 0)
            }
            Dictionary::EndToEnd => (ops::linear(&step.queries, &step.keys, None)?, |i| i),
            Dictionary::MemoryBank { .. } => return Ok(f64::NAN),
        };
        let rows = logits.to_dtype(DType::F64)?.to_vec2::<f64>()?;
        let is_first =
            |(i, row): (usize, &Vec<f64>)| row.iter().enumerate().all(|(j, &logit)| j == own(i) || logit < row[own(i)]);
        let right = rows.iter().enumerate().filter(|&(i, row)| is_first((i, row))).count();
        Ok(right as f64 / rows.len() as f64)
    }

    /// The loss with the queries of one view and the keys of the other.
    fn one_way(&self, queries: &Tensor, keys: &Tensor, samples: &[usize], place: [usize; 2]) -> Result<Step> {
        let temperature = self.config.temperature;
        let q = self.query.forward(queries, Mode::Train)?; // (B, dim)
        let (loss, k, remembered) = match &self.dictionary {
            Dictionary::Queue { key, queue, .. } => {
                let k = self.encode_keys(key, keys, place)?;
                let loss = ops::info_nce(&q, &k, queue.keys(), temperature)?;
                (loss, k.clone(), k)
            }
            Dictionary::EndToEnd => {
                let k = self.encode_keys(&self.query, keys, place)?;
                (batch_loss(&q, &k, temperature)?, k.clone(), k)
            }
            Dictionary::MemoryBank { bank, negatives } => {
                let k = bank.of(samples)?;
                let draw = &mut self.stream("memory bank", place);
                let loss = ops::info_nce(&q, &k, &bank.negatives(samples, *negatives, draw)?, temperature)?;
                (loss, k, q.clone())
            }
        };
        Ok(Step { loss: Loss::new(loss), queries: q.detach(), keys: k.detach(), remembered: remembered.detach() })
    }

    /// The keys of `images`, in their order; with shuffling BN each is normalised among others than its query (§3.3).
    fn encode_keys(&self, encoder: &Encoder, images: &Tensor, place: [usize; 2]) -> Result<Tensor> {
        if !self.config.batch_norm.shuffles() {
            return encoder.forward(images, Mode::Train);
        }
        let order = self.stream("shuffling BN", place).permutation(images.dim(0)?);
        let shuffled = images.index_select(&indices(&order, images.device())?, 0)?;
        let keys = encoder.forward(&shuffled, Mode::Train)?;
        Ok(keys.index_select(&indices(&inverse(&order), images.device())?, 0)?)
    }

    fn stream(&self, purpose: &str, place: [usize; 2]) -> Rng {
        Rng::keyed(self.seed, purpose, place.map(|key| key as u64))
    }
}

/// The mean over the batch of `−log(exp(q_n·k_n / τ) / Σ_j exp(q_n·k_j / τ))`: eq. (1) with the batch as the dictionary.
///
/// # Shapes
/// - `q`, `k`: `(B, dim)`, both with a gradient
/// - output: `()`
///
/// # Errors
/// If the shapes differ.
pub fn batch_loss(q: &Tensor, k: &Tensor, temperature: f64) -> Result<Tensor> {
    let logits = (ops::linear(q, k, None)? / temperature)?; // (B, B)
    let own: Vec<i64> = (0..q.dim(0)? as i64).collect();
    let own = Tensor::from_vec(own, q.dim(0)?, q.device())?;
    Ok(ops::cross_entropy(&logits, &own, &ops::CrossEntropyParams::default())?)
}

/// The order that undoes `order`.
fn inverse(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    order.iter().enumerate().for_each(|(to, &from)| inverse[from] = to);
    inverse
}
