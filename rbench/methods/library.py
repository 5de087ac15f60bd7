"""What methods share that are optimisers of another library, chosen by name."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import ConfigDict, Field

from rbench.errors import RbenchError, SpecError
from rbench.methods.base import Method
from rbench.methods.space import Choice, Dimension, LogUniform
from rbench.metrics import Problem
from rbench.names import did_you_mean, shown, unknown

Shapes: TypeAlias = list[tuple[int, ...]]

RATES = {
    LogUniform(1e-3, 3): ("sgd", "asgd", "noisysgd", "schedulefreesgd", "polyaksgd", "optimisticgradientdescent"),
    LogUniform(1e-5, 1e-1): ("lion", "signsgd", "signum", "tiger"),
    LogUniform(1e-2, 10): ("adadelta", "prodigy", "dadaptadamw", "dadaptadam", "dadaptsgd", "dog", "dowg"),
}
"""Ranges that `lr` is searched in, for optimisers by their names in small letters: those that step along the gradient;
those that step along its signs; and those whose rate is a factor near 1. All others have Adam's range, that of
`LibraryOptimizer.search_space`."""

COMMON: dict[str, Dimension] = {
    "momentum": Choice(0.0, 0.9, 0.95),
    **dict.fromkeys(("beta1", "b1"), Choice(0.8, 0.9, 0.95)),
    **dict.fromkeys(("beta2", "b2"), Choice(0.99, 0.999)),
    "weight_decay": Choice(0.0, 1e-4, 1e-2),
}
"""Settings that are searched where an optimiser has them; a weight decay only where it is not 0 by default."""


class LibraryOptimizer(Method):
    """An optimiser of a library. Besides the fields it takes the settings of the chosen one, by their names there.

    A setting that is a tuple there is a list within a list in a SPEC, such as `step_sizes=[[1e-6,50]]`; but `betas` are
    set by `beta1`, `beta2` and so on. The rate of every step is `lr` by its schedule.

    Attributes:
        optimizer: its name in the library; `name` in a SPEC.
        differentiation: what computes the gradient: `ours`, the backend's pullback, which the equivalence gate checks,
            or the `library`'s own.
    """

    model_config = ConfigDict(extra="allow")
    always: ClassVar[tuple[str, ...]] = ("optimizer", "lr")
    search_space: ClassVar[Mapping[str, Dimension]] = {"lr": LogUniform(1e-4, 1)}
    optimizer: str = Field(alias="name")
    lr: float = Field(1e-3, gt=0, allow_inf_nan=False)
    differentiation: Literal["ours", "library"] = "ours"

    @classmethod
    @abstractmethod
    def known(cls) -> Mapping[str, Callable[..., Any]]:
        """The library's optimisers by name, where it is installed."""

    @abstractmethod
    def try_out(self, shapes: Shapes) -> None:
        """Make a step or two on arrays of some shapes; whatever the library raises says what is wrong."""

    @property
    def rate_name(self) -> str:
        """What the optimiser calls its rate."""
        return "lr"

    @property
    def make(self) -> Callable[..., Any]:
        """The class or function of the library.

        Raises:
            SpecError: it has none of that name, or is not installed.
        """
        if why := self.unavailable():
            raise SpecError(f"method {self.name!r} is unavailable: {why}")
        known = self.known()
        if self.optimizer not in known:
            raise SpecError(unknown(f"optimiser of {self.name}", self.optimizer, known))
        return known[self.optimizer]

    @property
    def own(self) -> dict[str, Any]:
        """The optimiser's own settings with their defaults, `Parameter.empty` for those that must be given."""
        found: dict[str, Any] = {}
        for name, default in _defaults(self.make).items():
            if name == "betas" and isinstance(default, tuple):
                found |= {f"beta{i}": value for i, value in enumerate(default, 1)}
            elif name not in ("params", self.rate_name):
                found[name] = default
        return found

    @property
    def arguments(self) -> dict[str, Any]:
        """The settings that are given, as keyword arguments of `make`."""
        given = {key: _as_tuples(value) for key, value in (self.model_extra or {}).items()}
        betas = _defaults(self.make).get("betas")
        if isinstance(betas, tuple) and any(f"beta{i}" in given for i in range(1, len(betas) + 1)):
            given["betas"] = tuple(given.pop(f"beta{i}", value) for i, value in enumerate(betas, 1))
        return given

    @property
    def searched(self) -> Mapping[str, Dimension]:
        letters = self.optimizer.rpartition(".")[2].lower().replace("_", "")
        own = self.own
        rate = next((rate for rate, names in RATES.items() if letters in names), self.search_space["lr"])
        taken = {key: space for key, space in COMMON.items() if key in own and (key != "weight_decay" or own[key])}
        return {"lr": rate, **taken}

    def check(self, problem: Problem) -> None:
        own = self.own
        known = [*(field.alias or key for key, field in type(self).model_fields.items()), *own]
        for key, value in (self.model_extra or {}).items():
            if key not in own:
                near = did_you_mean(key, known)
                raise SpecError(
                    f"{self.optimizer} has no setting {shown(key)}{near}; its settings are: {', '.join(known)}"
                )
            if _is_number(own[key]) and value is not None and not _is_number(value):
                raise SpecError(f"{self.optimizer}: {key}={shown(value)}: give a number")
        if missing := [key for key, value in own.items() if value is Parameter.empty and key not in self.arguments]:
            raise SpecError(f"{self.optimizer} needs a value for {missing[0]}")
        shapes = {shape: None for layer in problem.net.layers for shape in layer.shapes.values()}
        try:
            self.try_out([tuple(min(size, 4) for size in shape) for shape in shapes])
        except RbenchError:
            raise
        except Exception as error:
            raise SpecError(
                f"{self.optimizer} makes no step with these settings: {type(error).__name__}: {error}"
            ) from None


def _defaults(make: Callable[..., Any]) -> dict[str, Any]:
    """The named parameters of a class or function, with their defaults."""
    named = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    return {name: one.default for name, one in signature(make).parameters.items() if one.kind in named}


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
