"""`torch.optim` as a method against loops as their users write them: modules of torch, its autograd, its optimisers."""

import json

import numpy as np
import pytest

from helpers.command import call
from helpers.faults import SPIRALS, cell
from rbench import Conv2d, Flatten, Linear, Tanh
from rbench.errors import SpecError
from rbench.losses import get_loss
from rbench.methods import Adam, Batch, Problem, compile_step
from rbench.plugins import get_backend, plugins
from rbench.run.provenance import environment
from rbench.train.cell import configured

torch = pytest.importorskip("torch")

STEPS, SIZE = 6, 8
NETS = {
    "vectors": (Linear(4, 5) >> Tanh() >> Linear(5, 3), (4,)),
    "images": (Conv2d(2, 4, 3, stride=2, padding=1) >> Tanh() >> Flatten() >> Linear(24, 3), (2, 5, 4)),
}
CHOSEN = {
    "SGD": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    "Adam": {"betas": (0.8, 0.99), "weight_decay": 0.1},
    "AdamW": {},
    "RMSprop": {"alpha": 0.9, "momentum": 0.5},
    "Adagrad": {"lr_decay": 0.1},
    "NAdam": {"betas": (0.9, 0.99)},
    "Adafactor": {"eps": (None, 1e-2)},
    "LBFGS": {"max_iter": 3, "line_search_fn": "strong_wolfe"},
    "Muon": {"weight_decay": 0.2, "ns_coefficients": (3.0, -4.0, 2.0)},
}


class Course:
    """Training of one network in float64 on the same batches, by a method and by a loop."""

    def __init__(self, net, shape, seed=0):
        rng = np.random.default_rng(seed)
        self.backend = get_backend("torch", dtype="float64")
        self.problem = Problem(self.backend, net, get_loss("cross_entropy"))
        self.start = net.init(self.backend, seed)
        draws = [(rng.normal(size=(SIZE, *shape)), rng.integers(0, 3, SIZE)) for _ in range(STEPS)]
        self.batches = [Batch(self.backend.asarray(x), self.backend.labels(y)) for x, y in draws]

    def by_method(self, method):
        """Parameters after every step, the last state, and the losses before every step."""
        step = compile_step(self.problem, method)
        params, path, losses = self.start, [], []
        with self.backend.inference():
            state = method.init(self.problem, params)
        for t, batch in enumerate(self.batches):
            params, state, loss, _ = step(params, state, batch, method.scalars(t, STEPS), phase=None)
            path.append(params)
            losses.append(float(loss))
        return path, state, losses

    def by_loop(self, make, make_conv=torch.nn.Conv2d, schedule=lambda t: 1.0):
        """The module at the end of a loop with autograd, its optimisers, and the losses before every step."""
        module, losses = as_module(self.problem.net, self.start, make_conv), []
        optimizers = make(list(module.parameters()))
        for t, (x, y, *_) in enumerate(self.batches):

            def closure(x=x, y=y):
                module.zero_grad()
                loss = torch.nn.functional.cross_entropy(module(x), y)
                loss.backward()
                return loss

            losses.append(float(closure().detach()))
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = group.setdefault("first", group["lr"]) * schedule(t)
                optimizer.step(*([closure] if isinstance(optimizer, torch.optim.LBFGS) else []))
        return module, optimizers, losses


class MatrixConv(torch.nn.Module):
    """A convolution whose weight is a matrix, as `torch.optim.Muon` takes it."""

    def __init__(self, channels, width, *window, dtype):
        super().__init__()
        kernel, *self.window = window
        self.shape = (width, channels, kernel, kernel)
        self.weight = torch.nn.Parameter(torch.empty(width, channels * kernel**2, dtype=dtype))
        self.bias = torch.nn.Parameter(torch.empty(width, dtype=dtype))

    def forward(self, x):
        return torch.nn.functional.conv2d(x, self.weight.view(self.shape), self.bias, *self.window)


