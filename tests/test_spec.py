"""SPECs: what is read, what it makes, and that the canonical form means the same thing again."""

from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rbench.errors import PluginError, RbenchError, SpecError
from rbench.methods import (
    EKFAC,
    KFAC,
    PRONG,
    SGD,
    SOAP,
    Adam,
    ModularNorm,
    Muon,
    Naive,
    NaturalGradient,
    Riemannian,
    Shampoo,
)
from rbench.plugins import plugins
from rbench.spec import Configurable, expansions, parse
from rbench.tasks import Task
from rbench.train.cell import configured


class Toy(Configurable):
    name: ClassVar[str] = "toy"
    summary: ClassVar[str] = "a setting of every kind"
    number: float = 0.5
    count: int = 1
    flag: bool = False
    limit: float | None = None
    sizes: tuple[int, ...] = (3,)
    entries: float | tuple[Any, ...] = 0.1


PARSED = {
    "sgd": ("sgd", {}),
    "  sgd  ": ("sgd", {}),
    "sgd[]": ("sgd", {}),
    "sgd[lr=0.1]": ("sgd", {"lr": 0.1}),
    "sgd[ lr = 1e-3 , nesterov = True ]": ("sgd", {"lr": 1e-3, "nesterov": True}),
    "a[b=none,c=None,d=false,e=word]": ("a", {"b": None, "c": None, "d": False, "e": "word"}),
    "a[b=-2,c=2.0,d=inf]": ("a", {"b": -2, "c": 2.0, "d": float("inf")}),
    "a[b=[1,2],c=[[1,2],[3]],d=[]]": ("a", {"b": [1, 2], "c": [[1, 2], [3]], "d": []}),
    "a[b=[x,[true,[1.5]]]]": ("a", {"b": ["x", [True, [1.5]]]}),
    "true-vs-rest[b=1]": ("true-vs-rest", {"b": 1}),
}
UNREADABLE = {
    "sgd[lr=0.1": "cannot read 'sgd\\[lr=0.1'; write name\\[key=value",
    "[lr=0.1]": "write name\\[key=value",
    "sgd[lr=0.1]x": "cannot read",
    "sgd[lr]": "cannot read 'lr' in .*; write key=value",
    "sgd[=1]": "cannot read '=1' in .*; write key=value",
    "sgd[lr=[0.1]": "brackets of .* do not match",
    "sgd[lr=0.1]]": "brackets of .* do not match",
    "sgd[lr=[1][2]]": "brackets of .* do not match",
    "sgd[lr=[1]2]": "brackets of .* do not match",
    "sgd[lr=1,lr=2]": "sets 'lr' twice",
    "sgd[lr=1, lr =2]": "sets 'lr' twice",
    f"sgd[lr={'[' * 2000}1{']' * 2000}]": "lists within lists more than 8 deep",
    f"digits[hidden={'[' * 9}{']' * 9}]": "lists within lists more than 8 deep",
    f"sgd[lr={'[' * 10**6}]": "brackets of .*1,000,010 characters.* do not match",
    f"sgd[{'x' * 10**6}]": "cannot read 'xxx.*; write key=value",
}
EXPANDED = {
    "toy[number=[1,2,4]]": ["toy[number=1]", "toy[number=2]", "toy[number=4]"],
    "toy[number=[1,2],count=[5,6]]": [f"toy[number={a},count={b}]" for a in (1, 2) for b in (5, 6)],
    "toy[count=2,number=0.25]": ["toy[number=0.25,count=2]"],
    "toy[number=0.5,flag=false]": ["toy"],
    "toy[flag=[true,false]]": ["toy[flag=true]", "toy"],
    "toy[limit=[none,0.1]]": ["toy", "toy[limit=0.1]"],
    "toy[sizes=[256,128]]": ["toy[sizes=[256,128]]"],
    "toy[sizes=[[256,128],[64],[]]]": ["toy[sizes=[256,128]]", "toy[sizes=[64]]", "toy[sizes=[]]"],
    "toy[sizes=[[4,5]]]": ["toy[sizes=[4,5]]"],
    "toy[sizes=[]]": ["toy[sizes=[]]"],
    "toy[entries=[0.2,0.3]]": ["toy[entries=0.2]", "toy[entries=0.3]"],
    "toy[entries=[[0.2,0.3]]]": ["toy[entries=[[0.2,0.3]]]"],
    "toy[entries=[1,[0.2,[[1,2],[3]]]]]": ["toy[entries=1]", "toy[entries=[[0.2,[[1,2],[3]]]]]"],
}
REGISTERED = {
    "riemannian[mass=[[0.1,0.2]]]": ["riemannian[output_metric=ggn_mc,lr=0.01,mass=[[0.1,0.2]]]"],
    "riemannian[mass=[0.1,0.2]]": [
        "riemannian[output_metric=ggn_mc,lr=0.01,mass=0.1]",
        "riemannian[output_metric=ggn_mc,lr=0.01,mass=0.2]",
    ],
    "riemannian[output_metric=[ggn,identity]]": [
        "riemannian[output_metric=ggn,lr=0.01,mass=0.1]",
        "riemannian[output_metric=identity,lr=0.01,mass=0.1]",
    ],
    "riemannian[output_metric=[[[2,1],[1,2]]]]": ["riemannian[output_metric=[[[2,1],[1,2]]],lr=0.01,mass=0.1]"],
    "mnist[hidden=[256,128]]": ["mnist"],
    "mnist[hidden=[[32,16],[8]]]": ["mnist[hidden=[32,16]]", "mnist[hidden=[8]]"],
    "digits[hidden=[]]": ["digits[hidden=[]]"],
    "kfac[kl_clip=[none,1e-3]]": ["kfac[lr=0.01,damping=0.1]", "kfac[lr=0.01,damping=0.1,kl_clip=0.001]"],
}
REFUSED = {
    "sgd[rate=0.1]": "sgd has no setting 'rate'; its settings are: .*lr.*momentum.*nesterov",
    "digits[depth=2]": "digits has no setting 'depth'; its settings are: .*hidden",
    "sgd[lr=-1]": "sgd: lr=-1: .*greater than 0",
    "sgd[lr=fast]": "sgd: lr='fast': .*number",
    "sgd[lr=inf]": "sgd: lr=inf: .*finite",
    "sgd[lr=nan]": "sgd: lr=nan",
    "sgd[lr=[]]": "sgd: lr=\\[\\] gives no value to try",
    "sgd[momentum=1]": "sgd: momentum=1: .*less than 1",
    "sgd[schedule=step]": "sgd: schedule='step': .*'constant', 'linear' or 'cosine'",
    "riemannian[output_metric=fisher]": "riemannian: output_metric='fisher': .*are: empirical_fisher, ggn, ggn_mc",
    "riemannian[solver=qr]": "riemannian: solver='qr': .*'gram'",
    "riemannian[mass=0]": "riemannian: mass=0: mass must be positive",
    "naive[mass=-1]": "naive: mass=-1: mass must be positive",
    "naive[solver=gram]": "naive has no setting 'solver'",
    "kfac[refresh=0]": "kfac: refresh=0: .*greater than or equal to 1",
    "kfac[rank=1.5]": "kfac: rank=1.5: .*integer",
    "digits[hidden=[8,0]]": "digits: hidden=\\[8, 0\\]: .*greater than 0",
    "digits[activation=swish]": "digits: activation='swish': .*'tanh'",
    "sgd[lr=true]": "sgd: lr=True: give a number, not true or false",
    "kfac[refresh=[true,false]]": "kfac: refresh=True: give a number",
    "kfac[kl_clip=false]": "kfac: kl_clip=False: give a number",
    "riemannian[mass=[[0.1,true]]]": r"riemannian: mass=\[0.1, True\]: give a number",
    "digits[hidden=[true]]": r"digits: hidden=\[True\]: give a number",
    "digits[batch_size=true]": "digits: batch_size=True: give a number",
    "sgd[lr0=1]": r"sgd has no setting 'lr0' \(did you mean 'lr'\?\); its settings are: lr,",
    "sgd[learning_rate=1]": r"sgd has no setting 'learning_rate' \(did you mean 'lr'\?\); its settings are: lr,",
    "sgd[Nesterov=true]": r"no setting 'Nesterov' \(did you mean 'nesterov'\?\)",
    "riemannian[output_metric=gnn]": r"output_metric='gnn': .* \(did you mean 'ggn'\?\); there are: .*ggn_mc",
    "sgd[schedule=cosin]": r"schedule='cosin': .* \(did you mean 'cosine'\?\)",
    "riemannian[solver=gramm]": r"solver='gramm': .* \(did you mean 'gram'\?\)",
    "mnist-autoencoder[init=lecunn]": r"init='lecunn': .* \(did you mean 'lecun'\?\)",
    "cifar10[network=resnet18]": r"network='resnet18': .* \(did you mean 'resnet8'\?\)",
    f"sgd[schedule={'x' * 10**6}]": r"schedule='xxx.*1,000,002 characters",
    f"digits[hidden=[{','.join('1' * 10**5)}]]": "digits: hidden=.*at most 9999 items",
}


