"""Precision of float32 products, a setting of the whole process with two interfaces in PyTorch."""

from collections.abc import Callable
from typing import Any

import torch

from rbench.settings import Setting, Undo


def _read(getter: Callable[[], Any]) -> Any:
    """A value of the older interface; None if the process has used the newer one, for then it cannot be read."""
    try:
        return getter()
    except RuntimeError:
        return None


def _to_float32() -> Undo:
    on = torch.backends
    products = (on.cuda.matmul, on.cudnn.conv, on.cudnn.rnn, on.mkldnn.matmul, on.mkldnn.conv) if _NEWER else ()
    newer = [product.fp32_precision for product in products]
    matmul = _read(torch.get_float32_matmul_precision)
    cudnn = _read(lambda: on.cudnn.allow_tf32)
    # Both interfaces: PyTorch refuses to read the older one where they do not agree, and its compiler reads it.
    torch.set_float32_matmul_precision("highest")
    on.cudnn.allow_tf32 = False
    for product in products:
        product.fp32_precision = "ieee"

    def undo() -> None:
        if matmul is not None:
            torch.set_float32_matmul_precision(matmul)
        if cudnn is not None:
            on.cudnn.allow_tf32 = cudnn
        for product, value in zip(products, newer, strict=True):
            product.fp32_precision = value

    return undo


_NEWER = hasattr(torch.backends.cuda.matmul, "fp32_precision")  # since PyTorch 2.9

float32_products = Setting(_to_float32)
"""A context in which products of float32 are computed in float32: not in TensorFloat-32, nor in bfloat16 on a CPU."""
