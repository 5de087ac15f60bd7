"""A request for costs: what the command line asks for, and a plan for each backend."""

import os
import re
from itertools import product

from pydantic import BaseModel, ConfigDict, Field

from rbench.cost.networks import network
from rbench.cost.parts import PARTS
from rbench.errors import RbenchError, SpecError
from rbench.losses import get_loss
from rbench.methods import Method, Problem
from rbench.plugins import backend_specs, find_backend, get_backend, plugins
from rbench.run import CostSuite
from rbench.run.suite import Sweep
from rbench.spec import parse
from rbench.train.cell import configured

LOSS = "cross_entropy"


class Case(BaseModel):
    """One figure: of a method's step on a network, or of a part of a step.

    Attributes:
        network: its name; empty for a part.
        batch_size: data a batch; 0 for a part.
        method: canonical SPEC; empty for a part.
        part: name of the part; empty for a step.
        sweep: what grows from case to case of a series; empty outside of one.
        size: its size in this case.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    network: str = ""
    batch_size: int = 0
    method: str = ""
    part: str = ""
    sweep: str = ""
    size: int = 0

    def __str__(self) -> str:
        """What is measured, in words."""
        series = f"{self.sweep} = {self.size:,}: " if self.sweep else ""
        return self.part or f"{series}{self.network} batch {self.batch_size} {self.method}"


class Plan(BaseModel):
    """What is measured at one place: a backend, dtype and device.

    Attributes:
        suite: name of the suite.
        backend: canonical SPEC.
        dtype: name of the floating dtype.
        device: the backend's name of the device, or None for its default.
        threads: of the numerical libraries.
        cases: what to measure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    suite: str
    backend: str
    dtype: str = "float32"
    device: str | None = None
    threads: int = Field(1, ge=1)
    cases: tuple[Case, ...]

    @property
    def name(self) -> str:
        """What its files are called."""
        others = [self.dtype] * (self.dtype != "float32") + [self.device or ""] * (self.device is not None)
        return "-".join(re.findall(r"[A-Za-z0-9._-]+", " ".join([self.suite, self.backend, *others])))


class CostRequest(BaseModel):
    """What to measure; what is left out comes from the suite.

    Attributes:
        suite: name of a suite that measures costs.
        backends: SPECs of backends.
        networks: names of networks, in place of the suite's; or of its sweeps, where it has any.
        methods: SPECs of methods. A bare name means the suite's SPECs of that method, where it has the method.
        batch_size: in place of the suite's.
        dtypes: names of dtypes.
        devices: names of devices; the backend's default if empty.
        threads: of the numerical libraries; the suite's if None, or else all cores.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    suite: str = "step-time"
    backends: tuple[str, ...] = ("numpy",)
    networks: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    batch_size: int | None = Field(None, ge=1)
    dtypes: tuple[str, ...] = ("float32",)
    devices: tuple[str, ...] = ()
    threads: int | None = Field(None, ge=1)

    def plans(self) -> list[Plan]:
        """A plan for each backend, dtype and device, without duplicates.

        Parts of a step are measured where neither networks nor methods are asked for.

        Raises:
            PluginError, SpecError: a name or setting that does not exist, or a method that the loss or network lacks.
            BackendError: a backend that cannot run here, or lacks a dtype or device.
        """
        suite = find_cost_suite(self.suite)
        places = list(dict.fromkeys(product(backend_specs(self.backends), self.dtypes, self.devices or (None,))))
        for place in places:
            find_backend(*place)
        cases = [*self._steps(suite), *([] if self.networks or self.methods else self._parts(suite))]
        threads = self.threads or suite.threads or os.cpu_count() or 1
        return [
            Plan(suite=suite.name, backend=backend, dtype=dtype, device=device, threads=threads, cases=tuple(cases))
            for backend, dtype, device in places
        ]

    def _steps(self, suite: CostSuite) -> list[Case]:
        methods = [method for spec in self._methods(suite) for method in configured("methods", spec)]
        batches = (self.batch_size,) if self.batch_size else suite.batch_sizes
        if suite.sweeps:
            cases = [
                _case(method, name, self.batch_size or batch, sweep.size)
                for sweep in self._sweeps(suite)
                for method, name, batch in product(methods, sweep.networks, sweep.batch_sizes)
            ]
        else:
            every = product(self.networks or suite.networks, batches, methods)
            cases = [_case(method, name, batch) for name, batch, method in every]
        return list(dict.fromkeys(cases))

    def _sweeps(self, suite: CostSuite) -> list[Sweep]:
        """The suite's sweeps, or those named in place of networks."""
        by_size = {sweep.size: sweep for sweep in suite.sweeps}
        if unknown := [name for name in self.networks if name not in by_size]:
            raise SpecError(f"suite {suite.name!r} has no sweep {unknown[0]!r}; there are: {', '.join(by_size)}")
        return [by_size[name] for name in self.networks or by_size]

    def _methods(self, suite: CostSuite) -> list[str]:
        own = {spec: [s for s in suite.methods if parse(s)[0] == spec] for spec in self.methods}
        return [source for spec in self.methods for source in own[spec] or [spec]] or list(suite.methods)

    def _parts(self, suite: CostSuite) -> list[Case]:
        unknown = set(suite.parts) - set(PARTS)
        if unknown:
            raise SpecError(f"suite {suite.name!r}: no part of a step is called {', '.join(sorted(unknown))}")
        return [Case(part=name) for name in suite.parts]


def _case(method: Method, name: str, batch: int, swept: str = "") -> Case:
    """A step as a case.

    Raises:
        SpecError: the method cannot train on the network.
    """
    net, shape = network(name)
    try:
        method.check(Problem(get_backend("numpy"), net, get_loss(LOSS)))
        method.check_batch(batch)
    except RbenchError as error:
        raise SpecError(f"{method.spec} on {name}: {error}; name others with --method") from None
    ((outputs,),) = net.out_space((shape,))  # type: ignore[misc]
    sizes = {
        "": 0,
        "n": sum(layer.n_parameters for layer in net.layers),
        "d": int(outputs or 0),
        "batch": batch,
        "depth": len(net.layers),
    }
    return Case(network=name, batch_size=batch, method=method.spec, sweep=swept, size=sizes[swept])


def find_cost_suite(name: str) -> CostSuite:
    """The suite of a name.

    Raises:
        PluginError: there is none.
        SpecError: it trains.
    """
    suite = plugins().find("suites", name)
    if not isinstance(suite, CostSuite):
        raise SpecError(f"suite {name!r} trains; it measures no costs")
    return suite
