"""The page of runs: what it says, that it is whole or not there, and that no text in it is more than text."""

import base64
import gzip
import json
import re
import shlex
from html.parser import HTMLParser

import numpy as np
import pytest

from helpers import pages
from helpers.command import call
from rbench.errors import RbenchError
from rbench.report.page import beside, drawing, embedding, records, swatches, thinning
from rbench.report.pictures import Grid, Panel, Picture, Trace
from rbench.report.styles import styles
from rbench.run.record import write_record
from rbench.run.request import read_cell

pytest.importorskip("plotly")
pytest.importorskip("itables")
from rbench.report.page import render_page

CELL = pages.record("sgd").cell.model_dump_json()
ONE = Trace("sgd", np.array([1.0, 2.0]), np.array([3.0, 4.0]))


class Read(HTMLParser):
    """The elements of a page, with their attributes, and the text of scripts by their ids."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.scripts, self.own = [], {}, None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.own = dict(attrs).get("id", "") if tag == "script" else None

    def handle_data(self, text):
        if self.own is not None:
            self.scripts[self.own] = self.scripts.get(self.own, "") + text

    def handle_endtag(self, tag):
        self.own = None

    @property
    def data(self):
        return json.loads(self.scripts["data"])

    @property
    def records(self):
        return json.loads(gzip.decompress(base64.b64decode(self.scripts["packed-records"])))


def hostile_run():
    kept = [pages.record(name) for name in pages.HOSTILE]
    failed = [pages.record("sgd[lr=0.1]", name, status="crashed", reason=name) for name in pages.HOSTILE]
    run = pages.run(pages.HOSTILE[0])
    return run.__class__(pages.HOSTILE[0], [*kept, *failed], [], list(pages.HOSTILE), run.written)


class TestContent:
    def test_a_row_is_over_seeds_and_names_its_records(self):
        data = Read(render_page([pages.run()])).data
        comparison, cells = data["sheets"]
        assert [len(comparison["rows"]), len(cells["rows"])] == [6, 18]
        places = [place for row in comparison["rows"] for place in row["records"]]
        assert sorted(places) == list(range(18))
        titles = [column["title"] for column in comparison["columns"]]
        assert titles[:2] == ["method", "whole method"]
        assert {row["cells"][0][0] for row in comparison["rows"]} == {"sgd", "adam", "riemannian ggn"}

    def test_a_figure_is_its_median_with_the_range_and_is_sorted_by_the_number(self):
        run = pages.run()
        (sheet, _) = Read(render_page([run])).data["sheets"]
        place = [column["title"] for column in sheet["columns"]].index("test loss")
        for row in sheet["rows"]:
            values = sorted(run.records[n].figures["test_loss"] for n in row["records"])
            words, number = row["cells"][place]
            assert number == values[1]
            assert [float(one) for one in re.findall(r"[\d.]+", words)] == pytest.approx(
                [values[1], values[0], values[2]], rel=1e-2
            )

    def test_a_failure_is_a_row_with_its_reason(self):
        run = pages.run(methods=("sgd[lr=0.1]",), tasks=("digits",), seeds=2)
        failed = pages.record("adam[lr=9.0]", status="diverged", reason="the loss is infinite")
        run.records.append(failed)
        (sheet, _) = Read(render_page([run])).data["sheets"]
        place = next(n for n, column in enumerate(sheet["columns"]) if column["title"] == "status")
        assert sheet["columns"][place]["shown"]
        assert [row["cells"][place][0] for row in sheet["rows"]] == ["ok", "diverged: the loss is infinite"]

    def test_records_are_whole_and_what_they_share_is_stored_once(self):
        run = pages.run()
        found = Read(render_page([run])).records
        assert len(found["shared"]) == 4  # provenance, environment, gate, no tuning
        for content, record in zip(found["records"], run.records, strict=True):
            assert content["figures"] == record.figures
            assert content["history"] == record.history
            assert found["shared"][content["provenance"]] == record.provenance
            assert found["shared"][content["environment"]] == record.environment

    def test_the_command_of_a_record_names_its_cell_and_nothing_else(self):
        for record in hostile_run().records:
            *command, text = shlex.split(records.command(record))
            assert command == ["rbench", "run", "--cell"]
            assert read_cell(text) == record.cell

    def test_sections_without_data_are_left_out(self):
        page = Read(render_page([pages.run(evaluations=2)]))
        assert "tuning" not in str(page.elements)
        alone = pages.run(methods=("sgd[lr=0.1]",), tasks=("digits",), seeds=1)
        alone.records[0] = alone.records[0].model_copy(
            update={"history": [], "gate": None, "status": "skipped", "figures": {}}
        )
        assert "packed-plots" not in Read(render_page([alone])).scripts

    def test_trials_of_a_tune_have_pictures(self):
        trials = [pages.record(f"sgd[lr={rate}]", "digits[validation=true]") for rate in (0.01, 0.1, 1.0)]
        trials.append(pages.record("sgd[lr=9.0]", "digits[validation=true]", status="diverged", reason="infinite"))
        text = render_page([pages.run(trials=trials)])
        assert "Tuning: sensitivity to the rate" in text
        assert "Trials without a mark: 1 of sgd diverged." in text


class TestHarmless:
    def test_text_makes_no_element(self):
        elements = [tag for tag, _ in Read(render_page([hostile_run()])).elements]
        plain = [tag for tag, _ in Read(render_page([pages.run()])).elements]
        assert set(elements) <= set(plain) | {"p"}
        assert elements.count("script") == plain.count("script")

    def test_no_attribute_runs_anything_or_names_another_place(self):
        for _, attributes in Read(render_page([hostile_run()])).elements:
            assert not [name for name in attributes if name.startswith("on")]
            assert all(value.startswith("#") for name, value in attributes.items() if name in ("href", "src"))

    @pytest.mark.parametrize("text", [*pages.HOSTILE, "</SCRIPT >", "\u2028\u2029", "\ud800", "\x7f", "é"])
    def test_json_in_a_script_is_ascii_that_ends_no_element_and_reads_back(self, text):
        found = embedding.script_json({"a": text})
        assert re.fullmatch(r"[ -;=?-~]*", found), found
        assert "&" not in found
        assert json.loads(found) == {"a": text.encode("utf-8", "backslashreplace").decode()}

    @pytest.mark.parametrize("text", pages.HOSTILE)
    def test_plotly_is_given_no_markup(self, text):
        trace = Trace(text, np.array([1.0]), np.array([1.0]), shape="points", hover=[text])
        grid = Grid([text], [text], np.array([[1.0]]), text, words=[[text]])
        panel = Panel(text, text, text, (trace,), grid, rows=(text,))
        found = drawing.drawn(beside.Shown(panel, (0,)), styles([Picture("k", "", (panel,))]), {}, (1.0, 1.0))
        for one in found["data"]:
            one.pop("meta")  # which is compared with, not shown
        for key in ("hovertemplate", "texttemplate"):
            found["data"][0].pop(key)
        assert not re.search("[<>]", json.dumps(found))


class TestDrawing:
    def test_values_below_those_of_a_screen_are_kept_and_failures_are_gaps(self):
        trace = Trace("a", np.array([1.0, 2.0, 3.0]), np.array([1.23456789, np.nan, np.inf]))
        (line,) = drawing.drawn(beside.Shown(Panel("", "", "", (trace,)), (0,)), {}, {}, None)["data"]
        assert line["y"] == [1.23457, None, None]

    def test_a_long_line_keeps_its_peaks_on_either_axis(self):
        x = np.geomspace(1, 1e6, 20_001)
        y = np.zeros(len(x))
        peaks = [3, 700, 12_345, 19_999]
        y[peaks] = [1.0, -1.0, 2.0, -3.0]
        kept = thinning.kept(x, y)
        assert set(peaks) <= set(kept)
        assert {0, len(x) - 1} <= set(kept)
        assert np.all(np.diff(kept) > 0)
        assert len(kept) <= 8 * thinning.COLUMNS

    def test_a_short_line_keeps_all(self):
        assert list(thinning.kept(np.arange(9.0), np.arange(9.0))) == list(range(9))

    def test_every_look_has_its_own_swatch(self):
        labels = [Trace(f"{n}", ONE.x, ONE.y) for n in range(70)]
        found = styles([Picture("k", "", (Panel("", "", "", tuple(labels)),))])
        assert len({swatches.swatch(look) for look in found.values()}) == 70


class TestRuns:
    def test_traces_of_one_label_are_named_after_their_runs(self):
        panel = Panel("loss", "x", "y", (ONE,))
        only = Panel("loss", "x", "y", (ONE, Trace("adam", ONE.x, ONE.y)))
        pictures = [[Picture("k", "t", (panel,))], [Picture("k", "t", (only,))]]
        (joined,) = beside.beside(pictures, ["A", "B"])
        (shown,) = joined.panels
        assert [trace.label for trace in shown.panel.traces] == ["sgd · A", "sgd · B", "adam"]
        assert shown.runs == (0, 1, 1)

    def test_grids_stand_beside_each_other(self):
        panel = Panel("g", "x", "y", grid=Grid(["a"], ["b"], np.ones((1, 1)), "v"))
        (joined,) = beside.beside([[Picture("k", "t", (panel,))]] * 2, ["A", "B"])
        assert [(one.panel.title, one.grid_run) for one in joined.panels] == [("g · A", 0), ("g · B", 1)]

    def test_several_runs_have_a_column_and_a_switch(self):
        page = Read(render_page([pages.run("A"), pages.run("B")]))
        sheet = page.data["sheets"][0]
        assert sheet["columns"][0]["title"] == "run"
        assert [row["run"] for row in sheet["rows"]] == [0] * 6 + [1] * 6
        assert [attributes["data-run"] for tag, attributes in page.elements if "data-run" in attributes] == ["0", "1"]


class TestCommand:
    @pytest.fixture
    def directory(self, tmp_path):
        for record in pages.run(seeds=1).records:
            write_record(tmp_path / "run", record)
        return tmp_path / "run"

    def test_it_writes_one_file(self, directory, tmp_path):
        target = tmp_path / "report.html"
        done = call("report", directory, "-o", target)
        assert done.exit_code == 0, done.output
        assert "what was planned is not known" in done.stderr
        assert len(Read(target.read_text()).records["records"]) == 6
        assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "run"]

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("page.pdf", "its ending '.pdf' is none of"),
            ("no/page.html", "there is no folder"),
            ("run", "it is a folder"),
        ],
    )
    def test_a_file_that_cannot_be_written_is_named_before_anything_is_read(self, directory, tmp_path, name, words):
        done = call("report", tmp_path / "nowhere", "-o", tmp_path / name)
        assert done.exit_code == 2
        assert words in done.stderr

    def test_a_directory_without_records_is_refused(self, tmp_path):
        done = call("report", tmp_path, "-o", tmp_path / "page.html")
        assert done.exit_code == 2
        assert "holds no run" in done.stderr

    def test_a_run_that_has_only_been_planned_is_refused(self, tmp_path):
        (tmp_path / "run.json").write_text('{"cells": ["a--0123456789"]}')
        done = call("report", tmp_path, "-o", tmp_path / "page.html")
        assert done.exit_code == 2
        assert "nothing to report: no cell of" in done.stderr

    @pytest.mark.parametrize("name", embedding.LIBRARIES)
    def test_a_missing_library_is_named_with_the_extra(self, directory, tmp_path, monkeypatch, name):
        monkeypatch.setattr(embedding, "find_spec", lambda one: None if one == name else object())
        done = call("report", directory, "-o", tmp_path / "page.html")
        assert done.exit_code == 2
        assert f"a page is made with {name}, which is not installed; pip install 'rbench[report]'" in done.stderr

    def test_a_page_that_cannot_be_written_leaves_the_earlier_one(self, directory, tmp_path, monkeypatch):
        target = tmp_path / "page.html"
        target.write_text("old")

        def full(path, text):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("rbench.report.page.files.write_text", full)
        done = call("report", directory, "-o", target)
        assert done.exit_code == 2
        assert "No space left on device" in done.stderr
        assert target.read_text() == "old"


class TestExactCells:
    def test_a_cell_is_run_as_it_is(self):
        cell = pages.record("sgd[lr=0.1]", "digits[hidden=[8]]", seed=7).cell
        done = call("run", "--cell", cell.model_dump_json(), "-n", "--json")
        assert done.exit_code == 0, done.output
        assert [read_cell(json.dumps(one)) for one in json.loads(done.stdout)] == [cell]

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("x",), "'x' is no cell: Invalid JSON"),
            (('{"experiment": "none"}',), "no experiment is called 'none'"),
            (('{"experiment": "training"}',), "is no cell: suite: Field required"),
            (
                (pages.record("sgd").cell.model_dump_json(), "--seeds", "2"),
                "--cell says all of a cell: leave --seeds out",
            ),
            ((pages.record("sgd").cell.model_dump_json(), "mnist"), "--cell says all of a cell: leave `suites` out"),
        ],
    )
    def test_what_is_no_cell_is_refused(self, words, said):
        done = call("run", "-n", "--cell", *words)
        assert done.exit_code == 2
        assert said in done.stderr


def test_a_refusal_is_an_error_of_rbench(tmp_path):
    from rbench.report.page import save_page

    with pytest.raises(RbenchError, match="cannot write the page"):
        save_page("", tmp_path / "page.txt")
