"""K-FAC."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property
from typing import ClassVar, Literal

from pydantic import Field

from rbench.backend import Array, Backend
from rbench.checks import outputs
from rbench.methods import kronecker
from rbench.methods.base import WINDOW, Scalars, State, Step, zero_array
from rbench.methods.curved import FIT_SPACE, Curved, given_gradients
from rbench.methods.kronecker import GradientProduct, Inversion, Sharing
from rbench.methods.operations import LayerWork, layer_works, pass_operations
from rbench.methods.space import Choice, Dimension, LogUniform
from rbench.metrics import Batch, OutputMetric, Problem, get_output_metric
from rbench.modules import LayerPullback, Params
from rbench.modules.pullback import as_matrix, as_weights
from rbench.modules.space import Space, space_of

_METRICS = {"exact": "ggn", "mc": "ggn_mc", "empirical": "empirical_fisher"}


class KFAC(Curved):
    """Kronecker-factored approximate curvature (Martens and Grosse 2015).

    A layer's metric is approximated by A ⊗ G with input_covariance A = E[ā āᵀ], ā the inputs with a 1 for the bias, and
    gradient_covariance G = E[Σ_k δ_k δ_kᵀ], δ_k the rows of the output metric's factor pulled back to its outputs.

    Attributes:
        factors: where the rows δ come from: the `exact` GGN, `mc` samples, or the `empirical` Fisher metric.
        damping: λ.
        damping_split: `pi`, (A + π√λ I) ⊗ (G + √λ/π I) with π² = (tr A / dim A) / (tr G / dim G); or `eigen`,
            A ⊗ G + λ I exactly, in the factors' eigenbases.
        decay: ρ of the running averages A ← ρ A + (1 − ρ) A_batch, min(1 − 1/k, ρ) at the k-th refresh; 0 for none:
            with `refresh=1`, the split `pi` and the factors of the whole batch these are then never formed, which is
            several times quicker.
        refresh: steps between two computations of the factors and their inverses.
        sharing: how positions that share weights enter: `expand`, E over data and positions; or `reduce`, of means of
            inputs and sums of rows over positions, a coarser approximation (Eschenhagen et al. 2023).
    """

    name: ClassVar[str] = "kfac"
    summary: ClassVar[str] = "Kronecker-factored curvature, running averages, refreshed at intervals"
    always: ClassVar[tuple[str, ...]] = ("lr", "damping")
    search_space: ClassVar[Mapping[str, Dimension]] = {
        "lr": LogUniform(1e-3, 1),
        "damping": LogUniform(1e-4, 10),
        "kl_clip": Choice(None, 0.001, 0.01),
        **FIT_SPACE,
    }
    lr: float = Field(0.01, gt=0, allow_inf_nan=False)
    factors: Literal["exact", "mc", "empirical"] = "mc"
    damping: float = Field(0.1, gt=0)
    damping_split: Literal["pi", "eigen"] = "pi"
    decay: float = Field(0.95, ge=0, lt=1)
    sharing: Sharing = "expand"

    @cached_property
    def metric(self) -> OutputMetric:
        """The output metric whose factor is pulled back."""
        return get_output_metric(_METRICS[self.factors], self.rank)

    def scalars(self, step: int, total: int) -> Scalars:
        return super().scalars(step, total) | {"decay": kronecker.decay_at(step // self.refresh, self.decay)}

    def workspace_bytes(self, problem: Problem, params: Params, datum: Batch, batch_size: int) -> tuple[float, str]:
        space = space_of(datum.x)
        works = layer_works(problem.net, space)
        rank = self.metric.rank(problem.loss, outputs(problem.net, space))
        # Rows of the metric's data, and the gradient's.
        rows_per_position = self.metric_data(batch_size) * rank + batch_size
        rows = [rows_per_position * work.positions * work.layer.fan_out for work in works]
        inputs = [batch_size * work.positions * work.layer.width if work.positions > 1 else 0 for work in works]
        factors = [sum(side**2 for side in self._sides(work, batch_size, rank)) for work in works]
        # Pulling rows through a module holds those at its outputs and those at its inputs at once.
        numbers = 1.0 * sum(rows) + max(rows)
        # A backend with convolutions keeps windows that SGD does not form; others pull all rows back through windows at
        # once.
        numbers += sum(inputs) + max(inputs) if problem.backend.convolutions else rank * max(inputs)
        if self.forgets:
            # Factors of one layer and their copies; the new parameters, part of SGD's peak, are made only afterwards.
            numbers += max(0, 2 * max(factors) - sum(layer.n_parameters for layer in problem.net.layers))
        else:
            # The new and old running averages and matrices to solve with; for one layer also what these are made from.
            numbers += 4 * sum(factors) + 3 * max(factors)
        numbers += self.fit_numbers(problem)
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
        """Pairs of a step: a pullback of 1 row per datum, or 1 + rank if rows are, and the layers' own.

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
        data = self.metric_data(batch)
        total = pass_operations(works, batch, 1) + self.step_operations(problem, space, batch)
        for phase, count in Counter(self.phase(index) for index in range(WINDOW)).items():
            pairs = 0.0
            if self.pulls_rows(phase) and self.factors != "empirical":
                pairs += data * rank * sum(work.pulled for work in works)
            for work in works:
                points = batch * work.positions
                if self.forgets:
                    pairs += self._forgetting_operations(work, batch, rank)
                    continue
                pairs += batch * work.weights + self.scale_operations(work, data, rank)
                pairs += kronecker.solve_operations(work.layer, points, self.inversion)
                if phase:
                    of_factors = self._points(work, data)
                    pairs += kronecker.refresh_operations(work.layer, of_factors, rank, self.inversion)
            total += count / WINDOW * pairs
        return total

    def scale_operations(self, work: LayerWork, data: int, rank: int) -> float:
        """Pairs of estimating a layer's metric along the eigenvectors anew: none, for it is that of the factors."""
        return 0.0

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

    @property
    def inversion(self) -> Inversion:
        """What is kept to solve with: an inverse pays only where it serves several steps."""
        if self.damping_split == "eigen":
            return "eigen"
        return "inverse" if self.refresh > 1 else "cholesky"

    @property
    def forgets(self) -> bool:
        """Whether each step's factors are those of its batch alone, so that none need be kept, or even formed."""
        return self.decay == 0 and self.inversion == "cholesky" and self.metric_batch is None

    def init(self, problem: Problem, params: Params) -> State:
        backend = problem.backend
        factors = () if self.forgets else kronecker.zero_factors(backend, problem.net.layers)
        health = zero_array(backend, len(params))
        return self.first_velocity(problem, params), factors, health

    def step(
        self, problem: Problem, params: Params, state: State, batch: Batch, scalars: Scalars, phase: Hashable
    ) -> Step:
        backend = problem.backend
        velocity, kept, health = state
        given = given_gradients(problem, batch)
        if given is None or self.pulls_rows(phase):
            loss, parts = self.pull(problem, params, batch, rows=self.pulls_rows(phase))
        else:
            loss, parts = zero_array(backend) + float("nan"), [[]]
        gradients = []
        if given is not None:
            gradients = [(None, as_matrix(backend, gradient)) for gradient in given]
        elif not self.forgets or self.kl_clip is not None:
            gradients = [kronecker.gradient_product(backend, layers) for layers in zip(*parts, strict=True)]
        if self.forgets and given is None:
            solved = [kronecker.solve_with_batch(backend, rows, self.damping, self.sharing) for rows in parts[0]]
            directions = [direction for direction, _ in solved]
            health = backend.xp.stack([healthy for _, healthy in solved])
        else:
            before = kept or kronecker.zero_factors(backend, problem.net.layers)
            directions, after, health = self.solved(problem, gradients, parts[0], before, health, scalars, phase)
            kept = () if self.forgets else after
        layers = zip(problem.net.layers, directions, strict=True)
        weights = [as_weights(direction, bias=layer.bias) for layer, direction in layers]

        def slope() -> Array:
            slopes = [kronecker.slope(backend, g, d) for g, d in zip(gradients, directions, strict=True)]
            return backend.xp.sum(backend.xp.stack(slopes))

        params, velocity, of_fit = self.move(
            problem, params, velocity, batch, weights, parts, slope, loss, scalars["lr"]
        )
        return Step(params, (velocity, kept, health), loss, health if of_fit is None else health + of_fit)

    def solved(
        self,
        problem: Problem,
        gradients: Sequence[GradientProduct],
        pulled: Sequence[LayerPullback],
        kept: State,
        health: Array,
        scalars: Scalars,
        phase: Hashable,
    ) -> tuple[list[Array], State, Array]:
        """Directions (fan_out, fan_in [+1]), and what is kept, with its health, renewed where that is due."""
        backend = problem.backend
        factors, health = self.renewed(backend, pulled, kept, health, scalars, phase)
        pairs = zip(factors, gradients, strict=True)
        return [kronecker.solve(backend, pair, g, self.damping, self.inversion) for pair, g in pairs], factors, health

    def renewed(
        self,
        backend: Backend,
        pulled: Sequence[LayerPullback],
        factors: State,
        health: Array,
        scalars: Scalars,
        phase: Hashable,
    ) -> tuple[State, Array]:
        """The factors of all layers and their health, renewed where that is due."""
        if not phase:
            return factors, health
        decay = scalars["decay"]
        return kronecker.refreshed(backend, pulled, factors, decay, self.damping, self.inversion, self.sharing)
