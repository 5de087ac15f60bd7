"""Odd inputs and hostile files through the real command line: the table of cases, and the judge of each.

`benchmarks/faults.py --inputs` tries all of them, and `test_odd_inputs.py` those that are quick.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from helpers.faults import SPIRALS, made, path_of, write_run
from rbench.run.record import _sum, write_record

SECONDS, MEBIBYTES = 60, 700
"""Longest time of a command, and most memory of any of its processes; NumPy and a command take some 120 MiB."""

DEEP = "[" * 2000 + "]" * 2000
HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202e<script>alert(1)</script>](javascript:x)"


@dataclass(frozen=True)
class Odd:
    """A command that holds something odd.

    Attributes:
        kind: what it is an example of.
        words: of the command, which is called in an empty directory but for what `prepare` puts there.
        status: exit statuses that are right.
        says: words that must be printed, to one of the streams.
        prepare: puts files into the directory.
        never: what may not be printed.
        leaves: whether the command may make files where it is called, as a run without -o does, or an output option.
        variables: of its environment.
        seconds: longest time.
    """

    kind: str
    words: tuple[str, ...]
    status: tuple[int, ...] = (2,)
    says: tuple[str, ...] = ()
    prepare: Callable[[Path], object] = lambda folder: None
    never: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    seconds: float = SECONDS

    def __str__(self) -> str:
        words = " ".join(word if len(word) < 60 else f"{word[:57]}..." for word in self.words)
        return f"{self.kind}: rbench {words}"


def run_directory(folder: Path, name: str = "run", **changes: str) -> Path:
    """A directory of two records, as a run leaves it; the changes are of their environment."""
    directory, made_on = folder / name, {"cpu": changes.get("cpu", "this one")}
    write_run(directory, [made(seed, **changes) for seed in (0, 1)], request={}, provenance=made_on)
    return directory


def rewritten(content: bytes | Callable[[dict], object]) -> Callable[[Path], None]:
    """Puts a run there whose first record, or what a function makes of it, is something else."""

    def prepare(folder: Path) -> None:
        path = path_of(run_directory(folder), made(0))
        if callable(content):
            record = json.loads(path.read_text())
            content(record)
            path.write_text(json.dumps(record))
        else:
            path.write_bytes(content)

    return prepare


def newer(folder: Path) -> None:
    """Puts a record there as a newer version writes it: with a field that this one does not know, and the right sum."""
    path = path_of(run_directory(folder), made(0))
    known = json.loads(path.read_text())
    content = {name: value for name, value in known.items() if name not in ("sha256", "text_sha256")}
    content |= {"novelty": 1, "provenance": {"rbench": "99.0"}}
    path.write_text(json.dumps({"sha256": _sum(content), **content}))


def with_run_json(text: str) -> Callable[[Path], None]:
    """Puts a run there whose `run.json` is something else."""
    return lambda folder: (run_directory(folder) / "run.json").write_text(text)


def foreign(*names: str) -> Callable[[Path], None]:
    """Puts files of somebody's there."""

    def prepare(folder: Path) -> None:
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f'{{"mine": "{name}"}}')

    return prepare


def unlike(folder: Path) -> None:
    run_directory(folder, "a")
    run_directory(folder, "b", cpu="another")


def named(text: str) -> Callable[[Path], None]:
    """Puts a record there that says a text, with the sum that belongs to it."""

    def prepare(folder: Path) -> None:
        directory = run_directory(folder)
        write_record(directory, made(0).model_copy(update={"status": "crashed", "reason": text}))

    return prepare


RUN = ("run", "-t", SPIRALS, "--threads", "1")
SGD = (*RUN, "-m", "sgd", "--steps", "2")
DASK = (*SGD, "--executor", "dask")
LARGE = ("run", "-t", "regression[n_train=2000000]", "-m", "sgd", "--steps", "1", "--threads", "1")
DAMAGED = ("cannot be read",)

