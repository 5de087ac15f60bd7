"""The arithmetic of a step, counted: the floor under its time over SGD's, were every product as quick as any other.

Counted are multiply-add pairs of matrix products, factorisations and triangular solves: r² n / 2 for a symmetric
product of r vectors of size n, n³/6 for a Cholesky factorisation, n² k / 2 for a triangular solve with k right-hand
sides, n³ for an inverse; what is done entry by entry is not counted. B is the batch, and a layer has P positions, and
at each i inputs (a with the bias's 1) and o outputs.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

from rbench.methods import KFAC, SGD, Adam, Method, Problem
from rbench.methods.kronecker import in_points
from rbench.methods.preconditioned import Preconditioned
from rbench.metrics import get_output_metric, layer_masses
from rbench.modules import Conv2d, Linear, Module
from rbench.modules.module import Layer, Parallel, Sequential
from rbench.modules.space import Space
from rbench.solvers import choose_form
from rbench.train.step_time import WINDOW

EIGEN = 4.5
"""Pairs of an eigendecomposition with vectors, over n³ (Golub and Van Loan, Matrix Computations, 8.3: 9 n³ flops)."""


@dataclass(frozen=True)
class LayerWork:
    """A layer at its place in a network.

    Attributes:
        layer: the layer.
        positions: P.
        pulls: whether rows are pulled back through it, as they are not through a first layer.
    """

    layer: Layer
    positions: int
    pulls: bool

    @property
    def weights(self) -> int:
        """P o i, the pairs of one row through the layer, and of one datum's weight product."""
        return self.positions * self.layer.fan_out * self.layer.fan_in

    @property
    def product(self) -> int:
        """The pairs of one row through the layer: none where its map is entry by entry."""
        return self.weights if isinstance(self.layer, Linear | Conv2d) else 0


def layer_works(net: Module, space: Space) -> list[LayerWork]:
    """The layers of a network for inputs of these shapes, in order of their blocks."""
    return list(_works(net, space, pulls=False))


def _works(module: Module, space: Space, pulls: bool) -> Iterator[LayerWork]:
    if isinstance(module, Sequential):
        for part in module.modules:
            yield from _works(part, space, pulls)
            pulls, space = pulls or bool(part.layers), part.out_space(space)
    elif isinstance(module, Parallel):
        start = 0
        for part in module.modules:
            stop = start + len(part.in_space)
            yield from _works(part, space[start:stop], pulls)
            start = stop
    elif isinstance(module, Layer):
        positions = 1
        if isinstance(module, Conv2d):
            ((_, rows, columns),) = module.out_space(space)  # type: ignore[misc]
            positions = int(rows or 0) * int(columns or 0)
        yield LayerWork(module, positions, pulls)


def pass_operations(works: list[LayerWork], batch: int, rows: float) -> float:
    """Forward, and a pullback of some rows a datum: B Σ P o i, and rows · B Σ P o i but for the first layer."""
    return batch * sum(work.product * (1 + rows * work.pulls) for work in works)


def step_operations(method: Method, problem: Problem, space: Space, batch: int) -> float | None:
    """Multiply-add pairs of a step, the mean over its variants; None for a method that is not rbench's own.

    - `sgd`, `adam`: forward, a pullback of 1 row, weight products B P o i.
    - `riemannian`, `naive`: forward, a pullback of 1 + rank rows (of 1 where V's rows are the gradient's, rescaled; of
      1 + d with `batch=mean`), and `Form.operations` of the form that the planner chooses at each layer. With
      `metric_batch` or `refresh`, rank rows for the metric's data alone and `Form.factoring`, at every `refresh`-th
      step; and weight products B P o i and `Form.applying`.
    - `kfac`: a step that refreshes has a pullback of 1 + rank rows (1 for `empirical`), covariances, factorisations;
      one that does not has a pullback of 1; either has weight products and a solve, see `kfac_operations`.

    Args:
        method: the method.
        problem: with a network of one output wire, of shape (d,).
        space: shapes of its inputs, without the batch.
        batch: B.
    """
    works, ((d,),) = layer_works(problem.net, space), problem.net.out_space(space)  # type: ignore[misc]
    if isinstance(method, SGD | Adam):
        return pass_operations(works, batch, 1) + batch * sum(work.weights for work in works)
    if isinstance(method, Preconditioned):
        return _preconditioned(method, problem, works, int(d or 0), batch)
    if isinstance(method, KFAC):
        phases: list[Hashable] = [method.phase(index) for index in range(WINDOW)]
        exact = get_output_metric("ggn").rank(problem.loss, int(d or 0))
        ranks = {"exact": exact, "mc": method.rank, "empirical": 1}
        rank = ranks[method.factors]
        pulled = {True: 1 + rank * (method.factors != "empirical"), False: 1}
        return sum(
            phases.count(phase)
            / WINDOW
            * (
                pass_operations(works, batch, pulled[bool(phase)])
                + sum(kfac_operations(method, work, batch, rank, refreshes=bool(phase)) for work in works)
            )
            for phase in set(phases)
        )
    return None


