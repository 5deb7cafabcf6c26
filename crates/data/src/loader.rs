//! Batches that are decoded ahead, in an order that depends on the seed alone.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use rayon::{ThreadPool, ThreadPoolBuilder};
use sconce_core::{Batches, Position, Rng};
use serde::{Deserialize, Serialize};

use crate::{DataError, Result, Source};

/// How a [`Loader`] makes batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct LoaderConfig {
    /// Samples in a batch; the last one of an epoch may have fewer.
    pub batch_size: usize,
    /// A new random order every epoch, else the source's order.
    pub shuffle: bool,
    /// Leaves out a last batch that is not full.
    pub drop_last: bool,
    /// What the order and the augmentation are drawn from.
    pub seed: u64,
    /// Threads that decode ahead. With 0, the caller's thread decodes each batch when it is asked for.
    pub workers: usize,
    /// Batches that are being made while the caller uses one.
    pub prefetch: usize,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self { batch_size: 64, shuffle: true, drop_last: false, seed: 0, workers: 1, prefetch: 2 }
    }
}

/// An endless sequence of batches, epoch after epoch: [`Batches`] of a [`Source`].
///
/// Epoch e has the order of the stream `shuffle` at \[e, 0\], and sample i draws from the stream `augmentation` at \[e, i\]. So
/// neither the number of workers nor where the sequence was entered changes a batch.
///
/// An error of a sample surfaces when its batch is asked for; the sequence goes on behind it. The workers are a thread pool
/// of the loader's own, because a caller may itself run in rayon's global one, and would wait there for itself.
pub struct Loader<S: Source> {
    source: Arc<S>,
    config: LoaderConfig,
    n_batches: usize,
    /// This loader's rank, and the number of ranks that share a batch.
    share: (usize, usize),
    pool: Option<ThreadPool>,
    /// The batch that is returned next.
    next: Position,
    /// What the workers make, from `next` on.
    in_flight: VecDeque<InFlight<S>>,
    /// The first batch behind those.
    ahead: Position,
    /// Tells the workers that nobody waits for them any more.
    is_stale: Arc<AtomicBool>,
    /// The order of the epoch that was last asked for.
    order: Option<(usize, Arc<[usize]>)>,
}

/// More threads would take longer to start than to decode.
const MOST_WORKERS: usize = 256;

impl<S: Source> Loader<S> {
    /// Batches of `source` from the beginning of epoch 0.
    ///
    /// # Errors
    /// [`DataError::Argument`] for a batch size of 0, more than 256 workers, an empty source, or `drop_last` of the only batch;
    /// [`DataError::Workers`] if the threads do not start.
    pub fn new(source: S, config: LoaderConfig) -> Result<Self> {
        let n = source.len();
        if config.batch_size == 0 {
            return Err(DataError::argument("loader: batch_size", 0, "at least 1"));
        }
        if config.workers > MOST_WORKERS {
            return Err(DataError::argument("loader: workers", config.workers, format!("at most {MOST_WORKERS}")));
        }
        if n == 0 {
            return Err(DataError::argument("loader: number of samples", 0, "at least 1"));
        }
        let n_batches = if config.drop_last { n / config.batch_size } else { n.div_ceil(config.batch_size) };
        if n_batches == 0 {
            let expected = format!("at most the {n} samples, with drop_last");
            return Err(DataError::argument("loader: batch_size", config.batch_size, expected));
        }
        let pool = match config.workers {
            0 => None,
            workers => {
                let pool = ThreadPoolBuilder::new().num_threads(workers).thread_name(|i| format!("loader-{i}"));
                Some(pool.build().map_err(|e| DataError::Workers { workers, reason: e.to_string() })?)
            }
        };
        Ok(Self {
            source: Arc::new(source),
            config,
            n_batches,
            share: (0, 1),
            pool,
            next: Position::default(),
            in_flight: VecDeque::new(),
            ahead: Position::default(),
            is_stale: Arc::default(),
            order: None,
        })
    }

    /// The same batches for one of several ranks that share each of them: this one has the samples n ≡ `rank` (mod `ranks`)
    /// of a batch, decoded and augmented as one rank alone would see them. The batch size stays that of all ranks together.
    ///
    /// # Errors
    /// [`DataError::Argument`] if there is no such rank, or a batch has fewer samples than ranks.
    pub fn sharded(mut self, rank: usize, ranks: usize) -> Result<Self> {
        if rank >= ranks {
            return Err(DataError::argument("loader: rank", rank, format!("less than the {ranks} ranks")));
        }
        let (n, batch_size) = (self.source.len(), self.config.batch_size);
        let last = n - (self.n_batches - 1) * batch_size;
        let smallest = last.min(batch_size);
        if smallest < ranks {
            let expected = format!(
                "at least one for each of {ranks} ranks; {n} samples in batches of {batch_size} leave fewer for some"
            );
            return Err(DataError::argument("loader: samples of a batch", smallest, expected));
        }
        self.discard();
        (self.share, self.ahead) = ((rank, ranks), self.next);
        Ok(self)
    }

    /// The source.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// The batch that is returned next.
    pub fn position(&self) -> Position {
        self.next
    }

