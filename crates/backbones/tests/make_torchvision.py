#!/usr/bin/env python3
"""Write what a network of torchvision computes with weights and images that are filled by a rule, for tests/it/torchvision.rs.

    python make_torchvision.py resnet18|resnet50|vgg16 > NAME.json

needs torch and torchvision (2.13.0 and 0.28.0 wrote the committed files). The rule: element i of the tensor with name s is
centre(s) + scale(s) * sin(1 + i + 31 * len(s)), computed in float64 and rounded to float32.
"""
import json
import sys

import torch
import torchvision

from fill import fill

architecture = sys.argv[1]
model = getattr(torchvision.models, architecture)(num_classes=5)
if architecture == "vgg16":
    model.classifier = model.avgpool = torch.nn.Identity()
state = {n: t if n.endswith("num_batches_tracked") else fill(n, list(t.shape)) for n, t in model.state_dict().items()}
model.load_state_dict(state)
model = model.double()
images = fill("images", [2, 3, 45, 50]).double()

if architecture == "vgg16":
    # The ReLUs after conv1_2, conv2_2, conv3_3, conv4_3, conv5_3.
    stages = [model.features[i] for i in (3, 8, 15, 22, 29)]
else:
    stages = [getattr(model, name) for name in ("layer1", "layer2", "layer3", "layer4")]
features = {}
for i, stage in enumerate(stages):
    stage.register_forward_hook(lambda _, __, y, i=i: features.__setitem__(i, y))
out = {}
for mode in ("eval", "train"):
    model.train(mode == "train")
    y = model(images)
    out[mode] = {
        "logits": [] if architecture == "vgg16" else y.tolist(),
        "shapes": [list(features[i].shape) for i in range(len(stages))],
        "means": [features[i].mean().item() for i in range(len(stages))],
    }
out["names"] = {n: list(t.shape) for n, t in model.state_dict().items()}
if architecture != "vgg16":
    last = model.layer4[-1]
    out["running_mean_after_train"] = last.bn2.running_mean[:4].tolist()
print(json.dumps(out))
