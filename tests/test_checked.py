"""Requests, budgets and cells from Python: what is wrong is refused in words that name the setting and the value."""

import json

import numpy as np
import pytest
from pydantic import ValidationError

from rbench.errors import SpecError
from rbench.methods import KFAC, SGD, Riemannian
from rbench.run import Budget, Request, Training
from rbench.tasks.digits import Digits
from rbench.tune import TuneRequest

CELL = {"suite": "quick", "task": "digits", "method": "sgd", "backend": "numpy", "budget": Budget(steps=1)}
REFUSED = [
    (Request, {"seeds": 0}, "Request: seeds=0: Input should be greater than or equal to 1"),
    (Request, {"seeds": True}, "Request: seeds=True: give a number, not true or false"),
    (Request, {"jobs": np.True_}, r"Request: jobs=(np.)?True_?: give a number"),
    (Request, {"seed": 3}, r"Request has no setting 'seed' \(did you mean 'seeds'\?\); its settings are: suites,"),
    (Request, {"suites": "quick"}, "Request: suites='quick': give a list"),
    (Request, {"fixed": ("weigths",)}, r"Request: fixed=\('weigths',\): .*'weights', 'order' or 'samples'"),
    (Request, {"budget": {"steps": 0}}, "Request: budget={'steps': 0}: Input should be greater"),
    (Request, {"jobs": "x" * 10**6}, r"Request: jobs='xxx.*\(1,000,002 characters\): .* integer"),
    (Budget, {}, "give one budget: `epochs`, `steps` or `seconds`"),
    (Budget, {"steps": 1, "epochs": 1}, "give one budget"),
    (Budget, {"steps": True}, "Budget: steps=True: give a number"),
    (Budget, {"seconds": float("nan")}, "Budget: seconds=nan"),
    (Budget, {"seconds": float("inf")}, "Budget: seconds=inf"),
    (Training, {**CELL, "threads": 0}, "training: threads=0: Input should be greater"),
    (Training, {**CELL, "seed": 1.5}, "training: seed=1.5: .*integer"),
    (Training, {"suite": "quick"}, "training needs a value for backend"),
    (TuneRequest, {"suite": "quick"}, "TuneRequest needs a value for trials"),
    (TuneRequest, {"suite": "quick", "trials": 1, "seed": -1}, "TuneRequest: seed=-1: "),
    (Request, {"threads": True}, "Request: threads=True: give a number"),
    (Request, {"task": ("4-3",)}, r"no setting 'task' \(did you mean 'tasks'\?\)"),
    (SGD, {"lr": True}, "sgd: lr=True: give a number"),
    (KFAC, {"damping": -1}, "kfac: damping=-1: Input should be greater than 0"),
    (Riemannian, {"mass": -0.5}, "riemannian: mass=-0.5: mass must be positive"),
    (Digits, {"hiden": (3,)}, r"digits has no setting 'hiden' \(did you mean 'hidden'\?\)"),
]


@pytest.mark.parametrize(("model", "given", "words"), REFUSED, ids=lambda value: "")
def test_what_is_wrong_is_named(model, given, words):
    with pytest.raises(SpecError, match=words) as caught:
        model(**given)
    assert len(str(caught.value)) < 1000
    assert "pydantic" not in str(caught.value)


def test_what_is_read_raises_as_any_models_reading():
    with pytest.raises(ValidationError, match=r"budget\.steps"):
        Training.model_validate_json(json.dumps({**CELL, "budget": {"steps": 0}}))
    assert Training.model_validate_json(Training(**CELL).model_dump_json()) == Training(**CELL)
