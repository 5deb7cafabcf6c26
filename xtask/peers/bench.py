"""The workloads of `cargo xtask bench` in PyTorch, one process a workload.

    python bench.py WORKLOAD --exchange DIR --threads N

speaks the protocol of `tests/src/bench.rs`: it starts from the tensors in DIR, prints {"check": [...]}, and answers a line `run`
by {"ms": ...} and a line `memory` by {"peak_mb": ...}. Of the ways in which PyTorch can do a workload (memory layout,
implementation of the optimiser) it tries each and goes on with the fastest, in a fresh process, so that the trials do not
count as memory. Needs torch, torchvision and numpy, and for the evaluation of
detections pycocotools.
"""
import argparse
import json
import os
import statistics
import sys
import time

import numpy as np
import torch

# The workloads beside this file are no package to be compiled into the repository.
sys.dont_write_bytecode = True

import contrastive
import decoder
import detection
import differentiable
import evaluation
import losses
import optimizer
import pipeline
import regions
import training


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


FAMILIES = [training, detection, contrastive, differentiable, decoder, losses, regions, optimizer, pipeline, evaluation]
WORKLOADS = {name: kind for family in FAMILIES for name, kind in family.WORKLOADS.items()}


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
    if len(kind.variants) == 1:
        return kind.variants[0]

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
    kind.folder, kind.threads = args.exchange, args.threads
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
