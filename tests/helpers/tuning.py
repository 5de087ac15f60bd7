"""Tunes without processes, for the tests of `rbench tune`: what becomes of a cell is computed in this one."""

import math
from dataclasses import dataclass, field, replace

from rbench import errors
from rbench.methods import SGD, Choice, LogUniform
from rbench.run import Entry, Record, TrainingSuite, data_worker
from rbench.run.gate import Gate
from rbench.run.provenance import environment
from rbench.run.record import write_record
from rbench.tasks import Task
from rbench.train.cell import configured
from rbench.tune import TuneRequest

SPIRALS, LANCZOS = "two-spirals[batch_size=20,n_train=60,n_test=20,hidden=[4]]", "lanczos[batch_size=8]"
FIGURES = ("test_accuracy", "test_squared_error", "test_loss")


class Untouchable:
    """An array that no one may look at."""

    def __getattribute__(self, name):
        raise AssertionError("the test set was touched")

    def __len__(self):
        raise AssertionError("the test set was touched")

    __array__ = __getitem__ = __len__


class Sealed(Task):
    name, summary, loss, epochs = "sealed", "training data, and a test set that raises", "cross_entropy", 1

    def network(self):
        return configured("tasks", SPIRALS)[0].network()

    def load(self, allow_unofficial):
        data = configured("tasks", SPIRALS)[0].load(allow_unofficial)
        return replace(data, x_test=Untouchable(), y_test=Untouchable())


class Bare(SGD):
    name, summary, search_space = "bare", "declares no search space", {}


class Wrong(SGD):
    name, summary, search_space = "wrong", "would search what it has not", {"rate": LogUniform(0.1, 1)}


class Flat(SGD):
    name, summary, search_space = "flat", "has two settings at all", {"nesterov": Choice(False, True)}


OWN = ("sgd[lr=0.5,schedule=linear]", "adam[lr=0.3]", "riemannian[output_metric=[ggn,empirical_fisher]]")
TOY = TrainingSuite("toy", "two small tasks", (Entry(SPIRALS, OWN, 2), Entry(LANCZOS, OWN[:2], 1)), seeds=2)
PLUGIN = {"methods": [Bare, Wrong, Flat], "tasks": [Sealed], "suites": [TOY]}


class Silent:
    """A display that shows nothing."""

    def start(self, cells, kept):
        pass

    step = start

    def gate(self, gate):
        pass

    end = warn = gate


def by_rate(cell):
    """A record whose figures depend on the rate alone; 0.1 is the best."""
    far = abs(cell.make_method().lr - 0.1)
    figures = dict.fromkeys(FIGURES, far) | {"test_accuracy": 1 / (1 + far), "phase_seconds": {"step": 0.25}}
    return Record(cell=cell, status="ok", figures=figures)


@dataclass
class Bench:
    """In place of processes: what becomes of a cell is computed here.

    Attributes:
        outcome: the record of a cell.
        stop_after: how many records are passed on before the run is interrupted.
        written: whether the record after those is written nevertheless.
        ran: cells in order.
        options: of the last cell.
    """

    outcome: object = by_rate
    stop_after: float = math.inf
    written: bool = True
    ran: list = field(default_factory=list)
    options: dict = field(default_factory=dict)

    def run(self, cell, gate, folder, **options):
        """In place of `run_isolated`."""
        self.options = options
        self.ran.append(cell)
        record = self.outcome(cell).model_copy(update={"environment": environment(cell)})
        if len(self.ran) <= self.stop_after:
            return record
        if self.written:
            write_record(folder.parent, record)
        raise KeyboardInterrupt


def passed(backend, dtype, device, **limits):
    return Gate(backend=backend, dtype=dtype, device=device, cases=1, worst=0.0)


def found(asked, **limits):
    """What a process finds of data, found in this one, which knows the plugin."""
    told = {one: data_worker.found(one) for one in asked}
    for kind, message in (one.refused for one in told.values() if one.refused is not None):
        raise getattr(errors, kind)(message)
    return told


def request(**options):
    return TuneRequest(**{"suite": "toy", "trials": 4, "confirmations": 0, "seed": 1000, "threads": 1, **options})


def without_seconds(tuned):
    return [one.model_copy(update={"seconds": 0.0}) for one in tuned.tuned]


def studies(folder, round_="trials"):
    """What Optuna itself reads."""
    import optuna

    file = optuna.storages.journal.JournalFileBackend(str(folder / round_ / "optuna.log"))
    return optuna.get_all_study_summaries(optuna.storages.JournalStorage(file))


def specs(cells):
    return [(cell.task, cell.method) for cell in cells]