@pytest.mark.parametrize("text", PARSED)
def test_what_is_read(text):
    name, values = parse(text)
    assert (name, values) == PARSED[text]
    assert [type(value) for value in values.values()] == [type(value) for value in PARSED[text][1].values()]


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_cannot_be_read(text):
    with pytest.raises(SpecError, match=UNREADABLE[text]):
        parse(text)


@pytest.mark.parametrize("text", EXPANDED)
def test_lists_make_several(text):
    assert [toy.spec for toy in Toy.expand(parse(text)[1])] == EXPANDED[text]


@pytest.mark.parametrize("text", REGISTERED)
def test_canonical_specs_of_what_is_registered(text):
    kind = "methods" if parse(text)[0] in plugins().registered("methods") else "tasks"
    assert [made.spec for made in configured(kind, text)] == REGISTERED[text]


@pytest.mark.parametrize("text", REFUSED)
def test_errors_name_the_setting_the_value_and_what_there_is(text):
    kind = "methods" if parse(text)[0] in plugins().registered("methods") else "tasks"
    with pytest.raises(SpecError, match=REFUSED[text]) as caught:
        configured(kind, text)
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "there"),
    [("methods", "adam, .*ekfac, kfac, .*modular-norm, muon, naive"), ("tasks", "deep-linear, digits")],
)
def test_unknown_names(kind, there):
    with pytest.raises(PluginError, match=f"no {kind[:-1]} is called 'unheard-of'; there are: .*{there}"):
        configured(kind, "unheard-of[lr=1]")


