from rbench import hookimpl
from rbench.methods import LogUniform, Method, Step, map_blocks


class MyMethod(Method):
    name = "my-method"
    summary = "steps of one size along the signs of the gradient"
    lr: float = 0.01  # each field is a setting of the SPEC, such as my-method[lr=0.1]
    search_space = {"lr": LogUniform(1e-4, 1e-1)}  # what `rbench tune` varies

    def init(self, problem, params):
        return ()  # what steps remember: any arrays, such as a momentum in the shape of params

    def step(self, problem, params, state, batch, scalars, phase):
        loss, gradient = problem.gradient(params, batch)
        sign = problem.backend.xp.sign
        # The new parameters, what the next step remembers, and the loss before this step.
        return Step(map_blocks(lambda w, g: w - scalars["lr"] * sign(g), params, gradient), state, loss)


@hookimpl
def rbench_methods():
    return [MyMethod]
