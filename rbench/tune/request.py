"""A request to tune: what the command line asks for, and the plan that it makes."""

from itertools import count, islice

from pydantic import Field

from rbench.bounds import check_count
from rbench.checked import Checked
from rbench.errors import SpecError
from rbench.methods import Dimension, Method
from rbench.run import MAX_CELLS, Budget, Request, Training, TrainingSuite, check
from rbench.run.request import find_suite
from rbench.train.cell import held
from rbench.tune.plan import Plan, Search

AS_IN_A_RUN = ("tasks", "methods", "budget", "batch_size", "threads", "jobs", "unofficial_data", "max_cells")
"""Fields that a request to run has too."""


class TuneRequest(Checked):
    """What to tune; fields left out come from the suite, and those that are not listed are as in `Request`.

    Attributes:
        suite: name of a suite that trains.
        methods: SPECs of methods. A bare name means the suite's settings of that method, except the searched ones;
            settings in a SPEC's brackets are held, and the rest of the method's search space is searched.
        trials: per method and task.
        finalists: how many of the best trials per method and task are run again on further seeds, to choose by the
            mean: the best on one seed may have been lucky.
        confirmations: how many further seeds.
        seed: of the Sobol points and of every trial, and the seed before those of the confirmations; best far from the
            seeds of runs, which count from 0.
        seeds: on how many seeds the best settings are run; the suite's if None.
        backend: name of the backend.
        budget: of a trial and of a run, in place of the entries' own.
        dtype: name of the dtype; the suite's, or else float32, if None.
        device: name of the device; the backend's default if None.
        timeout: seconds per cell, or None.
        memory_limit: bytes that a cell may hold resident, or None.
        max_cells: how many trials, confirmations and runs it may make.
    """

    suite: str
    tasks: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    trials: int = Field(ge=1)
    finalists: int = Field(3, ge=1)
    confirmations: int = Field(2, ge=0)
    seed: int = Field(ge=0, lt=2**32)
    seeds: int | None = Field(None, ge=1)
    backend: str = "numpy"
    budget: Budget | None = None
    batch_size: int | None = Field(None, ge=1)
    dtype: str | None = None
    device: str | None = None
    threads: int | None = Field(None, ge=1)
    jobs: int = Field(1, ge=1)
    timeout: float | None = Field(None, gt=0)
    memory_limit: int | None = Field(None, gt=0)
    unofficial_data: bool = False
    max_cells: int = Field(MAX_CELLS, ge=1)

    def plan(self) -> Plan:
        """What to search, in order of task and method.

        Raises:
            PluginError, SpecError: a name or setting that does not exist; a suite that measures costs; a method that
                has no search space, or no setting left to search; a task that holds a validation split;
                more finalists than trials; more cells than `max_cells`.
            BackendError: a backend that cannot run here, or lacks the dtype or device.
        """
        if self.finalists > self.trials and "finalists" in self.model_fields_set:
            raise SpecError(
                f"`finalists` {self.finalists} of {self.trials} trials: give at most {self.trials}, or more `trials`"
            )
        asked = Request(
            suites=(self.suite,),
            backends=(self.backend,),
            dtypes=() if self.dtype is None else (self.dtype,),
            devices=() if self.device is None else (self.device,),
            seeds=1,
            **{name: getattr(self, name) for name in AS_IN_A_RUN},
        )
        suite = find_suite(self.suite)
        if not isinstance(suite, TrainingSuite):
            raise SpecError(f"suite {self.suite!r} has no settings to tune: name one that compares methods in training")
        cells = [cell for cell in asked.cells() if isinstance(cell, Training)]
        check(cells)
        distinct = {search.name: search for search in map(self._search, cells)}
        seeds = self.seeds or suite.seeds
        each = self.trials + min(self.finalists, self.trials) * self.confirmations + seeds
        check_count(len(distinct) * each, self.max_cells, "trials, confirmations and runs")
        tried = range(self.seed, self.seed + 1 + self.confirmations)
        return Plan(
            trials=self.trials,
            finalists=self.finalists if self.confirmations else 0,
            confirming=tuple(tried[1:]),
            run_seeds=tuple(islice((seed for seed in count() if seed not in tried), seeds)),
            seed=self.seed,
            timeout=self.timeout,
            memory_limit=self.memory_limit,
            searches=tuple(distinct.values()),
        )

    def _search(self, cell: Training) -> Search:
        if cell.make_task().validation:
            raise SpecError(f"{cell.task}: leave validation out; trials are judged on that split, runs on the test set")
        method = cell.make_method()
        space = _space(method, held("methods", self.methods, method.spec))
        label = method.spec_without(*space)
        return Search(cell=cell.model_copy(update={"method": label, "seed": self.seed}), space=space)


def _space(method: Method, fixed: set[str]) -> dict[str, Dimension]:
    """The part of a method's search space that is not held."""
    cls = type(method)
    if not cls.search_space:
        raise SpecError(
            f"method {cls.name!r} has no search space; declare one in class {cls.__name__}, such as "
            'search_space = {"lr": LogUniform(0.001, 1)}, with LogUniform and Choice from rbench.methods'
        )
    known = [field.alias or key for key, field in cls.model_fields.items()]
    if unknown := [key for key in cls.search_space if key not in known]:
        raise SpecError(
            f"the search space of {cls.name!r} holds {unknown[0]!r}, which is no setting of it; its settings are: "
            f"{', '.join(known)}"
        )
    space = {key: dimension for key, dimension in method.searched.items() if key not in fixed}
    if not space:
        raise SpecError(
            f"nothing of {cls.name} is left to search: {', '.join(method.searched)} are set; leave one of them out"
        )
    return space
