//! What is aligned, and how.

use sconce_core::{Error, Result};
use sconce_detection::FasterRcnnConfig;
use serde::{Deserialize, Serialize};

/// A detector and what aligns its features between the domains. [`SwdaConfig::source_only`] aligns nothing; the other presets
/// are the paper's method and what it is compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SwdaConfig {
    /// The detector. Its `roi_heads.context` stays 0: what [`SwdaConfig::context`] says is added.
    pub detector: FasterRcnnConfig,
    /// What is done with images of the target.
    pub target: TargetUse,
    /// Weak alignment of whole images (§3.1): G of the paper's tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub global: Option<GlobalConfig>,
    /// Strong alignment of every position (§3.2): L of the paper's tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalConfig>,
    /// The alignment of Chen et al. (2018), which the paper compares with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub da_faster: Option<DaFasterConfig>,
    /// How the trunk learns the opposite of what the classifiers of domains learn.
    pub reversal: ReversalConfig,
    /// The weight η of the alignment.
    pub eta: EtaConfig,
    /// What learns from the detector's losses through the context vectors (§3.3).
    pub context_gradient: ContextGradient,
}

/// What is done with images of the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TargetUse {
    /// They are not looked at: "Source Only".
    #[default]
    None,
    /// They go through the trunk together with the source's, so that both share the statistics of batch normalisations, and
    /// nothing is learned from them: a control for networks that normalise by batches.
    Statistics,
    /// They are aligned, in a pass of their own after the source's: the official code's.
    Separate,
    /// They are aligned, in one pass with the source's. The same for a trunk whose batch normalisations are frozen; one whose
    /// normalisations learn, and the classifiers of domains, normalise over both domains.
    Joint,
}

/// The classifier of whole images: `netD` of the official code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GlobalConfig {
    /// How easy images are played down.
    pub modulation: Modulation,
    /// Channels of its three convolutions; the last ones are the context vector.
    pub channels: [usize; 3],
    /// With which probability its dropout drops.
    pub dropout: f64,
    /// Whether its features are put before those of each region.
    pub context: bool,
}

/// How the loss of the global classifier depends on the probability p of an image's own domain.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Modulation {
    /// `−(1 − p)^γ log p` (eq. 4). γ of 0 is the cross-entropy of "BDC-Faster".
    Focal {
        /// γ; 5 is the official code's default.
        gamma: f64,
    },
    /// `−exp(−γ p) log p`, the paper's other modulation (`--ef` of the official code).
    Exponential {
        /// γ.
        gamma: f64,
    },
}

/// The classifier of every position: `netD_pixel` of the official code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LocalConfig {
    /// Channels of its first two convolutions; the last ones, in the mean, are the context vector.
    pub channels: [usize; 2],
    /// The standard deviation that its weights begin with; PyTorch's default without it. The official code has 0.01 for ResNet
    /// with both classifiers, and PyTorch's default elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_std: Option<f64>,
    /// Whether its features are put before those of each region.
    pub context: bool,
}

/// The alignment of DA-Faster (Chen et al., "Domain Adaptive Faster R-CNN for Object Detection in the Wild", 2018). Its terms
/// have weights; one of 0 is left out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DaFasterConfig {
    /// Of the classifier of every position of the upper map (section 4.2): 1 in the released prototxt.
    pub image: f64,
    /// Of the classifier of regions (section 4.2): 0.1 in the released prototxt, with a rate of 10.
    pub instance: f64,
    /// Of the distance between both (section 4.3, eq. 10): absent from the released prototxt, 0.1 in reimplementations.
    pub consistency: f64,
    /// Channels of the classifier of positions: 512.
    pub image_channels: usize,
    /// Channels of the classifier of regions: 1024.
    pub instance_channels: usize,
    /// With which probability the classifier of regions drops: 0.5.
    pub dropout: f64,
    /// The best proposals of an image of the target that are classified.
    pub proposals: usize,
}