def _preconditioned(method: Preconditioned, problem: Problem, works: list[LayerWork], d: int, batch: int) -> float:
    data, backend, workspace = method.metric_data(batch), problem.backend, method.workspace_mb * 2**20
    sizes = method.sizes(problem, d, [work.positions for work in works], batch)
    masses = layer_masses(backend, problem.net.layers, method.mass)
    forms = [
        choose_form(method.solver_name, backend, size, mass, workspace)
        for size, mass in zip(sizes, masses, strict=True)
    ]
    each = list(zip(forms, sizes, strict=True))
    # The metric's rows beside the gradient's, for each of its data.
    rank, rows = method.metric.rank(problem.loss, d), sizes[0].rank * (not sizes[0].rescaled)
    metric = 1.0 * data * sum(work.product * work.pulls for work in works) * rows
    if method.batch == "mean" and rank * data > d:
        metric += rank * data * d**2 / 2 + EIGEN * d**3
    if method.refresh == 1 and data == batch:
        return pass_operations(works, batch, 1) + metric + sum(form.operations(size) for form, size in each)
    metric += sum(form.factoring(size) for form, size in each)
    gradient = pass_operations(works, batch, 1) + batch * sum(work.weights for work in works)
    return gradient + metric / method.refresh + sum(form.applying(size) for form, size in each)


def kfac_operations(method: KFAC, work: LayerWork, batch: int, rank: int, *, refreshes: bool) -> float:
    """Pairs of a layer's K-FAC step beyond the pullback.

    With p points of inputs and q of cotangents (B P and B P rank, or B and B rank with `sharing=reduce`):

    - weight product B P o i;
    - on a refresh, covariances (a² p + o² q) / 2 and a factorisation of each: Cholesky n³/6, and n³ more where the
      inverse is kept; or an eigendecomposition;
    - the solve o a (o + a); or with the gradient's B P points, B P (o² + a²), where that is less; in eigenbases
      o a (o + a) more.

    Where the factors are those of the batch alone, a factor with fewer points than its size is solved in its points.
    G so: q² o / 2, q³/6, o q B P, q² B P, B P q o. A so: p² a / 2, p³/6, p² a, o p a, without the weight product.
    """
    layer = work.layer
    o, a = layer.fan_out, layer.fan_in + layer.bias
    points, each = batch * work.positions, batch if method.sharing == "reduce" else batch * work.positions
    p, q = each, each * rank
    if method.forgets:
        by_points = method.sharing == "expand" and p < a
        # A clip needs the gradient itself beside the direction.
        total = float(batch * work.weights) * ((not by_points) + (method.kl_clip is not None))
        total += p * p * a * 1.5 + p**3 / 6 + o * p * a if by_points else a * a * p / 2 + a**3 / 6 + a * a * o
        if q < o:
            return total + q * q * o / 2 + q**3 / 6 + 2 * q * o * points + q * q * points
        return total + o * o * q / 2 + o**3 / 6 + o * o * a
    total = float(batch * work.weights)
    total += points * (o * o + a * a) if in_points(points, o, a) else o * a * (o + a)
    total += o * a * (o + a) * (method.form == "eigen")
    if refreshes:
        factor = {"cholesky": 1 / 6, "inverse": 1 / 6 + 1, "eigen": EIGEN}[method.form]
        total += (a * a * p + o * o * q) / 2 + factor * (a**3 + o**3)
    return total
