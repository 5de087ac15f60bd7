"""K-FAC."""

from collections import Counter
from collections.abc import Hashable, Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import Field

from rbench.backend import Array, Backend
from rbench.checks import outputs
from rbench.methods import kronecker
from rbench.methods.base import WINDOW, Scalars, State, Step
from rbench.methods.descent import Descent, clip_step
from rbench.methods.kronecker import Factor, Inversion, Sharing
from rbench.methods.operations import EIGEN, LayerWork, layer_works, pass_operations
from rbench.methods.space import Choice, Dimension, LogUniform
from rbench.metrics import Batch, OutputMetric, Problem, get_output_metric, pull_gradient, pull_metric
from rbench.modules import LayerPullback, Params
from rbench.modules.space import Space, space_of

_METRICS = {"exact": "ggn", "mc": "ggn_mc", "empirical": "empirical_fisher"}


class KFAC(Descent):
    """Kronecker-factored approximate curvature (Martens and Grosse 2015).

    A layer's metric is approximated by A ⊗ G with input_covariance A = E[ā āᵀ], ā the inputs with a 1 for the bias, and
    gradient_covariance G = E[Σ_k δ_k δ_kᵀ], δ_k the rows of the output metric's factor pulled back to its outputs.

    Attributes:
        factors: where the rows δ come from: the `exact` GGN, `mc` samples, or the `empirical` Fisher metric.
        rank: samples per datum, for `mc`: its rows.
        damping: λ.
        damping_split: `pi`, (A + π√λ I) ⊗ (G + √λ/π I) with π² = (tr A / dim A) / (tr G / dim G); or `eigen`,
            A ⊗ G + λ I exactly, in the factors' eigenbases.
        decay: ρ of the running averages A ← ρ A + (1 − ρ) A_batch, min(1 − 1/k, ρ) at the k-th refresh; 0 for none:
            with `refresh=1` and the split `pi` the factors are then never formed, which is several times quicker.
        refresh: steps between two computations of the factors and their inverses.
        sharing: how positions that share weights enter: `expand`, E over data and positions; or `reduce`, of means of
            inputs and sums of rows over positions, a coarser approximation (Eschenhagen et al. 2023).
        kl_clip: c, by which Δ is scaled before momentum so that η² gᵀΔ ≤ c; None for no clip.
    """

    name: ClassVar[str] = "kfac"
    summary: ClassVar[str] = "Kronecker-factored curvature, running averages, refreshed at intervals"
    always: ClassVar[tuple[str, ...]] = ("lr", "damping")
    search_space: ClassVar[Mapping[str, Dimension]] = {
        "lr": LogUniform(1e-3, 1),
        "damping": LogUniform(1e-4, 10),
        "kl_clip": Choice(None, 0.001, 0.01),
    }
    lr: float = Field(0.01, gt=0, allow_inf_nan=False)
    factors: Literal["exact", "mc", "empirical"] = "mc"
    rank: int = Field(1, ge=1)
    damping: float = Field(0.1, gt=0)
    damping_split: Literal["pi", "eigen"] = "pi"
    decay: float = Field(0.95, ge=0, lt=1)
    refresh: int = Field(1, ge=1)
    sharing: Sharing = "expand"
    kl_clip: float | None = Field(None, gt=0)

    @cached_property
    def metric(self) -> OutputMetric:
        """The output metric whose factor is pulled back."""
        return get_output_metric(_METRICS[self.factors], self.rank)

    @property
    def samples(self) -> int:
        return self.rank if self.factors == "mc" else 0

    def samples_in(self, phase: Hashable) -> int:
        return self.samples if phase else 0

    def phase(self, step: int) -> bool:
        return step % self.refresh == 0

    def scalars(self, step: int, total: int) -> Scalars:
        refreshes = step // self.refresh + 1
        return super().scalars(step, total) | {"decay": min(1 - 1 / refreshes, self.decay)}

    def workspace_bytes(self, problem: Problem, params: Params, datum: Batch, batch_size: int) -> tuple[float, str]:
        space = space_of(datum.x)
        works = layer_works(problem.net, space)
        rank = self.metric.rank(problem.loss, outputs(problem.net, space))
        rows = [batch_size * work.positions * (rank + 1) * work.layer.fan_out for work in works]
        inputs = [batch_size * work.positions * work.layer.width if work.positions > 1 else 0 for work in works]
        factors = [sum(side**2 for side in self._sides(work, batch_size, rank)) for work in works]
        # Pulling rows through a module holds those at its outputs and those at its inputs at once.
        numbers = sum(rows) + max(rows)
        # A backend with convolutions keeps windows that SGD does not form; others pull all rows back through windows at
        # once.
        numbers += sum(inputs) + max(inputs) if problem.backend.convolutions else rank * max(inputs)
        if self.forgets:
            # Factors of one layer and their copies; the new parameters, part of SGD's peak, are made only afterwards.
            numbers += max(0, 2 * max(factors) - sum(layer.n_parameters for layer in problem.net.layers))
        else:
            # The new and old running averages and matrices to solve with; for one layer also what these are made from.
            numbers += 4 * sum(factors) + 3 * max(factors)
        return problem.backend.itemsize * numbers, f"the Kronecker factors and {rank} rows per datum of every layer"

    def _points(self, work: LayerWork, batch: int) -> int:
        """Points of inputs that a layer's factor A is made of."""
        return batch if self.sharing == "reduce" else batch * work.positions

    def _in_input_points(self, work: LayerWork, batch: int) -> bool:
        """Whether A of the batch alone is solved in its points."""
        return self.sharing == "expand" and self._points(work, batch) < work.layer.width

    def _sides(self, work: LayerWork, batch: int, rank: int) -> tuple[int, int]:
        """Sides of the matrices that are factored for A and for G."""
        if not self.forgets:
            return work.layer.width, work.layer.fan_out
        points = self._points(work, batch)
        side = points if self._in_input_points(work, batch) else work.layer.width
        return side, min(points * rank, work.layer.fan_out)

    def operations(self, problem: Problem, space: Space, batch: int) -> float:
        """Pairs of a step: a pullback of 1 row per datum, or 1 + rank if factors are due, and the layers' own.

        With p points of inputs and q of cotangents (B P and B P rank, or B and B rank with `sharing=reduce`), a layer
        takes beyond the pullback:

        - weight product B P o i;
        - on a refresh, covariances (a² p + o² q) / 2 and a factorisation of each: Cholesky n³/6, and n³ more where the
          inverse is kept; or an eigendecomposition;
        - the solve o a (o + a); or with the gradient's B P points, B P (o² + a²), where that is less; in eigenbases
          o a (o + a) more.

        Where the factors are those of the batch alone, a factor with fewer points than its size is solved in its
        points. For G that takes q² o / 2, q³/6, o q B P, q² B P, B P q o; for A p² a / 2, p³/6, p² a, o p a, without
        the weight product.
        """
        works = layer_works(problem.net, space)
        rank = self.metric.rank(problem.loss, outputs(problem.net, space))
        total = 0.0
        for refreshes, count in Counter(self.phase(index) for index in range(WINDOW)).items():
            pairs = pass_operations(works, batch, 1 + rank if refreshes and self.factors != "empirical" else 1)
            if self.forgets:
                pairs += sum(self._forgetting_operations(work, batch, rank) for work in works)
            else:
                pairs += sum(self._averaging_operations(work, batch, rank, refreshes=refreshes) for work in works)
            total += count / WINDOW * pairs
        return total

    def _forgetting_operations(self, work: LayerWork, batch: int, rank: int) -> float:
        """Pairs of a layer where the factors are those of the batch alone."""
        o = work.layer.fan_out
        a = work.layer.width
        p = self._points(work, batch)
        q = p * rank
        points = batch * work.positions
        product = float(batch * work.weights)
        few = self._in_input_points(work, batch)
        total = 0.0 if few else product
        if self.kl_clip is not None:  # needs the gradient itself besides the direction
            total += product
        total += p * p * a * 1.5 + p**3 / 6 + o * p * a if few else a * a * p / 2 + a**3 / 6 + a * a * o
        if q < o:
            return total + q * q * o / 2 + q**3 / 6 + 2 * q * o * points + q * q * points
        return total + o * o * q / 2 + o**3 / 6 + o * o * a

    def _averaging_operations(self, work: LayerWork, batch: int, rank: int, *, refreshes: bool) -> float:
        """Pairs of a layer where the factors are running averages."""
        o = work.layer.fan_out
        a = work.layer.width
        p = self._points(work, batch)
        points = batch * work.positions
        total = float(batch * work.weights)
        total += points * (o * o + a * a) if kronecker.in_points(points, o, a) else o * a * (o + a)
        if self.inversion == "eigen":
            total += o * a * (o + a)
        if refreshes:
            factor = {"cholesky": 1 / 6, "inverse": 1 / 6 + 1, "eigen": EIGEN}[self.inversion]
            total += (a * a * p + o * o * p * rank) / 2 + factor * (a**3 + o**3)
        return total

    @property
    def inversion(self) -> Inversion:
        """What is kept to solve with: an inverse pays only where it serves several steps."""
        if self.damping_split == "eigen":
            return "eigen"
        return "inverse" if self.refresh > 1 else "cholesky"

    @property
    def forgets(self) -> bool:
        """Whether each step's factors are those of its batch alone, so that none need be kept, or even formed."""
        return self.decay == 0 and self.inversion == "cholesky"

    def init(self, problem: Problem, params: Params) -> State:
        backend = problem.backend
        layers = [] if self.forgets else problem.net.layers
        factors = tuple(
            (kronecker.zero_factor(backend, layer.width), kronecker.zero_factor(backend, layer.fan_out))
            for layer in layers
        )
        health = backend.xp.zeros((len(params),), dtype=backend.float_dtype, device=backend.native_device)
        return super().init(problem, params), factors, health

    def step(
        self, problem: Problem, params: Params, state: State, batch: Batch, scalars: Scalars, phase: Hashable
    ) -> Step:
        backend = problem.backend
        velocity, factors, health = state
        if phase:
            loss, pulled = pull_metric(problem, params, batch, self.metric, "stack")
        else:
            loss, pulled = pull_gradient(problem, params, batch)
        gradients = []
        if not self.forgets or self.kl_clip is not None:
            gradients = [kronecker.gradient_product(backend, layer) for layer in pulled]
        if self.forgets:
            solved = [kronecker.solve_with_batch(backend, rows, self.damping, self.sharing) for rows in pulled]
            directions = [direction for direction, _ in solved]
            health = backend.xp.stack([healthy for _, healthy in solved])
        else:
            if phase:
                factors, health = self._refreshed(backend, pulled, factors, scalars["decay"])
            pairs = zip(factors, gradients, strict=True)
            directions = [kronecker.solve(backend, pair, g, self.damping, self.inversion) for pair, g in pairs]
        blocks = tuple(
            layer.block(direction[:, : layer.fan_in], direction[:, -1], backend)
            for layer, direction in zip(problem.net.layers, directions, strict=True)
        )
        if self.kl_clip is not None:
            slopes = [kronecker.slope(backend, g, d) for g, d in zip(gradients, directions, strict=True)]
            blocks = clip_step(problem, blocks, backend.xp.sum(backend.xp.stack(slopes)), scalars["lr"], self.kl_clip)
        params, velocity = self.descend(backend, params, velocity, blocks, scalars["lr"])
        return Step(params, (velocity, factors, health), loss, health)

    def _refreshed(
        self, backend: Backend, pulled: list[LayerPullback], factors: Any, decay: float
    ) -> tuple[tuple[tuple[Factor, Factor], ...], Array]:
        """New running averages with the matrices to solve with; and numbers that are not finite where that failed."""
        prepared = []
        for rows, old in zip(pulled, factors, strict=True):
            new = (
                kronecker.input_covariance(backend, rows, self.sharing),
                kronecker.gradient_covariance(backend, rows, self.sharing),
            )
            averages = [decay * factor.covariance + (1 - decay) * value for factor, value in zip(old, new, strict=True)]
            prepared.append(kronecker.prepare(backend, averages, self.damping, self.inversion))
        return tuple(pair for pair, _ in prepared), backend.xp.stack([health for _, health in prepared])
