"""Runs with faults in them, for tests and for `benchmarks/faults.py`: commands, records, and a hand that does harm.

A killed parent, a killed worker, a truncated record and a flipped bit are the faults; after each the run is resumed.
"""

import random
import time
from collections import Counter
from dataclasses import dataclass, field

import psutil

from helpers.command import run, start
from rbench.run import Budget, Record, Training, read_records
from rbench.run.provenance import environment
from rbench.run.record import write_json, write_record

SPIRALS = "two-spirals[n_train=60,n_test=20,batch_size=20,hidden=[8]]"
TASK = "two-spirals[batch_size=20,n_train=60,n_test=20,hidden=[8]]"
"""The same, as records name it."""
SMALL = ("-t", SPIRALS, "-m", "sgd", "-m", "adam", "-m", "kfac", "--seeds", "3", "--steps", "6", "--threads", "1")
"""Nine cells that take a second each."""

PARENT_SECONDS, WORKER_SECONDS = 6.0, 1.5
"""Longest time until a parent, and until a worker that has begun, is killed."""


def words(directory, *methods, seeds=1, memory=False):
    """The words of a run of methods for three steps; their memory, whose pass takes as long, is to be asked for."""
    chosen = [word for name in methods for word in ("-m", name)]
    asked = ("run", "-t", SPIRALS, *chosen, "--seeds", seeds, "--steps", "3", "--threads", "1", "-o", directory)
    return asked if memory else (*asked, "--no-memory")


def finish(*words, **options):
    """The command's exit status and standard error, when it has ended."""
    done = run(*words, **options)
    return done.code, done.err


def forget(folder):
    """Forget the numbers of workers that have begun so far."""
    for path in folder.glob("pid-*"):
        path.unlink()


def first_number(folder, process):
    """The number of a worker that has begun to train."""
    numbers = []
    while not numbers and process.poll() is None:
        time.sleep(0.02)
        numbers = [int(path.name[4:]) for path in folder.glob("pid-*")]
    return numbers[0]


