"""A directory of costs mixes nothing that was measured with other software, threads or on another device."""

import itertools
import json
import os
from types import SimpleNamespace

import pytest

from faults import cell
from rbench.cost import CostRequest, Plan, benchmarks, measure, places, points, session
from rbench.cost.benchmarks import run_benchmarks
from rbench.cost.points import Found, Point
from rbench.cost.results import Place
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
        self.asked, self.said, self.gates, self.stop_after = [], [], 0, None
        self._numbers = itertools.count(1)

    def environment(self, methods, *place):
        own = {f"source of {name}": at for name, at in self.sources.items() if any(name in spec for spec in methods)}
        return cost_environment(methods, *place) | self.software | own

    def gate(self, *place):
        self.gates += 1
        if self.device is None:
            raise BackendError("no such backend")
        return passed(self.device)

    def measured(self, plan, case):
        if len(self.asked) == self.stop_after:
            raise KeyboardInterrupt
        name = case.method.partition("[")[0]
        self.asked.append(name)
        if name in self.ends:
            return {"status": self.ends[name], "reason": "so it is"}
        extra = case.model_dump() | {"threads": plan.threads, "device": self.device, "libraries": {}}
        stats = {name: float(next(self._numbers)) for name in ("median", "q1", "q3", "rounds")}
        found = {"status": "ok", "provenance": self.provenance}
        found["environment"] = self.environment([case.method], plan.backend, plan.device)
        return found | {"entry": {"extra_info": extra | {"peak_host_bytes": None}, "stats": stats}}

    def ask(self, module, question, *, heard=None, **others):
        if heard is None:
            point = Point.model_validate_json(question)
            found = self.measured(point.plan, point.case)
            return Answer(Found(**found | found.pop("entry", {})).model_dump_json(), "ok", None, "")
        plan = Plan.model_validate_json(question)
        for case in plan.cases:
            heard(json.dumps({"case": str(case), **self.measured(plan, case)}).encode())
        return Answer("", "ok", None, "")

    def run(self, *methods, threads=1, force=False):
        """What is measured."""
        self.asked.clear()
        self.said.clear()
        request = CostRequest(
            suite=self.suite, networks=("16-8-4",), methods=methods or METHODS, batch_size=8, threads=threads
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
    assert list(measured) == list(trained)
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
    bench.software, bench.device = {"numpy": "1.0"}, None
    with pytest.raises(BackendError):
        bench.run(force=True)
    assert bench.file.read_bytes() == before
    bench.software, bench.device = {}, "cpu"
    assert bench.run() == []


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


def test_what_is_kept_keeps_its_provenance(bench):
    bench.run("sgd")
    bench.provenance = {"python": "4"}
    bench.run("sgd", "adam")
    assert json.loads(bench.file.read_text())["machine_info"] == {"rbench": {"python": "3"}}
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


@pytest.fixture
def place():
    request = CostRequest(networks=("4-3-2",), methods=METHODS, threads=1)
    return Place(plan=request.plans()[0], gate=passed())


@pytest.fixture
def go(place, tmp_path, monkeypatch):
    """Run the benchmarks of a module; what became of the cases, and what was said."""

    def call(module="module", ask=None):
        if ask is not None:
            monkeypatch.setattr(benchmarks, "ask", ask)
        said = []
        failures = run_benchmarks(place, module, tmp_path, [], lambda *line: said.append(line))
        return SimpleNamespace(failures=failures, counts=[count for _, count in said])

    return call


def test_a_module_that_cannot_start_fails_all_cases_at_once(go, tmp_path, monkeypatch):
    (tmp_path / "cannot_start.py").write_text("import no_such_package\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    done = go("cannot_start")
    assert len(done.failures) == len(done.counts) == sum(done.counts) == len(METHODS)
    ((status, reason),) = set(done.failures.values())
    assert status == "crashed"
    assert reason.endswith("; see step-time-numpy.log")
    (log,) = tmp_path.glob("*.log")
    assert "No module named 'no_such_package'" in log.read_text()


def test_a_process_that_never_was_is_named_without_a_log(go, tmp_path):
    asked = []

    def ask(*words, **others):
        asked.append(words)
        return Answer("", "crashed", "its process could not be started: too many open files", "")

    (tmp_path / "step-time-numpy.log").write_text("an earlier run's")
    done = go(ask=ask)
    assert len(asked) == 1
    assert set(done.failures.values()) == {("crashed", "its process could not be started: too many open files")}
    assert not list(tmp_path.glob("*.log"))


@pytest.mark.parametrize("logs", [True, False])
def test_every_process_that_dies_in_a_case_takes_that_one_with_it(go, tmp_path, logs):
    asked = []

    def ask(module, question, *, heard, log, **others):
        cases = [str(case) for case in Plan.model_validate_json(question).cases]
        asked.append(len(cases))
        if logs:
            log.write_text(cases[0])
        heard(json.dumps({"case": cases[0], "status": "begun"}).encode())
        return Answer("", "crashed", "it died", "")

    done = go(ask=ask)
    assert asked == [3, 2, 1]
    for number, (case, end) in enumerate(done.failures.items()):
        name = f"step-time-numpy-{number}.log"
        assert end == ("crashed", f"it died; see {name}" if logs else "it died")
        assert not logs or (tmp_path / name).read_text() == case


def test_a_process_that_dies_between_two_cases_takes_none_with_it(go):
    def ask(module, question, *, heard, **others):
        case = Plan.model_validate_json(question).cases[0]
        for end in ({"status": "begun"}, {"status": "skipped", "reason": "measured nothing"}):
            heard(json.dumps({"case": str(case), **end}).encode())
        return Answer("", "crashed", "it died", "")

    assert set(go(ask=ask).failures.values()) == {("skipped", "measured nothing")}


def test_cases_that_a_module_does_not_measure_say_so(go, tmp_path, monkeypatch):
    (tmp_path / "measures_nothing.py").write_text("def test_something_else():\n    pass\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    done = go("measures_nothing")
    words = "measures_nothing has no benchmark of it; see step-time-numpy.log"
    assert set(done.failures.values()) == {("crashed", words)}
    assert sum(done.counts) == len(METHODS)
