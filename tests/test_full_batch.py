"""Tasks whose batch is all their data: in runs, and in the trials of a tune, to which validation leaves fewer."""

import numpy as np
import pytest

from helpers import faults
from helpers.command import call
from rbench import get_backend
from rbench.run import read_records
from rbench.run.worker import run_cell
from rbench.train.loop import set_up


def cell(task):
    return faults.cell(task=task, dtype="float64", steps=4)


@pytest.mark.parametrize(
    ("task", "size"),
    [
        ("lanczos", 24),
        ("lanczos[validation=true]", 20),
        ("lanczos[n_train=7]", 7),
        ("lanczos[n_train=7,validation=true]", 6),
        ("digits[batch_size=none,hidden=[2]]", 1437),
        ("two-spirals[batch_size=none,n_train=60,hidden=[2],validation=true]", 50),
    ],
)
def test_every_batch_is_all_the_data_that_are_left(task, size):
    stepper, data, _ = set_up(cell(task), get_backend("numpy", dtype="float64"))
    batches = stepper.batches
    assert (batches.batch_size, batches.steps_per_epoch) == (size, 1)
    wanted = data.x_train[np.lexsort(data.x_train.T)]
    for step in (0, 1, 5):
        x = batches(step).x
        np.testing.assert_array_equal(x[np.lexsort(x.T)], wanted)


def test_full_batches_are_those_of_as_many_data():
    whole, counted = (run_cell(cell(task)) for task in ("lanczos", "lanczos[batch_size=24]"))
    losses = [[entry["train_loss"] for entry in record.history] for record in (whole, counted)]
    assert len(losses[0]) == 5
    assert losses[0] == losses[1]


class TestTune:
    WORDS = ("tune", "synthetic", "-t", "lanczos", "-m", "sgd", "--steps", "3", "--threads", "1", "--seeds", "1")

    @pytest.fixture(autouse=True)
    def _optuna(self):
        pytest.importorskip("optuna")

    def call(self, folder, *words):
        return call(*self.WORDS, *words, "-o", folder)

    def test_trials_have_all_data_that_validation_leaves_and_runs_have_all(self, tmp_path):
        done = self.call(tmp_path, "--trials", "2")
        assert done.exit_code == 0, done.output
        trials, runs = read_records(tmp_path / "trials")[0], read_records(tmp_path)[0]
        assert {record.cell.task for record in trials} == {"lanczos[validation=true]"}
        assert [record.status for record in (*trials, *runs)] == ["ok"] * 3
        assert [record.cell.task for record in runs] == ["lanczos"]

    def test_a_batch_size_that_was_asked_for_is_never_changed(self, tmp_path):
        done = self.call(tmp_path, "--trials", "1", "--batch-size", "24")
        assert (done.exit_code, done.stdout) == (2, "")
        words = "lanczos: batch_size=24 is more than the 20 training data that validation leaves; lower it, or write"
        assert words in done.stderr
        assert read_records(tmp_path / "trials") == ([], [])
        fits = self.call(tmp_path / "fits", "--trials", "1", "--batch-size", "20")
        assert fits.exit_code == 0, fits.output
        tasks = [
            record.cell.task for folder in ("fits/trials", "fits") for record in read_records(tmp_path / folder)[0]
        ]
        assert tasks == ["lanczos[batch_size=20,validation=true]", "lanczos[batch_size=20]"]
