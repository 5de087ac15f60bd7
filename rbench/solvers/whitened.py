"""A layer in coordinates in which its mass is a number: those of Δ̃ = Cᵀ Δ L, for the mass M = (C Cᵀ) ⊗ (L Lᵀ).

There the gradient is g̃ = C⁻¹ g L⁻ᵀ, a row f ⊗ a of V is (C⁻¹f) ⊗ (L⁻¹a), and the metric M + VᵀV is I + ṼᵀṼ. So the
forms of every solver serve a Kronecker-factored mass; K = I + Ṽ Ṽᵀ has the entries (a A⁻¹ a')(f G⁻¹ f') of the paper's
V M⁻¹Vᵀ, for A = L Lᵀ and G = C Cᵀ.
"""

from rbench.backend import Backend
from rbench.metrics import DiagonalMass, FactoredMass, KroneckerMass, Mass
from rbench.modules import LayerPullback, Weights
from rbench.modules.inputs import Points
from rbench.modules.pullback import as_matrix, as_weights

ONE = KroneckerMass(1.0, 1.0, 1.0)


def whitened(layer: LayerPullback, mass: FactoredMass) -> LayerPullback:
    """The layer's gradient and rows in those coordinates, where it has no bias but an input more."""
    xp = layer.backend.xp
    inputs = layer.inputs
    if layer.bias:
        inputs = xp.concat([inputs, xp.ones_like(inputs[:, :, :1])], axis=2)
    source = Points(layer.backend, inputs @ mass.inputs.T)
    return LayerPullback(layer.backend, source, layer.cotangents @ mass.outputs.T, False, layer.scale)


def whitened_weights(backend: Backend, weights: Weights, mass: FactoredMass) -> Weights:
    """A gradient g in those coordinates."""
    return mass.outputs @ as_matrix(backend, weights) @ mass.inputs.T, None


def restored(weights: Weights, mass: FactoredMass, *, bias: bool) -> Weights:
    """Δ, given Δ̃."""
    return as_weights(mass.outputs.T @ weights[0] @ mass.inputs, bias=bias)


def lighter(mass: Mass, weight: float) -> Mass:
    """M / ω: since (M + ω VᵀV)⁻¹ = (M / ω + VᵀV)⁻¹ / ω, it stands for rows of weight ω."""
    if weight == 1:
        return mass
    if isinstance(mass, KroneckerMass):
        return KroneckerMass(mass.row / weight, mass.column, mass.bias_column)
    return DiagonalMass(mass.weight / weight, mass.bias / weight)
