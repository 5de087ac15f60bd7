"""A directory of costs mixes nothing that was measured with other software, threads or on another device."""

import itertools
import json

import pytest
from rbench.cost.points import Found, Point

from faults import cell
from rbench.cost import CostRequest, Plan, benchmarks, measure, places, points, session
from rbench.errors import BackendError
from rbench.run.ask import Answer
from rbench.run.gate import Gate
from rbench.run.provenance import cost_environment, environment
from rbench.run.resume import ChangedError

METHODS = ("sgd", "adam", "kfac[refresh=3]")
NAMES = ["sgd", "adam", "kfac"]
CHANGES = {
    "a library": {"numpy": "1.0"},
    "the source": {"source of rbench": "00"},
    "a backend's source": {"source of rbench_numpy": "00"},
    "the processor": {"cpu": "abacus"},
    "a library more": {"cupy-cuda13x": "13.0"},
}


def passed(device="cpu"):
    return Gate(backend="numpy", device=device, dtype="float32", cases=1, worst=0.0)


class Bench:
    """In place of the processes, for a suite of either kind: what a step takes, counted up, and with what software."""

    def __init__(self, suite, directory):
        self.suite, self.directory = suite, directory
        self.file = directory / f"{suite}-numpy.json"
        self.software, self.sources, self.ends = {}, {}, {}
        self.device, self.provenance = "cpu", {"python": "3"}
        self.passes, self.absent = True, False
        self.asked, self.said, self.gates, self.stop_after = [], [], 0, None
        self._numbers = itertools.count(1)

    def environment(self, methods, *place):
        own = {f"source of {name}": at for name, at in self.sources.items() if any(name in spec for spec in methods)}
        return cost_environment(methods, *place) | self.software | own

    def gate(self, *place):
        self.gates += 1
        if self.absent:
            raise BackendError("no such backend")
        return passed(self.device).model_copy(update={} if self.passes else {"misses": ("wrong",)})

    def measured(self, plan, case):
        if len(self.asked) == self.stop_after:
            raise KeyboardInterrupt
        name = case.method.partition("[")[0]
        self.asked.append(name)
        if name in self.ends:
            return {"status": self.ends[name], "reason": "so it is"}
        extra = case.model_dump() | {"threads": plan.threads, "device": self.device, "libraries": {}}
        stats = {name: float(next(self._numbers)) for name in ("median", "q1", "q3", "rounds")}
        return {"status": "ok", "entry": {"extra_info": extra, "stats": stats}} | self.made_with(plan, case)

    def made_with(self, plan, case):
        there = self.environment([case.method], plan.backend, plan.device)
        return {"environment": there, "provenance": self.provenance}

    def ask(self, module, question, *, heard=None, **others):
        if heard is None:
            point = Point.model_validate_json(question)
            if point.memory:
                found = {"extra_info": {"peak_host_bytes": None}} | self.made_with(point.plan, point.case)
            else:
                found = self.measured(point.plan, point.case)
            return Answer(Found(**found | found.pop("entry", {})).model_dump_json(), "ok", None, "")
        plan = Plan.model_validate_json(question)
        for case in plan.cases:
            heard(json.dumps({"case": str(case), **self.measured(plan, case)}).encode())
        return Answer("", "ok", None, "")

    def run(self, *methods, threads=1, dtypes=("float32",), force=False):
        """What is measured."""
        self.asked.clear()
        self.said.clear()
        request = CostRequest(
            suite=self.suite,
            networks=("16-8-4",),
            methods=methods or METHODS,
            batch_size=8,
            threads=threads,
            dtypes=dtypes,
        )
        self.done = measure(request, self.directory, lambda line, count: self.said.append(line), force=force)
        return self.asked

    @property
    def stored(self):
        """The number of each entry, by method."""
        entries = json.loads(self.file.read_text())["benchmarks"]
        return {entry["extra_info"]["method"].partition("[")[0]: entry["stats"]["median"] for entry in entries}

    def refused(self, *methods, **options):
        """Why nothing is measured, and all that is there stays."""
        before = self.files()
        with pytest.raises(ChangedError) as error:
            self.run(*methods, **options)
        assert self.asked == []
        assert self.files() == before
        start, _, rest = str(error.value).partition(" was measured otherwise than it would be now (")
        changes, _, way_out = rest.partition("); ")
        assert start == f"{self.directory}: {self.suite}-numpy"
        assert "another directory with -o, or measure it again with --force" in way_out
        return changes

    def files(self):
        return {path.name: path.read_bytes() for path in self.directory.iterdir() if path.name != ".lock"}


