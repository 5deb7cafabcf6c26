#!/usr/bin/env python3
"""Write variants.json: what small relatives of torchvision's networks compute in evaluation, for tests/it/variants.rs.

    python make_variants.py > variants.json

needs torch and torchvision (2.13.0 and 0.28.0 wrote the committed file). Weights and images are filled by the rule of
fill.py; parameter counts are those of the whole networks with 1000 classes.
"""
import json

import torch
import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.models.vgg import VGG, cfgs, make_layers

from fill import fill


def caffe(model):
    """The layout of He et al.'s models for Caffe: the stride in the first 1x1 convolution, a max-pool without padding."""
    model.maxpool = nn.MaxPool2d(3, stride=2, padding=0, ceil_mode=True)
    for layer in (model.layer2, model.layer3, model.layer4):
        layer[0].conv1.stride, layer[0].conv2.stride = layer[0].conv2.stride, layer[0].conv1.stride
    return model


def vgg(which, batch_norm):
    model = VGG(make_layers(cfgs[which], batch_norm=batch_norm), num_classes=5, init_weights=False)
    # torchvision's has 4096 hidden channels.
    model.classifier = nn.Sequential(
        nn.Linear(512 * 7 * 7, 12), nn.ReLU(True), nn.Dropout(), nn.Linear(12, 12), nn.ReLU(True), nn.Dropout(), nn.Linear(12, 5)
    )
    return model


NETWORKS = {
    "resnet34": lambda: ResNet(BasicBlock, [3, 4, 6, 3], num_classes=5),
    "resnext_32x4d": lambda: ResNet(Bottleneck, [1, 2, 1, 1], num_classes=5, groups=32, width_per_group=4),
    "resnext_32x8d": lambda: ResNet(Bottleneck, [1, 1, 1, 1], num_classes=5, groups=32, width_per_group=8),
    "dilated_ftt": lambda: ResNet(Bottleneck, [1, 2, 2, 2], num_classes=5, replace_stride_with_dilation=[False, True, True]),
    "dilated_tft": lambda: ResNet(Bottleneck, [1, 1, 2, 2], num_classes=5, replace_stride_with_dilation=[True, False, True]),
    "caffe": lambda: caffe(ResNet(Bottleneck, [1, 2, 1, 1], num_classes=5)),
    "vgg11": lambda: vgg("A", False),
    "vgg11_bn": lambda: vgg("A", True),
    "vgg13": lambda: vgg("B", False),
    "vgg16_bn": lambda: vgg("D", True),
    "vgg19_bn": lambda: vgg("E", True),
}
WHOLE = ["resnet34", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d"]


def run(make):
    model = make()
    state = model.state_dict()
    model.load_state_dict({n: t if n.endswith("num_batches_tracked") else fill(n, list(t.shape)) for n, t in state.items()})
    model = model.double().eval()
    images = fill("images", [2, 3, 45, 50]).double()
    if isinstance(model, ResNet):
        stages = [model.layer1, model.layer2, model.layer3, model.layer4]
    else:
        pools = [i for i, m in enumerate(model.features) if isinstance(m, nn.MaxPool2d)]
        stages = [model.features[i - 1] for i in pools]
    features = {}
    for i, stage in enumerate(stages):
        # A copy: the ReLU is in place, the pooling behind it is not.
        stage.register_forward_hook(lambda _, __, y, i=i: features.__setitem__(i, y.clone()))
    with torch.no_grad():
        logits = model(images).tolist()
    return {
        "logits": logits,
        "shapes": [list(features[i].shape) for i in range(len(stages))],
        "means": [features[i].mean().item() for i in range(len(stages))],
        "names": {n: list(t.shape) for n, t in state.items()},
    }


out = {name: run(make) for name, make in NETWORKS.items()}
counts = {n: sum(p.numel() for p in getattr(torchvision.models, n)().parameters()) for n in WHOLE}
print(json.dumps({"networks": out, "parameter_counts": counts}))
