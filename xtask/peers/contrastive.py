"""A training step of MoCo v2 by the formulas of the official `moco/builder.py`, on one device."""
import torch
import torch.nn.functional as F
import torchvision

from optimizer import sgd
from training import LAYOUTS, load


class MocoStep:
    variants = [[layout, optimizer] for layout in LAYOUTS for optimizer in ("foreach", "fused")]
    MOMENTUM, TEMPERATURE = 0.999, 0.2

    def __init__(self, tensors, variant):
        layout, optimizer = variant
        form = LAYOUTS[layout]
        weights = {name.removeprefix("encoder_q."): t for name, t in tensors.items() if name.startswith("encoder_q.")}
        self.query, self.key = (self.encoder(weights).to(memory_format=form) for _ in range(2))
        for parameter in self.key.parameters():
            parameter.requires_grad_(False)
        self.images = [tensors[name].to(memory_format=form) for name in ("query", "key")]
        self.queue, self.pointer = tensors["queue"], 0
        self.targets = torch.zeros(len(self.images[0]), dtype=torch.long)
        self.optimizer = sgd(self.query.parameters(), optimizer)

    @staticmethod
    def encoder(weights):
        model = torchvision.models.resnet18(num_classes=128)
        width = model.fc.weight.shape[1]
        model.fc = torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.ReLU(), model.fc)
        return load(model, weights).train()

    def run(self):
        with torch.no_grad():
            for k, q in zip(self.key.parameters(), self.query.parameters()):
                k.mul_(self.MOMENTUM).add_(q, alpha=1 - self.MOMENTUM)
            k = F.normalize(self.key(self.images[1]), dim=1)
        q = F.normalize(self.query(self.images[0]), dim=1)
        own = torch.einsum("nc,nc->n", q, k).unsqueeze(1)
        logits = torch.cat([own, torch.einsum("nc,ck->nk", q, self.queue.clone().detach())], 1) / self.TEMPERATURE
        self.queue[:, self.pointer : self.pointer + len(k)] = k.T
        self.pointer = (self.pointer + len(k)) % self.queue.shape[1]
        loss = F.cross_entropy(logits, self.targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss

    def check(self):
        return [self.run().item() for _ in range(3)]


WORKLOADS = {"moco v2 training step resnet18 32x3x64x64 queue 65536x128": MocoStep}
