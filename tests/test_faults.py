"""Faults in cells, runs and records: each becomes a row, nothing is lost, nothing is mixed."""

import errno
import importlib.util
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from typer.testing import CliRunner

from rbench.cli import app
from rbench.run import Budget, Cell, Record, Request, read_records
from rbench.run import run as run_request
from rbench.run.isolate import run_isolated
from rbench.run.lock import locked
from rbench.run.provenance import environment
from rbench.run.record import read_record, write_record
from rbench.run.resume import ChangedError, check_same, find_records

_SPEC = importlib.util.spec_from_file_location("faults", Path(__file__).with_name("faults.py"))
faults = importlib.util.module_from_spec(_SPEC)
sys.modules["faults"] = faults  # dataclasses look there
_SPEC.loader.exec_module(faults)

SPIRALS = faults.SPIRALS
TASK = "two-spirals[batch_size=20,n_train=60,n_test=20,hidden=[8]]"
NAN = "the loss of the batch at step 0 is nan; lower lr"
ENDS = {
    "segfaults": ("crashed", "its process was ended by signal SIGSEGV"),
    "segfaults-at-exit": ("ok", None),
    "hangs": ("timeout", "did not end within 6 s"),
    "hangs-in-the-memory-pass": ("ok", None),
    "allocates": ("out_of_memory", r"its process held [\d,]+ MiB, above the limit of 500 MiB"),
    "allocates-in-a-child": ("out_of_memory", r"its process held [\d,]+ MiB, above the limit of 500 MiB"),
    "leaves-a-child": ("ok", None),
    "raises": ("crashed", "RuntimeError: boom"),
    "memory-error": ("out_of_memory", "Unable to allocate 512. PiB for an array .*"),
    "nan": ("diverged", NAN),
    "fills-the-disk": ("crashed", r"OSError: \[Errno 28\] No space left on device"),
    "kills-itself": ("crashed", "its process was ended by signal SIGKILL; the kernel does so when memory runs out"),
    "leaves": ("crashed", "its process ended without a record"),
}
PRINTED = {"segfaults": "Segmentation fault", "raises": "in step", "fills-the-disk": "/dev/full"}
"""What the output holds that is kept."""


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


def cell(method="sgd", backend="numpy", seed=0):
    return Cell(suite="none", task=TASK, method=method, backend=backend, seed=seed, budget=Budget(steps=3))


def made(seed=0, **changes):
    """A record as it would be made now, but for what changes."""
    one = cell(seed=seed)
    figures = {"train_loss": 0.25, "dataset_sha256": "ab" * 32}
    return Record(cell=one, status="ok", figures=figures, environment=environment(one) | changes)


def path_of(directory, record):
    return directory / "cells" / f"{record.cell.key}.json"


def by_method(directory):
    records, damaged = read_records(directory)
    assert damaged == []
    assert len({record.cell for record in records}) == len(records)
    return {record.cell.method.partition("[")[0]: record for record in records}


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """The plugin's folder, and the environment of processes that find it."""
    folder = tmp_path_factory.mktemp("plugins")
    return SimpleNamespace(folder=folder, env=faults.install(folder))


@pytest.fixture
def found(plugin, monkeypatch):
    """Processes of this one find the plugin."""
    monkeypatch.setenv("PYTHONPATH", plugin.env["PYTHONPATH"])
    monkeypatch.setenv("FAULTS", plugin.env["FAULTS"])


def words(directory, *methods, seeds=1):
    chosen = [word for name in methods for word in ("-m", name)]
    return ("run", "-t", SPIRALS, *chosen, "--seeds", seeds, "--steps", "3", "--threads", "1", "-o", directory)


@pytest.fixture(scope="module")
def first(plugin, tmp_path_factory):
    """A run of every fault, and of what ends well before, between and after."""
    directory = tmp_path_factory.mktemp("runs") / "first"
    methods = ["sgd", *(f"fault-{name}" for name in ENDS), "adam"]
    limits = ("--timeout", "6s", "--memory-limit", "500M", "-j", "2")
    code, errors = faults.finish(*words(directory, *methods), *limits, env=plugin.env)
    return SimpleNamespace(directory=directory, code=code, errors=errors, records=by_method(directory))


