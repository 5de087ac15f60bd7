"""The errors that rbench raises on purpose. Each message names the thing, the value that came, and the way out."""


class RbenchError(Exception):
    """Base of every error that rbench raises on purpose."""


class ShapeError(RbenchError, ValueError):
    """Two modules, or a module and an array, do not fit together; the message holds both shapes."""


class ParameterError(RbenchError, ValueError):
    """Parameters do not match the network: a wrong number of layer blocks, or a missing or unknown array."""


class TracingError(RbenchError, ValueError):
    """A network of another library has what the algebra lacks; the message names it, and the line of its code."""


class DtypeError(RbenchError, TypeError):
    """An array has a dtype that the computation does not take."""


class RangeError(RbenchError, ValueError):
    """An array holds a number that the computation does not take, such as a target above the largest allowed."""


class NotFiniteError(RangeError):
    """An array holds NaN or an infinite number."""


class MassError(RbenchError, ValueError):
    """A mass is not positive, or fits neither a scalar, a (row, column) pair nor the layer's block."""


class MetricError(RbenchError, ValueError):
    """An output metric is unknown, not positive definite, or not defined for the loss."""


class SolverError(RbenchError, ValueError):
    """A solver is unknown, or cannot use the mass."""


class CapacitanceError(RbenchError, ArithmeticError):
    """The matrix of a layer's solve could not be factored: it holds NaN, or is not positive definite.

    Attributes:
        layer: index of the layer, counted over the layers that have weights.
        step: index of the training step, or None outside of a run.
    """

    def __init__(self, layer: int, step: int | None = None, why: str = "") -> None:
        """Name the layer, the step where there is one, and the reason where it is known."""
        self.layer = layer
        self.step = step
        at = "" if step is None else f" at step {step}"
        if not why:
            way_out = "The rate is too large for the mass: lower lr, raise mass, or set kl_clip."
            if step is None:
                way_out = "Check x, y and params for values that are not finite, or raise mass."
            why = f"it holds NaN or lost positive definiteness. {way_out}"
        super().__init__(f"the matrix of layer {layer} could not be factored{at}: {why}")


class DivergedError(RbenchError, ArithmeticError):
    """Training left the finite numbers."""


class LoopError(RbenchError, RuntimeError):
    """A training loop of a user's own has not done what an optimiser needs before its step."""


class BackendError(RbenchError):
    """A backend is unknown or unavailable, or was asked for a device or dtype that it lacks."""


class PluginError(RbenchError):
    """Two plugins register one name, or a name is not registered."""


class SpecError(RbenchError, ValueError):
    """A SPEC such as `sgd[lr=0.1]` cannot be read, or sets a parameter that does not exist."""


class DataError(RbenchError):
    """A data set is absent, damaged or not the official one."""


class Skip(RbenchError):
    """A cell is not run, for the reason in the message; raised before anything large is allocated."""
