"""Short names of methods: distinct where methods are beside each other, and the same on every task."""

import pytest

from helpers.registered import registered
from rbench.errors import SpecError
from rbench.report.labels import labels, names
from rbench.run import Budget, Entry, Training, TrainingSuite

SAMPLED = "riemannian[output_metric=ggn_mc,lr=0.3,mass=1]"
KRONECKER = "riemannian[output_metric=ggn_mc,lr=1,mass=kronecker,fit=layers,rows=false]"
SPECS = [
    "kfac[lr=0.1,damping=0.2]", "kfac[lr=1,damping=0.2,fit=scalar]", SAMPLED, KRONECKER,
    "riemannian[output_metric=ggn,lr=0.3,mass=1]", "riemannian[output_metric=ggn_mc,lr=1,mass=kronecker,fit=layers]",
]  # fmt: skip


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        (["sgd[lr=0.1,schedule=linear]"], ["sgd"]),
        (["kfac[lr=0.1]", "kfac[lr=1,fit=scalar]"], ["kfac", "kfac, fit=scalar"]),
        ([SAMPLED], ["riemannian ggn_mc"]),
        ([SAMPLED, KRONECKER], ["riemannian ggn_mc", "riemannian ggn_mc, mass=kronecker"]),
        (["sgd[lr=0.1]", "sgd[lr=0.2]"], ["sgd, lr=0.1", "sgd, lr=0.2"]),
        (["sgd[lr=0.1,momentum=0.5]", "sgd[lr=0.1]"], ["sgd, momentum=0.5", "sgd"]),
        (["sgd[lr=0.1,schedule=linear,nesterov=true]", "sgd[lr=0.1]"], ["sgd, nesterov=true", "sgd"]),
        (["adam[lr=0.1,schedule=linear]", "adam[lr=0.1]"], ["adam, schedule=linear", "adam"]),
        (["torch.optim[name=AdamW,lr=1]", "torch.optim[name=Muon,lr=1]"], ["torch.optim AdamW", "torch.optim Muon"]),
        (["not a [ SPEC", "sgd"], ["not a [ SPEC", "sgd"]),
    ],
)
def test_a_label_has_what_tells_a_method_from_the_others_beside_it(specs, expected):
    assert list(labels(("task", spec) for spec in specs).values()) == expected


def test_a_method_has_one_label_whatever_its_numbers_on_each_task():
    pairs = [("a", SAMPLED), ("a", KRONECKER), ("b", SAMPLED.replace("0.3", "0.7")), ("b", KRONECKER)]
    found = labels(pairs)
    assert [found["a", SAMPLED], found["a", KRONECKER]] == [found[pair] for pair in pairs[2:]]


def test_labels_of_a_task_are_distinct():
    rates = [f"sgd[lr={rate}]" for rate in (0.1, 0.2, 0.3)]
    pairs = [(task, spec) for task in ("a", "b") for spec in (*SPECS, *rates)]
    found = labels(pairs)
    assert set(found) == set(pairs)
    for task in ("a", "b"):
        assert len({label for (place, _), label in found.items() if place == task}) == len(SPECS) + len(rates)


def cell(method, task="digits", suite="own"):
    return Training(suite=suite, task=task, method=method, backend="numpy", seed=0, budget=Budget(steps=1))


OWN = TrainingSuite(
    "own", "labels of its own", (Entry("digits", ("sgd",)),),
    labels={"kfac": "K-FAC", "kfac[fit=scalar]": "K-FAC, fitted", "riemannian[rows=false]": "K-FAC's direction"},
)  # fmt: skip


class TestSuites:
    @pytest.mark.parametrize(
        ("specs", "expected"),
        [
            (["kfac[lr=0.1]", "kfac[lr=0.3,fit=scalar]", "sgd"], ["K-FAC", "K-FAC, fitted", "sgd"]),
            (["kfac[lr=0.1]", "kfac[lr=0.3]"], ["K-FAC, lr=0.1", "K-FAC, lr=0.3"]),
            (["riemannian[output_metric=ggn,rows=true]"], ["riemannian ggn"]),
        ],
    )
    def test_a_suite_names_methods_that_have_a_specs_settings(self, specs, expected):
        with registered(suites=[OWN]):
            assert list(names(map(cell, specs)).methods.values()) == expected

    def test_of_a_suite_that_is_not_installed_the_rule_names_them(self):
        assert list(names([cell("kfac[lr=0.1,fit=scalar]", suite="gone")]).methods.values()) == ["kfac"]

    def test_labels_that_cannot_be_read_are_refused(self):
        with pytest.raises(SpecError, match="cannot read"):
            TrainingSuite("x", "", (), labels={"kfac[": "K"})


def test_notes_say_what_labels_stand_for():
    cells = [cell("sgd[lr=0.1]"), cell("sgd[lr=0.2]", "mnist[hidden=[8]]"), cell("adam"), cell("kfac[lr=1]")]
    assert names(cells).notes == [
        "sgd: sgd[lr=0.1] on digits; sgd[lr=0.2] on mnist", "kfac: kfac[lr=1]", "mnist: mnist[hidden=[8]]",
    ]  # fmt: skip