def children_of(process):
    """The processes below another; none where it has ended."""
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def is_alive(process):
    """Whether it runs, and is not only waited for."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def cell(method="sgd", backend="numpy", task=TASK, steps=3, **settings):
    """A cell of few steps, in float32 at seed 0 if nothing else is said."""
    kept = {"suite": "none", "budget": Budget(steps=steps)} | settings
    return Training(task=task, method=method, backend=backend, **kept)


def made(seed=0, **changes):
    """A record as it would be made now, but for what changes."""
    one = cell(seed=seed)
    figures = {"train_loss": 0.25, "dataset_sha256": "ab" * 32}
    return Record(cell=one, status="ok", figures=figures, environment=environment(one) | changes)


def path_of(directory, record):
    return directory / "cells" / f"{record.cell.key}.json"


def write_run(directory, records, **content):
    """Write records as a run leaves them, with a `run.json` that plans them and holds what is given."""
    for record in records:
        write_record(directory, record)
    directory.mkdir(exist_ok=True)
    write_json(directory / "run.json", {"cells": [record.cell.key for record in records], **content})


def by_method(directory):
    records, damaged = read_records(directory)
    assert damaged == []
    assert len({record.cell for record in records}) == len(records)
    return {record.cell.method.partition("[")[0]: record for record in records}


def course(record):
    """All of a record that does not depend on time or on where memory lies."""
    timed = ("seconds", "ratio", "peak")
    figures = {name: value for name, value in record.figures.items() if not any(word in name for word in timed)}
    history = [{name: value for name, value in entry.items() if name != "seconds"} for entry in record.history]
    return record.status, record.reason, figures, history


class Shown:
    """A display that keeps warnings and ends."""

    def __init__(self):
        self.warnings, self.ends = [], []

    def start(self, cells, kept):
        self.todo, self.kept = cells, kept

    def step(self, cell, done, total):
        pass

    def gate(self, gate):
        pass

    def end(self, record):
        self.ends.append(record)

    def warn(self, text):
        self.warnings.append(text)


@dataclass
class Tally:
    """What was done to runs, and what became of their cells.

    Attributes:
        injected: faults by kind.
        cells: cells over all directories.
        lost: of those, without a record after the last resumption.
        duplicated: with more than one record.
        different: whose figures that do not depend on time are not those of the undisturbed run.
        orphans: processes that outlived their killed parent by five seconds.
        leftovers: files of half a record that were still there.
    """

    injected: Counter = field(default_factory=Counter)
    cells: int = 0
    lost: int = 0
    duplicated: int = 0
    different: int = 0
    orphans: int = 0
    leftovers: int = 0

    @property
    def harm(self):
        """All that must be zero."""
        return {
            "lost": self.lost, "duplicated": self.duplicated, "different": self.different, "orphans": self.orphans,
            "leftovers": self.leftovers,
        }  # fmt: skip


class Hand:
    """Does harm at moments that a seed decides, and counts.

    Args:
        seed: of the moments and the kinds.
        say: told each fault.
        words: what is run.
    """

    def __init__(self, seed, say=lambda text: None, words=SMALL):
        self._random, self._say, self._words, self.tally = random.Random(seed), say, words, Tally()

    def round(self, directory, undisturbed, faults):
        """Run into a directory, with as many faults as it takes, or fewer where all cells end before; then judge it."""
        words = ("run", *self._words, "-j", "2", "-o", directory)
        done = 0
        while done < faults:
            process = start(*words)
            count = self._disturb(process, faults - done)
            process.communicate(timeout=300)
            done += count + self._damage(directory)
            if not count and process.returncode == 0:
                break
        code, errors = finish(*words)
        if code:
            raise AssertionError(errors)
        self._judge(directory, undisturbed)

    def _disturb(self, process, most):
        """Kill workers while a run goes on, and perhaps the run; how many faults that was."""
        count = 0
        while count < most and process.poll() is None:
            if self._random.random() < 0.5:
                self._wait(process, self._random.uniform(0, PARENT_SECONDS))
                count += self._kill_parent(process)
            else:
                while process.poll() is None and not children_of(process):
                    time.sleep(0.005)
                self._wait(process, self._random.uniform(0, WORKER_SECONDS))
                count += self._kill_worker(process)
        return count

    def _wait(self, process, seconds):
        """Wait, or until the process ends."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and process.poll() is None:
            time.sleep(0.005)

    def _kill_parent(self, process):
        """Kill a run, and count what outlives it; whether it was there."""
        children = children_of(process)
        if process.poll() is not None:
            return False
        process.kill()
        process.wait()
        self._note("parent killed")
        _, left = psutil.wait_procs(children, timeout=5)
        self.tally.orphans += sum(is_alive(child) for child in left)
        return True

    def _kill_worker(self, process):
        """Kill one of the processes below a run; whether there was one."""
        children = children_of(process)
        try:
            self._random.choice(children or [None]).kill()
        except (AttributeError, psutil.NoSuchProcess):
            return False
        self._note("worker killed")
        return True

    def _damage(self, directory):
        """Perhaps damage one record; how many were."""
        records = sorted((directory / "cells").glob("*.json"))
        if not records or self._random.random() < 0.5:
            return 0
        path = self._random.choice(records)
        content = bytearray(path.read_bytes())
        if self._random.random() < 0.5:
            del content[self._random.randrange(len(content)) :]
            self._note("record truncated")
        else:
            content[self._random.randrange(len(content))] ^= 1 << self._random.randrange(8)
            self._note("bit of a record flipped")
        path.write_bytes(content)
        return 1

    def _note(self, kind):
        self.tally.injected[kind] += 1
        self._say(f"{sum(self.tally.injected.values())}: {kind}")

    def _judge(self, directory, undisturbed):
        records, damaged = read_records(directory)
        found = Counter(record.cell for record in records)
        wanted = {record.cell: course(record) for record in undisturbed}
        self.tally.cells += len(wanted)
        self.tally.lost += len(set(wanted) - set(found)) + len(damaged)
        self.tally.duplicated += sum(count - 1 for count in found.values())
        self.tally.different += sum(course(record) != wanted.get(record.cell) for record in records)
        self.tally.leftovers += len(list((directory / "cells").glob(".*")))
