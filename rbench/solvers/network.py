"""The metrics of a network's layers, each for itself or coupled, with masses of any kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from rbench.backend import Backend
from rbench.errors import SolverError
from rbench.metrics import AnyMass, FactoredMass, KroneckerMass, Mass
from rbench.modules import LayerPullback
from rbench.modules.inputs import Inputs
from rbench.names import unknown
from rbench.solvers.base import AnyGradient, Direction, Factored, Form
from rbench.solvers.cost import Cost, LayerSize
from rbench.solvers.planner import OF_CAPACITANCE, WORKSPACE_BYTES, choose_form
from rbench.solvers.woodbury import Term, Woodbury, factor_jointly, solve_jointly, solve_with

Coupling: TypeAlias = Literal["layer", "network"]
"""Whether a layer's metric is its own, M_l + V_lᵀV_l; or a block row of the network's, M + VᵀV with V = [V_1 … V_L]."""

COUPLINGS: tuple[Coupling, ...] = ("layer", "network")

ONE = KroneckerMass(1.0, 1.0, 1.0)


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

    def directions(self, backend: Backend, layers: Sequence[LayerPullback], masses: Sequence[Mass]) -> list[Direction]:
        """Directions for the gradient that was pulled back together with the metric."""
        if self.coupling == "network":
            return solve_jointly(backend, [self._term(*pair) for pair in zip(layers, masses, strict=True)])
        found = []
        for pair in zip(layers, masses, strict=True):  # no other array of a layer outlives its turn
            form, layer, mass = self._term(*pair)
            found.append(form.direction(backend, layer, cast(Mass, mass)))
        return found

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
        gradients: Sequence[AnyGradient],
        sizes: Sequence[LayerSize],
    ) -> list[Direction]:
        """Directions for any gradients, with metrics factored with the same masses; sources are as for `Form.solve`."""
        forms = [self.form(backend, *pair) for pair in zip(sizes, masses, strict=True)]
        items = list(zip(forms, factored, sources, masses, gradients, strict=True))
        if self.coupling == "network":
            return solve_with(backend, cast(list[tuple[Woodbury, Factored, Inputs, AnyMass, AnyGradient]], items))
        return [form.solve(backend, kept, source, mass, g) for form, kept, source, mass, g in items]

    def form(self, backend: Backend, size: LayerSize, mass: AnyMass) -> Form:
        """The form that serves a layer of these sizes."""
        joint = self.coupling == "network"
        if isinstance(mass, FactoredMass):
            return choose_form(self.solver, backend, size.without_bias(), ONE, self.workspace_bytes, joint=joint)
        return choose_form(self.solver, backend, size, mass, self.workspace_bytes, joint=joint)

    def costs(self, backend: Backend, sizes: Sequence[LayerSize], masses: Sequence[AnyMass]) -> list[Cost]:
        """The predicted cost of every layer."""
        return [self._cost(backend, *pair) for pair in zip(sizes, masses, strict=True)]

    def together(self, costs: Sequence[Cost], rows: int) -> Cost:
        """The cost for all layers; coupled ones share the factorisation of the capacitance and the solves with it.

        One layer at a time holds all of its numbers; of coupled ones some stay until the solve.
        """
        total = Cost(*(sum(values) for values in zip(*costs, strict=True)))
        if self.coupling == "layer":
            return total._replace(numbers=max(cost.numbers for cost in costs))
        factoring = (len(costs) - 1) * rows**3 / 6
        solving = (len(costs) - 1) * rows**2
        return total._replace(
            numbers=total.staying + max(cost.numbers - cost.staying for cost in costs),
            operations=total.operations - factoring - solving,
            factoring=total.factoring - factoring,
            applying=total.applying - solving,
        )

    def _cost(self, backend: Backend, size: LayerSize, mass: AnyMass) -> Cost:
        form = self.form(backend, size, mass)
        if not isinstance(mass, FactoredMass):
            return form.cost(size)
        size = size.without_bias()
        a = size.fan_in
        o = size.fan_out
        cost = form.cost(size)
        vectors = 0
        factoring = cost.factoring + a**3 + o**3
        if isinstance(form, Woodbury):
            vectors = size.points * (a + size.rank * o)  # M⁻¹Vᵀ, in points
            factoring = size.points * (a * a + size.rank * o * o) + form.cross_operations(size) + size.rows**3 / 6
        return cost._replace(
            operations=factoring + cost.applying,
            numbers=cost.numbers + vectors + 2 * size.n,
            factoring=factoring,
            kept=cost.kept + vectors,
            staying=vectors + size.n,
        )

    def _term(self, layer: LayerPullback, mass: AnyMass) -> Term:
        form = self.form(layer.backend, LayerSize.of(layer), mass)
        return Term(form, layer.weighted(self.weight), mass)  # type: ignore[arg-type]