/// The gradient reversal in front of every classifier of domains.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ReversalConfig {
    /// λ, which the reversed gradient is multiplied by: 1 in the official code, 0.1 in DA-Faster.
    pub lambda: f64,
    /// λ over time.
    pub schedule: LambdaSchedule,
}

/// λ over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum LambdaSchedule {
    /// The same all the time: the official code's.
    #[default]
    Constant,
    /// `λ · (2 / (1 + exp(−10 p)) − 1)` with p from 0 to 1 through training (Ganin & Lempitsky, 2015, section 3.1).
    Ramp,
}

/// The weight of the alignment: 0.1 from Sim10k to Cityscapes, else 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EtaConfig {
    /// η.
    pub value: f64,
    /// What it is multiplied with.
    pub scales: EtaScales,
}

/// What η is multiplied with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EtaScales {
    /// The losses of the domains, as in the official code: the classifiers of domains learn more slowly too.
    #[default]
    Losses,
    /// The reversed gradient, as the paper's λ (eq. 9): the classifiers learn at their full rate.
    Reversal,
}

/// What learns from the detector's losses through the context vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ContextGradient {
    /// The classifiers of domains, but not the trunk below them: the official code's.
    #[default]
    Classifiers,
    /// The trunk too.
    All,
    /// Neither.
    Nothing,
}

impl SwdaConfig {
    /// A detector that sees the source alone.
    pub fn source_only(detector: FasterRcnnConfig) -> Self {
        Self {
            detector,
            target: TargetUse::None,
            global: None,
            local: None,
            da_faster: None,
            reversal: ReversalConfig { lambda: 1.0, schedule: LambdaSchedule::Constant },
            eta: EtaConfig { value: 1.0, scales: EtaScales::Losses },
            context_gradient: ContextGradient::Classifiers,
        }
    }

    /// The paper's method: weak global and strong local alignment, both with context vectors.
    pub fn swda(detector: FasterRcnnConfig) -> Self {
        let mut config = Self::source_only(detector);
        config.target = TargetUse::Separate;
        config.global = Some(GlobalConfig {
            modulation: Modulation::Focal { gamma: 5.0 },
            channels: [512, 128, 128],
            dropout: 0.5,
            context: true,
        });
        let [lower, _] = config.detector.backbone.channels();
        config.local = Some(LocalConfig { channels: [lower, 128], init_std: None, context: true });
        config
    }

    /// "BDC-Faster": an ordinary classifier of whole images.
    pub fn bdc_faster(detector: FasterRcnnConfig) -> Self {
        let mut config = Self::swda(detector).without_context();
        config.local = None;
        if let Some(global) = &mut config.global {
            global.modulation = Modulation::Focal { gamma: 0.0 };
        }
        config
    }

    /// DA-Faster (Chen et al., 2018), with all three terms.
    pub fn da_faster(detector: FasterRcnnConfig) -> Self {
        let mut config = Self::source_only(detector);
        config.target = TargetUse::Separate;
        config.reversal.lambda = 0.1;
        config.da_faster = Some(DaFasterConfig {
            image: 1.0,
            instance: 0.1,
            consistency: 0.1,
            image_channels: 512,
            instance_channels: 1024,
            dropout: 0.5,
            proposals: 128,
        });
        config
    }

    /// The same without context vectors.
    #[must_use]
    pub fn without_context(mut self) -> Self {
        if let Some(global) = &mut self.global {
            global.context = false;
        }
        if let Some(local) = &mut self.local {
            local.context = false;
        }
        self
    }

    /// Features of the context vectors of an image: those of the global classifier, then those of the local one.
    pub fn context(&self) -> usize {
        let global = self.global.as_ref().filter(|g| g.context).map_or(0, |g| g.channels[2]);
        let local = self.local.as_ref().filter(|l| l.context).map_or(0, |l| l.channels[1]);
        global + local
    }

    /// The detector with the context vectors' features added.
    pub fn full_detector(&self) -> FasterRcnnConfig {
        let mut detector = self.detector.clone();
        detector.roi_heads.context = self.context();
        detector
    }