def as_module(net, params, make_conv):
    """The network in torch's own modules, with copies of the parameters."""
    blocks, found = iter(params), []
    for part in net.modules:
        match part:
            case Linear(n, m):
                found.append(torch.nn.Linear(n, m, dtype=torch.float64))
            case Conv2d(n, m, kernel, stride, padding):
                found.append(make_conv(n, m, kernel, stride, padding, dtype=torch.float64))
            case Tanh() | Flatten():
                found.append(getattr(torch.nn, type(part).__name__)())
        own = dict(found[-1].named_parameters())
        for name, values in next(blocks).items() if own else ():
            own[name].data.copy_(values.view(own[name].shape))
    return torch.nn.Sequential(*found)


def flat(params):
    return [array for block in params for array in block.values()]


def assert_same(ours, theirs, start, rel=1e-10):
    """The arrays are the same, measured by how far they are from the start."""
    for one, other, before in zip(ours, theirs, start, strict=True):
        other = other.detach().view(one.shape)
        moved = torch.linalg.vector_norm(other - before)
        assert moved > 1e-4
        assert torch.linalg.vector_norm(one - other) < rel * moved


def native(name, settings, lr=0.01, library=torch.optim):
    """What makes the optimisers of parameters; Muon moves matrices, and AdamW what is none."""

    def make(parameters):
        if name != "Muon":
            return [getattr(library, name)(parameters, lr=lr, **settings)]
        matrices, others = ([p for p in parameters if (p.ndim > 1) == wanted] for wanted in (True, False))
        adam = torch.optim.AdamW(others, lr=lr, weight_decay=settings["weight_decay"])
        return [torch.optim.Muon(matrices, lr=lr, **settings), adam]

    return make


def method(name, settings, lr=0.01, **others):
    """The method of an optimiser and its settings, with betas as single numbers."""
    own = {key: value for key, value in settings.items() if key != "betas"}
    own |= {f"beta{i}": value for i, value in enumerate(settings.get("betas", ()), 1)}
    return plugins().find("methods", "torch.optim")(name=name, lr=lr, **own, **others)


@pytest.fixture(params=list(NETS))
def course(request):
    return Course(*NETS[request.param])


@pytest.fixture
def on_vectors():
    return Course(*NETS["vectors"])


@pytest.mark.parametrize("name", CHOSEN)
def test_a_trajectory_is_that_of_a_loop_in_torch(course, name, monkeypatch):
    if not hasattr(torch.optim, name):
        pytest.skip(f"this PyTorch has no {name}")
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)  # Muon's, which would make rounding seen
    path, _, losses = course.by_method(method(name, CHOSEN[name]))
    conv = MatrixConv if name == "Muon" else torch.nn.Conv2d
    module, _, expected = course.by_loop(native(name, CHOSEN[name]), conv)
    assert_same(flat(path[-1]), module.parameters(), flat(course.start))
    np.testing.assert_allclose(losses, expected, rtol=1e-10)


def test_the_rate_follows_its_schedule_in_torch(on_vectors):
    path, _, _ = on_vectors.by_method(method("AdamW", {}, schedule="linear"))
    module, _, _ = on_vectors.by_loop(native("AdamW", {}), schedule=lambda t: 1 - t / STEPS)
    assert_same(flat(path[-1]), module.parameters(), flat(on_vectors.start))


def test_our_adam_is_that_of_torch(course):
    ours, _, _ = course.by_method(Adam(lr=0.01, beta1=0.8, weight_decay=0.1, schedule="cosine"))
    theirs, _, _ = course.by_method(method("AdamW", {"betas": (0.8, 0.999), "weight_decay": 0.1}, schedule="cosine"))
    assert_same(flat(ours[-1]), flat(theirs[-1]), flat(course.start))


@pytest.mark.parametrize("name", ["AdamW", "LBFGS"])
def test_the_gradient_by_autograd_is_ours_in_torch(course, name):
    ours, _, _ = course.by_method(method(name, CHOSEN[name]))
    theirs, _, _ = course.by_method(method(name, CHOSEN[name], differentiation="library"))
    assert_same(flat(ours[-1]), flat(theirs[-1]), flat(course.start))


