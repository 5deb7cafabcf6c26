"""The workloads of `cargo xtask bench` in PyTorch, one process a workload.

    python bench.py WORKLOAD --exchange DIR --threads N

speaks the protocol of `tests/src/bench.rs`: it starts from the tensors in DIR, prints {"check": [...]}, and answers a line `run`
by {"ms": ...} and a line `memory` by {"peak_mb": ...}. Of the ways in which PyTorch can do a workload (memory layout,
implementation of the optimiser) it tries each and goes on with the fastest, in a fresh process, so that the trials do not
count as memory. Needs torch, torchvision and numpy.
"""
import argparse
import json
import os
import statistics
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
import torchvision

LR = 0.01


def read_tensors(folder):
    with open(os.path.join(folder, "tensors.json")) as file:
        index = json.load(file)
    with open(os.path.join(folder, "tensors.bin"), "rb") as file:
        data = file.read()
    tensors = {}
    for name, entry in index.items():
        count = int(np.prod(entry["shape"], dtype=np.int64))
        array = np.frombuffer(data, entry["dtype"], count, entry["offset"])
        tensors[name] = torch.from_numpy(array.copy().reshape(entry["shape"]))
    return tensors


def sgd(parameters, implementation):
    return torch.optim.SGD(parameters, LR, momentum=0.9, **({implementation: True} if implementation else {}))


def resnet18(tensors):
    model = torchvision.models.resnet18(num_classes=10)
    state = {name: value for name, value in tensors.items() if name not in ("x", "target")}
    found = model.load_state_dict(state, strict=False)
    lacking = [name for name in found.missing_keys if not name.endswith(("num_batches_tracked", "running_mean", "running_var"))]
    if lacking or found.unexpected_keys:
        raise SystemExit(f"the weights do not fit: missing {lacking}, unexpected {found.unexpected_keys}")
    return model


class TrainingStep:
    variants = [[layout, optimizer] for layout in ("contiguous", "channels_last") for optimizer in ("foreach", "fused")]

    def __init__(self, tensors, variant):
        layout, optimizer = variant
        form = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        self.model = resnet18(tensors).train().to(memory_format=form)
        self.x = tensors["x"].to(memory_format=form)
        self.target = tensors["target"]
        self.optimizer = sgd(self.model.parameters(), optimizer)

    def run(self):
        self.optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(self.model(self.x), self.target)
        loss.backward()
        self.optimizer.step()
        return loss

    def check(self):
        return [self.run().item() for _ in range(3)]


class Convolution:
    variants = [["contiguous"], ["channels_last"]]

    def __init__(self, tensors, variant):
        form = torch.channels_last if variant[0] == "channels_last" else torch.contiguous_format
        self.x, self.weight = (tensors[name].to(memory_format=form).requires_grad_() for name in ("x", "weight"))
        self.gout = torch.ones_like(self.x)

    def run(self):
        self.x.grad = self.weight.grad = None
        y = F.conv2d(self.x, self.weight, padding=1)
        y.backward(self.gout)
        return y

    def check(self):
        y = self.run()
        mean_square = lambda t: t.detach().double().square().mean().item()
        return [mean_square(y), mean_square(self.x.grad), mean_square(self.weight.grad) / 4096]


class SgdStep:
    variants = [["foreach"], ["fused"], [None]]

    def __init__(self, tensors, variant):
        self.parameters = [torch.nn.Parameter(tensors[name]) for name in sorted(tensors)]
        for p in self.parameters:
            p.grad = p.detach().clone()
        self.optimizer = sgd(self.parameters, variant[0])

    def run(self):
        self.optimizer.step()

    def check(self):
        states = []
        for _ in range(3):
            self.run()
            states.append(sum(p.detach().double().square().mean().item() for p in self.parameters) / len(self.parameters))
        return states


WORKLOADS = {
    "resnet18 training step 16x3x64x64": TrainingStep,
    "conv2d 3x3 64 ch 16x16 b16 forward+backward": Convolution,
    "sgd step resnet18": SgdStep,
}


def status(field):
    """A field of /proc/self/status in KiB, None where there is none."""
    try:
        with open("/proc/self/status") as file:
            return next((int(line.split()[1]) for line in file if line.startswith(field)), None)
    except OSError:
        return None


def restart_peak():
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def milliseconds(workload):
    start = time.perf_counter()
    workload.run()
    return (time.perf_counter() - start) * 1e3


def fastest(kind, tensors):
    def median(variant):
        workload = kind({name: tensor.clone() for name, tensor in tensors.items()}, variant)
        for _ in range(2):
            workload.run()
        return statistics.median(milliseconds(workload) for _ in range(5))

    return min(kind.variants, key=median)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("workload")
    parser.add_argument("--exchange", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--variant", help="JSON; without it the fastest is looked for")
    args = parser.parse_args()
    if args.workload not in WORKLOADS:
        raise SystemExit(f"the peer has no workload {args.workload!r}")
    torch.set_num_threads(args.threads)
    kind, tensors = WORKLOADS[args.workload], read_tensors(args.exchange)
    if args.variant is None:
        variant = json.dumps(fastest(kind, tensors))
        os.execv(sys.executable, [sys.executable, *sys.argv, "--variant", variant])
    variant = json.loads(args.variant)

    workload = kind(tensors, variant)
    restart_peak()
    resident = status("VmRSS:")
    answer = lambda value: print(json.dumps(value), flush=True)
    answer({"check": workload.check(), "variant": variant})
    for request in sys.stdin:
        if request.strip() == "run":
            answer({"ms": milliseconds(workload)})
        else:
            peak = status("VmHWM:")
            answer({"peak_mb": None if peak is None or resident is None else max(0, peak - resident) * 1024 / 1e6})


if __name__ == "__main__":
    main()
