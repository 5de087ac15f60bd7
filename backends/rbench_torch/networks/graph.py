"""A traced graph, read node by node and written as an expression of the algebra, with `>>`, `*`, Copy and Add."""

from dataclasses import dataclass, field
from functools import reduce
from operator import rshift
from typing import Any

from torch import fx, nn

from rbench.errors import TracingError
from rbench.modules import Add, Copy, Flatten, Identity, Linear, Module
from rbench.modules.space import Shape
from rbench.names import shown
from rbench_torch.networks.reshapes import RESHAPES, flattening, is_size
from rbench_torch.networks.vocabulary import CALLS, MODULES, SUMS, WAYS_OUT, WITHOUT_MODULE

Parameters = tuple[dict[str, nn.Parameter], ...]
"""A module's own parameters, in the structure of `rbench.modules.Params`."""

KNOWN = {nn.functional.linear, *SUMS, *RESHAPES, *WITHOUT_MODULE, *CALLS}
"""Functions, and names of a tensor's methods, that the algebra has."""


def described(node: fx.Node) -> str:
    """A node in words: what it does, in which module and at which line."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    within = [(path, kind) for path, kind in node.meta.get("nn_module_stack", {}).values() if path]
    at = node.meta.get("line", "")
    if node.op == "placeholder":
        return f"input {name!r}{at}"
    if not within:
        return f"{name!r}{at}"
    path, kind = within[-1]
    module = f"module {path!r}, {kind.__name__}"
    return f"{module}{at}" if node.op == "call_module" else f"{name!r} in {module}{at}"


@dataclass
class _Value:
    """A value of the graph: of one other by a module, or the sum of two; and how it depends on the input.

    Attributes:
        node: where it is computed.
        of: the values it is computed from; none for the input.
        module: what computes it from one other.
        block: the parameters of that.
        shape: shape of a datum, as far as it is known.
        depth: length of the chain of values that every way from the input passes before this one.
        before: the last of that chain; None for the input.
    """

    node: fx.Node
    of: "tuple[_Value, ...]"
    module: Module
    block: dict[str, nn.Parameter]
    shape: Shape
    depth: int = field(init=False)
    before: "_Value | None" = field(init=False)

    def __post_init__(self) -> None:
        self.before = reduce(_meeting, self.of) if self.of else None
        self.depth = self.before.depth + 1 if self.before else 0


def _meeting(one: _Value, other: _Value) -> _Value:
    """The last value that all ways from the input to either pass."""
    while one is not other:
        if one.depth < other.depth:
            one, other = other, one
        one = one.before  # type: ignore[assignment]
    return one


class Network:
    """Reads a graph node by node, and writes it as an expression of the algebra."""

    def __init__(self, root: nn.Module, shape: tuple[int, ...] | None) -> None:
        self.root = root
        self.shape = shape
        self.values: dict[fx.Node, _Value] = {}
        self.output: _Value | None = None
        self.blocks: dict[fx.Node, dict[str, nn.Parameter]] = {}
        self.used: set[nn.Parameter] = set()

    def read(self, node: fx.Node) -> None:
        """Add what a node computes."""
        if node.op == "placeholder":
            if self.values:
                raise TracingError("the algebra's networks take one tensor, and forward takes more")
            self.values[node] = _Value(node, (), Identity(), {}, self.shape)
        elif node.op == "output":
            self.output = self._value(node.args[0])
        elif node.op != "get_attr" and not is_size(node):
            self._add(node)

    def _value(self, given: Any) -> _Value:
        if not isinstance(given, fx.Node) or given not in self.values:
            raise TracingError(f"it takes {shown(given)}, and the algebra computes from the network's input alone")
        return self.values[given]

    def _add(self, node: fx.Node) -> None:
        called = None if node.op == "call_module" else node.target  # a module's is a name that its user chose
        if called is not None and called not in KNOWN:
            raise TracingError(_lacks(called))
        of = [self._value(argument) for argument in node.args[: 2 if called in SUMS else 1]]
        if not of:
            raise TracingError("it takes no value by position")
        block: dict[str, nn.Parameter] = {}
        if called in SUMS:
            if len(of) != 2 or node.kwargs.get("alpha", 1) != 1:
                raise TracingError("the algebra adds two values as they are")
            module: Module = Add()
        elif called is nn.functional.linear:
            module, block = self._linear(*node.args[1:], **node.kwargs)
        elif called in RESHAPES:
            module = flattening(node, of[0].shape)
        elif called in WITHOUT_MODULE:
            module = WITHOUT_MODULE[called]
        else:
            found = self._module(node)
            block = dict(found.named_parameters())
            module = self._translated(found, node, of[0].shape)
        if shared := self.used.intersection(block.values()):
            names = [name for name, parameter in self.root.named_parameters() if parameter in shared]
            raise TracingError(f"it uses parameter {names[0]!r} once more, and the algebra's layers share no weights")
        self.used.update(block.values())
        (shape,) = module.out_space(tuple(value.shape for value in of))
        self.values[node] = _Value(node, tuple(of), module, block, shape)

    def _module(self, node: fx.Node) -> nn.Module:
        """The module that does what the node does."""
        if node.op == "call_module":
            return self.root.get_submodule(str(node.target))
        try:
            return CALLS[node.target](*node.args[1:], **node.kwargs)
        except (TypeError, ValueError) as error:
            raise TracingError(f"its arguments cannot be read: {error}") from None

    def _translated(self, module: nn.Module, node: fx.Node, shape: Shape) -> Module:
        if type(module) not in MODULES:
            raise TracingError(_lacks(type(module)))
        if getattr(module, "inplace", False) and self._is_used_after(node):
            raise TracingError("it changes its input in place, and that is used again after it; leave out inplace=True")
        found = MODULES[type(module)](module, shape)
        names = sorted(name for name, _ in module.named_parameters())
        if names != sorted(name for layer in found.layers for name in layer.shapes):
            raise TracingError(f"its parameters are {', '.join(names)}, of which its weight is computed")
        return found

    def _is_used_after(self, node: fx.Node) -> bool:
        """Whether a node's input, or what may be a view of the same memory, is used again later."""
        value: _Value | None = self.values[node.args[0]]
        while value is not None:
            if any(_comes_before(node, user) for user in value.node.users):
                return True
            value = value.of[0] if isinstance(value.module, Identity | Flatten) and value.of else None
        return False

    def _linear(self, weight: Any, bias: Any = None) -> tuple[Module, dict[str, nn.Parameter]]:
        """`torch.nn.functional.linear` with parameters of the module."""
        given = {"weight": weight} | ({} if bias is None else {"bias": bias})
        found = {}
        for name, node in given.items():
            if not isinstance(node, fx.Node) or node.op != "get_attr":
                raise TracingError(f"its {name} is computed, and the algebra's are parameters")
            found[name] = self.root.get_parameter(str(node.target))
        fan_out, fan_in = found["weight"].shape
        return Linear(fan_in, fan_out, bias is not None), found

    def written(self) -> tuple[Module, Parameters]:
        """The whole network, and its blocks in the order of its layers."""
        start = next(iter(self.values.values()), None)
        if start is None or self.output is None:
            raise TracingError("forward takes no tensor")
        net = self._way(start, self.output)
        return net, tuple(block for block in self.blocks.values() if block)

    def _way(self, start: _Value, stop: _Value) -> Module:
        """What leads from one value to another, which no way from the input reaches without it."""
        chain = []
        while stop is not start:
            chain.append(stop)
            stop = stop.before  # type: ignore[assignment]
        steps = [self._last(value) for value in reversed(chain)]
        return reduce(rshift, [step for step in steps if step != Identity()] or [Identity()])

    def _last(self, value: _Value) -> Module:
        """What leads from the value before to the value."""
        if len(value.of) == 2:
            before: Any = value.before
            branches = [self._way(before, branch) for branch in value.of]
            return Copy() >> (branches[0] * branches[1]) >> Add()
        if value.block and value.node in self.blocks:
            raise TracingError(
                f"{described(value.node)}: it is part of several sums; the algebra has branches that part at one value "
                "and meet again in one sum"
            )
        self.blocks[value.node] = value.block
        return value.module


def _comes_before(node: fx.Node, other: fx.Node) -> bool:
    return node is not other and node < other


def _lacks(thing: Any) -> str:
    """What to say of a module or function that the algebra lacks."""
    name = thing if isinstance(thing, str) else getattr(thing, "__name__", str(thing))
    way_out = WAYS_OUT.get(thing, "docs/from-torch.md says what it has")
    return f"the algebra has no {name}; {way_out}"
