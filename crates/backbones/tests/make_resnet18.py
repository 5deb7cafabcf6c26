#!/usr/bin/env python3
"""Write what torchvision's ResNet-18 computes with weights and images that are filled by a rule, for tests/it/torchvision.rs.

    python make_resnet18.py > resnet18.json

needs torch and torchvision (2.13.0 and 0.28.0 wrote the committed file). The rule: element i of the tensor with name s is
centre(s) + scale(s) * sin(1 + i + 31 * len(s)), computed in float64 and rounded to float32.
"""
import json

import torch
import torchvision


def fill(name, shape):
    i = torch.arange(int(torch.tensor(shape).prod()) if shape else 1, dtype=torch.float64)
    wave = torch.sin(1 + i + 31 * len(name))
    if name.endswith("running_var"):
        centre, scale = 1.0, 0.5
    elif name.endswith("running_mean") or name.endswith("bias"):
        centre, scale = 0.0, 0.1
    elif len(shape) == 1:
        centre, scale = 1.0, 0.2
    else:
        fan_in = int(torch.tensor(shape[1:]).prod())
        centre, scale = 0.0, (2.0 / fan_in) ** 0.5
    return (centre + scale * wave).reshape(shape).float()


model = torchvision.models.resnet18(num_classes=5)
state = {n: t if n.endswith("num_batches_tracked") else fill(n, list(t.shape)) for n, t in model.state_dict().items()}
model.load_state_dict(state)
model = model.double()
images = fill("images", [2, 3, 45, 50]).double()

features = {}
for name in ("layer1", "layer2", "layer3", "layer4"):
    getattr(model, name).register_forward_hook(lambda _, __, y, name=name: features.__setitem__(name, y))
out = {}
for mode in ("eval", "train"):
    model.train(mode == "train")
    out[mode] = {
        "logits": model(images).tolist(),
        "shapes": [list(features[f"layer{i}"].shape) for i in (1, 2, 3, 4)],
        "means": [features[f"layer{i}"].mean().item() for i in (1, 2, 3, 4)],
    }
out["names"] = {n: list(t.shape) for n, t in model.state_dict().items()}
out["running_mean_after_train"] = model.layer4[1].bn2.running_mean[:4].tolist()
print(json.dumps(out))
