"""What a run on the workers of a Dask scheduler refuses: requests, and workers of another kind."""

import importlib.util

import pytest

import rbench
from helpers.command import call
from helpers.faults import cell
from rbench.run import Record
from rbench.run.cluster.consistency import Consistency
from rbench.run.cluster.worker import Introduction
from rbench.run.provenance import environment, provenance
from rbench.run.record import write_record
from rbench.run.resume import ChangedError

pytest.importorskip("distributed")


class TestRefusals:
    def test_a_scheduler_that_cannot_be_reached_is_told_before_anything_starts(self, tmp_path, monkeypatch):
        monkeypatch.setattr("rbench.run.cluster.connection.CONNECT_SECONDS", 0.5)
        for address, why in (("tcp://127.0.0.1:9", "cannot be reached: Timed out"), ("nowhere", "missing port")):
            done = call("run", "--executor", "dask", "--scheduler", address, "-o", tmp_path / "run")
            assert done.exit_code == 2
            assert f"the scheduler {address} cannot be reached" in done.output
            assert why in done.output
            assert "start one with `dask scheduler`" in done.output
            assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize(
        ("words", "reason"),
        [
            ((), "--executor dask needs the address of a scheduler; start one with `dask scheduler`"),
            (("--scheduler", "tcp://127.0.0.1:9", "-j", "2"), "--jobs 2 is for this machine"),
            (("step-time", "-n", "--scheduler", "tcp://127.0.0.1:9"), "suite 'step-time' leaves the threads of a cell"),
            (("mnist", "-n", "--scheduler", "tcp://127.0.0.1:9"), "suite 'mnist' leaves the threads of a cell"),
        ],
    )
    def test_a_wrong_request_is_refused(self, words, reason):
        done = call("run", *words, "--executor", "dask")
        assert (done.exit_code, reason in done.output) == (2, True), done.output

    @pytest.mark.parametrize("words", [("--scheduler", "tcp://127.0.0.1:9"), ("--retries", "1")])
    def test_what_is_for_other_machines_is_refused_on_this_one(self, words):
        done = call("run", *words)
        assert done.exit_code == 2
        assert f"{' '.join(words)} is for cells on other machines; add --executor dask" in done.output

    def test_dask_that_is_not_installed_is_named_with_the_way_out(self, monkeypatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        done = call("run", "--executor", "dask", "--scheduler", "tcp://127.0.0.1:9")
        assert (done.exit_code, "pip install 'rbench[dask]'" in done.output) == (2, True)


def introduction(**changes):
    """A worker like this process, but for what changes."""
    known = provenance()
    own = Introduction(
        host="there",
        rbench=known["rbench"],
        commit=(known["commit"] or {"id": None})["id"],
        environments=(environment(cell()),),
    )
    return own.model_copy(update=changes)


class TestConsistency:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"rbench": "0.0"}, f"it has rbench 0.0 where this process has {rbench.__version__}; install"),
            (
                {"environments": ({**environment(cell()), "source of rbench": "other"},)},
                "it has source of rbench other",
            ),
            ({"problems": ("no backend is called 'new'",)}, "no backend is called 'new'"),
        ],
    )
    def test_a_worker_that_cannot_give_the_same_figures_is_refused(self, tmp_path, changes, reason):
        standard = Consistency(tmp_path, [cell()])
        assert standard.refusal(introduction(**changes)).startswith(reason)
        assert not standard.set

    def test_another_commit_is_refused_where_both_are_known(self, tmp_path, monkeypatch):
        known = provenance() | {"commit": {"id": "abc", "dirty": False}}
        monkeypatch.setattr("rbench.run.cluster.consistency.provenance", lambda: known)
        standard = Consistency(tmp_path, [cell()])
        assert "commit def where this process has abc" in standard.refusal(introduction(commit="def"))
        assert standard.refusal(introduction(commit=None)) is None

    def test_workers_are_of_one_kind(self, tmp_path):
        standard = Consistency(tmp_path, [cell()])
        other = introduction(environments=({**environment(cell()), "cpu": "another"},))
        assert standard.refusal(introduction()) is None
        assert f"cpu: {environment(cell())['cpu']} → another" in standard.refusal(other)
        assert standard.refusal(introduction()) is None
        assert standard.environment(cell(seed=3)) == environment(cell())

    def test_workers_are_as_the_records_that_stay_were_made(self, tmp_path):
        made = environment(cell()) | {"cpu": "an earlier one"}
        write_record(tmp_path, Record(cell=cell(), status="ok", environment=made))
        again, beside = Consistency(tmp_path, [cell()]), Consistency(tmp_path, [cell(seed=1)])
        assert again.refusal(introduction()) is None  # its record goes
        both = introduction(environments=(environment(cell()),) * 2)
        assert "cpu: an earlier one → " in beside.refusal(both)

    def test_data_are_those_of_the_other_records(self, tmp_path):
        standard = Consistency(tmp_path, [cell(), cell(seed=1)])
        assert standard.refusal(introduction()) is None
        records = [
            Record(cell=cell(seed=seed), status="ok", environment=environment(cell()), figures={"dataset_sha256": data})
            for seed, data in enumerate(["aa", "bb"])
        ]
        standard.check(records[0])
        with pytest.raises(ChangedError, match="data: sha256 bb → sha256 aa"):
            standard.check(records[1])

    def test_a_cell_with_other_data_than_the_first_of_its_run_ends_crashed(self, tmp_path):
        standard = Consistency(tmp_path, [cell(), cell(seed=1)])
        first, other = (
            Record(cell=cell(seed=seed), status="ok", environment=environment(cell()), figures={"dataset_sha256": data})
            for seed, data in enumerate(["aa", "bb"])
        )
        assert standard.checked_data(first) is first
        judged = standard.checked_data(other)
        assert (judged.status, judged.figures) == ("crashed", {})
        assert "its data, sha256 bb, are not those of the run's other cells, sha256 aa" in judged.reason
