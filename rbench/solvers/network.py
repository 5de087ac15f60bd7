"""The metrics of a network's layers, each for itself or coupled, with masses of any kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from rbench.backend import Backend
from rbench.errors import SolverError
from rbench.metrics import AnyMass, FactoredMass, Mass
from rbench.modules import LayerPullback, Weights
from rbench.modules.inputs import Inputs, Points
from rbench.names import unknown
from rbench.solvers.base import Direction, Factored, Form
from rbench.solvers.cost import Cost, LayerSize
from rbench.solvers.planner import OF_CAPACITANCE, WORKSPACE_BYTES, choose_form
from rbench.solvers.whitened import ONE, lighter, restored, whitened, whitened_weights
from rbench.solvers.woodbury import Term, Woodbury, factor_jointly, solve_jointly, solve_with

Coupling: TypeAlias = Literal["layer", "network"]
"""Whether a layer's metric is its own, M_l + V_lᵀV_l; or a block row of the network's, M + VᵀV with V = [V_1 … V_L]."""

COUPLINGS: tuple[Coupling, ...] = ("layer", "network")


def check_coupling(coupling: Any, solver: str) -> None:
    """Raise unless the coupling exists and the solver serves it.

    Raises:
        SolverError: the message names the way out.
    """
    if not isinstance(coupling, str) or coupling not in COUPLINGS:
        raise SolverError(unknown("coupling", coupling, COUPLINGS))
    if coupling == "network" and solver not in ("auto", *OF_CAPACITANCE):
        raise SolverError(f"coupling='network' shares one capacitance, which solver {solver!r} lacks; use 'auto'")


@dataclass(frozen=True)
class NetworkSolver:
    """Solves with the metrics M + ω VᵀV of all layers.

    With the coupling `network` the rows of V are those of the same datum and rank in every layer, so the capacitance
    K = I + ω Σ_l V_l M_l⁻¹V_lᵀ, cross-layer terms and all, takes one Cholesky factorisation.

    Attributes:
        solver: name of a solver, or `auto`.
        workspace_bytes: memory that a layer's solve may take beyond its rows, where another form takes less.
        coupling: `layer` or `network`.
        weight: ω.
    """

    solver: str = "auto"
    workspace_bytes: float = WORKSPACE_BYTES
    coupling: Coupling = "layer"
    weight: float = 1.0

    def directions(
        self, backend: Backend, layers: Sequence[LayerPullback], masses: Sequence[AnyMass]
    ) -> list[Direction]:
        """Directions for the gradient that was pulled back together with the metric."""
        if self.coupling == "network":
            terms = [self._term(*pair) for pair in zip(layers, masses, strict=True)]
            found = solve_jointly(backend, terms)
        else:
            found = []
            for pair in zip(layers, masses, strict=True):  # no other array of a layer outlives its turn
                form, layer, mass = self._term(*pair)
                found.append(form.direction(backend, layer, mass))
        return self._restored(found, masses, [layer.bias for layer in layers])

    def factor(
        self, backend: Backend, layers: Sequence[LayerPullback], masses: Sequence[AnyMass]
    ) -> tuple[Factored, ...]:
        """The factored metrics."""
        terms = [self._term(*pair) for pair in zip(layers, masses, strict=True)]
        if self.coupling == "network":
            return tuple(factor_jointly(backend, terms))
        return tuple(form.factor(backend, layer, mass) for form, layer, mass in terms)

    def solve(
        self,
        backend: Backend,
        factored: Sequence[Factored],
        sources: Sequence[Inputs],
        masses: Sequence[AnyMass],
        gradients: Sequence[Weights],
        sizes: Sequence[LayerSize],
    ) -> list[Direction]:
        """Directions for any gradients, with metrics factored with the same masses; sources are as for `Form.solve`."""
        items: list[tuple[Form, Factored, Inputs, Mass, Weights]] = []
        for kept, source, mass, gradient, size in zip(factored, sources, masses, gradients, sizes, strict=True):
            if isinstance(mass, FactoredMass):
                source = Points(backend, kept.data)
                gradient = whitened_weights(backend, gradient, mass)
            items.append((self.form(backend, size, mass), kept, source, self._plain(mass), gradient))
        if self.coupling == "network":
            found = solve_with(backend, [(cast(Woodbury, form), k, s, m, g) for form, k, s, m, g in items])
        else:
            found = [form.solve(backend, k, s, m, g) for form, k, s, m, g in items]
        return self._restored(found, masses, [gradient[1] is not None for gradient in gradients])

    def form(self, backend: Backend, size: LayerSize, mass: AnyMass) -> Form:
        """The form that serves a layer of these sizes."""
        joint = self.coupling == "network"
        if isinstance(mass, FactoredMass):
            return choose_form(self.solver, backend, size.without_bias(), ONE, self.workspace_bytes, joint=joint)
        return choose_form(self.solver, backend, size, mass, self.workspace_bytes, joint=joint)

    def costs(self, backend: Backend, sizes: Sequence[LayerSize], masses: Sequence[AnyMass]) -> list[Cost]:
        """The predicted cost of every layer, with whitening where its mass has factors."""
        return [self._cost(backend, *pair) for pair in zip(sizes, masses, strict=True)]

    def together(self, costs: Sequence[Cost], rows: int) -> Cost:
        """The cost for all layers; coupled ones share the factorisation of the capacitance and the solves with it.

        One layer at a time holds all of its numbers; of coupled layers at most half of them stay until the solve.
        """
        total = Cost(*(sum(values) for values in zip(*costs, strict=True)))
        most = max(cost.numbers for cost in costs)
        if self.coupling == "layer":
            return total._replace(numbers=most)
        factoring = (len(costs) - 1) * rows**3 / 6
        solving = (len(costs) - 1) * rows**2
        return total._replace(
            numbers=most + (total.numbers - most) / 2,
            operations=total.operations - factoring - solving,
            factoring=total.factoring - factoring,
            applying=total.applying - solving,
        )

    def _cost(self, backend: Backend, size: LayerSize, mass: AnyMass) -> Cost:
        form = self.form(backend, size, mass)
        if not isinstance(mass, FactoredMass):
            return form.cost(size)
        a = size.fan_in + size.bias
        o = size.fan_out
        rows = size.points * (size.rank + (0 if size.rescaled else 1))
        whitening = size.points * a * a + rows * o * o
        turning = o * a * (o + a)  # a gradient or a direction
        cost = form.cost(size.without_bias())
        return cost._replace(
            operations=cost.operations + whitening + turning,
            numbers=cost.numbers + size.points * a + rows * o + 2 * size.n,
            factoring=cost.factoring + whitening,
            applying=cost.applying + 2 * turning,
        )

    def _plain(self, mass: AnyMass) -> Mass:
        """The mass in the coordinates in which the layer is solved, over ω."""
        return lighter(ONE if isinstance(mass, FactoredMass) else mass, self.weight)

    def _term(self, layer: LayerPullback, mass: AnyMass) -> Term:
        form = self.form(layer.backend, LayerSize.of(layer), mass)
        if isinstance(mass, FactoredMass):
            layer = whitened(layer, mass)
        return Term(form, layer, self._plain(mass))  # type: ignore[arg-type]

    def _restored(self, found: list[Direction], masses: Sequence[AnyMass], biases: Sequence[bool]) -> list[Direction]:
        """The directions in the layers' own coordinates, over ω."""
        return [self._restored_one(*one) for one in zip(found, masses, biases, strict=True)]

    def _restored_one(self, direction: Direction, mass: AnyMass, bias: bool) -> Direction:
        weights = direction.weights
        if isinstance(mass, FactoredMass):
            weights = restored(weights, mass, bias=bias)
        if self.weight == 1:
            return direction._replace(weights=weights) if weights is not direction.weights else direction
        weights = weights[0] / self.weight, None if weights[1] is None else weights[1] / self.weight
        return Direction(weights, lambda: direction.slope() / self.weight, direction.health)
