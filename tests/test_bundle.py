"""Bundles hold a run as it is, say what was changed in them, and are reproduced; runs are merged as they are."""

import hashlib
import io
import json
import shutil
import zipfile
from pathlib import Path

import pytest

from helpers.command import call
from helpers.faults import write_run
from rbench.bundle import bundle, merge, read_bundle
from rbench.bundle.archive import FOLDER, SUMS, packed, unpacked
from rbench.errors import DataError, RbenchError
from rbench.report.load import load
from rbench.run import Budget, Record, Training
from rbench.run.record import cells_folder
from rbench.run.run_file import read_run_file

RUN = ("run", "quick", "-t", "regression", "--steps", "4", "--threads", "1", "--no-memory")
HERE, THERE = {"cpu": "One"}, {"cpu": "Two"}


def record(seed=0, status="ok", environment=HERE, backend="numpy", **figures):
    settings = {"task": "regression", "method": "sgd[lr=1.5]", "budget": Budget(steps=4)}
    cell = Training(suite="quick", backend=backend, seed=seed, **settings)
    made = {"rbench": "1.0", "libraries": {"numpy": "2.0"}, "cpu": environment["cpu"]}
    figures = {"device": "cpu", "test_loss": 1.0 + seed} | figures
    return Record(cell=cell, status=status, figures=figures, provenance=made, environment=environment)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A run of two methods at two seeds."""
    directory = tmp_path_factory.mktemp("bundles") / "ran"
    done = call(*RUN, "-m", "sgd", "-m", "adam", "--seeds", 2, "-o", directory)
    assert done.exit_code == 0, done.output
    return directory


@pytest.fixture(scope="module")
def zipped(ran):
    file = ran.parent / "ran.zip"
    bundle(ran, file)
    return file


def test_a_bundle_holds_the_records_as_they_are(ran, zipped):
    records, warnings = load([zipped])
    assert (records, warnings) == load([ran])
    assert len(records) == 4
    table = [call("table", source, "--format", "csv").stdout for source in (ran, zipped)]
    assert table[0] == table[1] != ""


def test_the_same_run_gives_the_same_bytes(ran, zipped, tmp_path):
    shutil.copytree(ran, tmp_path / "copy")
    bundle(tmp_path / "copy", tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == zipped.read_bytes()


def test_an_unpacked_bundle_is_a_run_with_its_sums(ran, zipped, tmp_path):
    with zipfile.ZipFile(zipped) as archive:
        archive.extractall(tmp_path)
    folder = tmp_path / FOLDER
    for line in (folder / SUMS).read_text().splitlines():
        digest, _, name = line.partition("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert load([folder]) == load([ran])
    lines = (folder / "requirements.txt").read_text().splitlines()
    assert any(line.startswith("numpy==") for line in lines)
    assert any(line.startswith("annotated-types==") for line in lines), "what pydantic requires"
    assert "rbench reproduce" in (folder / "README.md").read_text()
    assert json.loads((folder / "environment.json").read_text())["records"][0]["records"] == 4


def test_what_cannot_be_bundled_is_refused(ran, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(ran, damaged)
    path = sorted((damaged / "cells").iterdir())[1]
    path.write_text(path.read_text().replace('"ok"', '"ko"'))
    (tmp_path / "empty").mkdir()
    (tmp_path / "there.zip").touch()
    for directory, file, words in (
        (tmp_path / "empty", "a.zip", "holds no run"),
        (tmp_path / "none", "a.zip", "holds no run"),
        (damaged, "a.zip", path.name),
        (ran, "a.tar", "ends with .zip"),
        (ran, "there.zip", "is there"),
        (ran, "no/folder.zip", "cannot write"),
    ):
        done = call("bundle", directory, "-o", tmp_path / file)
        assert done.exit_code == 2
        assert words in done.stderr
    assert "--force" in call("bundle", ran, "-o", tmp_path / "there.zip").stderr
    assert call("bundle", ran, "-o", tmp_path / "there.zip", "--force").exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged", "empty", "there.zip"]


def rezipped(members, path, summed=True):
    """An archive of members, as another tool would make it."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        if summed:
            known = {
                name.removeprefix(FOLDER): hashlib.sha256(content).hexdigest() for name, content in members.items()
            }
            archive.writestr(FOLDER + SUMS, "".join(f"{digest}  {name}\n" for name, digest in known.items()))
    return path


