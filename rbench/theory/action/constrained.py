"""Statements on the network as constraints: the Lagrangian ℓ + Σ_l λ_lᵀ(f_l − x_l) of Sec. 2.1 of arXiv 2603.03610."""

from typing import Any, ClassVar

import numpy as np

from rbench.api import riemannian_gradient
from rbench.backend import Backend
from rbench.losses import get_loss
from rbench.modules.pullback import LayerPullback
from rbench.theory.action.flows import TanhFlow
from rbench.theory.action.statement import Found, Statement
from rbench.theory.flow import Vector, flat, shaped
from rbench.theory.suite import Kinds


def gradient_by_multipliers(task: TanhFlow, backend: Backend, w: Vector) -> Vector:
    """∂E/∂w_l = (∂f_l/∂w_l)ᵀλ_l of all layers, (n,), with (I − N)ᵀλ = (0, …, ∂ℓ/∂x_L) solved as one sparse system.

    The constraints are x_l = f_l(w_l, x_{l−1}), one for each module of the network and datum; N has ∂f_l/∂x_{l−1} below
    its diagonal.
    """
    from scipy import sparse
    from scipy.sparse.linalg import spsolve

    net = task.network
    x, y = task.data()
    wires = (backend.asarray(x),)
    parts = []
    for module, blocks in net.blocks(shaped(backend, net, w)):
        wires, tape = module.forward(backend, blocks, wires)
        parts.append((module, blocks, tape, wires[0].shape[1]))
    below = []
    for module, blocks, tape, width in parts[1:]:
        rows = backend.asarray(np.tile(np.eye(width), (len(x), 1, 1)))
        (jacobians,), _ = module.pullback(backend, blocks, tape, (rows,))
        below.append(sparse.block_diag(list(backend.to_numpy(jacobians))))
    sizes = [len(x) * width for *_, width in parts]
    grid: list[list[Any]] = [[None] * len(parts) for _ in parts]
    for row, size in enumerate(sizes):
        grid[row][row] = sparse.eye_array(size)
        if row:
            grid[row][row - 1] = -below[row - 1]
    loss = get_loss(task.loss)
    target = (backend.labels if loss.integer_targets else backend.asarray)(y)
    right = np.zeros(sum(sizes))
    right[-sizes[-1] :] = np.ravel(backend.to_numpy(loss.cotangents(backend, wires[0], target))) / len(x)
    solved = spsolve(sparse.csc_array(sparse.block_array(grid).T), right)
    found: list[LayerPullback] = []
    for (module, blocks, tape, width), own in zip(parts, np.split(solved, np.cumsum(sizes)[:-1]), strict=True):
        rows = backend.asarray(own.reshape(len(x), 1, width))
        found += module.pullback(backend, blocks, tape, (rows,))[1]
    blocks = [layer.block(*one.gradient(), backend) for layer, one in zip(net.layers, found, strict=True)]
    return flat(backend, tuple(blocks))


class Multipliers(Statement):
    """The multipliers give the gradient: what backpropagation computes is the solution of one triangular system."""

    name: ClassVar[str] = "multipliers"
    summary: ClassVar[str] = "Sec. 2.1: gradient by the Lagrange multipliers, error relative to the pullback's"
    of: ClassVar[Kinds] = (TanhFlow,)
    allowed: ClassVar[float] = 1e-12

    def find(self, task: Any, backend: Backend, seed: int) -> Found:
        w = task.start(backend, seed)
        exact = task.field(backend)(w).gradient
        found = gradient_by_multipliers(task, backend, w)
        return Found(float(np.linalg.norm(found - exact) / np.linalg.norm(exact)))


class Potential(Statement):
    """The action's potential is ½ Σ_l ‖J_lᵀλ_l‖² in the metrics' inverses; here by Woodbury's identity, and densely."""

    name: ClassVar[str] = "potential"
    summary: ClassVar[str] = "Sec. 2.1: ½ Σ_l ‖J_lᵀλ_l‖² by multipliers and Woodbury, against the dense ½ ∇EᵀG⁻¹∇E"
    of: ClassVar[Kinds] = (TanhFlow,)
    allowed: ClassVar[float] = 1e-12

    def find(self, task: Any, backend: Backend, seed: int) -> Found:
        w = task.start(backend, seed)
        point = task.field(backend)(w)
        covector = gradient_by_multipliers(task, backend, w)
        direction = covector / task.mass
        if task.metric is not None:
            metric = task.metric if isinstance(task.metric, str) else np.asarray(task.metric)
            found = riemannian_gradient(
                task.network,
                shaped(backend, task.network, w),
                *task.data(),
                loss=task.loss,
                output_metric=metric,
                mass=task.mass,
                solver="gram",
                backend=backend,
            )
            direction = flat(backend, found)
        return Found(float(covector @ direction) / 2, float(point.gradient @ point.velocity) / 2)


STATEMENTS = (Multipliers, Potential)
