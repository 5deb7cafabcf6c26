"""Operations and small networks as functions of tensors, with the gradients of some of them."""
import torch
import torch.nn.functional as F


class Differentiable:
    """A function `forward(**inputs)` that is differentiated by the inputs named in `by`, from a gradient of ones."""

    variants = [["contiguous"]]
    by = []

    def __init__(self, tensors, variant):
        form = torch.channels_last if variant[0] == "channels_last" else torch.contiguous_format
        self.inputs = {name: t.to(memory_format=form) if t.dim() == 4 else t for name, t in tensors.items()}
        for name in self.by:
            self.inputs[name].requires_grad_()
        self.gout = None

    def forward(self, **inputs):
        raise NotImplementedError

    def run(self):
        for name in self.by:
            self.inputs[name].grad = None
        y = self.forward(**self.inputs)
        if self.by:
            if self.gout is None:
                self.gout = torch.ones_like(y)
            y.backward(self.gout)
        return y

    def check(self):
        mean_square = lambda t: t.detach().double().square().mean().item()
        return [mean_square(self.run()), *(mean_square(self.inputs[name].grad) for name in self.by)]


class Convolution(Differentiable):
    variants = [["contiguous"], ["channels_last"]]
    by = ["x", "weight"]

    def forward(self, x, weight):
        return F.conv2d(x, weight, padding=1)


WORKLOADS = {"conv2d 3x3 64 ch 16x16 b16 forward+backward": Convolution}