class TestCells:
    @pytest.mark.parametrize("name", ENDS)
    def test_every_fault_is_a_row_with_status_and_reason(self, first, name):
        status, reason = ENDS[name]
        record = first.records[f"fault-{name}"]
        assert record.status == status, record.reason
        if reason is None:
            assert record.reason is None
        else:
            assert re.fullmatch(reason, record.reason)
        row = record.row()
        assert (row["train_loss"] is None) == (status != "ok")

    def test_the_others_are_there(self, first):
        assert len(first.records) == len(ENDS) + 2
        assert first.records["sgd"].status == first.records["adam"].status == "ok"
        assert first.code == 1
        assert "Traceback" not in first.errors

    def test_output_is_kept_where_there_is_some(self, first):
        for name in ENDS:
            log = path_of(first.directory, first.records[f"fault-{name}"]).with_suffix(".log")
            assert not log.exists() or log.stat().st_size > 0
            assert PRINTED.get(name, "") in (log.read_text() if log.exists() else "")
        assert not path_of(first.directory, first.records["sgd"]).with_suffix(".log").exists()

    def test_a_memory_pass_that_fails_leaves_its_figures_empty(self, first):
        row = first.records["fault-hangs-in-the-memory-pass"].row()
        assert (row["status"], row["peak_host_bytes"]) == ("ok", None)
        assert first.records["sgd"].row()["peak_host_bytes"] > 0

    def test_nothing_of_them_is_left(self, first):
        names = {path.suffix for path in (first.directory / "cells").iterdir()}
        assert names == {".json", ".log"}
        here = [process for process in psutil.process_iter(["environ"]) if first.directory.parent.name in str(process)]
        assert here == []


class TestIsolation:
    @pytest.mark.parametrize("backend", ["torch", "jax"])
    def test_the_memory_limit_holds_for_every_library_and_leaves_it_room(self, found, tmp_path, backend):
        pytest.importorskip(backend)
        limits = {"timeout": 120, "memory_limit": 800 * 2**20}
        ended = [run_isolated(cell(method, backend), None, tmp_path, **limits) for method in ("fault-allocates", "sgd")]
        assert [record.status for record in ended] == ["out_of_memory", "ok"], ended[1].reason

    @pytest.mark.parametrize(("kills", "status"), [((3, 4), "out_of_memory"), ((3, 3), "crashed")])
    def test_a_kill_for_want_of_memory_is_told_where_the_kernel_counts_it(
        self, found, tmp_path, monkeypatch, kills, status
    ):
        counts = iter(kills)
        monkeypatch.setattr("rbench.run.ask.kernel_kills", lambda: next(counts))
        assert run_isolated(cell("fault-kills-itself"), None, tmp_path).status == status

    def test_the_memory_pass_is_left_out_where_it_is_not_asked_for(self, tmp_path):
        peaks = {}
        measured, again, without = (
            run_isolated(cell(seed=seed), None, tmp_path, peaks=given)
            for seed, given in ((0, peaks), (1, peaks), (2, None))
        )
        assert measured.figures["peak_host_bytes"] > 0
        assert again.figures["peak_host_bytes"] == measured.figures["peak_host_bytes"]
        assert len(peaks) == 1
        assert "peak_host_bytes" not in without.figures

    def test_progress_is_told_and_the_folder_stays_empty(self, tmp_path):
        seen = []
        record = run_isolated(cell(), None, tmp_path, progress=lambda *what: seen.append(what))
        assert record == record.model_copy(update={"cell": cell(), "status": "ok", "gate": None})
        assert seen
        assert {(one, total) for one, _, total in seen} == {(cell(), 3)}
        assert list(tmp_path.iterdir()) == []

    def test_a_process_that_cannot_be_started_is_a_row(self, tmp_path):
        record = run_isolated(cell(), None, tmp_path / "none")
        assert record.status == "crashed"
        assert "its process could not be started: [Errno 2]" in record.reason

    @pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends processes with their parent on Linux alone")
    @pytest.mark.parametrize("method", ["fault-waits", "fault-hangs"])
    def test_a_worker_ends_with_its_killed_parent(self, plugin, tmp_path, method):
        for path in plugin.folder.glob("pid-*"):
            path.unlink()
        process = faults.start(*words(tmp_path / "run", method), env=plugin.env)
        number = first_number(plugin.folder, process)
        worker = psutil.Process(number)
        process.kill()
        process.communicate(timeout=60)
        _, left = psutil.wait_procs([worker], timeout=20)
        assert not [one for one in left if faults.is_alive(one)]
        assert list((tmp_path / "run" / "cells").glob("*.json")) == []


