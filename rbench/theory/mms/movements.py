"""The outer loop: a network that makes minimizing movements one after another, beside the exact ones."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from rbench.backend import Backend
from rbench.modules import Params
from rbench.theory.mms.energies import Values, norm
from rbench.theory.mms.movement import Scheme, Subproblem
from rbench.theory.mms.solvers import InnerSolver
from rbench.theory.mms.tasks import MovementTask
from rbench.train.clock import timed


@dataclass
class Run:
    """The outer steps made so far; all norms are those of L² over points.

    Attributes:
        params: the network's weights.
        iterations: of the inner solver, by outer step.
        seconds: within the inner solver.
        errors: ‖u^k − resolvent of u^{k−1}‖, by outer step: the local errors.
        certificates: ‖∇_uF‖/(1/τ + λ), which bounds the local error without the resolvent, by outer step.
        distances: ‖u^k − exact u^k‖ at the points of reference, by outer step.
        convexity: the least e'' at any point of the resolvents and of the exact trajectory; between two of them e'' is
            not less.
        exact: the exact trajectory's last u at the points of reference.
    """

    params: Params
    iterations: list[int] = field(default_factory=list)
    seconds: float = 0.0
    errors: list[float] = field(default_factory=list)
    certificates: list[float] = field(default_factory=list)
    distances: list[float] = field(default_factory=list)
    convexity: float = np.inf
    exact: Values = field(default_factory=lambda: np.zeros((0, 0)))

    def reached(self, delta: float) -> list[bool]:
        """Whether each outer step came within δ."""
        return [error <= delta for error in self.errors]


class Movements:
    """The outer steps of a task on a network.

    Args:
        backend: computes the network.
        task: the energy, the points of every outer step, and those of reference.
        solver: the inner solver.
        seed: of all that is random.
    """

    def __init__(self, backend: Backend, task: MovementTask, solver: InnerSolver, seed: int) -> None:
        self.scheme = scheme = Scheme(backend, task.network(), task.movement_energy(), task.tau)
        self.task = task
        self.solver = solver
        self.start = scheme.net.init(backend, seed)
        self._solve = solver.prepare(scheme, seed)
        self._outputs = scheme.backend.compile(lambda params, x: scheme.net.apply(scheme.backend, params, x))
        self.points = task.points(backend, seed)
        self._x, self.y = self.points.reference()

    def outputs(self, params: Params, x: Values) -> Values:
        """The network's values at points, (N, d)."""
        backend = self.scheme.backend
        return np.asarray(backend.to_numpy(self._outputs(params, backend.asarray(x))), dtype=np.float64)

    def at_reference(self, params: Params) -> Values:
        """The network's values at the points of reference."""
        return self.outputs(params, self._x)

    def warm_up(self) -> None:
        """Make one iteration without its result, so that what a backend compiles is not timed."""
        self._solve(self.start, self.subproblem(self.start, 0)[0], 0.0, self.solver.rates[0], 1)

    def run(self, rate: float, delta: float, *, to_the_end: bool, tell: Callable[[int], None]) -> Run:
        """Make all outer steps; or, unless `to_the_end`, end at the first that misses δ.

        `tell` is called with the number of steps made.
        """
        done = Run(self.start, exact=self.at_reference(self.start))
        for k in range(self.task.outer):
            with np.errstate(over="ignore", invalid="ignore"):  # a rate that is too large leaves the finite numbers
                self._step(done, rate, delta, k)
            tell(k + 1)
            if not np.isfinite(done.errors[-1]) or not (to_the_end or done.errors[-1] <= delta):
                break
        return done

    def subproblem(self, params: Params, k: int) -> tuple[Subproblem, Values, Values]:
        """Outer step k from given weights; with the energy's targets and the resolvent on the host."""
        scheme, put = self.scheme, self.scheme.backend.asarray
        x, y = self.points.at(k)
        anchor = self.outputs(params, x)
        resolvent = scheme.energy.resolvent(anchor, y, scheme.tau)
        return Subproblem(put(x), put(y), put(anchor), put(resolvent)), y, resolvent

    def _step(self, done: Run, rate: float, delta: float, k: int) -> None:
        energy, tau = self.scheme.energy, self.scheme.tau
        sub, y, resolvent = self.subproblem(done.params, k)
        most = min(self.solver.cap, self.solver.budget - sum(done.iterations))
        seconds, solved = timed(self.scheme.backend, lambda: self._solve(done.params, sub, delta, rate, most))
        done.params = solved.params
        done.iterations.append(solved.iterations)
        done.seconds += seconds
        done.errors.append(solved.error)
        anchor, u = np.asarray(self.scheme.backend.to_numpy(sub.anchor)), self.outputs(done.params, np.asarray(sub.x))
        convexity = min(energy.curvature(np, at, y).min() for at in (u, resolvent))
        done.certificates.append(norm((u - anchor) / tau + energy.slope(np, u, y)) / (1 / tau + convexity))
        done.exact = energy.resolvent(done.exact, self.y, tau)
        done.distances.append(norm(self.at_reference(done.params) - done.exact))
        curvatures = energy.curvature(np, resolvent, y), energy.curvature(np, done.exact, self.y)
        done.convexity = min(done.convexity, *(float(one.min()) for one in curvatures))
