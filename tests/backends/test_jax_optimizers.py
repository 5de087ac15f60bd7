"""optax as a method against loops as its users write them: functions of jax, their derivatives, optax's update."""

from functools import partial

import numpy as np
import pytest

from helpers import training
from rbench import Conv2d, Flatten, Linear, Tanh
from rbench.errors import SpecError
from rbench.losses import get_loss
from rbench.methods import Adam, Batch, LogUniform, Problem
from rbench.methods.library import COMMON
from rbench.plugins import get_backend, plugins
from rbench.spec import parse
from rbench.train.cell import configured

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")

STEPS, SIZE = 3, 8
NETS = {
    "vectors": (Linear(4, 5) >> Tanh() >> Linear(5, 3), (4,)),
    "images": (Conv2d(2, 4, 3, stride=2, padding=1) >> Tanh() >> Flatten() >> Linear(24, 3), (2, 5, 4)),
}
CHOSEN = {
    "sgd": {"momentum": 0.9, "nesterov": True},
    "adam": {"b1": 0.8, "eps_root": 1e-3},
    "adamw": {"weight_decay": 0.1},
    "lion": {"b2": 0.9},
    "muon": {"ns_steps": 3},
    "schedule_free_adamw": {"warmup_steps": 3},
    "scale_by_belief": {},
    "momo": {},
    "dadapt_adamw": {"betas": (0.8, 0.99), "estim_lr0": 0.1},
}


class Course:
    """Training of one network in float64 on the same batches, by a method and by a loop."""

    def __init__(self, net, shape, dtype="float64"):
        rng = np.random.default_rng(0)
        self.backend = get_backend("jax", dtype=dtype)
        self.problem = Problem(self.backend, net, get_loss("cross_entropy"))
        self.start = net.init(self.backend, 0)
        draws = [(rng.normal(size=(SIZE, *shape)), rng.integers(0, 3, SIZE)) for _ in range(STEPS)]
        self.batches = [Batch(self.backend.asarray(x), self.backend.labels(y)) for x, y in draws]

    def by_method(self, method):
        """Parameters and state at the end, and the losses before every step; nothing is compiled as a whole."""
        params, losses = self.start, []
        with self.backend.inference():
            state = method.init(self.problem, params)
            for t, batch in enumerate(self.batches):
                params, state, loss, _ = method.step(self.problem, params, state, batch, method.scalars(t, STEPS), None)
                losses.append(float(loss))
        return params, state, losses

    def by_loop(self, make):
        """The same of a loop with jax's derivatives."""

        def loss_of(params, x, y):
            z = evaluated(self.problem.net, params, x)
            return optax.softmax_cross_entropy_with_integer_labels(z, y).mean()

        optimizer = optax.with_extra_args_support(make())

        params, losses = self.start, []
        with jax.enable_x64(True):
            state = optimizer.init(params)
            for x, y, *_ in self.batches:
                loss, gradient = jax.value_and_grad(loss_of)(params, x, y)
                moves, state = optimizer.update(gradient, state, params, value=loss)
                params = optax.apply_updates(params, moves)
                losses.append(float(loss))
        return params, state, losses


def evaluated(net, params, x):
    blocks = iter(params)
    for part in net.modules:
        match part:
            case Linear():
                block = next(blocks)
                x = x @ block["weight"].T + block["bias"]
            case Conv2d(_, _, _, stride, padding):
                block, edge = next(blocks), [(padding, padding)] * 2
                x = jax.lax.conv_general_dilated(x, block["weight"], (stride, stride), edge)
                x = x + block["bias"][:, None, None]
            case Tanh():
                x = jax.numpy.tanh(x)
            case Flatten():
                x = x.reshape(len(x), -1)
    return x


assert_same = partial(training.assert_same, least=1e-5)


def method(name, settings, lr=0.03, **others):
    """The method of an optimiser and its settings, with betas as single numbers."""
    own = {key: value for key, value in settings.items() if key != "betas"}
    own |= {f"beta{i}": value for i, value in enumerate(settings.get("betas", ()), 1)}
    return plugins().find("methods", "optax")(name=name, lr=lr, **own, **others)


def native(name, settings, lr=0.03):
    def make():
        if name == "muon":
            weights = optax.contrib.MuonDimensionNumbers((1, 2, 3), 0), optax.contrib.MuonDimensionNumbers(1, 0)
            axes = tuple({"weight": weight, "bias": None} for weight in weights)
            return optax.contrib.muon(lr, muon_weight_dimension_numbers=axes, **settings)
        if name.startswith("scale_by"):
            return optax.chain(getattr(optax, name)(**settings), optax.scale(-lr))
        return getattr(optax if hasattr(optax, name) else optax.contrib, name)(lr, **settings)

    return make


