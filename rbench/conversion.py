"""Networks of other libraries as networks of the algebra."""

from typing import Any

from rbench.modules import Module, Params
from rbench.plugins import find_backend


def from_torch(module: Any, shape: tuple[int, ...] | None = None) -> tuple[Module, Params]:
    """The network of an `nn.Module`, and its parameters: the same outputs and gradients, on every backend.

    The module's graph is traced by `torch.fx`, so its forward may be written by hand. It may consist of `nn.Linear`,
    `nn.Conv2d` (square, of one group, without dilation), the activations, pools and `nn.Flatten` that the algebra has,
    their functions and methods, and sums of two values that part at one value, as in residual networks.

    Args:
        module: an `nn.Module` that takes one tensor. What depends on its mode, as `nn.Dropout` does, is taken as it is.
        shape: shape of a datum, without the batch; needed where the module's meaning depends on it: for adaptive pools,
            means over images, and `view(-1, n)`.

    Returns:
        The network; and its parameters as NumPy arrays in the module's dtype, copied: one dict per layer with `weight`
        and, where it has one, `bias`. `backend.asarray` brings each to a backend.

    Raises:
        TracingError: not an `nn.Module`; or it has what the algebra lacks. The message names the module or function and
            the line of forward.
        ShapeError: `shape` holds no sizes.
        DtypeError: parameters neither all of float32 nor all of float64.
        ParameterError: a parameter that has no numbers yet.
        BackendError: PyTorch is not installed.
    """
    convert = find_backend("torch").from_native
    assert convert is not None
    return convert(module, shape)
