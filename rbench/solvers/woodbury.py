"""Woodbury's identity: Lemma 1 and eqs. 2-3 of arXiv 2603.03610.

A layer's metric is G = M + VᵀV with a diagonal mass M, and its direction is Δ = G⁻¹g. With the capacitance
K = I + V M⁻¹Vᵀ, which has a row for each row of V,

    G⁻¹ = M⁻¹ − M⁻¹Vᵀ K⁻¹ V M⁻¹          (Lemma 1 and eq. 2),
    Δ = M⁻¹(g − Vᵀc)  for c = K⁻¹ V M⁻¹g  (eq. 3).

g and the rows of V are sums of cotangents ⊗ inputs, all of the same inputs, so g − Vᵀc is one weight product of the
corrected cotangents γ − Σ_k c_k F_k. Neither g nor V need be formed.

For a gradient of other data, and for a mass that is a Kronecker product of matrices, Δ = M⁻¹g − (M⁻¹Vᵀ)c, and M⁻¹g is
formed.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial, reduce
from operator import add
from typing import NamedTuple, TypeVar, cast

from rbench.backend import Array, Backend
from rbench.metrics import AnyMass, FactoredMass, Mass, divided
from rbench.modules import LayerPullback, Weights
from rbench.modules.inputs import Inputs, Points
from rbench.modules.pullback import as_weights
from rbench.solvers.base import AnyGradient, Direction, Factored, Form, RowPoints, health_of, solve_cholesky
from rbench.solvers.cost import LayerSize

T = TypeVar("T")


class Gradient(NamedTuple):
    """The products with a gradient g that a solve needs.

    Attributes:
        load: computes V M⁻¹g, (examples, rank).
        plus: computes M⁻¹(g + Vᵀw), given w (examples, rank).
        slope: computes gᵀΔ, given Δ and (V M⁻¹g)ᵀc.
    """

    load: Callable[[], Array]
    plus: Callable[[Array], Weights]
    slope: Callable[[Weights, Array], Array]


class Woodbury(Form):
    """A form that factors the capacitance.

    In exact arithmetic the eigenvalues of K are at least 1. Where rounding loses definiteness nonetheless
    (‖K‖ ε > 1), `Backend.cholesky` adds the rounding level to the diagonal; where that fails too the factor is NaN.

    Attributes:
        rank_first: whether V's rows are ordered by their rank, then by their example; else by example, then by rank.
    """

    rank_first: bool = False

    @abstractmethod
    def products(
        self, backend: Backend, layer: LayerPullback, mass: Mass, *, with_gradient: bool
    ) -> tuple[Array, Gradient]:
        """V M⁻¹Vᵀ (rows, rows), and the products with g: all that a form supplies.

        V's rows here are the layer's `unscaled_rows`. Where these are the loss's own, `plus` has 0 in place of g, and
        neither `load` nor `slope` is called; nor is any of the three unless `with_gradient`.
        """

    @abstractmethod
    def cross(self, backend: Backend, one: RowPoints, other: RowPoints) -> Array:
        """The inner products of rows with other rows of the same examples and ranks, (rows, rows)."""

    @abstractmethod
    def cross_operations(self, size: LayerSize) -> float:
        """Pairs of `cross`, for a layer without bias."""

    def factor(self, backend: Backend, layer: LayerPullback, mass: AnyMass) -> Factored:
        (factored,) = factor_jointly(backend, [Term(self, layer, mass)])
        return factored

    def solve(
        self, backend: Backend, factored: Factored, source: Inputs, mass: AnyMass, gradient: AnyGradient
    ) -> Direction:
        (direction,) = solve_with(backend, [(self, factored, source, mass, gradient)])
        return direction

    def direction(self, backend: Backend, layer: LayerPullback, mass: Mass) -> Direction:
        (direction,) = solve_jointly(backend, [Term(self, layer, mass)])
        return direction


class Term(NamedTuple):
    """A layer of a metric that layers share, with the form of its products."""

    form: Woodbury
    layer: LayerPullback
    mass: AnyMass


def factor_jointly(backend: Backend, terms: Sequence[Term]) -> list[Factored]:
    """The factored metric of the layers together; the first has the factor of the capacitance."""
    lower, by_mass = capacitance(backend, terms, partial(_factored_product, backend))
    matrices = [lower, *([lower[:0, :0]] * (len(terms) - 1))]
    return [
        Factored(matrix, term.layer.source.data, term.layer.factor_rows, points)
        for matrix, term, points in zip(matrices, terms, by_mass, strict=True)
    ]


def solve_jointly(backend: Backend, terms: Sequence[Term]) -> list[Direction]:
    """Directions of the layers, with the gradient that was pulled back together with their metric."""
    lower, gradients = capacitance(backend, terms, partial(_products, backend, with_gradient=True))
    return eq_3(backend, lower, gradients, rank_first=terms[0].form.rank_first and len(terms) == 1)


def solve_with(
    backend: Backend, items: Sequence[tuple[Woodbury, Factored, Inputs, AnyMass, AnyGradient]]
) -> list[Direction]:
    """Directions for any gradients, with metrics of `factor_jointly`; an item's other parts are as for `Form.solve`."""
    gradients = [at_hand(backend, kept, source, mass, g) for _, kept, source, mass, g in items]
    form, kept, *_ = items[0]
    return eq_3(backend, kept.matrix, gradients, rank_first=form.rank_first and len(items) == 1)


