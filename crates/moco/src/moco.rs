//! A training step of the method, in the order of the official code.

use std::sync::Arc;

use sconce_core::{Communicator, DType, Params, Rng, Tensor, Tolerance, Var, nn::Mode, ops};
use sconce_engine::{
    Loss,
    dist::{gather_list, gather_samples, own_samples},
};

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
///
/// Where several ranks train ([`Params::with_communicator`]), each has its share of every batch: the samples n ≡ r (mod R). All
/// have the same dictionary, and no loss depends on how many they are.
#[derive(Clone, Debug)]
pub struct Moco {
    config: MocoConfig,
    query: Encoder,
    dictionary: Dictionary,
    trainable: Vec<(String, Var)>,
    seed: u64,
    ranks: Arc<dyn Communicator>,
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
    /// `(n, dim)`: the keys of the first way, of the batch of all ranks.
    all_keys: Tensor,
    /// Of the batch of all ranks, what [`Moco::remember`] puts into the dictionary.
    remembered: Tensor,
    /// The samples of the batch of all ranks.
    samples: Vec<usize>,
}

impl Moco {
    /// Builds the model in `params`: `encoder_q.*`, and for a queue `encoder_k.*`, `queue` and `queue_ptr`, or for a memory bank
    /// of `n_samples` training images `memory_bank`. The queue begins with random keys of the seed of `params`.
    ///
    /// # Errors
    /// If the configuration has no sense.
    pub fn new(params: &Params, config: &MocoConfig, n_samples: usize) -> Result<Self> {
        config.validate()?;
        let batch_norm = config.batch_norm.kind(params.communicator().size())?;
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
        let ranks = params.communicator().clone();
        Ok(Self { config: config.clone(), query, dictionary, trainable, seed: params.seed(), ranks })
    }