@pytest.fixture(params=["step-time", "memory"])
def bench(request, tmp_path, monkeypatch):
    stands = Bench(request.param, tmp_path / "run")
    for module in (benchmarks, points):
        monkeypatch.setattr(module, "ask", stands.ask)
    monkeypatch.setattr(session, "gate", stands.gate)
    monkeypatch.setattr(session, "cost_environment", stands.environment)
    return stands


def test_what_costs_are_measured_with_is_what_a_cell_is_trained_with_but_for_its_task():
    trained = environment(cell(method="kfac", backend="numpy"))
    measured = cost_environment(["", "kfac", "sgd"], "numpy", None)
    assert [*measured] == [*trained, "pytest-benchmark"]
    # The source of rbench, in which its part for costs counts only here.
    assert [name for name in trained if measured[name] != trained[name]] == ["source of rbench"]
    assert cost_environment(["nope"], "nope", None).items() >= {("method nope", "absent"), ("backend nope", "absent")}


@pytest.mark.parametrize(("part", "counts"), [("cost", True), ("run", True), ("report", False), ("tune", False)])
def test_the_parts_of_rbench_that_costs_depend_on(tmp_path, monkeypatch, part, counts):
    from rbench.run import provenance

    (tmp_path / part).mkdir()
    for name in ("__init__.py", f"{part}/__init__.py"):
        (tmp_path / name).write_text("")
    monkeypatch.setattr("rbench.__file__", str(tmp_path / "__init__.py"))
    found = []
    for text in ("", "changed = True"):
        (tmp_path / part / "__init__.py").write_text(text)
        provenance.look_again()
        found.append(cost_environment([], "numpy", None)["source of rbench"])
    monkeypatch.undo()
    provenance.look_again()
    assert (found[0] != found[1]) == counts


def test_where_nothing_changed_all_is_kept(bench):
    assert bench.run() == NAMES
    before = {path.name: path.read_bytes() for path in bench.directory.iterdir()}
    assert bench.run() == []
    assert bench.said == [f"{bench.suite}-numpy: kept from an earlier run"]
    assert (bench.gates, bench.done) == (1, True)
    assert {path.name: path.read_bytes() for path in bench.directory.iterdir()} == before


@pytest.mark.parametrize("more", [(), ("naive[mass=1]",)], ids=["complete", "with a case more"])
@pytest.mark.parametrize("name", CHANGES)
def test_with_other_software_nothing_is_measured_but_by_force(bench, name, more):
    bench.run()
    ((fact, now),) = CHANGES[name].items()
    (place,) = places(bench.directory)
    before = place.environment.get(fact, "none")
    bench.software = CHANGES[name]
    assert bench.refused(*METHODS, *more) == f"{fact}: {before} → {now}"
    assert bench.run(*METHODS, *more, force=True) == [*NAMES, *(("naive",) if more else ())]
    assert min(bench.stored.values()) > 4 * len(METHODS)
    (place,) = places(bench.directory)
    assert place.environment[fact] == now
    assert bench.run(*METHODS, *more) == []


