"""Makes the expected values of this folder: `python make_fixtures.py`, with torch 2.x and torchvision 0.2x.

`resize_sides.csv`: the sizes that torchvision's detectors resize images to.
"""

from pathlib import Path

import torch
from torchvision.models.detection.transform import GeneralizedRCNNTransform

SIZES = [(640, 480), (480, 640), (500, 375), (375, 500), (333, 500), (1914, 1052), (2048, 1024), (128, 96), (96, 128), (61, 47)]
LIMITS = [(800, 1333), (600, 1000), (600, 100000), (100, 120)]


def main():
    lines = ["shorter,longer,width,height,new_width,new_height"]
    for shorter, longer in LIMITS:
        transform = GeneralizedRCNNTransform(shorter, longer, [0.0], [1.0])
        transform.eval()
        for width, height in SIZES:
            image, _ = transform.resize(torch.zeros(1, height, width))
            lines.append(f"{shorter},{longer},{width},{height},{image.shape[2]},{image.shape[1]}")
    (Path(__file__).parent / "resize_sides.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