    /// Keeps the workers, if there are any, at `n_batches` from the next one on.
    ///
    /// Each sample is a task of its own, in the order in which they are needed: a task that waited for others would meanwhile
    /// begin with later batches, and be late with its own.
    fn fill(&mut self, n_batches: usize) {
        while self.pool.is_some() && self.in_flight.len() < n_batches {
            let samples = self.samples(self.ahead);
            let (sender, items) = mpsc::channel();
            let n = samples.len();
            if let Some(pool) = &self.pool {
                for (place, sample) in samples.enumerate() {
                    let (sender, is_stale) = (sender.clone(), Arc::clone(&self.is_stale));
                    pool.spawn_fifo(move || {
                        if !is_stale.load(Ordering::Relaxed) {
                            // What became stale meanwhile has no receiver.
                            let _ = sender.send((place, sample.fetch()));
                        }
                    });
                }
            }
            self.in_flight.push_back(InFlight { items, n });
            self.ahead = self.after(self.ahead);
        }
    }

    /// This rank's samples of the batch at `position`.
    fn samples(&mut self, position: Position) -> impl ExactSizeIterator<Item = Sample<S>> + use<S> {
        let order = self.order(position.epoch);
        let first = position.batch * self.config.batch_size;
        let last = (first + self.config.batch_size).min(order.len());
        let (source, epoch, seed) = (Arc::clone(&self.source), position.epoch, self.config.seed);
        let (rank, ranks) = self.share;
        (first + rank..last).step_by(ranks).map(move |i| Sample {
            source: Arc::clone(&source),
            index: order[i],
            epoch,
            seed,
        })
    }

    fn order(&mut self, epoch: usize) -> Arc<[usize]> {
        match &self.order {
            Some((of, order)) if *of == epoch => Arc::clone(order),
            _ => {
                let n = self.source.len();
                let order: Arc<[usize]> = match self.config.shuffle {
                    true => Rng::keyed(self.config.seed, "shuffle", [epoch as u64, 0]).permutation(n).into(),
                    false => (0..n).collect(),
                };
                self.order = Some((epoch, Arc::clone(&order)));
                order
            }
        }
    }

    fn after(&self, position: Position) -> Position {
        let batch = position.batch + 1;
        if batch < self.n_batches {
            Position { batch, ..position }
        } else {
            Position { epoch: position.epoch.saturating_add(1), batch: 0 }
        }
    }

    fn discard(&mut self) {
        self.is_stale.store(true, Ordering::Relaxed);
        self.is_stale = Arc::default();
        self.in_flight.clear();
    }
}

impl<S: Source> Batches for Loader<S> {
    type Batch = S::Batch;
    type Error = DataError;

    fn batches_per_epoch(&self) -> usize {
        self.n_batches
    }

    /// Makes the batch at `position` the next one; the position behind an epoch's last batch is the next epoch's first.
    /// What is in flight is dropped, unless the loader stands there already.
    ///
    /// # Errors
    /// [`DataError::Argument`] if an epoch has fewer batches.
    fn seek(&mut self, position: Position) -> Result<()> {
        let Position { epoch, batch } = position;
        if batch > self.n_batches {
            let expected = format!("at most {}, the batches of an epoch", self.n_batches);
            return Err(DataError::argument("loader: batch to go on at", batch, expected));
        }
        let position =
            if batch < self.n_batches { position } else { Position { epoch: epoch.saturating_add(1), batch: 0 } };
        if position != self.next {
            self.discard();
            (self.next, self.ahead) = (position, position);
        }
        Ok(())
    }

    fn next_batch(&mut self) -> Result<S::Batch> {
        // While the caller waits for this batch, and then uses it, the workers make those behind it.
        self.fill(self.config.prefetch.saturating_add(1));
        let items = match self.in_flight.pop_front() {
            Some(batch) => batch.wait(),
            None => {
                let items = self.samples(self.next).map(|sample| sample.fetch()).collect();
                self.ahead = self.after(self.ahead);
                Ok(items)
            }
        };
        self.next = self.after(self.next);
        self.source.collate(items?.into_iter().collect::<Result<_>>()?)
    }
}

impl<S: Source> Drop for Loader<S> {
    fn drop(&mut self) {
        // The pool ends when its tasks have; they end with the sample that they are at.
        self.discard();
    }
}

/// A batch that the workers make: `n` items, each with its place.
struct InFlight<S: Source> {
    items: mpsc::Receiver<(usize, Result<S::Item>)>,
    n: usize,
}

impl<S: Source> InFlight<S> {
    /// All results, not the first error met: which one that is would depend on the threads.
    fn wait(self) -> Result<Vec<Result<S::Item>>> {
        let mut items: Vec<_> = self.items.into_iter().collect();
        if items.len() < self.n {
            return Err(DataError::Panicked { message: "a loader thread ended".to_owned() });
        }
        items.sort_unstable_by_key(|&(place, _)| place);
        Ok(items.into_iter().map(|(_, item)| item).collect())
    }
}

/// A sample of an epoch.
struct Sample<S> {
    source: Arc<S>,
    index: usize,
    epoch: usize,
    seed: u64,
}

impl<S: Source> Sample<S> {
    fn fetch(&self) -> Result<S::Item> {
        let mut rng = Rng::keyed(self.seed, "augmentation", [self.epoch as u64, self.index as u64]);
        // A source is only read here; if it panics half way, the caller learns it and decides.
        catch_unwind(AssertUnwindSafe(|| self.source.fetch(self.index, &mut rng)))
            .unwrap_or_else(|panic| Err(DataError::Panicked { message: panic_message(&*panic) }))
            .map_err(|error| self.source.error(self.index, error))
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}