    /// Copies `encoder`, which stands at the root of parameters of its own, into both encoders of `params`.
    ///
    /// # Errors
    /// If it is another encoder; `params` is then as it was.
    pub fn start_from(&self, params: &Params, encoder: &Params) -> Result<()> {
        let prefix = format!("{QUERY}.");
        let own: Vec<String> =
            params.names().iter().filter_map(|n| Some(n.strip_prefix(&prefix)?.to_owned())).collect();
        if own != encoder.names() {
            let found = format!("{} tensors", encoder.names().len());
            return Err(MocoError::argument("encoder to start from", found, format!("the {} of this one", own.len())));
        }
        let named = encoder.tensors().into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)).collect();
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
    /// - `samples`: which images of the training set they are, `B`
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
        let samples = gather_list(&*self.ranks, samples)?;
        let mut one = self.one_way(first, second, &samples, [step, 0])?;
        if self.config.symmetric {
            let other = self.one_way(second, first, &samples, [step, 1])?;
            one.loss = Loss::new((one.loss.total() + other.loss.total())?).samples(first.dim(0)?);
            one.remembered = Tensor::cat(&[other.remembered, one.remembered], 0)?;
        }
        Ok(one)
    }

    /// Puts the keys of a step into the dictionary. It comes after the backward pass, whose graph holds the queue's memory; the
    /// official code, which has a copy of the queue in its graph, enqueues before it, with the same numbers.
    ///
    /// # Errors
    /// If the queue of a checkpoint makes no sense.
    pub fn remember(&self, step: &Step) -> Result<()> {
        match &self.dictionary {
            Dictionary::Queue { queue, .. } => queue.enqueue(&step.remembered),
            Dictionary::EndToEnd => Ok(()),
            Dictionary::MemoryBank { bank, .. } => bank.update(&step.samples, &step.remembered),
        }
    }

    /// The share of queries that are closer to their own key than to every other key of the dictionary: the accuracy of the
    /// official code's log. NaN for a memory bank, whose keys are drawn anew at every step.
    ///
    /// # Errors
    /// If `step` is of another model.
    pub fn accuracy(&self, step: &Step) -> Result<f64> {
        let n = step.queries.dim(0)?;
        let (logits, own) = match &self.dictionary {
            Dictionary::Queue { queue, .. } => {
                let logits = ops::info_nce_logits(&step.queries, &step.keys, queue.keys(), self.config.temperature)?;
                (logits, vec![0; n])
            }
            Dictionary::EndToEnd => (ops::linear(&step.queries, &step.all_keys, None)?, self.places(n)),
            Dictionary::MemoryBank { .. } => return Ok(f64::NAN),
        };
        let rows = logits.to_dtype(DType::F64)?.to_vec2::<f64>()?;
        let is_nearest = |(row, own): &(Vec<f64>, usize)| {
            row.iter().enumerate().all(|(other, &logit)| other == *own || logit < row[*own])
        };
        Ok(rows.into_iter().zip(own).filter(is_nearest).count() as f64 / n as f64)
    }

    /// The loss with the queries of one view and the keys of the other; `samples` are those of all ranks.
    fn one_way(&self, queries: &Tensor, keys: &Tensor, samples: &[usize], place: [usize; 2]) -> Result<Step> {
        let temperature = self.config.temperature;
        let q = self.query.forward(queries, Mode::Train)?; // (B, dim)
        let (loss, k, remembered) = match &self.dictionary {
            Dictionary::Queue { key, queue, .. } => {
                let Keys { own, all, .. } = self.encode_keys(key, keys, place)?;
                (ops::info_nce(&q, &own, queue.keys(), temperature)?, own, all)
            }
            Dictionary::EndToEnd => {
                let keys = self.encode_keys(&self.query, keys, place)?;
                (self.end_to_end_loss(&q, &keys)?, keys.own, keys.all)
            }
            Dictionary::MemoryBank { bank, negatives } => {
                let own: Vec<usize> = self.places(q.dim(0)?).into_iter().map(|place| samples[place]).collect();
                let k = bank.of(&own)?;
                let negatives = bank.negatives(samples, *negatives, &mut self.stream("memory bank", place))?;
                (ops::info_nce(&q, &k, &negatives, temperature)?, k, gather_samples(&*self.ranks, &q)?)
            }
        };
        Ok(Step {
            loss: Loss::new(loss).samples(q.dim(0)?),
            queries: q.detach(),
            keys: k.detach(),
            all_keys: remembered.detach(),
            remembered: remembered.detach(),
            samples: samples.to_vec(),
        })
    }

    /// The keys of `images`, in their order; with shuffling BN each is normalised among others than its query (§3.3).
    ///
    /// All ranks draw the same order from the same stream, so that rank 0 has none to send.
    fn encode_keys(&self, encoder: &Encoder, images: &Tensor, place: [usize; 2]) -> Result<Keys> {
        let ranks = &*self.ranks;
        if !self.config.batch_norm.shuffles() {
            let own = encoder.forward(images, Mode::Train)?;
            let (all, places) = (gather_samples(ranks, &own)?, self.places(own.dim(0)?));
            return Ok(Keys { encoded: own.clone(), places, own, all });
        }
        let images = gather_samples(ranks, images)?;
        let order = self.stream("shuffling BN", place).permutation(images.dim(0)?);
        let select = |x: &Tensor, order: &[usize]| Ok::<_, MocoError>(x.index_select(&indices(order, x.device())?, 0)?);
        let shuffled = encoder.forward(&own_samples(ranks, &select(&images, &order)?)?, Mode::Train)?;
        let inverse = inverse(&order);
        let all = select(&gather_samples(ranks, &shuffled)?, &inverse)?;
        // By itself a process keeps the gradient, which end-to-end wants.
        let own = if ranks.is_alone() { select(&shuffled, &inverse)? } else { own_samples(ranks, &all)? };
        let places = self.places(shuffled.dim(0)?).into_iter().map(|place| order[place]).collect();
        Ok(Keys { encoded: shuffled, places, own, all })
    }

    /// [`batch_loss`] with the keys of all ranks, and a gradient through those that this rank has encoded.
    fn end_to_end_loss(&self, q: &Tensor, keys: &Keys) -> Result<Tensor> {
        let (ranks, temperature) = (&*self.ranks, self.config.temperature);
        if ranks.is_alone() {
            return batch_loss(q, &keys.own, temperature);
        }
        let (n, places) = (q.dim(0)? as f64, self.places(q.dim(0)?));
        let loss = loss_among(q, &keys.all, &places, temperature)?;
        // Every rank's loss has a gradient with respect to this rank's keys, and counts for as much as it has samples: so does
        // what the trainer makes of this rank's.
        let all = Var::from_tensor(&keys.all.detach())?;
        let gradients = sconce_core::backward(&loss_among(&q.detach(), &all, &places, temperature)?)?;
        let of_keys = gradients.get(&all).map_or_else(|| all.zeros_like(), |gradient| Ok(gradient.clone()))?;
        let mut sum = (of_keys.to_dtype(DType::F64)? * n)?.flatten_all()?.to_vec1::<f64>()?;
        ranks.all_reduce_sum_f64(&mut sum)?;
        let sum = (Tensor::from_vec(sum, all.shape(), all.device())? / n)?.to_dtype(all.dtype())?;
        let of_encoded = sum.index_select(&indices(&keys.places, all.device())?, 0)?;
        let through_keys = (&keys.encoded * of_encoded)?.sum_all()?;
        // The term adds its gradient, and nothing to the value.
        Ok((loss + (&through_keys - through_keys.detach())?)?)
    }

    /// Where `n` samples of this rank stand in the batch of all ranks.
    fn places(&self, n: usize) -> Vec<usize> {
        (0..n).map(|i| i * self.ranks.size() + self.ranks.rank()).collect()
    }

    fn stream(&self, purpose: &str, place: [usize; 2]) -> Rng {
        Rng::keyed(self.seed, purpose, place.map(|key| key as u64))
    }
}

/// Keys of a batch.
struct Keys {
    /// As this rank has encoded them, with what gradient they have.
    encoded: Tensor,
    /// Where these stand in the batch of all ranks.
    places: Vec<usize>,
    /// Of this rank's samples.
    own: Tensor,
    /// Of all ranks' samples.
    all: Tensor,
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
    let own: Vec<usize> = (0..q.dim(0)?).collect();
    loss_among(q, k, &own, temperature)
}

/// The same where query n has the key `own[n]` of `k`.
fn loss_among(q: &Tensor, k: &Tensor, own: &[usize], temperature: f64) -> Result<Tensor> {
    let logits = (ops::linear(q, k, None)? / temperature)?; // (B, keys)
    Ok(ops::cross_entropy(&logits, &indices(own, q.device())?, &ops::CrossEntropyParams::default())?)
}

/// The order that undoes `order`.
fn inverse(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    order.iter().enumerate().for_each(|(to, &from)| inverse[from] = to);
    inverse
}