def test_a_refusal_is_short_however_long_what_came_is():
    for text in (f"sgd[schedule={'x' * 10**6}]", f"digits[hidden=[{','.join('a' * 10**5)}]]", "x" * 10**6):
        with pytest.raises(RbenchError) as caught:
            configured("tasks" if text.startswith("digits") else "methods", text)
        assert len(str(caught.value)) < 1000


def test_a_negative_zero_is_a_zero():
    assert [made.spec for made in configured("methods", "sgd[lr=1,momentum=[0,-0.0,0.0]]")] == [
        "sgd[lr=1,momentum=0]"
    ] * 3


@pytest.mark.parametrize(("text", "count"), [*((text, len(specs)) for text, specs in EXPANDED.items())])
def test_what_a_list_makes_is_counted_without_being_made(text, count):
    assert expansions(Toy, parse(text)[1]) == count


def test_a_setting_that_may_be_a_bool_or_anything_stays_so():
    class Free(Configurable):
        name: ClassVar[str] = "free"
        summary: ClassVar[str] = "settings that take a bool"
        either: bool | int = 2
        anything: Any = None

    assert [made.spec for made in Free.expand(parse("free[either=true,anything=[true,[true]]]")[1])] == [
        "free[either=true,anything=true]",
        "free[either=true,anything=[[true]]]",
    ]


positive = st.floats(min_value=1e-300, max_value=1e300)
share = st.floats(min_value=0, max_value=1, exclude_max=True)
sizes = st.lists(st.integers(1, 10**6), max_size=3).map(tuple)
pair = st.tuples(st.lists(positive, min_size=1, max_size=3), st.lists(positive, min_size=1, max_size=3)).map(list)
masses = positive | st.lists(positive | pair, min_size=1, max_size=3).map(tuple)
matrices = st.tuples(st.tuples(positive, positive), st.tuples(positive, positive))
descent = {"lr": positive, "momentum": share, "weight_decay": positive}
clip = st.none() | positive
SETTINGS = {
    SGD: {**descent, "nesterov": st.booleans(), "schedule": st.sampled_from(["constant", "linear", "cosine"])},
    Adam: {"beta1": share, "epsilon": positive},
    Riemannian: {**descent, "mass": masses, "output_metric": st.sampled_from(["ggn", "identity"]) | matrices},
    Naive: {
        "mass": masses,
        "rank": st.integers(1, 10**9),
        "batch": st.sampled_from(["stack", "mean"]),
        "kl_clip": clip,
    },
    NaturalGradient: {
        "output_metric": st.sampled_from(["ggn", "identity"]) | matrices,
        "damping": positive,
        "iterations": st.integers(1, 99),
        "warm_start": share,
    },
    KFAC: {"factors": st.sampled_from(["exact", "mc"]), "refresh": st.integers(1, 99), "kl_clip": clip},
    Shampoo: {**descent, "decay": st.none() | share, "graft": st.sampled_from([None, "sgd", "adam"])},
    SOAP: {"decay": share, "refresh": st.integers(1, 99)},
    Muon: {"momentum": share, "last": st.sampled_from(["muon", "adam"]), "adam_lr": positive},
    ModularNorm: {"masses": st.lists(positive, max_size=3).map(tuple), "base": st.sampled_from(["adam", "sgd"])},
    EKFAC: {"factors": st.sampled_from(["exact", "mc"]), "decay": share, "damping": positive},
    PRONG: {**descent, "epsilon": positive, "refresh": st.integers(1, 99)},
    plugins().find("tasks", "digits"): {"hidden": sizes, "validation": st.booleans()},
    plugins().find("tasks", "regression"): {"noise": share, "features": st.integers(1, 100)},
}


@pytest.mark.parametrize("cls", SETTINGS, ids=lambda cls: cls.name)
@settings(max_examples=60, deadline=None, database=None)
@given(data=st.data())
def test_the_canonical_spec_makes_the_same_thing(cls, data):
    made = cls(**data.draw(st.fixed_dictionaries({}, optional=SETTINGS[cls])))
    (again,) = configured("tasks" if issubclass(cls, Task) else "methods", made.spec)
    assert again == made
    assert again.spec == made.spec
    assert (made.spec == cls().spec) == (made == cls())
