"""`view` and `reshape` where they flatten, and the sizes that they are given."""

from operator import getitem
from typing import Any

import torch
from torch import fx

from rbench.errors import TracingError
from rbench.modules import Flatten, Module
from rbench.modules.space import Shape
from rbench.names import shown
from rbench_torch.networks.vocabulary import NEEDS_SHAPE

RESHAPES = ("view", "reshape", torch.reshape)


def is_size(node: Any) -> bool:
    """Whether a node asks for a shape or a part of one."""
    if not isinstance(node, fx.Node) or node.op == "call_module":
        return False
    asked = node.target == "size" or (node.target is getattr and node.args[1] == "shape")
    return asked or (node.target is getitem and is_size(node.args[0]))


def _is_batch_size(node: Any) -> bool:
    """Whether a node is x.size(0), x.shape[0] or x.size()[0]."""
    return is_size(node) and node.args[1:] == (0,)


def flattening(node: fx.Node, shape: Shape) -> Module:
    """Flatten, for a `view` or `reshape` that keeps the batch and makes one axis of all others."""
    sizes = node.args[1:]
    if len(sizes) == 1 and isinstance(sizes[0], tuple | list):
        sizes = tuple(sizes[0])
    if len(sizes) != 2 or not (_is_batch_size(sizes[0]) or sizes[0] == -1) or sizes == (-1, -1):
        raise TracingError(f"it makes the shape {shown(sizes)}, and the algebra flattens: (batch, -1)")
    ((size,),) = Flatten().out_space((shape,))  # type: ignore[misc]
    if sizes[0] == -1 and size is None:
        raise TracingError(f"{NEEDS_SHAPE}; or write x.flatten(1)")
    if sizes[0] == -1 and size != sizes[1]:
        raise TracingError(f"it makes rows of {sizes[1]}, where a datum has {size} numbers")
    return Flatten()
