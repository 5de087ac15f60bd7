"""Inner solvers: weights whose outputs are within δ of an outer step's resolvent."""

from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from pydantic import Field, PositiveInt

from rbench.methods import SGD, Adam, Method
from rbench.modules import Params
from rbench.spec import Configurable
from rbench.theory.flow import Vector, flat, shaped
from rbench.theory.mms.movement import Look, Scheme, Subproblem


class Solved(NamedTuple):
    """How an inner solve ended.

    Attributes:
        params: the weights.
        iterations: that it took.
        error: ‖u − resolvent‖ of the network with these weights.
    """

    params: Params
    iterations: int
    error: float


Solve: TypeAlias = Callable[[Params, Subproblem, float, float, int], Solved]
"""Solves an outer step from given weights until the error is at most δ, at a rate, by at most so many iterations; the
arguments in this order."""


class InnerSolver(Configurable):
    """A way to solve outer steps.

    Every iteration ends with a forward pass that measures the error. A solve ends without success where it has made all
    its iterations, or left the finite numbers.

    Attributes:
        cap: most iterations of an outer step.
        budget: most iterations of all outer steps together; steps after that change nothing.
    """

    cap: PositiveInt = 2000
    budget: PositiveInt = 10_000

    @property
    def rates(self) -> tuple[float, ...]:
        """The rates to try, the best of which is used; one, where the solver has its own."""
        return (1.0,)

    @abstractmethod
    def prepare(self, scheme: Scheme, seed: int) -> Solve:
        """The solver, compiled once for all outer steps and rates; the seed is that of its samples."""


class FirstOrder(InnerSolver):
    """A first-order method at a constant rate, started anew in each outer step.

    Attributes:
        lr: the rate; none for the best of several.
        tries: how many, at equal ratios.
        highest: the largest of them.
        decades: from the smallest to the largest.
    """

    lr: float | None = Field(None, gt=0)
    tries: int = Field(5, ge=2, le=100)
    highest: float = Field(1.0, gt=0)
    decades: float = Field(2.0, gt=0)
    method: ClassVar[Method]

    @property
    def rates(self) -> tuple[float, ...]:
        if self.lr is not None:
            return (self.lr,)
        return tuple(float(rate) for rate in self.highest * 10 ** np.linspace(0, -self.decades, self.tries))

    def prepare(self, scheme: Scheme, seed: int) -> Solve:
        def step(params: Params, state: Any, sub: Subproblem, scalars: dict[str, float]) -> tuple[Params, Any, Look]:
            made = self.method.step(scheme.problem(sub), params, state, scheme.batch(sub), scalars, None)
            return made.params, made.state, scheme.look(made.params, sub)

        look, step = scheme.backend.compile(scheme.look), scheme.backend.compile(step)

        def solve(params: Params, sub: Subproblem, delta: float, rate: float, most: int) -> Solved:
            state = self.method.init(scheme.problem(sub), params)
            error = float(look(params, sub).error)
            count = 0
            while delta < error < np.inf and count < most:
                scalars = self.method.scalars(count, most) | {"lr": rate}
                params, state, seen = step(params, state, sub, scalars)
                error = float(seen.error)
                count += 1
            return Solved(params, count, error)

        return solve


class GradientDescent(FirstOrder):
    """w ← w − η ∇F."""

    name: ClassVar[str] = "gradient_descent"
    summary: ClassVar[str] = "gradient descent, the best of five rates"
    method: ClassVar[Method] = SGD(momentum=0.0)


class AdamSolver(FirstOrder):
    """Adam, as the method `adam` with its own moments' rates."""

    name: ClassVar[str] = "adam"
    summary: ClassVar[str] = "Adam, the best of five rates"
    highest: float = Field(0.1, gt=0)
    method: ClassVar[Method] = Adam()


class _EndedError(Exception):
    """An evaluation was the last."""


class LBFGS(InnerSolver):
    """Limited-memory BFGS of SciPy, started anew in each outer step; its iterations are evaluations of F and ∇F.

    It ends at the evaluation that comes within δ, or else returns that of the least F.

    Attributes:
        history: pairs that it keeps.
    """

    name: ClassVar[str] = "lbfgs"
    summary: ClassVar[str] = "L-BFGS of SciPy; its iterations are evaluations"
    history: PositiveInt = 10

    def prepare(self, scheme: Scheme, seed: int) -> Solve:
        from scipy.optimize import minimize

        backend = scheme.backend

        def evaluate(params: Params, sub: Subproblem) -> tuple[Params, Look]:
            return scheme.problem(sub).gradient(params, scheme.batch(sub))[1], scheme.look(params, sub)

        look, evaluate = backend.compile(scheme.look), backend.compile(evaluate)

        def solve(params: Params, sub: Subproblem, delta: float, rate: float, most: int) -> Solved:
            first = look(params, sub)
            least, best = float(first.value), Solved(params, 0, float(first.error))
            count = 0

            def function(weights: Vector) -> tuple[float, Vector]:
                nonlocal least, best, count
                count += 1
                made = shaped(backend, scheme.net, weights)
                gradient, seen = evaluate(made, sub)
                value, error = float(seen.value), float(seen.error)
                if value < least or error <= delta:
                    least, best = value, Solved(made, count, error)
                if error <= delta or count == most or not np.isfinite(error):
                    raise _EndedError
                return value, flat(backend, gradient)

            if most and best.error > delta:
                with suppress(_EndedError):
                    minimize(
                        function,
                        flat(backend, params),
                        jac=True,
                        method="L-BFGS-B",
                        options={"maxiter": most, "maxfun": most, "ftol": 0.0, "gtol": 0.0, "maxcor": self.history},
                    )
            return best._replace(iterations=count)

        return solve