def test_with_other_threads_or_on_another_device_nothing_is_measured_but_by_force(bench):
    bench.run("sgd")
    assert bench.refused("sgd", threads=2) == "threads: 1 → 2"
    assert bench.run("sgd", threads=2, force=True) == ["sgd"]
    bench.device = "cpu:1"
    assert bench.refused("sgd", "adam", threads=2) == "device: cpu → cpu:1"
    assert bench.run("sgd", "adam", threads=2, force=True) == ["sgd", "adam"]
    bench.software = {"numpy": "1.0"}
    assert bench.refused("sgd", threads=3).endswith(" → 1.0; threads: 2 → 3")


def test_what_does_not_say_with_what_it_was_measured_is_refused(bench):
    bench.run()
    path = bench.directory / "run.json"
    content = json.loads(path.read_text())
    del content["places"][0]["environment"]
    path.write_text(json.dumps(content))
    assert bench.refused() == "it does not say with what"
    path.unlink()
    assert bench.refused() == "it does not say with what"
    assert bench.run(force=True) == NAMES


@pytest.mark.parametrize("ended", range(len(METHODS)))
def test_a_forced_run_that_is_stopped_has_mixed_nothing(bench, ended):
    bench.run()
    before = bench.stored
    bench.software, bench.stop_after = {"numpy": "1.0"}, ended
    with pytest.raises(KeyboardInterrupt):
        bench.run(force=True)
    after = bench.stored if bench.file.exists() else {}
    assert list(after) == NAMES[:ended]
    assert not set(after.values()) & set(before.values())
    bench.stop_after = None
    assert bench.run() == NAMES[ended:]


def test_until_something_can_be_measured_what_is_there_stays(bench):
    bench.run()
    before = bench.file.read_bytes()
    bench.software, bench.absent = {"numpy": "1.0"}, True
    with pytest.raises(BackendError):
        bench.run(force=True)
    assert bench.file.read_bytes() == before
    bench.software, bench.absent = {}, False
    assert bench.run() == []


@pytest.mark.parametrize("force", [False, True])
def test_a_gate_that_is_not_passed_takes_nothing_away(bench, force):
    bench.ends = {"adam": "skipped"}
    bench.run()
    before = bench.stored
    bench.passes = False
    bench.device = None if force else "cpu"  # as of a gate whose process died
    assert bench.run(force=force) == []
    assert bench.stored == before
    (place,) = places(bench.directory)
    assert [row["status"] for row in place.rows(bench.directory)] == ["ok", "skipped", "ok"]
    assert not bench.done
    bench.passes, bench.ends, bench.device = True, {}, "cpu"
    assert bench.run() == ["adam"]
    assert bench.done


def test_force_measures_what_is_asked_for_and_leaves_the_rest(bench):
    bench.run()
    before = bench.stored
    assert bench.run("adam", force=True) == ["adam"]
    after = bench.stored
    assert {name: after[name] for name in ("sgd", "kfac")} == {name: before[name] for name in ("sgd", "kfac")}
    assert after["adam"] > before["adam"]
    assert bench.run() == []


def test_a_forced_figure_stays_until_the_new_one_is_there(bench):
    bench.run()
    before = bench.stored
    bench.stop_after = 1
    with pytest.raises(KeyboardInterrupt):
        bench.run(force=True)
    after = bench.stored
    assert after["sgd"] > before["sgd"]
    assert {name: after[name] for name in ("adam", "kfac")} == {name: before[name] for name in ("adam", "kfac")}


def test_a_forced_run_of_two_kinds_goes_on_without_force(bench):
    """Where the first of them is stopped, nothing of the other's old figures is left in the way."""
    dtypes = ("float32", "float64")
    bench.run("sgd", "adam", dtypes=dtypes)
    bench.software, bench.stop_after = {"numpy": "1.0"}, 1
    with pytest.raises(KeyboardInterrupt):
        bench.run("sgd", "adam", dtypes=dtypes, force=True)
    bench.stop_after = None
    assert bench.run("sgd", "adam", dtypes=dtypes) == ["adam", "sgd", "adam"]


