"""Modules of the algebra that PyTorch lacks, as `torch.nn.Module`s; a value on several wires is a tuple of tensors."""

from typing import TypeAlias

import torch
from torch import nn

from rbench import modules as algebra
from rbench.modules.equilibrium import AVERAGED, NEWTON

Tensor: TypeAlias = torch.Tensor


class Exp(nn.Module):
    """eˣ."""

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of the inputs' shape."""
        return torch.exp(x)


class Copy(nn.Module):
    """x ↦ (x, x)."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both wires."""
        return x, x


class Add(nn.Module):
    """(x, y) ↦ x + y."""

    def forward(self, wires: tuple[Tensor, Tensor]) -> Tensor:
        """Outputs of the shape of either wire."""
        return wires[0] + wires[1]


class Dot(nn.Module):
    """(x, y) ↦ Σ_i x_i y_i, (batch, 1)."""

    def forward(self, wires: tuple[Tensor, Tensor]) -> Tensor:
        """Outputs (batch, 1)."""
        return (wires[0] * wires[1]).flatten(1).sum(1, keepdim=True)


class Split(nn.Module):
    """x cut in two along its last axis, after `size` entries."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both wires."""
        return x[..., : self.size], x[..., self.size :]


class Parallel(nn.ModuleList):
    """Modules side by side, each on its own wires, of which it takes as many as `counts` says."""

    def __init__(self, parts: list[nn.Module], counts: list[int]) -> None:
        super().__init__(parts)
        self.counts = counts

    def forward(self, wires: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The outputs of all modules, one wire after the other."""
        rest = iter(wires)
        outputs: list[Tensor] = []
        for part, count in zip(self, self.counts, strict=True):
            own = tuple(next(rest) for _ in range(count))
            result = part(own if count > 1 else own[0])
            outputs += result if isinstance(result, tuple) else (result,)
        return tuple(outputs)


class Layer(nn.Module):
    """A layer that PyTorch has no module for, with its parameters."""

    def __init__(self, layer: algebra.Layer) -> None:
        super().__init__()
        for name, shape in layer.shapes.items():
            setattr(self, name, nn.Parameter(torch.zeros(shape)))


class ScaleShift(Layer):
    """w_c x_c + b_c for each channel c."""

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of the inputs' shape."""
        shape = (-1, *[1] * (x.ndim - 2))
        return x * self.weight.reshape(shape) + self.bias.reshape(shape)


class JetLinear(Layer):
    """W x + b on jets, b in the last column of the weight and added to the value alone."""

    def forward(self, x: Tensor) -> Tensor:
        """Jets (batch, components, out_features)."""
        ones = torch.zeros_like(x[:, :, :1])
        ones[:, :1] = 1
        return torch.cat([x, ones], dim=2) @ self.weight.T


class JetTanh(nn.Module):
    """tanh on jets."""

    def forward(self, x: Tensor) -> Tensor:
        """Jets of the inputs' shape."""
        value, slopes, laplacian = torch.tanh(x[:, :1]), x[:, 1:-1], x[:, -1:]
        first = 1 - value * value
        squares = (slopes**2).sum(1, keepdim=True)
        return torch.cat([value, first * slopes, first * laplacian - 2 * value * first * squares], dim=1)


class Equilibrium(Layer):
    """The solution of z = tanh(W [κz; x] + b).

    It is found without being differentiated; one more Newton step from it then has the derivative of the solution,
    since the step's own derivative in z is zero there.
    """

    def __init__(self, layer: algebra.Equilibrium) -> None:
        super().__init__(layer)
        self.feedback = layer.feedback

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (batch, out_features)."""
        size = self.weight.shape[0]
        own, given = self.feedback * self.weight[:, :size], self.weight[:, size:]
        offset = nn.functional.linear(x, given, getattr(self, "bias", None))
        eye = torch.eye(size, dtype=x.dtype, device=x.device)

        def newton(z: Tensor) -> Tensor:
            t = torch.tanh(z @ own.T + offset)
            matrix = eye - ((1 - t**2)[:, :, None] * own).detach()
            return z - torch.linalg.solve(matrix, (z - t)[:, :, None])[:, :, 0]

        with torch.no_grad():
            z = torch.zeros_like(offset)
            for _ in range(AVERAGED):
                z = (z + torch.tanh(z @ own.T + offset)) / 2
            for _ in range(NEWTON):
                z = newton(z)
        return newton(z)