PURE = ["AdamW", "Muon", "LBFGS", "pytorch_optimizer.GaLore", "pytorch_optimizer.ScheduleFreeAdamW"]


def chosen_here(name):
    """A method of either package; the test is skipped where it is not there."""
    library, _, name = name.rpartition(".")
    if library:
        pytest.importorskip(library)
    made = method(name, CHOSEN.get(name, {}))
    if name not in made.known():
        pytest.skip(f"there is no {name}")
    return made


@pytest.mark.parametrize("name", PURE)
def test_a_step_leaves_its_arguments_as_they_are_in_torch(on_vectors, name):
    """Steps made again from each of the states that training went through, in another order, are the same."""
    made = chosen_here(name)
    step, batches, backend = compile_step(on_vectors.problem, made), on_vectors.batches, on_vectors.backend
    with backend.inference():
        places = [(on_vectors.start, made.init(on_vectors.problem, on_vectors.start))]
    first = []
    for t, batch in enumerate(batches):
        params, state, *_ = step(*places[-1], batch, made.scalars(t, STEPS), phase=None)
        places.append((params, state))
        first.append([array.clone() for array in flat(params)])
    for t in reversed(range(STEPS)):
        again = step(*places[t], batches[t], made.scalars(t, STEPS), phase=None)
        assert all(map(torch.equal, flat(again.params), first[t]))


AVERAGED = {"ScheduleFreeAdamW": {"betas": (0.8, 0.99)}, "ScheduleFreeSGD": {"momentum": 0.8}}
OTHERS = {
    **AVERAGED, "Shampoo": {}, "Lion": {"betas": (0.8, 0.99)}, "Adan": {"betas": (0.9, 0.8, 0.99)},
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_a_trajectory_is_that_of_a_loop_with_pytorch_optimizer(on_vectors, name):
    library = pytest.importorskip("pytorch_optimizer")
    made = method(name, OTHERS[name])
    path, state, _ = on_vectors.by_method(made)
    module, (optimizer,), _ = on_vectors.by_loop(native(name, OTHERS[name], library=library))
    assert_same(flat(path[-1]), module.parameters(), flat(on_vectors.start))
    with on_vectors.backend.inference():
        evaluated = made.evaluated(on_vectors.problem, path[-1], state)
    if name in AVERAGED:
        optimizer.eval()
        assert not any(map(torch.equal, flat(evaluated), flat(path[-1])))
    assert_same(flat(evaluated), module.parameters(), flat(on_vectors.start))


@pytest.mark.parametrize("name", ["Muon", "AdaMuon"])
def test_kinds_of_muon_of_pytorch_optimizer_move_weights_as_matrices(course, name):
    library = pytest.importorskip("pytorch_optimizer")

    def make(parameters):
        groups = [
            {"params": [p for p in parameters if (p.ndim > 1) == flag], "use_muon": flag} for flag in (True, False)
        ]
        return [getattr(library, name)(groups, lr=0.01, adamw_lr=0.02)]

    own = f"pytorch_optimizer.{name}" if hasattr(torch.optim, name) else name
    path, _, _ = course.by_method(method(own, {"adamw_lr": 0.02}, schedule="linear"))
    module, _, _ = course.by_loop(make, MatrixConv, schedule=lambda t: 1 - t / STEPS)
    assert_same(flat(path[-1]), module.parameters(), flat(course.start))


@pytest.mark.parametrize(("name", "depends"), [("AdamW", False), ("SOAP", True), ("pytorch_optimizer.Muon", True)])
def test_a_record_of_torchs_own_optimisers_knows_no_other_library(name, depends):
    found = environment(cell(f"torch.optim[name={name},lr=0.1]", "torch"))
    assert ("pytorch_optimizer" in found) == depends


@pytest.mark.parametrize(("given", "betas"), [("beta1=0.8", (0.8, 0.999)), ("beta2=0.99,beta1=0.8", (0.8, 0.99))])
def test_a_beta_that_is_not_given_is_that_of_torch(given, betas):
    (made,) = configured("methods", f"torch.optim[name=Adam,{given}]")
    assert made.arguments == {"betas": betas}


REFUSED = {
    "torch.optim[name=AdamWW]": r"no optimiser of torch.optim is called 'AdamWW' .* 'AdamW'\?\); there are: .*SGD",
    "torch.optim[name=AdamW,weight_decy=1]": "AdamW has no setting 'weight_decy' .*'weight_decay'.*settings are: .*eps",
    "torch.optim[name=Adam,betas=[[0.9,0.99]]]": r"no setting 'betas' \(did you mean 'beta[12]'\?\)",
    "torch.optim[name=AdamW,learning_rate=1]": "no setting 'learning_rate' .*'lr'",
    "torch.optim[name=AdamW,eps=tiny]": "eps='tiny': give a number",
    "torch.optim[name=AdamW,weight_decay=true]": "weight_decay=True: give a number",
    "torch.optim[name=AdamW,beta2=2]": "ValueError: Invalid beta parameter at index 1: 2",
    "torch.optim[name=SGD,nesterov=true]": "ValueError: Nesterov momentum requires a momentum",
    "torch.optim[name=SparseAdam]": "RuntimeError: SparseAdam does not support dense gradients",
}


@pytest.mark.parametrize("spec", REFUSED)
def test_a_wrong_setting_is_met_with_words_in_torch(spec):
    (made,) = configured("methods", spec)
    problem = Problem(get_backend("numpy"), NETS["vectors"][0], get_loss("cross_entropy"))
    with pytest.raises(SpecError, match=REFUSED[spec]):
        made.check(problem)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SAM", "needs a value for base_optimizer"),
        ("AdaHessian", "does not require grad"),
        ("AliG", "no rate called lr"),
    ],
)
def test_what_makes_no_plain_step_is_refused_with_pytorch_optimizer(name, words):
    pytest.importorskip("pytorch_optimizer")
    with pytest.raises(SpecError, match=words):
        method(name, {}).check(Problem(get_backend("numpy"), NETS["images"][0], get_loss("cross_entropy")))


