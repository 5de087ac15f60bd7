"""Odd inputs through the real command line: a quick choice of `odd_inputs.CASES`, and the judge itself."""

import pytest

from helpers.odd_inputs import CASES, Odd, foreign, wrong

QUICK = [case for case in CASES if case.kind in {
    "RBENCH_DATA that is no folder", "an address of no scheduler", "certificates that cannot serve",
}]  # fmt: skip


@pytest.mark.parametrize("case", QUICK, ids=str)
def test_an_odd_input_is_met_with_words(case, tmp_path):
    if "dask" in case.words:
        pytest.importorskip("distributed")
    assert wrong(case, tmp_path) == []


def test_every_kind_has_several_inputs():
    kinds = [case.kind for case in CASES]
    alone = {"an interrupted plan", "a record of a newer version", "DIR/cells that is a file"}
    assert {kind for kind in kinds if kinds.count(kind) < 3} <= alone


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("raise ValueError", ["a traceback", "exit status 1", "does not say 'sorry'"]),
        ("print('sorry'); open('left', 'w'); raise SystemExit(2)", ["left left"]),
        ("print('sorry'); open('mine', 'w'); raise SystemExit(2)", ["changed mine"]),
        ("b = b'1' * (800 * 2**20); print('sorry'); raise SystemExit(2)", ["took"]),
        ("import time; time.sleep(60)", ["exit status -9", "does not say 'sorry'", "took"]),
        ("print('sorry'); raise SystemExit(2)", []),
    ],
)
def test_the_judge_sees_what_is_wrong(code, found, tmp_path, monkeypatch):
    program = tmp_path / "bin" / "rbench" / "cli.py"
    program.parent.mkdir(parents=True)
    (program.parent / "__init__.py").touch()
    program.write_text(code)
    case = Odd("judged", (), says=("sorry",), prepare=foreign("mine"), seconds=20 if "sleep" not in code else 1,
               variables={"PYTHONPATH": str(tmp_path / "bin")})  # fmt: skip
    (tmp_path / "work").mkdir()
    said = wrong(case, tmp_path / "work")
    assert len(said) == len(found), said
    assert all(one.startswith(start) for one, start in zip(said, found, strict=True)), said
