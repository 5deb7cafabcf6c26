"""Training steps of Faster R-CNN, composed of torchvision's parts."""
from collections import OrderedDict

import torch
import torchvision
from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign

from optimizer import sgd
from training import LAYOUTS, load

CLASSES = 20
SIZE = (300, 400)
REGIONS = 512


class Vgg16(nn.Module):
    """The trunk, whose first four convolutions are frozen."""

    out_channels = 512

    def __init__(self):
        super().__init__()
        self.features = torchvision.models.vgg16().features[:30]
        for layer in list(self.features)[:10]:
            for parameter in layer.parameters():
                parameter.requires_grad_(False)

    def forward(self, x):
        return self.features(x)


class VggHead(nn.Module):
    """The first two layers of the classifier, without dropout."""

    n_features = 4096

    def __init__(self):
        super().__init__()
        self.fc6, self.fc7 = nn.Linear(25088, 4096), nn.Linear(4096, 4096)

    def forward(self, x):
        return self.fc7(self.fc6(x.flatten(1)).relu_()).relu_()


class ResNet50(nn.Module):
    """The trunk, whose stem and batch normalisations are frozen."""

    out_channels = 1024

    def __init__(self):
        super().__init__()
        model = torchvision.models.resnet50(norm_layer=FrozenBatchNorm2d)
        for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3"):
            self.add_module(name, getattr(model, name))
        self.conv1.weight.requires_grad_(False)

    def forward(self, x):
        for layer in self.children():
            x = layer(x)
        return x


class ResNetHead(nn.Module):
    """The last stage and a mean."""

    n_features = 2048

    def __init__(self):
        super().__init__()
        self.layer4 = torchvision.models.resnet50(norm_layer=FrozenBatchNorm2d).layer4

    def forward(self, x):
        return self.layer4(x).mean((2, 3))


# What belongs to the head here, and to the backbone there.
PLACES = {
    "backbone.classifier.0.": "roi_heads.box_head.fc6.",
    "backbone.classifier.3.": "roi_heads.box_head.fc7.",
    "backbone.layer4.": "roi_heads.box_head.layer4.",
}


def renamed(name):
    place = next((place for place in PLACES if name.startswith(place)), None)
    return name if place is None else PLACES[place] + name.removeprefix(place)


class TrainingStep:
    variants = [[layout, optimizer] for layout in LAYOUTS for optimizer in ("foreach", "fused")]

    def __init__(self, tensors, variant):
        layout, optimizer = variant
        form = LAYOUTS[layout]
        head = self.head()
        self.model = FasterRCNN(
            self.backbone(),
            rpn_anchor_generator=AnchorGenerator(((128, 256, 512),), ((0.5, 1.0, 2.0),)),
            rpn_post_nms_top_n_train=REGIONS,
            rpn_batch_size_per_image=1_000_000,
            box_batch_size_per_image=1_000_000,
            box_positive_fraction=0.5,
            box_roi_pool=MultiScaleRoIAlign(["0"], 7, 2),
            box_head=head,
            box_predictor=FastRCNNPredictor(head.n_features, CLASSES + 1),
        )
        inputs = {name: tensors.pop(name) for name in ("x", "boxes", "labels")}
        load(self.model, {renamed(name): value for name, value in tensors.items()})
        self.model.train().to(memory_format=form)
        self.x = inputs["x"].to(memory_format=form)
        self.targets = [{"boxes": inputs["boxes"], "labels": inputs["labels"] + 1}]
        self.optimizer = sgd(self.model.parameters(), optimizer)

    def run(self):
        # The model without its resizing of images, which is another workload.
        self.optimizer.zero_grad(set_to_none=True)
        features = OrderedDict([("0", self.model.backbone(self.x))])
        proposals, losses = self.model.rpn(ImageList(self.x, [SIZE]), features, self.targets)
        _, more = self.model.roi_heads(features, proposals, [SIZE], self.targets)
        loss = sum(losses.values()) + sum(more.values())
        loss.backward()
        self.optimizer.step()
        return loss

    def check(self):
        return [self.run().item() for _ in range(3)]


def training(backbone, head):
    return type(backbone.__name__ + "Step", (TrainingStep,), {"backbone": backbone, "head": head})


WORKLOADS = {
    "faster r-cnn vgg16 training step 1x3x300x400": training(Vgg16, VggHead),
    "faster r-cnn resnet50-c4 training step 1x3x300x400": training(ResNet50, ResNetHead),
}