@pytest.mark.parametrize("name", CHOSEN)
def test_the_settings_are_taken_before_a_run_in_torch(name):
    made = chosen_here(name)
    made.check(Problem(get_backend("numpy"), NETS["images"][0], get_loss("cross_entropy")))
    (again,) = configured("methods", made.spec)
    assert again.spec == made.spec


SEARCHED = {
    "SGD": {"lr": "log 0.001..3", "momentum": "0 | 0.9 | 0.95"},
    "Adam": {name: str(space) for name, space in Adam.search_space.items()},
    "AdamW": {name: str(space) for name, space in Adam.search_space.items()} | {"weight_decay": "0 | 0.0001 | 0.01"},
}


@pytest.mark.parametrize("name", SEARCHED)
def test_a_tune_searches_what_it_searches_of_ours_in_torch(name):
    found = method(name, {}).searched
    assert {key: str(space) for key, space in found.items()} == SEARCHED[name]


def test_a_run_with_another_backend_says_where_it_runs_in_torch(tmp_path):
    words = ("-t", SPIRALS, "-m", "sgd", "-m", "torch.optim[name=Muon]", "--steps", 3, "--no-memory", "--json")
    done = call("run", "-b", "numpy", "-b", "torch", *words, "-o", tmp_path)
    assert done.exit_code == 0, done.output
    assert "warning: torch.optim[name=Muon,lr=0.001] runs on torch only, and not on numpy" in done.stderr
    rows = [(row["method"].partition("[")[0], row["backend"], row["status"]) for row in json.loads(done.stdout)]
    assert sorted(rows) == [("sgd", "numpy", "ok"), ("sgd", "torch", "ok"), ("torch.optim", "torch", "ok")]
