"""From files to batches: the loader of MoCo's `main_moco.py`, with the transforms of `moco/loader.py`."""
import os
import random

import torch
from PIL import ImageFilter
from torchvision import transforms
from torchvision.datasets import ImageFolder

NORMALIZE = transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])


class TwoCropsTransform:
    def __init__(self, base_transform):
        self.base_transform = base_transform

    def __call__(self, x):
        return [self.base_transform(x), self.base_transform(x)]


class GaussianBlur:
    def __init__(self, sigma):
        self.sigma = sigma

    def __call__(self, x):
        return x.filter(ImageFilter.GaussianBlur(radius=random.uniform(*self.sigma)))


class Epoch:
    """Two views of every image in the folder, with as many workers as there are threads, each of one thread."""

    variants = [["PIL"]]
    folder = None
    threads = 1
    augmentation = []

    def __init__(self, tensors, variant):
        self.photos = os.path.join(self.folder, "photos")
        augmentation = [transforms.RandomResizedCrop(224, scale=(0.2, 1.0)), *self.augmentation]
        augmentation += [transforms.RandomHorizontalFlip(), transforms.ToTensor(), NORMALIZE]
        self.dataset = ImageFolder(self.photos, TwoCropsTransform(transforms.Compose(augmentation)))

    def check(self):
        gray = [transforms.Grayscale(), transforms.ToTensor(), transforms.Normalize([0.449], [0.226])]
        dataset = ImageFolder(self.photos, transforms.Compose([transforms.Resize((224, 224)), *gray]))
        return [float(len(dataset)), *(dataset[i][0].double().square().mean().item() for i in range(64))]

    def run(self):
        loader = torch.utils.data.DataLoader(self.dataset, batch_size=64, shuffle=True, num_workers=self.threads)
        count = 0
        for (query, key), _ in loader:
            assert query.shape == key.shape and query.shape[1:] == (3, 224, 224)
            count += len(query)
        assert count == len(self.dataset)


class V1(Epoch):
    augmentation = [transforms.RandomGrayscale(p=0.2), transforms.ColorJitter(0.4, 0.4, 0.4, 0.4)]


class V2(Epoch):
    augmentation = [
        transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
        transforms.RandomGrayscale(p=0.2),
        transforms.RandomApply([GaussianBlur([0.1, 2.0])], p=0.5),
    ]


WORKLOADS = {"pipeline moco v1 1000 jpeg 500x375": V1, "pipeline moco v2 1000 jpeg 500x375": V2}