CASES = (
    # Directories and output
    Odd(
        "a directory of somebody else's",
        (*SGD, "-o", "."),
        says=("-o",),
        prepare=foreign(".package.json.swp", "run.json"),
    ),
    Odd("a directory of somebody else's", (*SGD, "-o", "his"), says=("-o",), prepare=foreign("his/notes.txt")),
    Odd(
        "a directory of somebody else's",
        ("run", "step-time", "-o", "his"),
        says=("-o",),
        prepare=foreign("his/cells/a.json"),
    ),
    *(
        Odd("an output that is no file of the kind", ("table", "run", "--profile", name), prepare=run_directory)
        for name in ("/dev/null", "", "run", "a.docx")
    ),
    Odd("an output that is no file of the kind", (*SGD, "-o", "")),
    Odd(
        "an interrupted plan",
        ("table", "run"),
        (0,),
        ("have no record",),
        lambda folder: path_of(run_directory(folder), made(0)).unlink(),
    ),
    # Records and run.json
    Odd("a record of a newer version", (*SGD, "-o", "run"), prepare=newer, says=("was written by rbench 99.0",)),
    Odd("a record of a newer version", ("compare", "run", "run"), (2,), prepare=newer, says=("it is left out",)),
    Odd(
        "a record of a newer version",
        ("table", "run"),
        (0,),
        prepare=newer,
        says=("was written by rbench 99.0", "does not know 'novelty'"),
    ),
    Odd("a hostile record", ("table", "run"), (0,), DAMAGED, rewritten(DEEP.encode())),
    Odd("a hostile record", ("table", "run"), (0,), DAMAGED, rewritten(b"")),
    Odd("a hostile record", ("table", "run"), (0,), DAMAGED, rewritten(b"\xff\xfe\x00")),
    Odd("a hostile record", ("table", "run"), (0,), DAMAGED, rewritten(b"[1, 2]")),
    Odd(
        "a hostile record", ("table", "run"), (0,), DAMAGED, rewritten(lambda r: r["figures"].update(train_loss="low"))
    ),
    Odd(
        "a hostile record", ("table", "run"), (0,), DAMAGED, rewritten(b'{"figures": {"steps": 1' + b"0" * 5000 + b"}}")
    ),
    Odd("a hostile record", ("compare", "run", "run"), (0, 1, 2), DAMAGED, rewritten(lambda r: r.pop("cell"))),
    Odd("a hostile record", ("table", "run", "--format", "csv"), (0,), DAMAGED, rewritten(b'{"cell": "\\ud800"}')),
    Odd("a hostile run.json", ("table", "run"), (0, 2), prepare=with_run_json(DEEP)),
    Odd("a hostile run.json", ("table", "run"), (0, 2), prepare=with_run_json('{"cells": 5}')),
    Odd("a hostile run.json", ("table", "run"), (0, 2), prepare=with_run_json('{"cells": [{"a": 1}, null]}')),
    Odd(
        "a hostile run.json",
        ("compare", "run", "run"),
        (0, 2),
        prepare=with_run_json('{"kind": ["cost"], "places": 3}'),
    ),
    # Text that reaches a terminal
    Odd("hostile text", ("table", "run"), (0,), prepare=named(HOSTILE), never=("\x1b", "\x07", "\u202e", "<script>")),
    Odd("hostile text", ("table", "run", "--format", "html"), (0,), prepare=named(HOSTILE), never=("\x1b", "<script>")),
    Odd(
        "hostile text",
        ("table", "run", "--format", "csv"),
        (0,),
        prepare=named('=cmd|"/C calc"!A0'),
        never=(",=cmd", '"=cmd'),
    ),
    Odd("hostile text", ("run", "-t", "two-spirals", "-m", f"sgd{HOSTILE}"), never=("\x1b", "\u202e")),
    # Comparisons
    Odd("runs of different machines", ("compare", "a", "b"), (0, 1, 2), prepare=unlike),
    Odd("runs of different machines", ("table", "a", "b", "--ranking"), (0, 2), prepare=unlike),
    Odd("runs of different machines", ("table", "a", "b"), (0, 2), prepare=unlike),
    # Sizes
    Odd("more than there is", ("run", "-t", "regression[n_train=100000000000]", "-m", "sgd", "-n"), (0, 2), seconds=20),
    Odd("more than there is", ("run", "-t", "regression[n_train=100000000000]", "-m", "sgd", "--steps", "1"), (1, 2)),
    Odd(
        "more than there is",
        (*LARGE, "--memory-limit", "500M", "-o", "run"),
        (1, 2),
        leaves=("run",),
    ),
    Odd("work without bound", ("run", "step-time", "-t", "784-64x1000000-10", "-m", "sgd"), (2,), seconds=30),
    Odd("work without bound", (*RUN, "-m", "sgd", "--steps", "9", "--evaluations", "99999999999999999"), seconds=30),
    Odd("work without bound", ("run", "-t", f"digits[hidden={DEEP}]", "-m", "sgd", "-n"), seconds=20),
    Odd(
        "work without bound",
        ("run", "-t", "digits", "-m", "sgd", "--seeds", "1000000", "-n"),
        says=("--max-cells",),
        seconds=20,
    ),
    # Options
    Odd("options that win in silence", ("tune", "-b", "numpy", "-b", "torch", "-n")),
    Odd("options that win in silence", ("compare", "a", "b", "--json", "--format", "html"), prepare=unlike),
    Odd("options that win in silence", ("tune", "--trials", "2", "--finalists", "100", "-n")),
    Odd("options that win in silence", (*RUN, "-m", "sgd", "--steps", "2", "--evaluations", "9", "-n")),
    *(
        Odd("an unknown name", words, says=(f"did you mean '{near}'",))
        for near, words in {
            "digits": ("run", "-t", "digit", "-n"),
            "quick": ("run", "quik", "-n"),
            "riemannian": (*RUN, "-m", "riemanian", "-n"),
            "numpy": ("run", "-b", "nunpy", "-n"),
            "mnist": ("data", "check", "mnits"),
            "lr": (*RUN, "-m", "sgd[lrr=1]", "-n"),
        }.items()
    ),
    Odd("a refused value", (*RUN, "-m", "riemannian[mass=-1]", "-n"), says=("-1",)),
    Odd("a refused value", (*RUN, "-m", "sgd[lr=true]", "-n"), says=("true",)),
    Odd("a refused value", (*RUN, "-m", "sgd[lr=nan]", "-n"), says=("nan",)),
    # Environments
    Odd(
        "RBENCH_DATA that is no folder",
        ("data", "list"),
        says=("no such home",),
        variables={"RBENCH_DATA": "~nouser-x/y"},
    ),
    Odd(
        "RBENCH_DATA that is no folder",
        ("data", "check", "mnist"),
        says=("RBENCH_DATA is",),
        variables={"RBENCH_DATA": "/etc/passwd"},
    ),
    Odd(
        "RBENCH_DATA that is no folder",
        ("run", "mnist", "-m", "sgd", "--steps", "1"),
        says=("RBENCH_DATA is",),
        variables={"RBENCH_DATA": "x" * 5000},
    ),
    Odd(
        "DIR/cells that is a file",
        (*SGD, "-o", "run"),
        says=("cells",),
        prepare=lambda folder: (
            run_directory(folder, "other"),
            (folder / "run").mkdir(),
            (folder / "run/cells").touch(),
        ),
    ),
    Odd("a terminal of few characters", ("tune", "-n"), (0,), variables={"PYTHONIOENCODING": "ascii"}),
    Odd(
        "a terminal of few characters",
        ("table", "run"),
        (0,),
        prepare=run_directory,
        variables={"PYTHONIOENCODING": "ascii"},
    ),
    Odd("a terminal of few characters", ("table", "\udcff"), says=("holds no run",)),
    # Schedulers
    Odd("an address of no scheduler", (*DASK, "--scheduler", "tls://127.0.0.1:9"), says=("needs certificates",)),
    Odd("an address of no scheduler", (*DASK, "--scheduler", "ucx://127.0.0.1:9"), says=("does not speak ucx://",)),
    Odd("an address of no scheduler", (*DASK, "--scheduler", "tcp://:8786"), says=("names no machine",)),
    Odd("an address of no scheduler", (*DASK, "--scheduler", "tcp://127.0.0.1:9"), says=("cannot be reached",)),
    Odd(
        "certificates that cannot serve",
        (*DASK, "--scheduler", "tls://127.0.0.1:9", "--tls-ca", "a", "--tls-cert", "b"),
        says=("--tls-ca 'a' cannot be read",),
    ),
    Odd(
        "certificates that cannot serve",
        (*DASK, "--scheduler", "tls://127.0.0.1:9", "--tls-ca", "a", "--tls-cert", "a"),
        says=("holds no certificate",),
        prepare=foreign("a"),
    ),
    Odd(
        "certificates that cannot serve",
        (*DASK, "--scheduler", "tcp://127.0.0.1:9", "--tls-ca", "a", "--tls-cert", "a"),
        says=("is without TLS",),
        prepare=foreign("a"),
    ),
)


