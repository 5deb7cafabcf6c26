"""The rule by which weights and images are filled, as `fill` in tests/it/torchvision.rs."""
import torch


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