@pytest.mark.parametrize(
    ("net", "name"), [*(("vectors", name) for name in CHOSEN if name != "muon"), ("images", "muon")]
)
def test_a_trajectory_is_that_of_a_loop_in_jax(net, name):
    course = Course(*NETS[net])
    params, state, losses = course.by_method(method(name, CHOSEN[name]))
    found, last, expected = course.by_loop(native(name, CHOSEN[name]))
    assert_same(params, found, course.start)
    np.testing.assert_allclose(losses, expected, rtol=1e-10)
    if name.startswith("schedule_free"):
        averages = method(name, CHOSEN[name]).evaluated(course.problem, params, state)
        assert_same(averages, optax.contrib.schedule_free_eval_params(last, found), course.start)
        assert np.linalg.norm(averages[0]["weight"] - params[0]["weight"]) > 1e-3


def test_steps_in_one_call_are_those_of_single_calls_in_jax():
    name = "schedule_free_adamw"
    course, made = Course(*NETS["vectors"], dtype="float32"), method(name, CHOSEN[name], schedule="linear")
    expected, _, losses = course.by_method(made)

    def one(carry, item):
        (params, state), (batch, scalars) = carry, item
        step = made.step(course.problem, params, state, batch, scalars, None)
        return (step.params, step.state), step.loss

    items = jax.tree.map(lambda *arrays: jax.numpy.stack(arrays), *course.batches)
    rates = course.backend.asarray([made.scalars(t, STEPS)["lr"] for t in range(STEPS)])
    begun = course.start, made.init(course.problem, course.start)
    (params, _), found = course.backend.compile_loop(one)(begun, (items, {"lr": rates}))
    assert_same(params, expected, course.start, rel=1e-3)
    np.testing.assert_allclose(found, losses, rtol=1e-5)
    assert losses != course.by_method(method(name, CHOSEN[name]))[2]  # the schedule has an effect


def test_the_gradient_by_jax_is_ours():
    course = Course(*NETS["images"])
    ours, theirs = (course.by_method(method("sgd", {}, differentiation=who))[0] for who in ("ours", "library"))
    assert_same(ours, theirs, course.start)


def test_our_adam_is_that_of_optax_in_jax():
    course = Course(*NETS["vectors"])
    ours, _, _ = course.by_method(Adam(lr=0.03, beta1=0.8))
    theirs, _, _ = course.by_method(method("adam", {"b1": 0.8}))
    assert_same(ours, theirs, course.start)


REFUSED = {
    "optax[name=lionn]": r"no optimiser of optax is called 'lionn' .*'lion'\?\); there are: .*adamw",
    "optax[name=lion,weight_decy=1]": "lion has no setting 'weight_decy' .*'weight_decay'.* settings are: .*b1, b2",
    "optax[name=lion,learning_rate=1]": "no setting 'learning_rate' .*'lr'",
    "optax[name=lion,b1=much]": "b1='much': give a number",
    "optax[name=adam,mu_dtype=float33]": "adam makes no step with these settings: TypeError",
    "optax[name=clip]": "clip needs a value for max_delta",
    "optax[name=sophia]": "ValueError: obj_fn must be provided",
}


@pytest.mark.parametrize("spec", REFUSED)
def test_a_wrong_setting_is_met_with_words_in_jax(spec):
    (made,) = configured("methods", spec)
    with pytest.raises(SpecError, match=REFUSED[spec]):
        made.check(Problem(get_backend("numpy"), NETS["vectors"][0], get_loss("cross_entropy")))


@pytest.mark.parametrize("name", [*CHOSEN, "polyak_sgd", "lbfgs", "clip[max_delta=1]"])
def test_the_settings_are_taken_before_a_run_in_jax(name):
    name, settings = parse(name)
    made = method(name, settings or CHOSEN.get(name, {}))
    made.check(Problem(get_backend("numpy"), NETS["images"][0], get_loss("cross_entropy")))
    (again,) = configured("methods", made.spec)
    assert again.spec == made.spec


def test_a_tune_searches_what_it_searches_of_ours_in_jax():
    ours = {key.replace("beta", "b"): space for key, space in Adam.search_space.items()}
    assert method("adam", {}).searched == ours
    assert method("lion", {}).searched == ours | {"lr": LogUniform(1e-5, 1e-1), "weight_decay": COMMON["weight_decay"]}
    assert set(method("scale_by_sign", {}).searched) == {"lr"}
