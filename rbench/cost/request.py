"""A request for costs: what the command line asks for, and a plan for each backend."""

import os
import re
from itertools import product
from math import prod

from pydantic import Field

from rbench.checked import Checked
from rbench.cost.networks import network
from rbench.cost.parts import PARTS
from rbench.errors import RbenchError, SpecError
from rbench.losses import get_loss
from rbench.methods import Method, Problem
from rbench.names import unknown
from rbench.plugins import backend_specs, find_backend, get_backend, plugins
from rbench.run import MAX_CELLS, CostSuite
from rbench.run.bounds import check_at_once, check_count
from rbench.run.check import check_network
from rbench.run.suite import Sweep
from rbench.spec import parse
from rbench.train.cell import configured, count

LOSS = "cross_entropy"


class Case(Checked):
    """One figure: of a method's step on a network, or of a part of a step.

    Attributes:
        network: its name; empty for a part.
        batch_size: data a batch; 0 for a part.
        method: canonical SPEC; empty for a part.
        part: name of the part; empty for a step.
        sweep: what grows from case to case of a series; empty outside of one.
        size: its size in this case.
    """

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


class Plan(Checked):
    """What is measured at one place: a backend, dtype and device.

    Attributes:
        suite: name of the suite.
        backend: canonical SPEC.
        dtype: name of the floating dtype.
        device: the backend's name of the device, or None for its default.
        threads: of the numerical libraries.
        cases: what to measure.
    """

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


class CostRequest(Checked):
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
        max_cells: how many cases it may make, over all plans.
    """

    suite: str = "step-time"
    backends: tuple[str, ...] = ("numpy",)
    networks: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    batch_size: int | None = Field(None, ge=1)
    dtypes: tuple[str, ...] = ("float32",)
    devices: tuple[str, ...] = ()
    threads: int | None = Field(None, ge=1)
    max_cells: int = Field(MAX_CELLS, ge=1)

    def plans(self) -> list[Plan]:
        """A plan for each backend, dtype and device, without duplicates.

        Parts of a step are measured where neither networks nor methods are asked for.

        Raises:
            PluginError, SpecError: a name or setting that does not exist, a method that the loss or network lacks, a
                network that does not fit into memory, or more cases than `max_cells`.
            BackendError: a backend that cannot run here, or lacks a dtype or device.
        """
        suite = find_cost_suite(self.suite)
        check_at_once(self.threads)
        places = list(dict.fromkeys(product(backend_specs(self.backends), self.dtypes, self.devices or (None,))))
        for place in places:
            find_backend(*place)
        check_count(len(places) * self._count(suite), self.max_cells, "cases")
        cases = [*self._steps(suite), *([] if self.networks or self.methods else self._parts(suite))]
        threads = self.threads or suite.threads or os.cpu_count() or 1
        return [
            Plan(suite=suite.name, backend=backend, dtype=dtype, device=device, threads=threads, cases=tuple(cases))
            for backend, dtype, device in places
        ]

    def _count(self, suite: CostSuite) -> int:
        """How many cases a place has, before any is made."""
        sizes = sum(len(sweep.networks) * len(sweep.batch_sizes) for sweep in self._sweeps(suite))
        sizes = sizes or len(self.networks or suite.networks) * len(suite.batch_sizes)
        return sizes * sum(count("methods", spec) for spec in self._methods(suite)) + len(suite.parts)

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
        if missing := [name for name in self.networks if by_size and name not in by_size]:
            raise SpecError(f"suite {suite.name!r}: {unknown('sweep', missing[0], by_size)}")
        return [by_size[name] for name in self.networks or by_size] if by_size else []

    def _methods(self, suite: CostSuite) -> list[str]:
        own = {spec: [s for s in suite.methods if parse(s)[0] == spec] for spec in self.methods}
        return [source for spec in self.methods for source in own[spec] or [spec]] or list(suite.methods)

    def _parts(self, suite: CostSuite) -> list[Case]:
        if missing := sorted(set(suite.parts) - set(PARTS)):
            raise SpecError(f"suite {suite.name!r}: {unknown('part of a step', missing[0], PARTS)}")
        return [Case(part=name) for name in suite.parts]


def _case(method: Method, name: str, batch: int, swept: str = "") -> Case:
    """A step as a case.

    Raises:
        SpecError: the method cannot train on the network, or that does not fit with the batch.
    """
    net, shape = network(name)
    check_network(f"{name} with batches of {batch:,}", net, 4 * batch * prod(shape))
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