@pytest.mark.parametrize("change", ["content", "removed", "added"])
def test_a_changed_member_is_named(zipped, tmp_path, change):
    with zipfile.ZipFile(zipped) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for name in [one for one in members if not one.endswith(SUMS)]:
        changed = dict(members)
        if change == "content":
            changed[name] = bytes([members[name][0] ^ 1]) + members[name][1:]
        elif change == "removed":
            del changed[name]
        else:
            key = f"{FOLDER}cells/more--0123456789.json"
            changed[key], name = b"{}", key
        with pytest.raises(DataError, match=name.removeprefix(FOLDER)):
            unpacked(rezipped(changed, tmp_path / "x.zip", summed=False))


def found_in(content, file):
    """The members of an archive's bytes; what is refused is None, and names the file."""
    file.write_bytes(content)
    try:
        return unpacked(file)
    except DataError as error:
        return None if str(file) in str(error) else error


def test_every_flipped_byte_is_refused_or_changes_nothing(tmp_path):
    members = {"run.json": b'{"cells": []}', "README.md": b"words " * 9}
    whole, file = packed(members), tmp_path / "x.zip"
    flipped = (whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :] for at in range(len(whole)))
    found = [found_in(content, file) for content in flipped]
    assert all(one in (None, members) for one in found)
    assert found.count(None) > len(whole) / 2


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "run/../../x", "run/cells/../x--0123456789.json", "run\\x", "x", "run/", "run/x.py",
             "run/cells/a--0123456789.json/b", "run/cells/" + "é--0123456789.json"],
)  # fmt: skip
def test_a_path_that_no_bundle_has_is_refused(name, tmp_path):
    before = set(tmp_path.parent.iterdir())
    file = rezipped({"run/run.json": b"{}", name: b"x"}, tmp_path / "x.zip")
    with pytest.raises(DataError, match="which no bundle has"):
        read_bundle(file)
    assert {path.name for path in tmp_path.iterdir()} == {"x.zip"}
    assert set(tmp_path.parent.iterdir()) == before


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    file = tmp_path / "x.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("run/run.json", "w") as member:
        for _ in range(300):
            member.write(bytes(2**20))
    assert file.stat().st_size < 2**20
    with pytest.raises(DataError, match=r"run/run\.json has 314,572,800 bytes"):
        read_bundle(file)


@pytest.mark.parametrize("content", [b"", b"PK", b"words", io.BytesIO().getvalue() + b"\0" * 100])
def test_what_is_no_zip_is_refused(content, tmp_path):
    file = tmp_path / "x.zip"
    file.write_bytes(content)
    done = call("table", file)
    assert (done.exit_code, "is no bundle" in done.stderr) == (2, True)


def test_a_zip_of_other_files_is_no_bundle(tmp_path):
    assert "no bundle has" in call("reproduce", rezipped({"a.txt": b""}, tmp_path / "x.zip", summed=False)).stderr
    missing = rezipped({"run/run.json": b"{}"}, tmp_path / "y.zip", summed=False)
    assert "it has no run/SHA256SUMS" in call("reproduce", missing).stderr


FIGURES = ("--figure", "test_loss", "--figure", "test_squared_error")


def test_a_fresh_run_is_reproduced_and_resumed(zipped, tmp_path):
    done = call("reproduce", zipped, *FIGURES, "-o", tmp_path / "again")
    assert done.exit_code == 0, done.output
    assert done.stdout.count("the same") == 4
    assert "figures: 4; not within noise: 0" in done.stderr
    before, after = load([zipped])[0], load([tmp_path / "again"])[0]
    assert [one.cell for one in after] == [one.cell for one in before]
    again = call("reproduce", zipped, *FIGURES, "-o", tmp_path / "again", "--json")
    assert "cells from an earlier run: 4; to run: 0" in again.stderr
    assert {row["verdict"] for row in json.loads(again.stdout)} == {"noise"}


def test_a_figure_that_is_not_reproduced_is_named(ran, tmp_path):
    shutil.copytree(ran, tmp_path / "other")
    shutil.rmtree(cells_folder(tmp_path / "other"))
    records = [one.model_copy(update={"figures": one.figures | {"test_loss": 0.5 * one.figures["test_loss"]},
                                      "environment": one.environment | {"numpy": "0.1"}})
               for one in load([ran])[0]]  # fmt: skip
    records[-1] = records[-1].model_copy(update={"status": "diverged", "reason": "it said so"})
    write_run(tmp_path / "other", records)
    bundle(tmp_path / "other", tmp_path / "other.zip")
    done = call("reproduce", tmp_path / "other.zip", "--figure", "test_loss", "-o", tmp_path / "again")
    assert done.exit_code == 1
    assert "NOT within noise: worse" in done.stdout
    assert "not as in the bundle, numpy: 0.1 → " in done.stderr
    assert "ended differently" in done.stderr
    assert "diverged then, ok now" in done.stderr


