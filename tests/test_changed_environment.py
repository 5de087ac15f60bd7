"""A run goes on only with the libraries, sources, data and threads that its records were made with."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from helpers import command, faults
from helpers.faults import SPIRALS, TASK, Shown, by_method, cell, first_number, made, words
from helpers.plugin_folder import install_faults
from helpers.registered import registered
from rbench.backend import BackendPlugin
from rbench.methods import SGD
from rbench.run import Budget, Request, read_records
from rbench.run import run as run_request
from rbench.run.isolate import run_isolated
from rbench.run.provenance import environment, provenance
from rbench.run.record import write_record
from rbench.run.resume import ChangedError, check_same


def create_cpu(dtype, device):
    raise AssertionError("only its libraries are asked for")


class TestChangedEnvironment:
    def test_a_record_says_what_it_was_made_with(self):
        found = environment(cell())
        assert list(found) == [
            "rbench", "source of rbench", "python", "numpy", "scipy", "array-api-compat", "memray", "blas", "cpu",
            "source of rbench_numpy",
        ]  # fmt: skip
        assert "absent" not in found.values()
        assert found == run_isolated(cell(), None, Path("/tmp")).environment

    @pytest.mark.parametrize("backend", ["torch", "jax"])
    def test_a_framework_counts_where_it_is_used(self, backend):
        pytest.importorskip(backend)
        assert backend in environment(cell(backend=backend))
        assert backend not in environment(cell())

    def test_the_libraries_that_a_backend_names_are_in_its_records(self):
        libraries = ("no-such-library", "pluggy")
        mixed = BackendPlugin("mixed", create_cpu, lambda: None, "made of a library", libraries=libraries)
        with registered(backends=[mixed]):
            found = environment(cell(backend="mixed"))
            assert found["pluggy"] == found["mixed"] == version("pluggy")
            assert provenance()["libraries"]["pluggy"] == version("pluggy")
            assert "no-such-library" not in found
        assert "pluggy" not in environment(cell())
        assert "pluggy" not in provenance()["libraries"]

    def test_the_libraries_that_a_method_names_are_in_its_records(self):
        class Mixed(SGD):
            name, summary, libraries = "mixed", "made of libraries", ("no-such-library", "pluggy")

        with registered(methods=[Mixed]):
            found = environment(cell(method="mixed"))
            assert provenance()["libraries"]["pluggy"] == version("pluggy")
        assert (found["pluggy"], found["no-such-library"]) == (version("pluggy"), "absent")
        assert "pluggy" not in environment(cell())

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
        found = environment(cell(backend="cupy", device=device))
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
        with pytest.raises(ChangedError, match=rf"{tmp_path}: records .* now: 1 \({told}.*name another `directory`"):
            check_same(tmp_path, [made(), made(seed=1, **changes)])

    def test_other_data_are_told(self, tmp_path):
        with pytest.raises(ChangedError, match="data: sha256 abababababababab → sha256 cdcdcdcdcdcdcdcd"):
            check_same(tmp_path, [made()], {(TASK, False): "cd" * 32})
        check_same(tmp_path, [made()], {(TASK, False): "ab" * 32})
        check_same(tmp_path, [made()], {(TASK, True): "cd" * 32})

    def test_a_record_that_does_not_say_is_not_mixed_with_others(self, tmp_path):
        with pytest.raises(ChangedError, match="numpy: none → "):
            check_same(tmp_path, [made().model_copy(update={"environment": {}})])

    def test_a_run_goes_on_only_where_nothing_changed(self, tmp_path):
        def call(*more):
            return command.call(*words(tmp_path, "sgd"), *more)

        assert call().exit_code == 0
        (record,), _ = read_records(tmp_path)
        write_record(tmp_path, record.model_copy(update={"environment": record.environment | {"numpy": "1.0"}}))
        done = call()
        assert done.exit_code == 2
        assert re.search(r"now: 1 \(numpy: 1\.0 → .*another directory with -o, or run .* with --force", done.stderr)
        # The record of a cell that is not asked for would stand in the same table.
        other = command.call(*words(tmp_path, "adam"), "--force")
        assert other.exit_code == 2
        assert call("--force").exit_code == 0
        assert call().exit_code == 0
        assert read_records(tmp_path)[0][0].environment == record.environment

    def test_a_plugin_s_edited_source_is_told_before_and_while_a_run_goes_on(self, tmp_path):
        folder, directory = tmp_path / "plugins", tmp_path / "run"
        folder.mkdir()
        env = install_faults(folder)
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
        assert "the software changed during the run" in errors
        assert re.search(r"\(new → at its start: source of rbench_faults: [0-9a-f]{16} → [0-9a-f]{16}\)", errors)
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
    assert warning.startswith("1 cells have records with 1 threads each, and run again with 2 as separate cells")
