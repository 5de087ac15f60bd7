"""Options of the command line: none wins in silence, and what they ask for is bounded before it starts."""

import json
import re
import resource

import pytest

from helpers.command import call, python
from rbench.errors import SpecError
from rbench.run import Request
from rbench.train.cell import count
from rbench.tune import TuneRequest

LISTS = ",".join(f"{k}e-5" for k in range(1, 1001))
MANY = f"sgd[lr=[{LISTS}],weight_decay=[{LISTS}]]"
TWICE = {
    "run --steps 1 --steps 2": "--steps is given 2 times; give it once",
    "run --seeds 1 --seeds 1 --seeds 3": "--seeds is given 3 times",
    "run --threads 1 --threads 2": "--threads is given 2 times",
    "run --timeout 1m --timeout 2m": "--timeout is given 2 times",
    "run -o a --output b": "--output is given 2 times",
    "run -j 1 --jobs=2": "--jobs is given 2 times",
    "run --batch-size 3 --batch-size 4": "--batch-size is given 2 times",
    "run --executor local --executor dask": "--executor is given 2 times",
    "tune -b numpy -b torch": "--backend is given 2 times",
    "tune --dtype float32 --dtype float64": "--dtype is given 2 times",
    "tune --trials 2 --trials 4": "--trials is given 2 times",
    "table --format csv --format json .": "--format is given 2 times",
    "compare --threshold 1.1 --threshold 2 a b": "--threshold is given 2 times",
}
WITHOUT_EFFECT = {
    "run -o ''": "'--output'.* is empty; name a file or a directory",
    "run --output ' '": "'--output'.* is empty",
    "run --tuned ''": "'--tuned'.* is empty",
    "tune -o ''": "'--output'.* is empty",
    "tune -n --trials 2 --finalists 100": "--finalists 100 of 2 trials: give at most 2, or more --trials",
    "tune -n --confirmations 0 --finalists 5": "--finalists 5 with --confirmations 0: nothing is run again",
    "run -n --steps 20 --evaluations 21": "--evaluations 21 is more than the 20 steps of a run",
    "run -n --unofficial-data": "--unofficial-data: no published data set.*digits, regression; leave it out",
    "tune -n quick -t digits --unofficial-data": "--unofficial-data: no published data set.*digits",
    "run step-time -n --seconds 1": "has no use for --steps, --epochs, --seconds",
    "run step-time -n --timeout=": "--timeout '' is no time",
    "run step-time -n --retries 0": "--retries 0 is for cells on other machines",
}
ABSURD = {
    "run -n --seconds 1e-300": "--seconds 1e-300 is no budget; give a time of at least 1e-06 s",
    "run -n --seconds -0.0": "--seconds -0 is no budget",
    "run -n --timeout 1e400": "--timeout '1e400' is no time",
    "run -n --memory-limit 1e400G": "--memory-limit '1e400G' is no size",
    "run -n --threads 100000": "--threads 100,000: this machine has .* cores; give at most",
    "run -n --jobs 100000": "--jobs 100,000: this machine has .* cores; give at most",
    "run step-time -n --threads 100000": "--threads 100,000: this machine",
    "run -n --evaluations 99999999999999999": "evaluations=99999999999999999: .*100000",
    "run -n --seeds 1000000000000000000": "would make more than 1,000,000,000,000,000,000 cells",
    "run -n --seeds 10001 -t digits -m sgd": "would make 10,001 cells, and 10,000 are allowed; .*--max-cells",
    "run -n --seeds 6 -t digits -m sgd --max-cells 5": "would make 6 cells, and 5 are allowed",
    "run -n --batch-size 1000000000000000 -t lanczos -m sgd --seeds 1000000": "would make 1,000,000 cells",
    f"run -n -t digits -m {MANY}": "would make 1,000,000 cells",
    f"run step-time -n -m {MANY}": "would make [0-9,]+ cells, and 10,000 are allowed",
    "tune -n --trials 1000000000000 -t digits": "trials, confirmations and runs, and 10,000 are allowed",
    "tune -n --seed 99999999999": "seed=99999999999: .*less than 4294967296",
    "run step-time -n -t 784-64x1000000-10": "has 1,000,001 layers; give at most 10,000",
    "run step-time -n -t 784-99999999999-10": "784-99999999999-10 .*at least [0-9,]+ MiB, and this machine has [0-9,]+",
    "run step-time -n --batch-size 99999999999": "batches of 99,999,999,999 take at least [0-9,]+ MiB, and",
    "run scaling -n --batch-size 99999999999": "batches of 99,999,999,999 take at least",
}
USAGE = {
    "rum": "No such command 'rum'",
    "\x1b[31m": r"No such command '\\x1b\[31m'",
    "run --x\u202ey": r"No such option: --x\\u202ey",
    "run --seeds \x1b[2J": r"'--seeds': '\\x1b\[2J': Input should be a valid integer",
    "run --seeds 0": "'--seeds': '0': Input should be greater than or equal to 1",
    "run --steps 1.5": "'--steps': '1.5': ",
    "tune --trials -3": "'--trials': '-3': ",
    "compare a b --threshold much": "'--threshold': 'much': Input should be a valid number",
    "run --executor \u202e": r"'--executor': '\\u202e' is not one of 'local', 'dask'",
    "table --format jsn .": "'--format': 'jsn' is not one of 'markdown'",
    "table": "name the directories of runs, DIR...",
}
SIZES = [
    "regression[n_train=1e11]", "regression[n_test=99999999999]", "regression[features=1000000]",
    "regression[features=99999999999999999999]", "regression[outputs=9999999999]", "lanczos[terms=99999999999]",
    "lanczos[n_train=99999999999]", "two-spirals[n_train=99999999999]", "two-spirals[hidden=[9999999,9999999]]",
    "digits[hidden=[99999999999]]", "deep-linear[width=9999999]", "deep-linear[features=9999999]",
    "deep-linear[outputs=9999999]", "teacher-student[teacher=[9999999,9999999]]", "mnist[hidden=[99999999999]]",
    "mnist-autoencoder[hidden=[99999999999]]", "cifar10[network=mlp,hidden=[99999999999]]",
    "regression[n_train=" + "9" * 4000 + "]",
]  # fmt: skip