def test_what_cannot_run_here_is_left_out_and_named(tmp_path):
    write_run(tmp_path / "a", [record(), record(1, backend="absent")])
    bundle(tmp_path / "a", tmp_path / "a.zip")
    done = call("reproduce", tmp_path / "a.zip", "--dry-run")
    assert (done.exit_code, "cells: 1" in done.stdout) == (0, True)
    assert "left out, 1 cells: no backend is called 'absent'" in done.stderr
    write_run(tmp_path / "b", [record(backend="absent")])
    bundle(tmp_path / "b", tmp_path / "b.zip")
    done = call("reproduce", tmp_path / "b.zip", "-o", tmp_path / "again")
    assert (done.exit_code, "nothing of it can be run here" in done.stderr) == (2, True)


def test_merged_halves_are_the_whole(ran, tmp_path):
    plan, records = read_run_file(ran), load([ran])[0]
    for name, half in (("a", records[:2]), ("b", records[2:])):
        write_run(tmp_path / name, half, request=plan.request, provenance=plan.provenance)
    done = call("merge", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "whole")
    assert done.exit_code == 0, done.output
    assert load([tmp_path / "whole"]) == (records, [])
    tables = [call("table", source).stdout for source in (ran, tmp_path / "whole")]
    assert tables[0] == tables[1]
    bundle(tmp_path / "b", tmp_path / "b.zip")
    assert merge([tmp_path / "a", tmp_path / "b.zip"], tmp_path / "zipped").records == records
    merged = read_run_file(tmp_path / "whole")
    assert [(part.request["merged from"], len(part.cells)) for part in merged.earlier] == [
        (str(tmp_path / "b"), 2), (str(tmp_path / "a"), 2),
    ]  # fmt: skip
    again = call(*RUN, "-m", "sgd", "-m", "adam", "--seeds", 2, "-o", tmp_path / "whole")
    assert (again.exit_code, "cells from an earlier run: 4; to run: 0" in again.stderr) == (0, True)


def test_what_differs_is_not_mixed(tmp_path):
    write_run(tmp_path / "a", [record(0), record(1)])
    write_run(tmp_path / "b", [record(1), record(2, environment=THERE)])
    done = call("merge", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "whole")
    assert "environments differ (cpu: One, Two)" in done.stderr
    assert {one.cell.seed: one.environment["cpu"] for one in load([tmp_path / "whole"])[0]} == {
        0: "One", 1: "One", 2: "Two",
    }  # fmt: skip
    (head,) = (line for line in call("table", tmp_path / "whole").stdout.splitlines() if line.startswith("| method"))
    assert "environment" in head
    more = call(*RUN, "-m", "sgd", "-o", tmp_path / "whole")
    assert (more.exit_code, "made differently than they would be now" in more.stderr) == (2, True)


def test_what_cannot_be_merged_is_refused(tmp_path):
    write_run(tmp_path / "a", [record(0), record(1)])
    write_run(tmp_path / "b", [record(0, test_loss=3.0)])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    for sources, target, words in (
        ("ab", "new", "different records of 1 cells: regression sgd[lr=1.5] numpy float32 seed 0"),
        ("aa", "new", "at least two different directories"),
        ("a", "new", "at least two different directories"),
        ("ac", "new", "holds no run"),
        ("ab", "a", "is not empty"),
        ("ab", "full", "is not empty"),
    ):
        with pytest.raises(RbenchError) as caught:
            merge([tmp_path / name for name in sources], tmp_path / target)
        assert words in str(caught.value)
    assert not Path(tmp_path / "new").exists()


def test_planned_cells_without_a_record_are_told_before_cells_run(tmp_path):
    write_run(tmp_path / "a", [record(0)], request={"suites": ["quick"]})
    plan = json.loads((tmp_path / "a" / "run.json").read_text())
    (tmp_path / "a" / "run.json").write_text(json.dumps(plan | {"cells": [*plan["cells"], record(1).cell.key]}))
    bundle(tmp_path / "a", tmp_path / "a.zip")
    done = call("reproduce", tmp_path / "a.zip", "--dry-run")
    assert (done.exit_code, "cells: 1" in done.stdout) == (0, True)
    assert "planned cells without a record in the bundle, which are not run: 1" in done.stderr
