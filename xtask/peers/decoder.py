"""What monocular depth is made of: sampling by a grid, and the decoder."""
import torch.nn.functional as F

from differentiable import Differentiable


class GridSample(Differentiable):
    variants = [["contiguous"], ["channels_last"]]
    by = ["x", "grid"]

    def __init__(self, tensors, variant):
        grid = tensors["grid"]
        super().__init__(tensors, variant)
        # The layout is the image's; a grid has its own.
        self.inputs["grid"] = grid.requires_grad_()

    def forward(self, x, grid):
        return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


class DepthDecoder(Differentiable):
    variants = [["contiguous"], ["channels_last"]]
    convolutions = [f"decoder.{i}.block.0.conv" for i in (6, 8, 9, 11, 12, 13)]
    by = ["x", *(f"{name}.{kind}" for name in convolutions for kind in ("weight", "bias"))]

    def forward(self, x, **weights):
        for i, name in enumerate(self.convolutions):
            x = F.pad(x, (1, 1, 1, 1), mode="reflect")
            x = F.elu(F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"]), inplace=True)
            if i % 2 == 0:
                x = F.interpolate(x, scale_factor=2, mode="nearest")
        return x


WORKLOADS = {
    "grid_sample 4x3x192x640 forward+backward": GridSample,
    "depth decoder 2x256x16x32 to 2x64x128x256 forward+backward": DepthDecoder,
}
