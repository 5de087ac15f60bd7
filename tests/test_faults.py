"""Faults in cells: each becomes a row with status and reason, and the others go on."""

import re
import sys
from types import SimpleNamespace

import psutil
import pytest

from helpers import faults
from helpers.command import call
from helpers.faults import by_method, cell, first_number, path_of, words
from rbench.run.isolate import run_isolated

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


@pytest.fixture(scope="module")
def first(plugin, tmp_path_factory):
    """A run of every fault, and of what ends well before, between and after."""
    directory = tmp_path_factory.mktemp("runs") / "first"
    methods = ["sgd", *(f"fault-{name}" for name in ENDS), "adam"]
    limits = ("--timeout", "6s", "--memory-limit", "500M", "-j", "2")
    code, errors = faults.finish(*words(directory, *methods, memory=True), *limits, env=plugin.env)
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

    def test_nothing_of_them_is_left(self, plugin, first):
        names = {path.suffix for path in (first.directory / "cells").iterdir()}
        assert names == {".json", ".log"}
        others = {process: process.info["environ"] or {} for process in psutil.process_iter(["environ"])}
        assert [process for process, its in others.items() if its.get("FAULTS") == str(plugin.folder)] == []


class TestIsolation:
    @pytest.mark.parametrize("backend", ["torch", "jax"])
    def test_the_memory_limit_holds_for_every_library_and_leaves_it_room(self, faults_found, tmp_path, backend):
        pytest.importorskip(backend)
        limits = {"timeout": 120, "memory_limit": 800 * 2**20}
        ended = [run_isolated(cell(method, backend), None, tmp_path, **limits) for method in ("fault-allocates", "sgd")]
        assert [record.status for record in ended] == ["out_of_memory", "ok"], ended[1].reason

    @pytest.mark.parametrize(("kills", "status"), [((3, 4), "out_of_memory"), ((3, 3), "crashed")])
    def test_a_kill_for_want_of_memory_is_told_where_the_kernel_counts_it(
        self, faults_found, tmp_path, monkeypatch, kills, status
    ):
        counts = iter(kills)
        monkeypatch.setattr("rbench.run.child_process.kernel_kills", lambda: next(counts))
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

    def test_objects_of_python_count_in_the_memory_pass(self, faults_found, tmp_path):
        sgd, hoards = (run_isolated(cell(method), None, tmp_path, peaks={}) for method in ("sgd", "fault-hoards"))
        more = hoards.figures["peak_host_bytes"] - sgd.figures["peak_host_bytes"]
        assert more == pytest.approx(20_000 * (sys.getsizeof(1.0) + 8), rel=0.1)

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
    def test_workers_and_servers_end_with_their_killed_parent(self, plugin, tmp_path, method):
        faults.forget(plugin.folder)
        process = faults.start(*words(tmp_path / "run", method), env=plugin.env)
        number = first_number(plugin.folder, process)
        below = faults.children_of(process)
        assert number in [one.pid for one in below]
        process.kill()
        process.communicate(timeout=60)
        _, left = psutil.wait_procs(below, timeout=20)
        assert not [one for one in left if faults.is_alive(one)]
        assert list((tmp_path / "run" / "cells").glob("*.json")) == []


@pytest.mark.parametrize("text", ["8", "8X", "G", "0G", "-1G", "nanG", "infG", "", "8GB"])
def test_a_memory_limit_that_is_no_size_is_refused(text):
    done = call("run", f"--memory-limit={text}", "-n")
    assert done.exit_code == 2
    assert f"--memory-limit {text!r} is no size; write 500M or 8G" in done.stderr
