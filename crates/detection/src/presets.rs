//! Detectors as papers and libraries have them.

use sconce_backbones::{ResNetConfig, VggConfig};

use crate::{
    anchors::{AnchorConfig, AnchorRule},
    backbone::{BackboneConfig, VggRegionHead},
    coder::BoxConvention,
    faster_rcnn::FasterRcnnConfig,
    matcher::MatcherConfig,
    proposals::ProposalConfig,
    roi_heads::{PredictorInit, RoiHeadsConfig},
    roi_pool::{RoiOperation, RoiPoolConfig},
    rpn::{Objectness, RpnConfig, Straddling},
    sampler::{SamplerConfig, Shortage},
};

impl FasterRcnnConfig {
    /// torchvision's `FasterRCNN` with its defaults on a backbone of one map, and the anchors of the paper. Its layers begin as
    /// torchvision's.
    pub fn torchvision(backbone: BackboneConfig, n_classes: usize) -> Self {
        let [_, channels] = backbone.channels();
        let proposals = |n| ProposalConfig { before_nms: n, after_nms: n, nms_iou: 0.7, min_size: 1e-3 };
        Self {
            backbone,
            rpn: RpnConfig {
                anchors: AnchorConfig::faster_rcnn(AnchorRule::Torchvision),
                hidden: channels,
                objectness: Objectness::Sigmoid,
                matcher: MatcherConfig { foreground_iou: 0.7, background_iou: 0.3, best_for_each_object: true },
                sampler: SamplerConfig { per_image: 256, positive_fraction: 0.5, shortage: Shortage::Fewer },
                straddling: Straddling::Keep,
                box_beta: 1.0 / 9.0,
                train: proposals(2000),
                eval: proposals(1000),
            },
            roi_heads: RoiHeadsConfig {
                n_classes,
                pool: RoiPoolConfig { size: 7, operation: RoiOperation::Align { sampling_ratio: 2, aligned: false } },
                matcher: MatcherConfig { foreground_iou: 0.5, background_iou: 0.5, best_for_each_object: false },
                sampler: SamplerConfig { per_image: 512, positive_fraction: 0.25, shortage: Shortage::Fewer },
                box_weights: [10.0, 10.0, 5.0, 5.0],
                box_beta: 1.0 / 9.0,
                min_score: 0.05,
                nms_iou: 0.5,
                max_detections: 100,
                min_size: 1e-2,
                context: 0,
                init: PredictorInit::Torchvision,
            },
            convention: BoxConvention::Continuous,
        }
    }

    /// faster-rcnn.pytorch (Yang et al., 2017), which detectors across domains start from: the paper's losses and matching,
    /// py-faster-rcnn's arithmetic of boxes, `RoIAlignAvg`. `regions` of an image are trained on: 256 with VGG-16, 128 with
    /// ResNet-101.
    pub fn faster_rcnn_pytorch(backbone: BackboneConfig, n_classes: usize, regions: usize) -> Self {
        let stride = backbone.stride();
        let proposals = |before_nms, after_nms| ProposalConfig { before_nms, after_nms, nms_iou: 0.7, min_size: 0.0 };
        let default = Self::torchvision(backbone, n_classes);
        Self {
            rpn: RpnConfig {
                anchors: AnchorConfig::faster_rcnn(AnchorRule::Caffe { stride }),
                hidden: 512,
                objectness: Objectness::Softmax,
                straddling: Straddling::Ignore,
                train: proposals(12_000, 2000),
                eval: proposals(6000, 300),
                ..default.rpn
            },
            roi_heads: RoiHeadsConfig {
                pool: RoiPoolConfig { size: 7, operation: RoiOperation::AlignAvg },
                sampler: SamplerConfig { per_image: regions, positive_fraction: 0.25, shortage: Shortage::Repeat },
                box_beta: 1.0,
                min_score: 0.0,
                nms_iou: 0.3,
                min_size: 0.0,
                init: PredictorInit::Caffe,
                ..default.roi_heads
            },
            convention: BoxConvention::Inclusive,
            backbone: default.backbone,
        }
    }

    /// A detector for small pictures, a hundred pixels wide with objects of 20 to 50: four stages of 16 to 128 channels, one
    /// map at a stride of 8. Its trunk is small enough to be trained on two cores. Its predictors begin as py-faster-rcnn's.
    pub fn small(n_classes: usize) -> Self {
        let network = VggConfig { convolutions: [1, 1, 1, 1, 0], width: 0.25, ..VggConfig::vgg11() }.with_batch_norm();
        let head = VggRegionHead::Mlp { hidden: 128 };
        let default = Self::torchvision(BackboneConfig::Vgg { network, lower: 2, head }, n_classes);
        let proposals = |n| ProposalConfig { before_nms: 200, after_nms: n, nms_iou: 0.7, min_size: 1.0 };
        Self {
            rpn: RpnConfig {
                anchors: AnchorConfig {
                    sizes: vec![vec![16.0, 32.0, 48.0]],
                    aspect_ratios: vec![1.0],
                    rule: AnchorRule::Caffe { stride: 8 },
                },
                hidden: 128,
                sampler: SamplerConfig { per_image: 64, ..default.rpn.sampler },
                train: proposals(100),
                eval: proposals(50),
                ..default.rpn
            },
            roi_heads: RoiHeadsConfig {
                pool: RoiPoolConfig { size: 4, ..default.roi_heads.pool },
                sampler: SamplerConfig { per_image: 32, ..default.roi_heads.sampler },
                init: PredictorInit::Caffe,
                ..default.roi_heads
            },
            ..default
        }
    }

    /// Faster R-CNN on VGG-16 with torchvision's parts: new layers on regions are the network's own classifier.
    pub fn vgg16(n_classes: usize) -> Self {
        Self::torchvision(BackboneConfig::vgg16(), n_classes)
    }

    /// Faster R-CNN on the fourth stage of ResNet-50, with torchvision's parts.
    pub fn resnet50_c4(n_classes: usize) -> Self {
        Self::torchvision(BackboneConfig::resnet_c4(ResNetConfig::resnet50()), n_classes)
    }
}
