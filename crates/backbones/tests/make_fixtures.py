#!/usr/bin/env python3
"""Write tests/fixtures: weights of small networks in every form that torch.save and safetensors have, and what PyTorch computes
with them, for tests/it/weights.

    python make_fixtures.py

needs torch, torchvision, safetensors and numpy (torch 2.13.0 and torchvision 0.28.0 wrote the committed files).
"""
import json
from collections import Counter, OrderedDict
from pathlib import Path

import numpy
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.models.vgg import VGG, make_layers

HERE = Path(__file__).parent / "fixtures"
CLASSES = 5


def narrow_resnet(block, blocks, width):
    """torchvision's ResNet with `width` channels in place of 64."""
    model = ResNet(block, blocks, num_classes=CLASSES)
    model.inplanes, model.dilation = width, 1
    model.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
    model.bn1 = nn.BatchNorm2d(width)
    for i, n in enumerate(blocks):
        setattr(model, f"layer{i + 1}", model._make_layer(block, width << i, n, stride=1 if i == 0 else 2))
    model.fc = nn.Linear((width << 3) * block.expansion, CLASSES)
    return model


def narrow_vgg():
    """torchvision's VGG-11 with a sixteenth of the channels and 12 hidden ones."""
    cfg = [4, "M", 8, "M", 16, 16, "M", 32, 32, "M", 32, 32, "M"]
    model = VGG(make_layers(cfg), num_classes=CLASSES)
    model.classifier = nn.Sequential(
        nn.Linear(32 * 7 * 7, 12), nn.ReLU(True), nn.Dropout(), nn.Linear(12, 12), nn.ReLU(True), nn.Dropout(),
        nn.Linear(12, CLASSES),
    )
    return model


def settle(model):
    """Statistics that are not those of a new network."""
    for name, tensor in model.named_buffers():
        if name.endswith("running_mean"):
            tensor.normal_(0, 0.2)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.normal_(module.bias, 0, 0.1)
    return model.eval()


def images():
    """The rule of make_torchvision.py."""
    i = torch.arange(2 * 3 * 64 * 64, dtype=torch.float64)
    return (torch.sin(1 + i + 31 * len("images")) * (2 / (3 * 64 * 64)) ** 0.5).reshape(2, 3, 64, 64).float() * 100


def strided(state):
    """The same tensors as views: transposed, channels last, and two vectors out of the middle of one storage."""
    out, vectors = OrderedDict(), torch.zeros(7 + 2 * sum(t.numel() for t in state.values() if t.dim() == 1))
    at = 7
    for name, tensor in state.items():
        if tensor.dim() == 4:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        elif tensor.dim() == 2:
            tensor = tensor.t().contiguous().t()
        elif tensor.dim() == 1:
            view = vectors[at : at + 2 * tensor.numel() : 2]
            at += 2 * tensor.numel()
            tensor = view.copy_(tensor)
        out[name] = tensor
    out._metadata = getattr(state, "_metadata", OrderedDict())
    return out


def save(value, name, legacy=False, protocol=2):
    torch.save(value, HERE / name, _use_new_zipfile_serialization=not legacy, pickle_protocol=protocol)


def parallel(state):
    return OrderedDict((f"module.{name}", tensor) for name, tensor in state.items())


def optimiser_state(model):
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(images()).sum().backward()
    optimiser.step()
    return optimiser.state_dict()


HERE.mkdir(exist_ok=True)
torch.manual_seed(0)
expected = {}
networks = {
    "basic": settle(narrow_resnet(BasicBlock, [1, 2, 1, 1], 4)),
    "bottleneck": settle(narrow_resnet(Bottleneck, [1, 2, 1, 1], 4)),
    "vgg": settle(narrow_vgg()),
}
states = {}
for name, model in networks.items():
    with torch.no_grad():
        expected[name] = model(images()).tolist()
    states[name] = OrderedDict((n, t.clone()) for n, t in model.state_dict().items())
    states[name]._metadata = model.state_dict()._metadata
    save_file(dict(states[name]), HERE / f"{name}.safetensors")

args = {"lr": 0.1, "schedule": [120, 160], "name": "ResNet", "resume": None, "device": torch.device("cpu")}
basic = {"epoch": 3, "arch": "resnet", "state_dict": parallel(strided(states["basic"])), "args": args}
basic["best_acc1"] = torch.tensor(63.5)
save({**basic, "optimizer": optimiser_state(networks["basic"])}, "basic.pth")
save(strided(states["basic"]), "basic-legacy.pth", legacy=True)

save(strided(states["bottleneck"]), "bottleneck.pth")
# From before PyTorch 0.4.1: no num_batches_tracked.
old = OrderedDict((n, t) for n, t in strided(states["bottleneck"]).items() if not n.endswith("num_batches_tracked"))
save({"iter": 7, "model_state_dict": old, "optimizer_state_dict": {"state": {}, "param_groups": []}}, "bottleneck-legacy.pth", legacy=True)

save({"model": strided(states["vgg"])}, "vgg.pth")
save({"model": parallel(parallel(states["vgg"]))}, "vgg-legacy.pth", legacy=True)

base = torch.arange(24, dtype=torch.float32)
kinds = {
    "float": torch.tensor([1.5, -2.0]), "double": torch.tensor([0.1], dtype=torch.float64),
    "half": torch.tensor([0.5, -3.0], dtype=torch.float16), "bfloat16": torch.tensor([2.0, -0.25], dtype=torch.bfloat16),
    "long": torch.tensor([-(2**40), 7]), "int": torch.tensor([-5, 6], dtype=torch.int32),
    "short": torch.tensor([-300], dtype=torch.int16), "char": torch.tensor([-128, 127, 0], dtype=torch.int8),
    "byte": torch.tensor([255, 0], dtype=torch.uint8), "bool": torch.tensor([True, False]),
    "scalar": torch.tensor(2.25), "empty": torch.zeros(0, 3), "parameter": nn.Parameter(torch.ones(2)),
    "view": base[4:].view(4, 5)[1:3, 1:4], "transposed": base.view(4, 6).t(), "expanded": torch.tensor([7.0]).expand(3, 2),
    "permuted": base.view(2, 3, 4).permute(2, 0, 1), "shared": base,
    "nested": {"inner": {3: torch.tensor([9.0])}},
    "not tensors": [1, 2.5, None, "x", b"bytes", (True, 2**70, -(2**33)), torch.Size([2, 3]), torch.float16, numpy.float64(1.5)],
}
for protocol in (2, 3, 4, 5):
    save(kinds, f"kinds-{protocol}.pth", protocol=protocol)
    save(kinds, f"kinds-{protocol}-legacy.pth", legacy=True, protocol=protocol)
# What real checkpoints have beside tensors, a small file of many numbers, and the names that `torch.compile` writes.
tagged = nn.Parameter(torch.tensor([1.0, 2.0]))
tagged.no_decay = True
around = {
    "state_dict": {"_orig_mod.module.wide": torch.arange(20.0).expand(30, 20), "_orig_mod.module.tagged": tagged},
    "milestones": Counter({30: 1, 60: 1}), "seen": {1, 2}, "frozen": frozenset([3]), "raw": b"", "types": torch.uint16,
}
save(around, "around.pth")
save(around, "around-legacy.pth", legacy=True)
tiny = {"a": torch.tensor([[1.0, 2.0]]), "b": base[:6].view(2, 3).t()}
save(tiny, "tiny.pth")
save(tiny, "tiny-legacy.pth", legacy=True)
(HERE / "expected.json").write_text(json.dumps(expected))
