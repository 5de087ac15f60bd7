"""`riemannian` and `kfac` as optimisers of PyTorch, for a training loop of a user's own."""

from rbench import methods
from rbench_torch.own_loop import OwnLoop


class Riemannian(OwnLoop):
    """Riemannian gradient descent, `riemannian` of `rbench list methods`, on the gradients of a module's parameters.

    The steps are those of a run with the same settings, batches and seed. A batch is what the module was called on and
    had a backward pass since the last step; the gradients are what the parameters have when the step is made, so they
    may be clipped, accumulate, or have further terms.

    Args:
        module: an `nn.Module` that `rbench.from_torch` understands.
        loss: name of the loss, whose mean over the batch your loop computes; the metric `ggn` is its Hessian.
        lr: the rate; a scheduler of PyTorch may change it.
        shape: shape of a datum, where `rbench.from_torch` needs it.
        seed: seed of the metric's samples.
        settings: of the method, such as `output_metric="ggn_mc"`, `mass=0.1`, `momentum=0.9`, `weight_decay=0.0`,
            `refresh=1`, `kl_clip=None`; but not `schedule`, `fit` and `line_search`. `param_groups[0]` holds them.

    Raises:
        TracingError, DtypeError, ParameterError, ShapeError: as for `rbench.from_torch`; or a parameter is frozen, or
            on another device than the others.
        SpecError, MetricError, MassError: no such setting, metric or loss, or it does not fit.
    """

    kind = methods.Riemannian


class KFAC(OwnLoop):
    """K-FAC, `kfac` of `rbench list methods`, on the gradients of a module's parameters.

    The arguments are those of `Riemannian`; settings are those of the method, such as `damping=0.1`, `factors="mc"`,
    `decay=0.95`, `refresh=1`, `momentum=0.9`, `kl_clip=None`.
    """

    kind = methods.KFAC