def wrong(case: Odd, folder: Path) -> list[str]:
    """What is wrong with the command in an empty folder; nothing where it holds."""
    here = folder / "here"
    here.mkdir()
    case.prepare(here)
    before = contents(here)
    with (folder / "out").open("w+b") as out:
        code, seconds, mebibytes = _call(case, here, out)
        out.seek(0)
        said = out.read().decode(errors="surrogateescape")
    after = contents(here)
    new = sorted(name for name in after if name not in before and Path(name).parts[0] not in case.leaves)
    found = ["a traceback"] if "Traceback (most recent call last)" in said else []
    found += [f"exit status {code}"] if code not in case.status else []
    found += [f"does not say {word!r}" for word in case.says if word not in said]
    found += [f"prints {word!r}" for word in case.never if word in said]
    found += [f"took {seconds:.0f} s"] if seconds > case.seconds else []
    found += [f"took {mebibytes:.0f} MiB"] if mebibytes > MEBIBYTES else []
    found += [f"changed {name}" for name in before if after.get(name) != before[name] and not _set_aside(name, after)]
    return found + [f"left {name}" for name in new if not _set_aside(name, after, new=True)]


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _set_aside(name: str, after: dict[str, bytes], new: bool = False) -> bool:
    """Whether a file of a run's directory is one that a command may keep under another name, or its lock."""
    parts = Path(name).parts
    return len(parts) > 1 and parts[0] in ("run", "a", "b") and (new or name not in after)


LAUNCH = """
import os, sys
pid = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
with open(sys.argv[1], "w") as file:
    file.write(str(usage.ru_maxrss))
code = os.waitstatus_to_exitcode(status)
os.kill(os.getpid(), -code) if code < 0 else sys.exit(code)
"""
"""Runs a command and writes the most memory of its processes to a file. To Linux the memory of a process counts from
before it becomes the command, when it is a copy of the one that started it: that must be a small one."""


def _call(case: Odd, here: Path, out) -> tuple[int, float, float]:
    """Exit status, seconds, and MiB of the largest of the command's processes."""
    start = time.monotonic()
    with tempfile.NamedTemporaryFile("r") as largest:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", LAUNCH, largest.name,
             sys.executable, "-P", "-m", "rbench.cli", *case.words],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=here, env={**os.environ, **case.variables},
            start_new_session=True,
        )  # fmt: skip
        try:
            status = process.wait(case.seconds + 5)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
        return status, time.monotonic() - start, float(largest.read() or 0) / 1024