def capacitance(
    backend: Backend, terms: Sequence[Term], product: Callable[[Term], tuple[Array, T]]
) -> tuple[Array, list[T]]:
    """L with L Lᵀ = K = I + Σ_l V_l M_l⁻¹V_lᵀ, and what `product` returns of a layer beside V_l M_l⁻¹V_lᵀ.

    Of several layers, V's rows are ordered by their example, then by their rank.
    """
    rest = []
    total: Array | None = None
    for term in terms:
        inner, other = product(term)
        if term.form.rank_first and len(terms) > 1:
            inner = by_example(backend, inner, term.layer.source.shape[0])
        total = inner if total is None else total + inner
        rest.append(other)
    return backend.cholesky(total, shift=1.0), rest


def _products(backend: Backend, term: Term, *, with_gradient: bool) -> tuple[Array, Gradient]:
    """V M⁻¹Vᵀ and the products with the gradient, for a mass without factors."""
    form, layer, mass = term
    inner, g = form.products(backend, layer, cast(Mass, mass), with_gradient=with_gradient)
    return (inner, g) if layer.scale is None else rescaled(backend, inner, g, layer.scale)


def _factored_product(backend: Backend, term: Term) -> tuple[Array, RowPoints | tuple[()]]:
    """V M⁻¹Vᵀ; and M⁻¹Vᵀ, for a mass with factors."""
    form, layer, mass = term
    if not isinstance(mass, FactoredMass):
        return _products(backend, term, with_gradient=False)[0], ()
    inputs = layer.inputs
    if layer.bias:
        inputs = backend.xp.concat([inputs, backend.xp.ones_like(inputs[:, :, :1])], axis=2)
    rows = RowPoints(inputs, layer.factor_rows)
    by_mass = RowPoints(*(_times(backend, *pair) for pair in zip(rows, (mass.inputs, mass.outputs), strict=True)))
    return form.cross(backend, rows, by_mass), by_mass


def _times(backend: Backend, vectors: Array, matrix: Array) -> Array:
    """The last axis of an array times a matrix, as one product: one for each of the other axes is many times slower."""
    return backend.xp.reshape(backend.xp.reshape(vectors, (-1, vectors.shape[-1])) @ matrix, vectors.shape)


def eq_3(backend: Backend, lower: Array, gradients: Sequence[Gradient], *, rank_first: bool) -> list[Direction]:
    """Eq. 3 for each layer, given the factored capacitance, whose rows are ordered as `rank_first` says."""
    xp = backend.xp
    loads = [g.load() for g in gradients]  # V_l M_l⁻¹g_l
    load = reduce(add, loads)
    ordered = xp.reshape(load.T if rank_first else load, (-1, 1))
    solution = solve_cholesky(backend, lower, ordered)
    c = xp.reshape(solution, load.shape[::-1]).T if rank_first else xp.reshape(solution, load.shape)
    directions = []
    for g, own in zip(gradients, loads, strict=True):
        weights = g.plus(-c)  # M_l⁻¹(g_l − V_lᵀc)
        slope = partial(g.slope, weights, xp.sum(own * c))
        directions.append(Direction(weights, slope, health_of(lower)))
    return directions