    /// Whether anything is aligned.
    pub fn aligns(&self) -> bool {
        matches!(self.target, TargetUse::Separate | TargetUse::Joint)
    }

    /// Checks that there is such a method.
    ///
    /// # Errors
    /// [`Error::Argument`] with the first setting that has no sense.
    pub fn validate(&self) -> Result<()> {
        const OP: &str = "SwdaConfig";
        self.detector.validate()?;
        if self.detector.roi_heads.context != 0 {
            let expected = "0: what global.context and local.context say is added";
            return Err(Error::argument(OP, "detector.roi_heads.context", self.detector.roi_heads.context, expected));
        }
        let classifiers = (self.global.is_some(), self.local.is_some(), self.da_faster.is_some());
        if self.aligns() != (classifiers != (false, false, false)) {
            let expected = "separate or joint with global, local or da_faster, and none or statistics without any";
            return Err(Error::argument(OP, "target", self.target, expected));
        }
        if self.da_faster.is_some() && self.context() > 0 {
            let expected = "none beside da_faster, whose regions of the target would need one too";
            return Err(Error::argument(OP, "context vectors", self.context(), expected));
        }
        let strengths = (self.reversal.lambda, self.eta.value);
        if !(strengths.0 >= 0.0 && strengths.0.is_finite() && strengths.1 >= 0.0 && strengths.1.is_finite()) {
            return Err(Error::argument(OP, "reversal.lambda and eta.value", strengths, "at least 0 and finite"));
        }
        self.global.as_ref().map_or(Ok(()), GlobalConfig::validate)?;
        self.local.as_ref().map_or(Ok(()), LocalConfig::validate)?;
        self.da_faster.as_ref().map_or(Ok(()), DaFasterConfig::validate)
    }
}

fn check_channels(what: &'static str, channels: &[usize]) -> Result<()> {
    if channels.contains(&0) { Err(Error::argument("SwdaConfig", what, channels, "at least 1 each")) } else { Ok(()) }
}

fn check_dropout(what: &'static str, p: f64) -> Result<()> {
    if (0.0..1.0).contains(&p) { Ok(()) } else { Err(Error::argument("SwdaConfig", what, p, "at least 0 and below 1")) }
}

impl GlobalConfig {
    fn validate(&self) -> Result<()> {
        check_channels("global.channels", &self.channels)?;
        check_dropout("global.dropout", self.dropout)?;
        let (Modulation::Focal { gamma } | Modulation::Exponential { gamma }) = self.modulation;
        if gamma >= 0.0 && gamma.is_finite() {
            return Ok(());
        }
        Err(Error::argument("SwdaConfig", "global.modulation.gamma", gamma, "at least 0 and finite"))
    }
}

impl LocalConfig {
    fn validate(&self) -> Result<()> {
        check_channels("local.channels", &self.channels)?;
        match self.init_std {
            Some(std) if !(std > 0.0 && std.is_finite()) => {
                Err(Error::argument("SwdaConfig", "local.init_std", std, "positive and finite"))
            }
            _ => Ok(()),
        }
    }
}

impl DaFasterConfig {
    fn validate(&self) -> Result<()> {
        check_channels(
            "da_faster.image_channels, instance_channels and proposals",
            &[self.image_channels, self.instance_channels, self.proposals],
        )?;
        check_dropout("da_faster.dropout", self.dropout)?;
        let weights = [self.image, self.instance, self.consistency];
        if !weights.iter().all(|&w| w >= 0.0 && w.is_finite()) || weights == [0.0; 3] {
            return Err(Error::argument("SwdaConfig", "weights of da_faster", weights, "at least 0, and not all 0"));
        }
        if self.consistency > 0.0 && (self.image == 0.0 || self.instance == 0.0) {
            let expected = "with image and instance, which it holds together";
            return Err(Error::argument("SwdaConfig", "da_faster.consistency", self.consistency, expected));
        }
        Ok(())
    }
}
