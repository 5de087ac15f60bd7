"""Which of a suite's entries a request's tasks choose."""

import pytest

from rbench.run import Entry, Request, TrainingSuite
from rbench.train.cell import configured

SUITE = TrainingSuite(
    name="own",
    summary="two tasks of one name",
    entries=(
        Entry("teacher-student", ("sgd",), epochs=1),
        Entry("teacher-student[noise=0.5]", ("adam",), epochs=2),
        Entry("digits[hidden=[8]]", ("kfac",), epochs=3),
    ),
)


@pytest.mark.parametrize(
    ("asked", "task", "method", "epochs"),
    [
        ("teacher-student", "teacher-student", "sgd", 1),
        ("teacher-student[noise=0.5]", "teacher-student[noise=0.5]", "adam", 2),
        ("teacher-student[noise=0.1]", "teacher-student[noise=0.1]", "sgd", 1),
        ("digits", "digits[hidden=[8]]", "kfac", 3),
    ],
)
def test_an_entry_is_chosen_by_its_spec_or_else_by_its_name(asked, task, method, epochs):
    (cell,) = SUITE.cells(Request(tasks=(asked,)), [("numpy", "float32", None)])
    (named,) = configured("methods", method)
    assert (cell.task, cell.method, cell.budget.epochs) == (task, named.spec, epochs)
    assert SUITE.count(Request(tasks=(asked,))) == 1
