"""SPECs: what is read, what it makes, and that the canonical form means the same thing again."""

from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rbench.errors import PluginError, SpecError
from rbench.methods import KFAC, SGD, Adam, Naive, Riemannian
from rbench.plugins import plugins
from rbench.spec import Configurable, parse
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
    "riemannian[output_metric=fisher]": "riemannian: output_metric='fisher': .*'ggn_mc'.*'empirical_fisher'",
    "riemannian[solver=qr]": "riemannian: solver='qr': .*'gram'",
    "riemannian[mass=0]": "riemannian: .*mass must be positive",
    "naive[solver=gram]": "naive has no setting 'solver'",
    "kfac[refresh=0]": "kfac: refresh=0: .*greater than or equal to 1",
    "kfac[rank=1.5]": "kfac: rank=1.5: .*integer",
    "digits[hidden=[8,0]]": "digits: hidden=\\[8, 0\\]: .*greater than 0",
    "digits[activation=swish]": "digits: activation='swish': .*'tanh'",
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


@pytest.mark.parametrize(("kind", "there"), [("methods", "adam, kfac, naive"), ("tasks", "deep-linear, digits")])
def test_unknown_names(kind, there):
    with pytest.raises(PluginError, match=f"no {kind[:-1]} is called 'unheard-of'; there are: .*{there}"):
        configured(kind, "unheard-of[lr=1]")


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
    KFAC: {"factors": st.sampled_from(["exact", "mc"]), "refresh": st.integers(1, 99), "kl_clip": clip},
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
