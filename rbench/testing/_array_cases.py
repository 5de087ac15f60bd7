"""Cases of how a backend converts and compiles arrays, as `rbench.backend.Backend` promises."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from rbench.backend import Array, Backend
from rbench.random import generator
from rbench.testing._examples import SEED
from rbench.testing.case import Case, array_case

_M = generator(SEED, "data", 5).normal(size=(4, 5))
_FROZEN = _M.copy()
_FROZEN.flags.writeable = False
_LABELS = np.array([3, 0, 2, 1])

_HOST: dict[str, Any] = {
    "float64": _M,
    "float32": np.arange(6, dtype=np.float32) / 4,
    "integers": np.arange(6),
    "a number": 0.5,
    "a list": [[1.0, 2.0], [3.0, 4.0]],
    "no entries": np.zeros((0, 3)),
    "a transposed view": _M.T,
    "a reversed view": _M[::-1],
    "a strided view": _M[:, ::2],
    "a broadcast view": np.broadcast_to(_M[0], (3, 5)),
    "read-only": _FROZEN,
    "the other byte order": _M.astype(">f8"),
    "extended precision": _M.astype(np.longdouble),
    "half precision": np.arange(6, dtype=np.float16) / 4,
    "one column, reversed": _M[:, 3:][:, ::2][:, ::-1],
    "columns first": np.asfortranarray(_M),
    "fields of records": np.array([(1, 0.5), (2, 0.25)], dtype=[("a", "i1"), ("b", "f8")])["b"],
}
"""What `Backend.asarray` may be given."""


def array_cases() -> Iterator[Case]:
    """`arrays`, `labels` and `compile`."""
    arrays = partial(array_case, "arrays")
    for name, values in _HOST.items():
        yield arrays(name, lambda b, array: array, np.asarray(values, np.float64), given=[values])
    yield arrays("native already", lambda b, m: b.asarray(m), _M, given=[_M])
    yield arrays("native views", lambda b, m: [m.T, m[:, ::2]], _M.T, _M[:, ::2], given=[_M])
    yield arrays("comparisons", lambda b, m: m > 0, _M > 0, given=[_M])
    yield arrays("identity", lambda b: b.eye(3), np.eye(3))
    yield arrays("to_numpy of a list", lambda b: b.asarray(b.to_numpy([1.0, 2.0])), np.array([1.0, 2.0]))
    yield arrays("add_scaled", _added, _M - 0.5, _M + 2 * _M[::-1], _M, _M[::-1], given=[_M, _M[::-1]])
    yield arrays("synchronize", _synchronised, _M + 1, given=[_M])
    for dtype in ("int64", "int32", "uint8", ">i8", ">u2"):
        labels = _LABELS.astype(dtype)
        yield array_case("labels", dtype, lambda b, labels=labels: b.labels(labels), _LABELS)
    rows = _M[_LABELS]
    yield array_case("labels", "take rows", lambda b, m: b.xp.take(m, b.labels(_LABELS), axis=0), rows, given=[_M])
    compiled = partial(array_case, "compile")
    yield compiled("static arguments", _static, -_M, _M, _M + 1, _M * 2, -_M, given=[_M])
    yield compiled("structures", _structures, _M * 2 - 0.5, _M.T + 2, _M * 3 - 0.25, _M.T + 3, given=[_M])
    yield compiled("shapes", _shapes, _M.sum(axis=0), _M[:3].sum(axis=0), _M.sum(axis=0))
    yield compiled("loops", _loop, _M[0] + _M[1] / 2 + _M[2] / 4, _M[2], _M[:3].sum(axis=1))


def _added(backend: Backend, x: Array, y: Array) -> list[Array]:
    """Sums with a number and with an array as scale; then the operands, which must be unchanged."""
    ones = backend.asarray(np.ones_like(_M))
    return [backend.add_scaled(x, -0.5, ones), backend.add_scaled(x, backend.asarray(2.0), y), x, y]


def _synchronised(backend: Backend, m: Array) -> Array:
    array = m + 1
    backend.synchronize()
    backend.synchronize([array])
    return array


def _static(backend: Backend, x: Array) -> list[Array]:
    def function(x: Array, *, kind: Any) -> Array:
        return {False: -x, True: x, None: x + 1, "twice": x * 2}[kind]

    compiled = backend.compile(function, static=("kind",))
    return [compiled(x, kind=kind) for kind in (False, True, None, "twice", False)]


class _Pair(NamedTuple):
    """A structure like a method's state."""

    first: Array
    second: Array


def _structures(backend: Backend, m: Array) -> list[Array]:
    """Structures in and out, and numbers that change from call to call."""

    def function(params: Any, pair: _Pair, nothing: None, scalars: dict[str, float]) -> Any:
        weight = params[0]["weight"] * scalars["a"] - scalars["b"]
        return ({"weight": weight},), _Pair(pair.second + scalars["a"], pair.first)

    compiled = backend.compile(function)
    found = []
    for scalars in ({"a": 2.0, "b": 0.5}, {"a": 3.0, "b": 0.25}):
        (block,), pair = compiled(({"weight": m},), _Pair(m, m.T), None, scalars)
        found += [block["weight"], pair.first]
    return found


def _shapes(backend: Backend) -> list[Array]:
    compiled = backend.compile(lambda x: backend.xp.sum(x, axis=0))
    return [compiled(backend.asarray(x)) for x in (_M, _M[:3], _M)]


def _loop(backend: Backend) -> list[Array]:
    """The carry and the results of three calls, in one loop if the backend has loops."""

    def function(carry: _Pair, item: Any) -> Any:
        x, nothing, scalars = item
        return _Pair(carry.first + x * scalars["a"], x), (backend.xp.sum(x), nothing)

    carry = _Pair(backend.asarray(np.zeros(5)), backend.asarray(np.zeros(5)))
    items = backend.asarray(_M[:3]), None, {"a": backend.asarray([1.0, 0.5, 0.25])}
    loop = backend.compile_loop(function) or partial(_one_by_one, backend, function)
    carry, (sums, _) = loop(carry, items)
    return [*carry, sums]


def _one_by_one(backend: Backend, function: Callable[..., Any], carry: Any, items: Any) -> Any:
    x, _, scalars = items
    sums = []
    for t in range(x.shape[0]):
        carry, (total, _) = function(carry, (x[t, :], None, {"a": scalars["a"][t]}))
        sums.append(total)
    return carry, (backend.xp.stack(sums), None)
