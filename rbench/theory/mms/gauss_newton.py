"""The Gauss-Newton inner solver: the direction (εI + JᵀqJ/N)⁻¹∇F, of the whole network or layer by layer."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveInt

from rbench.backend import Array
from rbench.methods import map_blocks
from rbench.metrics import get_output_metric, layer_masses, pull_metric
from rbench.modules import Params
from rbench.random import generator
from rbench.solvers import NetworkSolver, gathered
from rbench.theory.mms.movement import Look, Scheme, Subproblem
from rbench.theory.mms.solvers import InnerSolver, Solve, Solved

LEAST = 1e-10
"""The smallest ε/q̄, above which the capacitance keeps its definiteness."""


class GaussNewton(InnerSolver):
    """Steps along −(εI + JᵀqJ/N)⁻¹∇F, with q = 1/τ + e'' at every datum and output.

    Of the whole network, by Levenberg and Marquardt: a step is made where F falls, else ε grows by 4; ε shrinks by 3
    where F falls by more than 3/4 of what its quadratic model, ½(gᵀΔ + ε‖Δ‖²), predicts. With a metric for each layer,
    that model lacks what layers do to each other: ε/q̄ is fixed, and the step is 1/L of the direction for L layers,
    since the L blocks each would make the whole step. An iteration is a direction, whether its step is made or not.

    Attributes:
        scope: `network` or `layer`.
        damping: the first ε, over q's mean.
        metric: `ggn`, the whole of q; or `ggn_mc`, sampled anew for each direction.
        rank: samples per datum of `ggn_mc`.
    """

    name: ClassVar[str] = "gauss_newton"
    summary: ClassVar[str] = "Gauss-Newton, by Levenberg and Marquardt or with a metric per layer"
    cap: PositiveInt = 600
    scope: Literal["network", "layer"] = "network"
    damping: float = Field(1e-3, gt=0)
    metric: Literal["ggn", "ggn_mc"] = "ggn"
    rank: PositiveInt = 1

    def prepare(self, scheme: Scheme, seed: int) -> Solve:
        backend, net = scheme.backend, scheme.net
        metric = get_output_metric(self.metric, self.rank)
        solver = NetworkSolver(coupling=self.scope)
        masses = layer_masses(backend, net.layers, 1.0)
        rate = 1.0 if self.scope == "network" else 1 / len(net.layers)

        def attempt(
            params: Params, sub: Subproblem, damping: float, noise: Array | None
        ) -> tuple[Params, Look, Array, Array]:
            """Weights after a step, a look at them, what F's model has fallen by, and the factorisation's health."""
            xp = backend.xp
            problem = scheme.problem(sub, 1 / damping)  # with mass 1, as `Movement` says
            _, layers = pull_metric(problem, params, scheme.batch(sub, noise), metric, "stack")
            update = gathered(backend, net.layers, solver.directions(backend, layers, masses))
            square = sum(xp.sum(array**2) for block in update.blocks for array in block.values())
            new = map_blocks(lambda w, d: w - rate * d, params, update.blocks)
            return new, scheme.look(new, sub), damping * (update.slope() + square) / 2, xp.sum(update.health)

        look, attempt = backend.compile(scheme.look), backend.compile(attempt)
        draws = 0

        def solve(params: Params, sub: Subproblem, delta: float, _: float, most: int) -> Solved:
            nonlocal draws
            ratio = self.damping
            seen = look(params, sub)
            count = 0
            while delta < float(seen.error) < np.inf and count < most:
                noise = None
                if metric.samples:
                    stream, (points, d) = generator(seed, "samples", draws), sub.y.shape
                    noise = backend.asarray(scheme.problem(sub).loss.noise(stream, points, metric.samples, d))
                    draws += 1
                new, after, model, health = attempt(params, sub, ratio * float(seen.curvature), noise)
                count += 1
                fall = float(seen.value) - float(after.value)
                good = np.isfinite(float(health)) and fall > 0
                if good or self.scope == "layer":
                    params, seen = new, after
                if self.scope == "network" and not good:
                    ratio = 4 * ratio
                elif self.scope == "network" and fall > 0.75 * float(model):
                    ratio = max(LEAST, ratio / 3)
            return Solved(params, count, float(seen.error))

        return solve