def pulled_back(
    backend: Backend, layer: LayerPullback, mass: Mass, load: Callable[[], Array], square: Callable[[], Array]
) -> Gradient:
    """The gradient that was pulled back together with V; it is never formed. `square` computes gᵀM⁻¹g."""

    def plus(weights: Array) -> Weights:
        # M divides the cotangents where it can, for they are fewer than the weights; a number divides their
        # coefficients, which are fewer still.
        of_outputs, of_weight, of_bias = mass.parts
        number, array = (of_outputs, 1.0) if isinstance(of_outputs, float) else (1.0, of_outputs)
        coefficients = divided(layer.coefficients(weights), number)
        weight, bias = layer.product(divided(combine(backend, coefficients, layer.cotangents), array))
        return divided(weight, of_weight), None if bias is None else divided(bias, of_bias)

    return Gradient(load, plus, lambda _, removed: square() - removed)


def rescaled(backend: Backend, inner: Array, g: Gradient, scale: Array) -> tuple[Array, Gradient]:
    """The products of V = diag(s) U and g = Uᵀ1, given those of U and of g = 0."""
    xp = backend.xp
    totals = xp.sum(inner, axis=1)
    own = Gradient(
        load=lambda: (totals * scale)[:, None],
        plus=lambda weights: g.plus(1 + scale[:, None] * weights),
        slope=lambda _, removed: xp.sum(totals) - removed,
    )
    return inner * scale[:, None] * scale[None, :], own


def at_hand(backend: Backend, factored: Factored, source: Inputs, mass: AnyMass, gradient: AnyGradient) -> Gradient:
    """Any gradient, with the rows of a factored metric."""
    source = source.with_data(factored.data)
    weight, bias = gradient.by_mass()

    def load() -> Array:
        # V's rows are cotangents ⊗ inputs: apply M⁻¹g to the inputs like a layer, then multiply by the cotangents.
        outputs = source.apply(weight)
        return inner_products(backend, factored.rows, outputs if bias is None else outputs + bias)

    def plus(weights: Array) -> Weights:
        if isinstance(mass, FactoredMass):
            inputs, rows = cast(RowPoints, factored.by_mass)
            product = Points(backend, inputs).product(combine(backend, weights, rows))
            of_weight, of_bias = as_weights(product, bias=bias is not None)
            return weight + of_weight, None if bias is None else bias + of_bias
        cotangents = combine(backend, weights, factored.rows)
        of_weight, of_bias = mass.entries(0, weight.shape[0])
        new_bias = None if bias is None else bias + backend.xp.sum(cotangents, axis=(0, 1)) / of_bias
        return weight + source.product(cotangents) / of_weight, new_bias

    return Gradient(load, plus, lambda direction, _: gradient.slope(direction))


def by_example(backend: Backend, inner: Array, examples: int) -> Array:
    """Products of rows ordered by rank, then example, in the order example, then rank."""
    xp = backend.xp
    shape = (inner.shape[0] // examples, examples)
    return xp.reshape(xp.permute_dims(xp.reshape(inner, (*shape, *shape)), (1, 0, 3, 2)), inner.shape)


def combine(backend: Backend, weights: Array, rows: Array) -> Array:
    """Σ_k weights[e, k] rows[e, k], (examples, positions, fan_out), of rows (examples, count, positions, fan_out)."""
    xp = backend.xp
    if rows.shape[1] == 1:
        return rows[:, 0, :, :] * weights[:, :, None]
    order = _memory_order(rows.shape[0])
    ordered = xp.permute_dims(rows, order)
    flat = weights[:, None, :] @ xp.reshape(ordered, (*rows.shape[:2], -1))
    return xp.permute_dims(xp.reshape(flat, (rows.shape[0], 1, *ordered.shape[2:])), order)[:, 0, :, :]


def inner_products(backend: Backend, rows: Array, outputs: Array) -> Array:
    """⟨rows[e, k], outputs[e]⟩, (examples, count), of outputs (examples, positions, fan_out)."""
    xp = backend.xp
    order = _memory_order(rows.shape[0])
    first = xp.reshape(xp.permute_dims(rows, order), (*rows.shape[:2], -1))
    second = xp.reshape(xp.permute_dims(outputs[:, None, :, :], order), (rows.shape[0], -1, 1))
    return (first @ second)[:, :, 0]


def _memory_order(examples: int) -> tuple[int, int, int, int]:
    """The order of the rows' axes in memory, in which merging the last two copies nothing.

    A convolution's positions come after its outputs; where the whole batch is one example, positions come first.
    """
    return (0, 1, 2, 3) if examples == 1 else (0, 1, 3, 2)
