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


LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class TrainingStep:
    variants = [[layout, optimizer] for layout in ("contiguous", "channels_last") for optimizer in ("foreach", "fused")]

    def __init__(self, tensors, variant):
        layout, optimizer = variant
        form = LAYOUTS[layout]
        model = getattr(torchvision.models, self.architecture)(num_classes=10)
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


def training(architecture):
    return type(architecture, (TrainingStep,), {"architecture": architecture})


class Vgg16:
    """The convolutions of VGG-16, whose first four are frozen."""

    variants = [[layout] for layout in LAYOUTS]

    def __init__(self, tensors, variant):
        form = LAYOUTS[variant[0]]
        model = torchvision.models.vgg16().features[:30]
        parameters = {name.removeprefix("features."): value for name, value in tensors.items()}
        self.model = load(model, parameters).to(memory_format=form)
        for layer in list(self.model)[:10]:
            for parameter in layer.parameters():
                parameter.requires_grad_(False)
        self.x = tensors["x"].to(memory_format=form)
        self.gout = None

    def run(self):
        self.model.zero_grad(set_to_none=True)
        y = self.model(self.x)
        if self.gout is None:
            self.gout = torch.ones_like(y)
        y.backward(self.gout)
        return y

    def check(self):
        mean_square = lambda t: t.detach().double().square().mean().item()
        return [mean_square(self.run()), *(mean_square(self.model[i].weight.grad) for i in (10, 28))]


class Evaluation:
    variants = [[layout] for layout in LAYOUTS]

    def __init__(self, tensors, variant):
        form = LAYOUTS[variant[0]]
        self.model = load(torchvision.models.resnet50(num_classes=10), tensors).eval().to(memory_format=form)
        self.x = tensors["x"].to(memory_format=form)

    def run(self):
        with torch.inference_mode():
            return self.model(self.x)

    def check(self):
        return self.run().double().flatten().tolist()


WORKLOADS = {
    "resnet18 training step 16x3x64x64": training("resnet18"),
    "resnet50 training step 4x3x224x224": training("resnet50"),
    "vgg16 conv1-2 frozen forward+backward 1x3x300x400": Vgg16,
    "resnet50 eval 1x3x224x224": Evaluation,
}