@pytest.fixture
def refused(monkeypatch, tmp_path):
    """What a command says that is refused, in an empty folder, which stays so."""
    monkeypatch.chdir(tmp_path)

    def run(words):
        done = call(*(word.strip("'") for word in words.replace("' '", "'\u2003'").split(" ")))
        assert done.exit_code == 2, done.output
        assert isinstance(done.exception, SystemExit)
        assert done.stdout == ""
        assert list(tmp_path.iterdir()) == []
        return " ".join(done.stderr.split())

    return run


@pytest.mark.parametrize("words", [*TWICE, *WITHOUT_EFFECT, *ABSURD, *USAGE], ids=lambda words: words[:60])
def test_what_would_win_or_be_lost_in_silence_is_refused(refused, words):
    said = refused(words)
    assert re.search((TWICE | WITHOUT_EFFECT | ABSURD | USAGE)[words], said), said
    assert said.isprintable()


@pytest.mark.parametrize("spec", SIZES, ids=lambda spec: spec[:60])
def test_what_cannot_fit_is_refused_with_both_figures_before_anything_is_made(refused, spec):
    for words in ("run -n", "run", "tune -n quick"):
        said = refused(f"{words} -m sgd -t {spec}")
        assert "its data and network take at least " in said, said
        assert " MiB, and this machine has " in said


def test_options_that_may_be_repeated_still_may():
    words = "run -n --json -t digits -m sgd -m adam --dtype float32 --dtype float32 --device cpu --device cpu --json -n"
    done = call(*words.split())
    assert [cell["method"] for cell in json.loads(done.stdout)] == ["sgd[lr=0.2]", "adam[lr=0.03]"], done.stderr


def test_the_limit_is_raised_where_it_is_asked_for():
    assert len(Request(tasks=("digits",), methods=("sgd",), seeds=11_000, max_cells=11_000).cells()) == 11_000
    with pytest.raises(SpecError, match="would make 11,000 cells, and 10,999 are allowed"):
        Request(tasks=("digits",), methods=("sgd",), seeds=11_000, max_cells=10_999).cells()
    with pytest.raises(SpecError, match="would make 9 trials, confirmations and runs, and 8 are allowed"):
        TuneRequest(
            suite="quick", tasks=("digits",), methods=("sgd",), trials=4, finalists=2, confirmations=2, seeds=1, seed=9,
            max_cells=8,
        ).plan()  # fmt: skip


def test_a_million_cells_are_counted_and_not_made():
    assert count("methods", MANY) == 10**6
    code = (
        "import sys, resource\nfrom rbench.run import Request\nfrom rbench.errors import SpecError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    Request(tasks=('digits',), methods=(sys.argv[1],)).cells()\nexcept SpecError as error:\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    grown, _, words = python(code, MANY).partition(" ")
    assert "1,000,000 cells" in words
    assert int(grown) < 20_000  # KiB
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 20