def first_number(folder, process):
    """The number of a worker that has begun to train."""
    numbers = []
    while not numbers and process.poll() is None:
        time.sleep(0.02)
        numbers = [int(path.name[4:]) for path in folder.glob("pid-*")]
    return numbers[0]


class TestFullDisk:
    def test_a_record_that_cannot_be_stored_is_a_row_and_the_run_goes_on(self, tmp_path, monkeypatch):
        def full_for_adam(directory, record):
            if record.cell.method.startswith("adam"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write_record(directory, record)

        request = Request(tasks=(SPIRALS,), methods=("sgd", "adam"), budget=Budget(steps=3), threads=1)
        with monkeypatch.context() as patched:
            patched.setattr("rbench.run.resume.write_record", full_for_adam)
            done = run_request(request, tmp_path, Shown())
        assert [record.status for record in done.records] == ["ok", "crashed"]
        assert done.records[1].reason == "its record could not be stored: No space left on device"
        assert list(by_method(tmp_path)) == ["sgd"]
        shown = Shown()
        assert run_request(request, tmp_path, shown).ok
        assert (shown.todo, shown.kept) == (1, 1)

    def test_a_run_onto_a_disk_that_fills_goes_on_when_there_is_room(self, tmp_path):
        disk = tmp_path / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40k", "none", disk], check=False).returncode:
            pytest.skip("no file system can be mounted here")
        try:
            asked = words(disk, "sgd", "adam", "kfac", seeds=3)
            code, errors = faults.finish(*asked)
            assert (code, "Traceback" in errors) == (1, False), errors
            assert "could not be stored: No space left on device" in errors
            kept, damaged = read_records(disk)
            assert 0 < len(kept) < 9
            assert damaged == []
            subprocess.run(["mount", "-o", "remount,size=9m", disk], check=True)
            code, errors = faults.finish(*asked)
            assert code == 0, errors
            assert f"cells from an earlier run: {len(kept)}; to run: {9 - len(kept)}" in errors
            assert len(read_records(disk)[0]) == 9
        finally:
            subprocess.run(["umount", disk], check=True)


class TestLock:
    def test_a_second_run_into_a_directory_is_refused_and_names_the_first(self, plugin, tmp_path):
        for path in plugin.folder.glob("pid-*"):
            path.unlink()
        asked = words(tmp_path, "fault-waits")
        process = faults.start(*asked, env=plugin.env)
        first_number(plugin.folder, process)
        told = f"{tmp_path} is in use by process {process.pid} on {socket.gethostname()}; wait until that ends, or"
        tune = ("tune", "-t", SPIRALS, "-m", "sgd", "--trials", "2", "-o", tmp_path)
        for second in (asked, (*asked, "--force"), tune, ("run", "memory", "-o", tmp_path)):
            code, errors = faults.finish(*second, env=plugin.env)
            assert code == 2
            assert told in errors or "measures costs" in errors or "holds a run that" in errors, errors
            assert "Traceback" not in errors
        process.kill()
        process.communicate(timeout=60)
        (plugin.folder / "go").touch()
        try:
            assert faults.finish(*asked, env=plugin.env)[0] == 0
        finally:
            (plugin.folder / "go").unlink()

    def test_the_lock_goes_with_its_holder(self, tmp_path):
        with locked(tmp_path / "new"):
            with pytest.raises(Exception, match=f"in use by process {os.getpid()} on "), locked(tmp_path / "new"):
                pass
        with locked(tmp_path / "new"):
            pass

    def test_a_file_system_without_locks_is_refused(self, tmp_path, monkeypatch):
        def no_locks(file, how):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr("rbench.run.lock.fcntl.flock", no_locks)
        with pytest.raises(Exception, match=r"cannot be locked: No locks available; name a directory on a local disk"):
            with locked(tmp_path):
                pass


class TestDamage:
    def test_every_truncation_and_flipped_bit_is_found_or_changes_nothing(self, tmp_path):
        record = made()
        write_record(tmp_path, record)
        path, draws = path_of(tmp_path, record), random.Random(0)
        whole = path.read_bytes()
        for length in {0, 1, len(whole) - 2, *(draws.randrange(len(whole) - 1) for _ in range(50))}:
            path.write_bytes(whole[:length])
            assert read_records(tmp_path) == ([], [path])
        found = 0
        for place in range(len(whole)):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << draws.randrange(8)
            path.write_bytes(flipped)
            records, damaged = read_records(tmp_path)
            assert (records, damaged) in (([], [path]), ([record], []))
            found += bool(damaged)
        assert found > 0.9 * len(whole)

    @pytest.mark.parametrize("content", ["[]", "null", "{}", '{"sha256": "0"}', "\x00" * 99])
    def test_what_is_no_record_is_damaged(self, tmp_path, content):
        write_record(tmp_path, made())
        path_of(tmp_path, made()).write_text(content)
        assert read_record(tmp_path, cell()) is None
        assert read_records(tmp_path)[1] == [path_of(tmp_path, made())]

    def test_it_is_set_aside_with_a_warning_and_its_cell_is_run_again(self, tmp_path):
        request = Request(tasks=(SPIRALS,), methods=("sgd", "adam"), budget=Budget(steps=3), threads=1)
        first = run_request(request, tmp_path, Shown())
        path = path_of(tmp_path, first.records[0])
        content = json.loads(path.read_text())
        content["figures"]["train_loss"] /= 2
        path.write_text(json.dumps(content))
        half = path.with_name(f".{path.name}.1")
        half.touch()
        shown = Shown()
        again = run_request(request, tmp_path, shown)
        assert (shown.todo, shown.kept) == (1, 1)
        (warning,) = shown.warnings
        assert warning.startswith(f"{path} is damaged: it is now {path.name}.damaged")
        assert json.loads(path.with_name(f"{path.name}.damaged").read_text()) == content
        assert not half.exists()
        assert [faults.course(record) for record in again.records] == [
            faults.course(record) for record in first.records
        ]
        assert again.records[1] == first.records[1]

    def test_a_writer_that_is_killed_leaves_whole_records(self, tmp_path):
        script = (
            "import sys\nfrom pathlib import Path\nfrom rbench.run import Record\n"
            "from rbench.run.record import write_record\n"
            "record = Record.model_validate_json(sys.stdin.readline())\nprint(flush=True)\nstep = 0\n"
            "while step := step + 1:\n"
            "    for seed in range(5):\n"
            "        one = record.cell.model_copy(update={'seed': seed})\n"
            "        changes = {'cell': one, 'history': [{'step': step}] * 99}\n"
            "        write_record(Path(sys.argv[1]), record.model_copy(update=changes))\n"
        )
        draws = random.Random(1)
        for _ in range(6):
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            process = subprocess.Popen([sys.executable, "-c", script, tmp_path], **pipes)
            process.stdin.write(made().model_dump_json() + "\n")
            process.stdin.flush()
            process.stdout.readline()
            time.sleep(draws.uniform(0.05, 0.3))
            process.kill()
            process.communicate()
            records, damaged = read_records(tmp_path)
            assert damaged == []
            assert all(len(record.history) == 99 for record in records)
        assert len(records) == 5
        find_records(tmp_path, pytest.fail)
        assert len(list((tmp_path / "cells").iterdir())) == 5


class TestChangedEnvironment:
    def test_a_record_says_what_it_was_made_with(self):
        found = environment(cell())
        assert list(found) == [
            "rbench", "source of rbench", "python", "numpy", "scipy", "array-api-compat", "blas", "cpu",
            "source of rbench_numpy",
        ]  # fmt: skip
        assert "absent" not in found.values()
        assert found == run_isolated(cell(), None, Path("/tmp")).environment

    @pytest.mark.parametrize("backend", ["torch", "jax"])
    def test_a_framework_counts_where_it_is_used(self, backend):
        pytest.importorskip(backend)
        assert backend in environment(cell(backend=backend))
        assert backend not in environment(cell())

    @pytest.mark.parametrize(("device", "model"), [(None, "GPU 0"), ("cuda:1", "GPU 1"), ("cuda:2", None)])
    def test_a_gpu_counts_where_it_is_used(self, monkeypatch, device, model):
        class Driver:
            def cuDeviceGet(self, number, index):
                number._obj.value = index
                return index > 1

            def cuDeviceGetName(self, name, size, number):
                name.value = f"GPU {number.value}".encode()
                return 0

            def cuDriverGetVersion(self, number):
                number._obj.value = 12080
                return 0

        monkeypatch.setattr("rbench.probe.cuda_problem", lambda: None)
        monkeypatch.setattr("rbench.probe.ctypes.CDLL", lambda name: Driver())
        found = environment(cell(backend="cupy").model_copy(update={"device": device}))
        assert found["device"] == (f"{model}, CUDA 12.8" if model else "absent")
        monkeypatch.setattr("rbench.probe.cuda_problem", lambda: "none")
        assert environment(cell(backend="cupy"))["device"] == "absent"
        assert "device" not in environment(cell(backend="torch"))

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"numpy": "1.0"}, r"numpy: 1\.0 → \d+\.\d+"),
            ({"scipy": "1.0"}, r"scipy: 1\.0 → \d+\.\d+"),
            ({"python": "3.0"}, r"python: 3\.0 → 3\.\d+"),
            ({"rbench": "0"}, "rbench: 0 → "),
            ({"source of rbench": "00"}, "source of rbench: 00 → [0-9a-f]{16}"),
            ({"source of rbench_numpy": "00"}, "source of rbench_numpy: 00 → [0-9a-f]{16}"),
            ({"cpu": "abacus"}, "cpu: abacus → "),
            ({"torch": "2.0"}, r"torch: 2\.0 → none"),
        ],
    )
    def test_what_changed_is_told(self, tmp_path, changes, told):
        check_same(tmp_path, [made(seed=seed) for seed in range(2)])
        with pytest.raises(ChangedError, match=rf"{tmp_path}: records .* now: 1 \({told}.*name another directory"):
            check_same(tmp_path, [made(), made(seed=1, **changes)])

    def test_other_data_are_told(self, tmp_path):
        with pytest.raises(ChangedError, match="data: sha256 abababababababab → sha256 cdcdcdcdcdcdcdcd"):
            check_same(tmp_path, [made()], {(TASK, False): "cd" * 32})
        check_same(tmp_path, [made()], {(TASK, False): "ab" * 32})
        check_same(tmp_path, [made()], {(TASK, True): "cd" * 32})

    def test_a_record_that_does_not_say_is_not_mixed_with_others(self, tmp_path):
        with pytest.raises(ChangedError, match="they do not say with what"):
            check_same(tmp_path, [made().model_copy(update={"environment": {}})])

    def test_a_record_from_before_there_were_sums_can_be_read_and_not_be_resumed(self, tmp_path):
        write_record(tmp_path, made())
        content = json.loads(path_of(tmp_path, made()).read_text())
        del content["sha256"], content["environment"]
        path_of(tmp_path, made()).write_text(json.dumps(content))
        (record,), damaged = read_records(tmp_path)
        assert (record.figures, damaged) == (made().figures, [])
        with pytest.raises(ChangedError, match="they do not say with what"):
            check_same(tmp_path, [record])

    def test_a_run_goes_on_only_where_nothing_changed(self, tmp_path):
        def call(*more):
            return CliRunner().invoke(app, [str(word) for word in (*words(tmp_path, "sgd"), *more)])

        assert call().exit_code == 0
        (record,), _ = read_records(tmp_path)
        write_record(tmp_path, record.model_copy(update={"environment": record.environment | {"numpy": "1.0"}}))
        done = call()
        assert done.exit_code == 2
        assert re.search(r"now: 1 \(numpy: 1\.0 → .*another directory with -o, or run .* with --force", done.stderr)
        # The record of a cell that is not asked for would stand in the same table.
        other = CliRunner().invoke(app, [str(word) for word in (*words(tmp_path, "adam"), "--force")])
        assert other.exit_code == 2
        assert call("--force").exit_code == 0
        assert call().exit_code == 0
        assert read_records(tmp_path)[0][0].environment == record.environment

    def test_a_plugin_s_edited_source_is_told_before_and_while_a_run_goes_on(self, tmp_path):
        folder, directory = tmp_path / "plugins", tmp_path / "run"
        folder.mkdir()
        env = faults.install(folder)
        source = folder / "rbench_faults.py"
        asked = words(directory, "fault-waits", "fault-leaves-a-child", "sgd")
        process = faults.start(*asked, env=env)
        first_number(folder, process)
        written = source.read_text()
        source.write_text(written + "\n# changed\n")
        (folder / "go").touch()
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 2, errors
        assert "Traceback" not in errors
        assert "the software changed while the run went on" in errors
        assert re.search(r"\(source of rbench_faults: [0-9a-f]{16} → [0-9a-f]{16}, with which it began\)", errors)
        assert list(by_method(directory)) == ["fault-waits"]
        code, errors = faults.finish(*asked, env=env)
        assert code == 2
        assert "source of rbench_faults: " in errors
        source.write_text(written)
        code, errors = faults.finish(*asked, env=env)
        assert code == 0, errors
        assert "cells from an earlier run: 1; to run: 2" in errors


