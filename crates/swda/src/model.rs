//! The detector with its classifiers of domains, in the order of the paper's figure 3.

use sconce_core::{
    DType, Error, Result, Rng, Scope, Tensor,
    geometry::{BBox, Object},
    nn::Mode,
    ops,
};
use sconce_detection::{Detection, DetectionLosses, FasterRcnn, Targets, TrainingPass};

use crate::{
    classifiers::{DaFasterClassifiers, GlobalClassifier, LocalClassifier},
    config::{ContextGradient, EtaScales, LambdaSchedule, SwdaConfig, TargetUse},
    loss::{Domain, Padding, binary_loss, consistency_loss, global_loss, local_loss, mean_of_images},
};

/// A batch of images of one domain.
#[derive(Clone, Debug)]
pub struct Images {
    /// `(N, 3, H, W)`, normalised; what is right of and below an image is padding.
    pub images: Tensor,
    /// Height and width of each image before padding.
    pub sizes: Vec<(usize, usize)>,
}

/// The losses of one step.
#[derive(Clone, Debug)]
pub struct StepLosses {
    /// The detector's, of the source alone.
    pub detection: DetectionLosses,
    /// The classifiers', each with its weight but without η, of both domains.
    pub domain: Vec<(&'static str, Tensor)>,
    /// Which share of images or positions each classifier gets right, by its name in a log: ½ where the domains cannot be told
    /// apart.
    pub accuracies: Vec<(&'static str, f64)>,
    /// The sum that is minimised.
    pub total: Tensor,
}

/// A detector and what aligns its features between the domains.
#[derive(Clone, Debug)]
pub struct Swda {
    detector: FasterRcnn,
    global: Option<GlobalClassifier>,
    local: Option<LocalClassifier>,
    da_faster: Option<DaFasterClassifiers>,
    config: SwdaConfig,
}

/// One pass through the trunk.
struct Pass {
    lower: Tensor,
    upper: Tensor,
    sizes: Vec<(usize, usize)>,
    /// Height and width of the batch.
    batch: (usize, usize),
    /// Each domain's part of the batch: where it begins, and how many images it has.
    parts: Vec<(Domain, usize, usize)>,
}

/// What the classifiers say in a pass.
struct Classified {
    global: Option<Tensor>,
    local: Option<Tensor>,
    image: Option<Tensor>,
}

impl Swda {
    /// Builds or finds the parameters in `scope`: the detector's, and under the official code's names those of the classifiers.
    ///
    /// # Errors
    /// [`Error::Argument`] for a configuration without sense, else as [`Scope::param`].
    pub fn new(scope: &Scope, config: &SwdaConfig) -> Result<Self> {
        config.validate()?;
        let detector = FasterRcnn::new(scope, &config.full_detector())?;
        let [lower, upper] = config.detector.backbone.channels();
        let regions = (upper, detector.backbone.n_features());
        Ok(Self {
            global: config.global.as_ref().map(|global| GlobalClassifier::new(scope, upper, global)).transpose()?,
            local: config.local.as_ref().map(|local| LocalClassifier::new(scope, lower, local)).transpose()?,
            da_faster: config.da_faster.map(|config| DaFasterClassifiers::new(scope, regions, &config)).transpose()?,
            detector,
            config: config.clone(),
        })
    }

    /// The detector.
    pub fn detector(&self) -> &FasterRcnn {
        &self.detector
    }

    /// The losses of a batch of both domains; `progress` says how much of training is done, 0 to 1. Of the target nothing but
    /// its images is seen.
    ///
    /// # Errors
    /// If shapes do not fit, an object is of no class or has a box without an extent, or images of a target are missing.
    pub fn train(
        &self,
        source: &Images,
        objects: &[Vec<Object>],
        target: Option<&Images>,
        (progress, rng): (f64, &mut Rng),
    ) -> Result<StepLosses> {
        let passes = self.passes(source, target)?;
        let pass = &passes[0];
        let n = source.sizes.len();
        let context = self.context((&pass.lower, &pass.upper), &pass.sizes, (Mode::Train, rng))?;
        let context = context.map(|context| context.narrow(0, 0, n)).transpose()?;
        let targets = Targets { sizes: &source.sizes, objects };
        let upper = pass.upper.narrow(0, 0, n)?;
        let detected = self.detector.train_on(&upper, pass.batch, &targets, context.as_ref(), rng)?;
        let mut losses = StepLosses {
            total: detected.losses.total()?,
            detection: detected.losses.clone(),
            domain: Vec::new(),
            accuracies: Vec::new(),
        };
        if !self.config.aligns() {
            return Ok(losses);
        }
        let lambda = self.lambda(progress);
        let mut terms = Terms::default();
        for pass in &passes {
            let classified = self.classify(pass, lambda, rng)?;
            for &part in &pass.parts {
                self.alignment(pass, &classified, part, (lambda, &detected), (&mut terms, rng))?;
            }
        }
        terms.finish(&mut losses);
        let eta = match self.config.eta.scales {
            EtaScales::Losses => self.config.eta.value,
            EtaScales::Reversal => 1.0,
        };
        for (_, term) in &losses.domain {
            losses.total = (losses.total + (term * eta)?)?;
        }
        Ok(losses)
    }

    /// The detections in each image, best first, in pixels of the images as they are given.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn detect(&self, images: &Images) -> Result<Vec<Vec<Detection>>> {
        let (_, _, height, width) = images.images.dims4()?;
        let lower = self.detector.backbone.lower(&images.images, Mode::Eval)?;
        let upper = self.detector.backbone.upper(&lower, Mode::Eval)?;
        // Nothing is dropped in evaluation.
        let rng = &mut Rng::new(0, "evaluation");
        let context = self.context((&lower, &upper), &images.sizes, (Mode::Eval, rng))?;
        self.detector.detect_on(&upper, (height, width), &images.sizes, context.as_ref())
    }

    /// λ of the gradient reversal.
    fn lambda(&self, progress: f64) -> f64 {
        let share = match self.config.reversal.schedule {
            LambdaSchedule::Constant => 1.0,
            LambdaSchedule::Ramp => 2.0 / (1.0 + (-10.0 * progress).exp()) - 1.0,
        };
        let eta = match self.config.eta.scales {
            EtaScales::Losses => 1.0,
            EtaScales::Reversal => self.config.eta.value,
        };
        self.config.reversal.lambda * share * eta
    }

    /// The passes through the trunk; the source is in the first one.
    fn passes(&self, source: &Images, target: Option<&Images>) -> Result<Vec<Pass>> {
        let (use_of_target, n) = (self.config.target, source.sizes.len());
        let alone = |images: &Images, domain| {
            self.pass(images.images.clone(), images.sizes.clone(), vec![(domain, 0, images.sizes.len())])
        };
        match (use_of_target, target) {
            (TargetUse::None, _) => Ok(vec![alone(source, Domain::Source)?]),
            (TargetUse::Separate, Some(target)) => {
                Ok(vec![alone(source, Domain::Source)?, alone(target, Domain::Target)?])
            }
            (TargetUse::Statistics | TargetUse::Joint, Some(target)) => {
                let parts = vec![(Domain::Source, 0, n), (Domain::Target, n, target.sizes.len())];
                let sizes = [&source.sizes[..], &target.sizes].concat();
                Ok(vec![self.pass(stack(&source.images, &target.images)?, sizes, parts)?])
            }
            (other, None) => {
                Err(Error::argument("Swda", "images of the target", "none", format!("some for {other:?}")))
            }
        }
    }

    fn pass(&self, images: Tensor, sizes: Vec<(usize, usize)>, parts: Vec<(Domain, usize, usize)>) -> Result<Pass> {
        let (_, _, height, width) = images.dims4()?;
        let lower = self.detector.backbone.lower(&images, Mode::Train)?;
        let upper = self.detector.backbone.upper(&lower, Mode::Train)?;
        Ok(Pass { lower, upper, sizes, batch: (height, width), parts })
    }

    /// The context vectors of every image: the global classifier's, then the local one's. A run of its own through the
    /// classifiers, with other units dropped.
    fn context(
        &self,
        (lower, upper): (&Tensor, &Tensor),
        sizes: &[(usize, usize)],
        (mode, rng): (Mode, &mut Rng),
    ) -> Result<Option<Tensor>> {
        let [of_lower, of_upper] = self.paddings(sizes);
        let is_on = |context: Option<bool>| context == Some(true);
        let seen = |map: &Tensor| match self.config.context_gradient {
            ContextGradient::All => map.clone(),
            ContextGradient::Classifiers | ContextGradient::Nothing => map.detach(),
        };
        let mut vectors = Vec::new();
        if let (Some(global), true) = (&self.global, is_on(self.config.global.as_ref().map(|g| g.context))) {
            vectors.push(global.features(&seen(upper), &of_upper, mode, rng)?);
        }
        if let (Some(local), true) = (&self.local, is_on(self.config.local.as_ref().map(|l| l.context))) {
            let features = local.features(&seen(lower))?;
            vectors.push(mean_of_images(&features, of_lower.mask(&features)?.as_ref())?);
        }
        if vectors.is_empty() {
            return Ok(None);
        }
        let context = Tensor::cat(&vectors, 1)?;
        Ok(Some(if self.config.context_gradient == ContextGradient::Nothing { context.detach() } else { context }))
    }

    /// What is padding in the maps of both parts of the trunk.
    fn paddings(&self, sizes: &[(usize, usize)]) -> [Padding; 2] {
        self.config.detector.backbone.strides().map(|stride| Padding::new(sizes, stride))
    }

    fn classify(&self, pass: &Pass, lambda: f64, rng: &mut Rng) -> Result<Classified> {
        let lower = ops::gradient_reversal(&pass.lower, lambda)?;
        let upper = ops::gradient_reversal(&pass.upper, lambda)?;
        let [_, padding] = self.paddings(&pass.sizes);
        let global = |global: &GlobalClassifier| global.logits(&global.features(&upper, &padding, Mode::Train, rng)?);
        let global = self.global.as_ref().map(global);
        let local = self.local.as_ref().map(|local| local.probabilities(&local.features(&lower)?));
        let image = self.da_faster.as_ref().map(|da_faster| da_faster.image(&upper));
        Ok(Classified { global: global.transpose()?, local: local.transpose()?, image: image.transpose()? })
    }

    /// Adds what one domain's part of a pass contributes.
    fn alignment(
        &self,
        pass: &Pass,
        classified: &Classified,
        (domain, first, n): (Domain, usize, usize),
        (lambda, detected): (f64, &TrainingPass),
        (terms, rng): (&mut Terms, &mut Rng),
    ) -> Result<()> {
        let sizes = &pass.sizes[first..first + n];
        let [of_lower, of_upper] = self.paddings(sizes);
        if let (Some(logits), Some(config)) = (&classified.global, &self.config.global) {
            let logits = logits.narrow(0, first, n)?;
            terms.add("domain_global", &global_loss(&logits, domain, config.modulation)?, 1.0)?;
            let margin = (logits.narrow(1, 1, 1)? - logits.narrow(1, 0, 1)?)?;
            terms.count("global_accuracy", &margin, None, domain)?;
        }
        if let Some(d) = &classified.local {
            let d = d.narrow(0, first, n)?;
            let mask = of_lower.mask(&d)?;
            terms.add("domain_local", &local_loss(&d, domain, mask.as_ref())?, 1.0)?;
            terms.count("local_accuracy", &d.affine(1.0, -0.5)?, mask.as_ref(), domain)?;
        }
        let (Some(image), Some(classifiers), Some(config)) =
            (&classified.image, &self.da_faster, &self.config.da_faster)
        else {
            return Ok(());
        };
        let image = image.narrow(0, first, n)?;
        let mask = of_upper.mask(&image)?;
        if config.image > 0.0 {
            terms.add("domain_image", &binary_loss(&image, domain, mask.as_ref())?, config.image)?;
            terms.count("image_accuracy", &image, mask.as_ref(), domain)?;
        }
        if config.instance == 0.0 {
            return Ok(());
        }
        let (features, images) = match domain {
            Domain::Source => (detected.regions.features.clone(), places(&detected.sampled.boxes)),
            Domain::Target => {
                self.target_regions(&pass.upper.narrow(0, first, n)?, pass.batch, (sizes, config.proposals), rng)?
            }
        };
        if images.is_empty() {
            return Ok(());
        }
        let reversed = ops::gradient_reversal(&features, lambda)?;
        let regions = classifiers.instance(&reversed, Mode::Train, rng)?;
        terms.add("domain_instance", &binary_loss(&regions, domain, None)?, config.instance)?;
        terms.count("instance_accuracy", &regions, None, domain)?;
        if config.consistency > 0.0 {
            let loss = consistency_loss(&image, &regions, &images, mask.as_ref())?;
            terms.add("domain_consistency", &loss, config.consistency)?;
        }
        Ok(())
    }

    /// The features of the best proposals of images of the target, and the image of each. The proposals themselves learn
    /// nothing.
    fn target_regions(
        &self,
        upper: &Tensor,
        batch: (usize, usize),
        (sizes, n): (&[(usize, usize)], usize),
        rng: &mut Rng,
    ) -> Result<(Tensor, Vec<u32>)> {
        let rpn = &self.detector.rpn;
        let output = rpn.forward(&[upper.detach()], batch)?;
        let proposals = rpn.proposals(&output, sizes, &rpn.config().train)?;
        let boxes: Vec<Vec<BBox>> = proposals.iter().map(|p| p.iter().take(n).map(|p| p.bbox).collect()).collect();
        let mode = (Mode::Train, rng);
        let regions = self.detector.roi_heads.forward(&self.detector.backbone, (upper, None), &boxes, mode)?;
        Ok((regions.features, places(&boxes)))
    }
}

/// The image of each of the boxes, images one after the other.
fn places(boxes: &[Vec<BBox>]) -> Vec<u32> {
    boxes.iter().enumerate().flat_map(|(image, boxes)| vec![image as u32; boxes.len()]).collect()
}

/// Both batches one after the other, the smaller images padded.
fn stack(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let ((_, _, ha, wa), (_, _, hb, wb)) = (a.dims4()?, b.dims4()?);
    let (h, w) = (ha.max(hb), wa.max(wb));
    let padded = |t: &Tensor, th: usize, tw: usize| t.pad_with_zeros(2, 0, h - th)?.pad_with_zeros(3, 0, w - tw);
    Ok(Tensor::cat(&[padded(a, ha, wa)?, padded(b, hb, wb)?], 0)?)
}

/// Losses and counts of both domains as they come.
#[derive(Default)]
struct Terms {
    losses: Vec<(&'static str, Tensor)>,
    /// How many are right, and of how many.
    counts: Vec<(&'static str, f64, f64)>,
}

impl Terms {
    /// Adds half of a domain's loss, with its weight.
    fn add(&mut self, name: &'static str, loss: &Tensor, weight: f64) -> Result<()> {
        let half = (loss * (0.5 * weight))?;
        match self.losses.iter_mut().find(|(n, _)| *n == name) {
            Some((_, sum)) => *sum = (&*sum + half)?,
            None => self.losses.push((name, half)),
        }
        Ok(())
    }

    /// Counts which of the `margins` are on the domain's side: above 0 for the target. Those that `mask` has at 0 are padding.
    fn count(&mut self, name: &'static str, margins: &Tensor, mask: Option<&Tensor>, domain: Domain) -> Result<()> {
        let values = |t: &Tensor| t.detach().flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>();
        let mut margins = values(margins)?;
        if let Some(mask) = mask {
            let mut counts = values(mask)?.into_iter();
            margins.retain(|_| counts.next() != Some(0.0));
        }
        let right = margins.iter().filter(|&&m| (m > 0.0) == (domain == Domain::Target)).count() as f64;
        // Both domains count alike, whatever their numbers of regions.
        let share = right / margins.len().max(1) as f64;
        match self.counts.iter_mut().find(|(n, ..)| *n == name) {
            Some((_, sum, domains)) => (*sum, *domains) = (*sum + share, *domains + 1.0),
            None => self.counts.push((name, share, 1.0)),
        }
        Ok(())
    }

    fn finish(self, losses: &mut StepLosses) {
        losses.domain = self.losses;
        losses.accuracies = self.counts.into_iter().map(|(name, sum, domains)| (name, sum / domains)).collect();
    }
}