def test_one_directory_has_one_number_of_threads(bench):
    bench.run("sgd")
    with pytest.raises(ChangedError, match=r"numpy was measured otherwise .*threads: 1 → 4"):
        bench.run("sgd", dtypes=("float64",), threads=4)
    assert bench.run("sgd", dtypes=("float64",)) == ["sgd"]


def test_forced_figures_that_fail_leave_no_earlier_ones(bench):
    bench.run()
    bench.ends = {"adam": "skipped"}
    bench.run(force=True)
    assert list(bench.stored) == ["sgd", "kfac"]
    (place,) = places(bench.directory)
    assert [row["status"] for row in place.rows(bench.directory)] == ["ok", "skipped", "ok"]


def test_software_that_changes_while_a_run_goes_on_ends_it(bench):
    measured = bench.measured

    def changing(plan, case):
        bench.software = {"numpy": "1.0"} if bench.asked else {}
        return measured(plan, case)

    bench.measured = changing
    with pytest.raises(ChangedError, match=r"changed while the run went on \(numpy: .* → 1\.0\).*undo the change"):
        bench.run()
    assert list(bench.stored) == ["sgd"]
    bench.measured, bench.software = measured, {}
    assert bench.run() == ["adam", "kfac"]


@pytest.mark.parametrize("bench", ["memory"], indirect=True)
def test_software_that_changes_between_the_seconds_and_the_memory_of_a_step_ends_it(bench):
    made_with, calls = bench.made_with, itertools.count(1)

    def changing(plan, case):
        bench.software = {"numpy": "1.0"} if next(calls) == 4 else {}
        return made_with(plan, case)

    bench.made_with = changing
    with pytest.raises(ChangedError, match="changed while the run went on"):
        bench.run()
    assert list(bench.stored) == ["sgd"]


def test_what_is_kept_keeps_its_provenance(bench):
    bench.run("sgd")
    bench.provenance = {"python": "4"}
    bench.run("sgd", "adam")
    assert json.loads(bench.file.read_text())["machine_info"] == {"rbench": {"python": "3"}}
    bench.software = {"numpy": "1.0"}
    bench.run("sgd", "adam", force=True)
    assert json.loads(bench.file.read_text())["machine_info"] == {"rbench": {"python": "4"}}


def test_only_the_software_of_what_is_there_counts(bench):
    bench.sources, bench.ends = {"kfac": "1"}, {"kfac": "crashed"}
    bench.run("sgd", METHODS[2])
    bench.sources, bench.ends = {"kfac": "2"}, {}
    assert bench.run("sgd", METHODS[2]) == ["kfac"]
    assert bench.run("sgd") == []
    assert bench.run("sgd", "adam") == ["adam"]
    assert bench.run("sgd", METHODS[2]) == []
    bench.sources = {"kfac": "3"}
    # Its figure is not asked for, but would be found there later.
    assert bench.refused("sgd") == "source of kfac: 2 → 3"
    assert bench.run("sgd", force=True) == ["sgd"]
    assert bench.run("sgd", METHODS[2]) == ["kfac"]


def test_what_is_not_asked_for_and_was_measured_otherwise_is_refused_and_by_force_told(bench):
    bench.run("sgd")
    content = json.loads((bench.directory / "run.json").read_text())
    content["places"][0]["plan"]["dtype"] = "float64"
    (bench.directory / "run.json").write_text(json.dumps(content))
    bench.file.rename(bench.directory / f"{bench.suite}-numpy-float64.json")
    bench.run("sgd")
    bench.software = {"numpy": "1.0"}
    other = f"{bench.suite}-numpy-float64"
    with pytest.raises(ChangedError, match=f"{other} was measured otherwise .*numpy: .* → 1.0"):
        bench.run("sgd")
    assert bench.run("sgd", force=True) == ["sgd"]
    assert bench.said[0].startswith(f"{other}: stays, and was measured otherwise than it would be now: numpy: ")
