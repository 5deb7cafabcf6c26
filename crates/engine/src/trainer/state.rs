//! What of a trainer a checkpoint holds, and back.

use sconce_core::{Position, Tolerance, read_tensors};

use super::Trainer;
use crate::{
    CheckpointState, Ema, EngineError, Result,
    checkpoint::{self, Content, tracked_file},
    dist,
};

impl Trainer<'_> {
    /// Takes over everything but the tracked states from the checkpoint that the run resumes, and starts the average.
    pub(super) fn restore(&mut self) -> Result<()> {
        if let Some(checkpoint) = &self.resumed {
            self.params.load_file(&checkpoint.model_file(), Tolerance::Exact)?;
            self.optimizer.load_state(&read_tensors(&checkpoint.optimizer_file())?)?;
            let state = checkpoint.state();
            (self.step, self.position, self.saved) = (state.step, state.position, Some(state.step));
            (self.window, self.best) = (state.window.clone(), state.best);
        }
        dist::broadcast_params(&*self.ranks, &self.params)?;
        if let Some(decay) = self.config.ema {
            let ema = self.ema.insert(Ema::new(&self.params, decay)?);
            if let Some(file) = self.resumed.as_ref().and_then(|c| c.ema_file()) {
                ema.params().load_file(&file, Tolerance::Exact)?;
            }
        }
        Ok(())
    }

    /// Checks that nothing of the checkpoint is left over, and that its data had as many batches.
    pub(super) fn check_restored(&mut self, batches_per_epoch: usize) -> Result<()> {
        let Some(checkpoint) = self.resumed.take() else { return Ok(()) };
        let state = checkpoint.state();
        if let Some(name) = state.tracked.iter().find(|name| !self.tracked.contains_key(*name)) {
            let what = format!("state `{name}` of {}", checkpoint.dir().display());
            return Err(EngineError::mismatch(
                what,
                "nothing that tracks it",
                "`Trainer::track` before the first batch",
            ));
        }
        if state.batches_per_epoch != batches_per_epoch {
            let what = format!("batches in an epoch, in a run that resumes {}", checkpoint.dir().display());
            return Err(EngineError::mismatch(what, batches_per_epoch, state.batches_per_epoch));
        }
        let Position { epoch, batch } = state.position;
        let of_epoch = batches_per_epoch.div_ceil(self.config.accumulate);
        let step = epoch.checked_mul(of_epoch).map(|steps| steps + batch / self.config.accumulate);
        if epoch > self.config.epochs || batch >= batches_per_epoch || step != Some(state.step) {
            let found = format!("step {} at epoch {epoch}, batch {batch}", state.step);
            let expected =
                format!("one of {} epochs of {batches_per_epoch} batches, {of_epoch} steps", self.config.epochs);
            let what = checkpoint.dir().join(checkpoint::STATE).display().to_string();
            return Err(EngineError::mismatch(what, found, expected));
        }
        Ok(())
    }

    /// Writes the checkpoint `name`. `best` is not for resuming and does without the optimiser.
    pub(super) fn save(&mut self, name: &str) -> Result<()> {
        let is_last = name == "last";
        if !self.run.is_root() {
            // What all know, rank 0 writes.
            self.saved = if is_last { Some(self.step) } else { self.saved };
            return Ok(());
        }
        let mut files = vec![(checkpoint::MODEL.to_owned(), Content::Tensors(self.params.tensors()))];
        if is_last {
            files.push((checkpoint::OPTIMIZER.to_owned(), Content::Tensors(self.optimizer.state()?)));
        }
        if let Some(ema) = &self.ema {
            files.push((checkpoint::EMA.to_owned(), Content::Tensors(ema.params().tensors())));
        }
        for (name, state) in &self.tracked {
            let bytes = state.save().map_err(|source| EngineError::State { name: name.clone(), source })?;
            files.push((tracked_file(name), Content::Bytes(bytes)));
        }
        let options = self.run.options();
        files.push((checkpoint::CONFIG.to_owned(), Content::Bytes(options.config_toml.clone().into_bytes())));
        let state = CheckpointState {
            format: checkpoint::FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            method: options.method.clone(),
            seed: self.run.seed(),
            step: self.step,
            position: self.position,
            batches_per_epoch: self.batches_per_epoch,
            best: self.best,
            window: self.window.clone(),
            tracked: self.tracked.keys().cloned().collect(),
            logs: self.run.sync_logs()?,
        };
        let json = serde_json::to_vec_pretty(&state).map_err(|e| EngineError::format(checkpoint::STATE, e))?;
        files.push((checkpoint::STATE.to_owned(), Content::Bytes(json)));

        checkpoint::write(&self.run.checkpoint_dir(name), &files)?;
        if is_last {
            self.saved = Some(self.step);
            self.run.note_progress()?;
        }
        Ok(())
    }
}
