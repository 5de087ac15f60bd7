"""Modules as users write them in PyTorch: what `from_torch` is tested with."""

import torch
import torch.nn.functional as F
from torch import nn

CLASSES = 3
IMAGE, VECTOR = (1, 6, 6), (4,)


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 2, 3, padding="same")
        self.second = nn.Conv2d(2, 3, 3, padding="valid", bias=False)
        self.drop = nn.Dropout()
        self.head = nn.Linear(3, CLASSES)

    def forward(self, x):
        x = F.avg_pool2d(torch.tanh(self.first(x)), kernel_size=(2, 2))
        x = F.max_pool2d(self.second(x).sigmoid(), 1)
        x = x.view(x.size(0), -1).reshape(x.shape[0], 3).view(-1, 3)
        return self.head(F.dropout(self.drop(x), 0.2, self.training))


class Block(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.one = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.two = nn.Conv2d(after, after, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.down = nn.Conv2d(before, after, 1, stride, bias=False) if before != after else None

    def forward(self, x):
        shortcut = x if self.down is None else self.down(x)
        out = self.two(self.relu(self.one(x)))
        out += shortcut
        return self.relu(out)


class ResNet(nn.Module):
    """The pattern of torchvision's, without batch normalisation."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 3, padding=1)
        self.layers = nn.Sequential(Block(2, 2, 1), Block(2, 3, 2))
        self.pool = nn.AdaptiveAvgPool2d((1, 1))
        self.head = nn.Linear(3, CLASSES)

    def forward(self, x):
        x = self.pool(self.layers(F.relu(self.stem(x))))
        return self.head(torch.flatten(x, 1))


class Means(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 2, 3), nn.Linear(2, CLASSES)

    def forward(self, x):
        return self.head(self.conv(x).mean((-1, -2)))


class OwnLinear(nn.Linear):
    """A layer of the user's own, whose forward calls PyTorch's."""

    def forward(self, x):
        return super().forward(x.tanh())


class Named(nn.Module):
    """Layers that are called as methods of tensors are."""

    def __init__(self):
        super().__init__()
        self.exp, self.add, self.view, self.size = (nn.Linear(4, 4) for _ in range(4))
        self.reshape = nn.Linear(4, CLASSES)

    def forward(self, x):
        return self.reshape(self.size(self.view(self.add(self.exp(x)).tanh())))


class Ruled(nn.Module):
    """Layers a, b and c, and a dropout, with a forward that is given."""

    def __init__(self, rule):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, CLASSES)
        self.rule = rule

    def forward(self, x):
        return self.rule(self, x)


def mlp():
    return nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Identity(), nn.Linear(6, CLASSES, bias=False))


def nested(module, x):
    y = module.b(x).relu()
    return module.c(torch.add(x, torch.exp(module.a(y)) + y))


NETWORKS = {
    "mlp": (mlp, VECTOR),
    "a layer alone": (lambda: nn.Linear(4, CLASSES), VECTOR),
    "unlucky names": (Named, VECTOR),
    "a layer of one's own": (lambda: nn.Sequential(OwnLinear(4, 4), OwnLinear(4, CLASSES)), VECTOR),
    "three branches": (lambda: Ruled(lambda m, x: m.c(x + m.a(x).tanh() + F.gelu(m.b(x)))), VECTOR),
    "a branch in a branch": (lambda: Ruled(nested), VECTOR),
    "lenet": (lambda: LeNet().eval(), IMAGE),
    "resnet": (ResNet, IMAGE),
    "means": (Means, IMAGE),
}
"""Functions that make modules, with the shape of a datum."""


def made(name):
    """A module in float64, with the shape of a datum."""
    make, shape = NETWORKS[name]
    torch.manual_seed(1)
    return make().double(), shape