def test_other_threads_are_told(tmp_path):
    request = Request(tasks=(SPIRALS,), methods=("sgd",), budget=Budget(steps=3), threads=1)
    run_request(request, tmp_path, Shown())
    first, again, third = Shown(), Shown(), Shown()
    run_request(request.model_copy(update={"threads": 2}), tmp_path, first)
    run_request(request.model_copy(update={"threads": 2}), tmp_path, again)
    run_request(request, tmp_path, third)
    assert [shown.warnings for shown in (again, third)] == [[], []]
    (warning,) = first.warnings
    assert warning.startswith("1 cells are there with --threads 1, and are run with 2 as cells of their own")


class TestNothingLost:
    def test_a_forced_run_that_is_killed_leaves_the_old_record(self, plugin, tmp_path):
        for path in plugin.folder.glob("pid-*"):
            path.unlink()
        asked, go = words(tmp_path, "fault-waits"), plugin.folder / "go"
        go.touch()
        assert faults.finish(*asked, env=plugin.env)[0] == 0
        before = by_method(tmp_path)
        go.unlink()
        for path in plugin.folder.glob("pid-*"):
            path.unlink()
        process = faults.start(*asked, "--force", env=plugin.env)
        first_number(plugin.folder, process)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        assert by_method(tmp_path) == before

    def test_whatever_is_killed_or_damaged_every_cell_ends_with_one_record_and_its_figures(self, tmp_path):
        code, errors = faults.finish("run", *faults.SMALL, "-j", "2", "-o", tmp_path / "undisturbed")
        assert code == 0, errors
        undisturbed, _ = read_records(tmp_path / "undisturbed")
        hand = faults.Hand(seed=3)
        while hand.tally.injected.total() < 16:
            hand.round(tmp_path / f"run-{hand.tally.injected.total()}", undisturbed, 16 - hand.tally.injected.total())
        assert hand.tally.injected["parent killed"] > 2
        assert hand.tally.injected["worker killed"] > 2
        assert hand.tally.cells >= 9
        assert hand.tally.harm == dict.fromkeys(hand.tally.harm, 0)


@pytest.mark.parametrize("text", ["8", "8X", "G", "0G", "-1G", "nanG", "infG", "", "8GB"])
def test_a_memory_limit_that_is_no_size_is_refused(text):
    done = CliRunner().invoke(app, ["run", f"--memory-limit={text}", "-n"])
    assert done.exit_code == 2
    assert f"--memory-limit {text!r} is no size; write 500M or 8G" in done.stderr
