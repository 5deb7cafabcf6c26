"""Training steps of whole networks."""
import torch
import torch.nn.functional as F
import torchvision

from optimizer import sgd


def load(model, tensors):
    """Puts those of `tensors` that have the names of the model's parameters into it."""
    state = {name: value for name, value in tensors.items() if name not in ("x", "target")}
    found = model.load_state_dict(state, strict=False)
    lacking = [name for name in found.missing_keys if not name.endswith("num_batches_tracked")]
    if lacking or found.unexpected_keys:
        raise SystemExit(f"the weights do not fit: missing {lacking}, unexpected {found.unexpected_keys}")
    return model


class TrainingStep:
    variants = [[layout, optimizer] for layout in ("contiguous", "channels_last") for optimizer in ("foreach", "fused")]

    def __init__(self, architecture, tensors, variant):
        layout, optimizer = variant
        form = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        model = getattr(torchvision.models, architecture)(num_classes=10)
        self.model = load(model, tensors).train().to(memory_format=form)
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


class ResNet18(TrainingStep):
    def __init__(self, tensors, variant):
        super().__init__("resnet18", tensors, variant)


WORKLOADS = {"resnet18 training step 16x3x64x64": ResNet18}
